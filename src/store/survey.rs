//! From inputs to facts: what the planner is told about files.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::StatCache;
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

fn survey(root: &Path, input: &Input, stat: &StatCache<'_>) -> FileFacts {
    let mut walk = Walk {
        root,
        found: Vec::new(),
    };
    let walked = match input {
        Input::Path(path) => walk.path(path),
        Input::Glob(glob) => walk.glob(glob),
        Input::Unignored(path) => walk.unignored(path),
    };
    match walked.and_then(|()| read(&walk.found, stat)) {
        Ok(mut facts) => {
            facts.sort_by(|a, b| a.path.cmp(&b.path));
            FileFacts::Found(facts)
        }
        Err(Fault::Missing) => FileFacts::Missing,
        Err(Fault::Unreadable(why)) => FileFacts::Unreadable(why),
    }
}

/// Why a file has no facts.
enum Fault {
    Missing,
    Unreadable(String),
}

impl Fault {
    fn of(path: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Unreadable(format!("{path}: {error}")),
        }
    }
}

/// A file that was come by, not read yet.
struct Entry {
    /// For the project.
    path: String,
    /// A link's target.
    target: Option<PathBuf>,
    /// What has content: the file, or the file behind a link.
    content: Option<(PathBuf, Metadata)>,
}

/// Takes the digests, all at once, so that what has to be read is read by several threads.
fn read(entries: &[Entry], stat: &StatCache<'_>) -> Result<Vec<FileFact>, Fault> {
    let files: Vec<&(PathBuf, Metadata)> =
        entries.iter().filter_map(|e| e.content.as_ref()).collect();
    let mut digests = stat.digests(&files).into_iter();
    let mut facts = Vec::with_capacity(entries.len());
    for entry in entries {
        let found = match entry.content {
            Some(_) => digests
                .next()
                .transpose()
                .map_err(|e| Fault::of(&entry.path, &e))?,
            None => None,
        };
        let (digest, kind) = match (&entry.target, found) {
            (Some(target), found) => {
                let mut bytes = target.as_os_str().as_encoded_bytes().to_vec();
                if let Some(found) = found {
                    bytes.push(0);
                    bytes.extend_from_slice(found.digest.as_bytes());
                    bytes.push(u8::from(found.executable));
                }
                (Digest::of(&bytes), FileKind::Link)
            }
            (None, Some(found)) if found.executable => (found.digest, FileKind::Executable),
            (None, Some(found)) => (found.digest, FileKind::File),
            (None, None) => (Digest::of(b""), FileKind::EmptyDir),
        };
        facts.push(FileFact {
            path: entry.path.clone(),
            digest,
            kind,
        });
    }
    Ok(facts)
}

struct Walk<'a> {
    root: &'a Path,
    found: Vec<Entry>,
}

impl Walk<'_> {
    fn path(&mut self, path: &str) -> Result<(), Fault> {
        let full = self.root.join(path);
        let link = fs::symlink_metadata(&full).map_err(|e| Fault::of(path, &e))?;
        let meta = fs::metadata(&full).map_err(|e| Fault::of(path, &e))?;
        let path = trim(path);
        if meta.is_dir() {
            self.tree(&full, path, None)
        } else if link.is_symlink() {
            self.link(full, path.to_owned())
        } else if meta.is_file() {
            self.file(full, path.to_owned(), meta);
            Ok(())
        } else {
            let fault = format!("{path}: neither a file nor a directory");
            Err(Fault::Unreadable(fault))
        }
    }

    fn glob(&mut self, glob: &str) -> Result<(), Fault> {
        let glob = glob.trim_start_matches("./");
        let matcher = matcher(glob)?;
        let base = Input::fixed_part(glob);
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
        let mut stack = vec![(full.to_owned(), shown.to_owned())];
        while let Some((dir, shown)) = stack.pop() {
            let mut empty = true;
            for entry in fs::read_dir(&dir).map_err(|e| Fault::of(&shown, &e))? {
                let entry = entry.map_err(|e| Fault::of(&shown, &e))?;
                empty = false;
                let name = entry.file_name().into_string().map_err(|name| {
                    let path = Path::new(&shown).join(name);
                    Fault::Unreadable(format!("{}: the name is not UTF-8", path.display()))
                })?;
                let path = join(&shown, &name);
                if is_ours(&path, &name) {
                    continue;
                }
                let kind = entry.file_type().map_err(|e| Fault::of(&path, &e))?;
                if kind.is_dir() {
                    stack.push((entry.path(), path));
                } else if matcher.is_some_and(|m| !m.is_match(&path)) {
                    // not asked for
                } else if kind.is_symlink() {
                    self.link(entry.path(), path)?;
                } else if kind.is_file() {
                    let meta = entry.metadata().map_err(|e| Fault::of(&path, &e))?;
                    self.file(entry.path(), path, meta);
                }
                // sockets, pipes and devices have no content
            }
            if empty && matcher.is_none() {
                self.found.push(Entry {
                    path: shown,
                    target: None,
                    content: None,
                });
            }
        }
        Ok(())
    }

    /// A file, the files of a tree or those that match a glob, without what `.gitignore` files leave out: those of the
    /// project, and those above it.
    fn unignored(&mut self, path: &str) -> Result<(), Fault> {
        let path = trim(path);
        let is_glob = Input::is_glob(path);
        let matcher = is_glob.then(|| matcher(path)).transpose()?;
        let base = if is_glob {
            Input::fixed_part(path)
        } else {
            path
        };
        let full = self.root.join(base);
        if is_glob && !full.is_dir() {
            return Ok(());
        }
        let link = fs::symlink_metadata(&full).map_err(|e| Fault::of(base, &e))?;
        if link.is_symlink() {
            return self.path(base);
        }
        let root = self.root.to_owned();
        let walk = ignore::WalkBuilder::new(&full)
            .standard_filters(false)
            .git_ignore(true)
            .parents(true)
            .require_git(false)
            .filter_entry(move |entry| {
                let shown = entry.path().strip_prefix(&root).ok().and_then(Path::to_str);
                let name = entry.file_name().to_str().unwrap_or_default();
                !is_ours(shown.unwrap_or_default(), name)
            })
            .build();
        for entry in walk {
            let entry = entry.map_err(|e| Fault::Unreadable(e.to_string()))?;
            let Some(kind) = entry.file_type().filter(|kind| !kind.is_dir()) else {
                continue;
            };
            let shown = entry.path().strip_prefix(self.root).unwrap_or(entry.path());
            let Some(shown) = shown.to_str().map(str::to_owned) else {
                let fault = format!("{}: the name is not UTF-8", shown.display());
                return Err(Fault::Unreadable(fault));
            };
            if matcher.as_ref().is_some_and(|m| !m.is_match(&shown)) {
                continue;
            }
            if kind.is_symlink() {
                self.link(entry.into_path(), shown)?;
            } else if kind.is_file() {
                let meta = fs::metadata(entry.path()).map_err(|e| Fault::of(&shown, &e))?;
                self.file(entry.into_path(), shown, meta);
            }
        }
        Ok(())
    }

    fn file(&mut self, full: PathBuf, path: String, meta: Metadata) {
        self.found.push(Entry {
            path,
            target: None,
            content: Some((full, meta)),
        });
    }

    fn link(&mut self, full: PathBuf, path: String) -> Result<(), Fault> {
        let target = fs::read_link(&full).map_err(|e| Fault::of(&path, &e))?;
        // behind it may be a directory, or nothing: then its name is all there is
        let behind = fs::metadata(&full).ok().filter(Metadata::is_file);
        self.found.push(Entry {
            path,
            target: Some(target),
            content: behind.map(|meta| (full, meta)),
        });
        Ok(())
    }
}

fn matcher(glob: &str) -> Result<GlobMatcher, Fault> {
    let glob = GlobBuilder::new(glob).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|e| Fault::Unreadable(e.kind().to_string()))
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
