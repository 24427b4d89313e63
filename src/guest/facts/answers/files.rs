//! Files: what lstat says, links, contents, sums.

use std::collections::HashMap;

use super::{Records, Told, Value};
use crate::goss::{FileWants, Question, Truth};
use crate::guest::facts::{KEEP, too_long};

/// What `stat` has printed for each file that exists, by question.
pub(super) struct Status<'a>(Result<HashMap<usize, &'a [u8]>, String>);

impl<'a> Status<'a> {
    pub(super) fn new(records: &'a Records, questions: &[Question]) -> Self {
        let lines = match records.look("lstat") {
            Ok(lines) => lines.unwrap_or_default(),
            Err(reason) => return Self(Err(reason)),
        };
        // some have a line of their own; the others' lines stand together, in their order
        let mut own = HashMap::new();
        let mut shared = Vec::new();
        for (number, question) in questions.iter().enumerate() {
            if matches!(question, Question::File { .. })
                && records.flag(&format!("{number}.x"), "files") == Ok(true)
            {
                match records.look(&format!("{number}.stat")) {
                    Ok(Some(line)) => drop(own.insert(number, line)),
                    _ => shared.push(number),
                }
            }
        }
        own.extend(shared.into_iter().zip(lines.split(|b| *b == b'\n')));
        Self(Ok(own))
    }

    fn fields(&self, number: usize) -> Result<Fields, String> {
        let lines = self.0.as_ref().map_err(Clone::clone)?;
        let line = lines.get(&number).ok_or("the system did not tell")?;
        let line = String::from_utf8_lossy(line);
        Fields::parse(&line).ok_or_else(|| match line.as_ref() {
            "-" => "it vanished while it was looked at".to_owned(),
            line => format!("stat answers {line:?}"),
        })
    }
}

/// `%f %s %u %g %U %G`.
struct Fields {
    mode: u32,
    size: i64,
    uid: i64,
    gid: i64,
    owner: String,
    group: String,
}

impl Fields {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let [mode, size, uid, gid, owner, group] = fields[..] else {
            return None;
        };
        Some(Self {
            mode: u32::from_str_radix(mode, 16).ok()?,
            size: size.parse().ok()?,
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            owner: owner.to_owned(),
            group: group.to_owned(),
        })
    }

    fn kind(&self) -> &'static str {
        match self.mode & 0o170_000 {
            0o120_000 => "symlink",
            0o020_000 => "character-device",
            0o060_000 => "block-device",
            0o010_000 => "pipe",
            0o140_000 => "socket",
            0o040_000 => "directory",
            _ => "file",
        }
    }
}

/// `stat` has no name for a number.
fn known(name: &str, database: &str) -> Value {
    match name {
        "UNKNOWN" => Err(format!(
            "Error: no matching entries in passwd file. getent {database}: exit status 2"
        )),
        name => Ok(Truth::Text(name.to_owned())),
    }
}

impl Told<'_> {
    pub(super) fn file(
        &self,
        number: usize,
        wants: FileWants,
        set: &mut dyn FnMut(&'static str, Value),
    ) {
        let exists = self.records.flag(&format!("{number}.x"), "files");
        set("exists", exists.clone().map(Truth::Bool));
        if exists != Ok(true) {
            return;
        }
        let fields = self.status.fields(number);
        let tell =
            |what: &dyn Fn(&Fields) -> Value| fields.as_ref().map_err(Clone::clone).and_then(what);
        set(
            "mode",
            tell(&|f| Ok(Truth::Text(format!("{:04o}", f.mode & 0o7777)))),
        );
        set("size", tell(&|f| Ok(Truth::Int(f.size))));
        set("uid", tell(&|f| Ok(Truth::Int(f.uid))));
        set("gid", tell(&|f| Ok(Truth::Int(f.gid))));
        set("owner", tell(&|f| known(&f.owner, "passwd")));
        set("group", tell(&|f| known(&f.group, "group")));
        set("filetype", tell(&|f| Ok(Truth::Text(f.kind().to_owned()))));
        set(
            "linkedto",
            tell(&|f| match f.kind() {
                "symlink" => self
                    .records
                    .text(&format!("{number}.l"), "files")
                    .map(Truth::Text),
                _ => Err("readlink: invalid argument".to_owned()),
            }),
        );
        if wants.contents {
            let bytes = self.records.get(&format!("{number}.contents"), "contents");
            set(
                "contents",
                bytes.and_then(|bytes| match bytes.len() > KEEP {
                    true => Err(too_long()),
                    false => Ok(Truth::Bytes(bytes.to_vec())),
                }),
            );
        }
        for (wanted, name) in [
            (wants.md5, "md5"),
            (wants.sha256, "sha256"),
            (wants.sha512, "sha512"),
        ] {
            if wanted {
                let line = self.records.text(&format!("{number}.{name}"), "contents");
                set(
                    name,
                    line.and_then(|line| match line.split_whitespace().next() {
                        Some(digest) => Ok(Truth::Text(digest.to_ascii_lowercase())),
                        None => Err("reading it fails".to_owned()),
                    }),
                );
            }
        }
    }
}
