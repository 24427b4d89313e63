//! Mounts, from `/proc/self/mountinfo`.

use std::time::Duration;

use super::{Ended, Records, Value, part, span};
use crate::goss::Truth;

#[derive(Clone)]
struct Mount {
    point: String,
    options: String,
    kind: String,
    source: String,
    system_options: String,
}

impl Mount {
    /// `36 35 98:0 /root /point options [tags] - type source options`.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let before: Vec<&str> = before.split(' ').collect();
        let mut after = after.splitn(3, ' ');
        Some(Self {
            point: unescape(before.get(4)?),
            options: (*before.get(5)?).to_owned(),
            kind: unescape(after.next()?),
            source: unescape(after.next()?),
            system_options: after.next().unwrap_or_default().to_owned(),
        })
    }
}

/// `\040` is a space.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..3).filter(|_| *first == b'\\');
        let code =
            code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &more[3..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Options between commas that stand in no quotes.
fn options(text: &str) -> Vec<String> {
    let mut quoted = false;
    let parts = text.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts
        .filter(|part| !part.is_empty())
        .map(ToOwned::to_owned)
        .collect()
}

pub(super) fn mount(
    records: &Records,
    number: usize,
    point: &str,
    timeout: Duration,
    set: &mut dyn FnMut(&'static str, Value),
) {
    let table = records.text("/proc/self/mountinfo", "lists");
    let found = table.map(|table| {
        table
            .lines()
            .filter_map(Mount::parse)
            .find(|mount| mount.point == point)
    });
    set(
        "exists",
        found.clone().map(|found| Truth::Bool(found.is_some())),
    );
    let found = found.and_then(|found| found.ok_or_else(|| "Mountpoint not found".to_owned()));
    let tell = |what: &dyn Fn(&Mount) -> Truth| found.as_ref().map(what).map_err(Clone::clone);
    set(
        "opts",
        tell(&|mount| {
            let mut seen = std::collections::HashSet::new();
            let all = options(&mount.options).into_iter();
            Truth::List(all.filter(|option| seen.insert(option.clone())).collect())
        }),
    );
    set(
        "vfs-opts",
        tell(&|mount| Truth::List(options(&mount.system_options))),
    );
    set("source", tell(&|mount| Truth::Text(mount.source.clone())));
    set("filesystem", tell(&|mount| Truth::Text(mount.kind.clone())));
    set("usage", usage(records, number, timeout));
}

/// How full it is, in percent; what counts no blocks is empty.
fn usage(records: &Records, number: usize, timeout: Duration) -> Value {
    let part = part(number);
    if let Some(Ended { late: true, .. }) = records.ended(&part) {
        return Err(format!(
            "the file system did not tell within {}",
            span(timeout)
        ));
    }
    let text = records.text(&part, &part)?;
    let blocks: Vec<i64> = text
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    match blocks[..] {
        [0, _] => Ok(Truth::Int(0)),
        // rounded to the nearest, halves up
        [all, free] => Ok(Truth::Int((200 * (all - free) + all) / (2 * all))),
        _ => records
            .text(&format!("{part}.e"), &part)
            .and_then(|said| Err(said.trim().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_mountinfo_is_taken_apart() {
        let line =
            r"36 35 98:0 / /mnt/a\040b rw,noatime master:1 - ext3 /dev/x\134y rw,errors=continue";
        let mount = Mount::parse(line).unwrap();
        assert_eq!(
            (mount.point.as_str(), mount.kind.as_str()),
            ("/mnt/a b", "ext3")
        );
        assert_eq!(
            (mount.source.as_str(), mount.options.as_str()),
            (r"/dev/x\y", "rw,noatime")
        );
        assert_eq!(options(&mount.system_options), ["rw", "errors=continue"]);
        assert_eq!(
            options(r#"a,context="x,y",,b"#),
            ["a", r#"context="x,y""#, "b"]
        );
        assert!(Mount::parse("short").is_none());
    }
}
