//! From inputs to facts: what the planner is told about files.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{FileDigest, StatCache};
use crate::model::{Digest, Input};
use crate::plan::{FileFact, FileFacts, FileKind};

/// What lies behind each input, relative to the project's `root`.
///
/// A directory is taken as a tree. A link enters with its target's name, and with the content behind it if that is a
/// file; links to directories are not followed, except where the input itself is one. `.git`, `.forge` and the project's
/// `output` are left out, except for inputs that name them.
#[must_use]
pub fn facts(root: &Path, inputs: &[Input], stat: &StatCache<'_>) -> BTreeMap<Input, FileFacts> {
    let mut facts = BTreeMap::new();
    for input in inputs {
        if !facts.contains_key(input) {
            facts.insert(input.clone(), survey(root, input, stat));
        }
    }
    stat.flush();
    facts
}

/// Why a file has no facts.
enum Fault {
    Missing,
    Unreadable(String),
}

fn survey(root: &Path, input: &Input, stat: &StatCache<'_>) -> FileFacts {
    let mut surveyor = Surveyor {
        root,
        stat,
        found: Vec::new(),
    };
    let result = match input {
        Input::Path(path) => surveyor.path(path),
        Input::Glob(glob) => surveyor.glob(glob),
    };
    match result {
        Ok(()) => {
            surveyor.found.sort_by(|a, b| a.path.cmp(&b.path));
            FileFacts::Found(surveyor.found)
        }
        Err(Fault::Missing) => FileFacts::Missing,
        Err(Fault::Unreadable(why)) => FileFacts::Unreadable(why),
    }
}

struct Surveyor<'a> {
    root: &'a Path,
    stat: &'a StatCache<'a>,
    found: Vec<FileFact>,
}

impl Surveyor<'_> {
    fn path(&mut self, path: &str) -> Result<(), Fault> {
        let full = self.root.join(path);
        let link = fs::symlink_metadata(&full).map_err(|e| fault(path, &e))?;
        let meta = fs::metadata(&full).map_err(|e| fault(path, &e))?;
        if meta.is_dir() {
            return self.tree(&full, path, None);
        }
        if link.is_symlink() {
            return self.link(&full, path);
        }
        self.file(&full, path, &meta)
    }

    fn glob(&mut self, glob: &str) -> Result<(), Fault> {
        let glob = glob.trim_start_matches("./");
        let matcher = GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|e| Fault::Unreadable(e.kind().to_string()))?
            .compile_matcher();
        let base = fixed_part(glob);
        let full = self.root.join(base);
        if !full.is_dir() {
            return Ok(());
        }
        self.tree(&full, base, Some(&matcher))
    }

    /// All files under `full`, which is `shown` for the project; with a matcher, only those that match.
    fn tree(
        &mut self,
        full: &Path,
        shown: &str,
        matcher: Option<&GlobMatcher>,
    ) -> Result<(), Fault> {
        let mut stack = vec![(full.to_owned(), trim(shown).to_owned())];
        while let Some((dir, shown)) = stack.pop() {
            let entries = fs::read_dir(&dir).map_err(|e| fault(&shown, &e))?;
            let mut empty = true;
            for entry in entries {
                let entry = entry.map_err(|e| fault(&shown, &e))?;
                let Ok(name) = entry.file_name().into_string() else {
                    let name = entry.file_name();
                    return Err(Fault::Unreadable(format!(
                        "the name of {} is not UTF-8",
                        Path::new(&shown).join(name).display()
                    )));
                };
                empty = false;
                let path = join(&shown, &name);
                if is_ours(&path, &name) {
                    continue;
                }
                let kind = entry.file_type().map_err(|e| fault(&path, &e))?;
                if kind.is_dir() {
                    stack.push((entry.path(), path));
                } else if matcher.is_none_or(|m| m.is_match(&path)) {
                    self.entry(&entry.path(), &path, kind)?;
                }
            }
            if empty && matcher.is_none() {
                self.found.push(FileFact {
                    path: shown,
                    digest: Digest::of(b""),
                    kind: FileKind::EmptyDir,
                });
            }
        }
        Ok(())
    }

    fn entry(&mut self, full: &Path, path: &str, kind: fs::FileType) -> Result<(), Fault> {
        if kind.is_symlink() {
            self.link(full, path)
        } else if kind.is_file() {
            let meta = fs::metadata(full).map_err(|e| fault(path, &e))?;
            self.file(full, path, &meta)
        } else {
            // sockets, pipes and devices have no content
            Ok(())
        }
    }

    fn file(&mut self, full: &Path, path: &str, meta: &Metadata) -> Result<(), Fault> {
        if !meta.is_file() {
            return Err(Fault::Unreadable(
                "it is no file and no directory".to_owned(),
            ));
        }
        let FileDigest {
            digest, executable, ..
        } = self
            .stat
            .digest_with(full, meta)
            .map_err(|e| fault(path, &e))?;
        self.found.push(FileFact {
            path: trim(path).to_owned(),
            digest,
            kind: if executable {
                FileKind::Executable
            } else {
                FileKind::File
            },
        });
        Ok(())
    }

    fn link(&mut self, full: &Path, path: &str) -> Result<(), Fault> {
        let target: PathBuf = fs::read_link(full).map_err(|e| fault(path, &e))?;
        let mut bytes = target.as_os_str().as_encoded_bytes().to_vec();
        match fs::metadata(full) {
            Ok(meta) if meta.is_file() => {
                let found = self
                    .stat
                    .digest_with(full, &meta)
                    .map_err(|e| fault(path, &e))?;
                bytes.push(0);
                bytes.extend_from_slice(found.digest.as_bytes());
                bytes.push(u8::from(found.executable));
            }
            // a directory, or nothing: the name is all there is
            _ => {}
        }
        self.found.push(FileFact {
            path: trim(path).to_owned(),
            digest: Digest::of(&bytes),
            kind: FileKind::Link,
        });
        Ok(())
    }
}

fn fault(path: &str, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Unreadable(format!("{path}: {error}")),
    }
}

/// What forge itself and git write, which is no input.
fn is_ours(path: &str, name: &str) -> bool {
    matches!(name, ".git" | ".forge") || path == "output"
}

fn trim(path: &str) -> &str {
    match path.trim_start_matches("./").trim_end_matches('/') {
        "." => "",
        trimmed => trimmed,
    }
}

fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        name.to_owned()
    } else {
        format!("{dir}/{name}")
    }
}

/// The directories at the start of a glob that have no wildcard.
fn fixed_part(glob: &str) -> &str {
    let wild = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    glob[..wild].rfind('/').map_or("", |end| &glob[..end])
}
