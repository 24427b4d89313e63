//! Putting files and trees into a guest.
//!
//! A tree goes as one tar stream into one command: a channel per file would cost a shell's start each. What arrives does
//! not depend on who sends it or when: owners are root (or the login's user), times are fixed, modes and links are kept.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::client::Job;
use super::exec::Feed;
use super::{Guest, GuestError, Stream, quote};
use crate::sys::Cancel;

/// Told how many bytes have been sent.
pub(super) type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// What the guest's script answers when there is no tar.
const NO_TAR: i32 = 93;
/// Size of the pieces on their way from the disk to the connection.
const PIECE: usize = 256 * 1024;
/// How many of them may wait.
const PIECES: usize = 8;
/// The time of all files that arrive: fixed, and never in the future of a guest whose clock is behind.
const MTIME: u64 = 1_000_000_000;

impl Guest {
    /// Copies `source` to `to`. The contents of a directory arrive in `to`; a file arrives as `to`, or in it if `to` ends
    /// with `/`. Directories on the way are made. Returns how many bytes of content were sent.
    pub async fn upload(
        &self,
        source: &Path,
        to: &str,
        progress: Progress<'_>,
        cancel: &Cancel,
    ) -> Result<u64, GuestError> {
        let meta = std::fs::metadata(source).map_err(|e| local(source, e))?;
        if meta.is_dir() {
            return self.upload_tree(source, to, progress, cancel).await;
        }
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let to = if to.ends_with('/') {
            format!("{to}{name}")
        } else {
            to.to_owned()
        };
        let feed = file(source, meta.len())?;
        let sent = Sent {
            source,
            progress,
            cancel,
        };
        self.put(feed, (&to, mode(&meta), meta.len()), &sent)
            .await?;
        Ok(meta.len())
    }

    /// Writes `bytes` to `to`.
    pub async fn upload_bytes(
        &self,
        bytes: Vec<u8>,
        to: &str,
        mode: u32,
        cancel: &Cancel,
    ) -> Result<(), GuestError> {
        let sent = Sent {
            source: Path::new(to),
            progress: &|_| {},
            cancel,
        };
        let size = bytes.len() as u64;
        self.put(Feed::Bytes(bytes), (to, mode, size), &sent).await
    }

    /// Writes a file: beside its place, then renamed, so that nobody sees half of it or runs what is being written. The
    /// size is compared, as the end of a lost connection looks like the end of the file. `wc -c` is only for guests whose
    /// `stat` has no `-c`: that of busybox reads the whole file again, which takes as long as the upload in an emulated guest.
    async fn put(
        &self,
        feed: Feed,
        (to, mode, size): (&str, u32, u64),
        sent: &Sent<'_>,
    ) -> Result<(), GuestError> {
        let command = format!(
            "f={}; d=${{f%/*}}; [ \"$d\" = \"$f\" ] || mkdir -p -- \"${{d:-/}}\" || exit 1; \
             [ ! -d \"$f\" ] || {{ echo \"$f is a directory\" >&2; exit 1; }}; \
             size() {{ stat -L -c %s \"$t\" 2>/dev/null || wc -c <\"$t\"; }}; \
             t=\"$f.forge-$$\"; if cat >\"$t\" && [ \"$(size)\" -eq {size} ] && chmod {mode:o} \"$t\" && mv -f -- \"$t\" \"$f\"; then :; \
             else rm -f -- \"$t\"; exit 1; fi",
            quote(&operand(to))
        );
        let (status, complaint) = self.send(&command, feed, sent).await?;
        if status == 0 {
            return Ok(());
        }
        Err(failed(to, status, &complaint))
    }

    async fn upload_tree(
        &self,
        source: &Path,
        to: &str,
        progress: Progress<'_>,
        cancel: &Cancel,
    ) -> Result<u64, GuestError> {
        let tree = Tree::read(source)?;
        let total = tree.size;
        let sent = Sent {
            source,
            progress,
            cancel,
        };
        let dir = quote(&operand(to));
        let command = format!(
            "command -v tar >/dev/null || exit {NO_TAR}; mkdir -p -- {dir} && exec tar -x -C {dir} -f -"
        );
        let entries = tree.entries.clone();
        let feed = pieces(move |out| archive(&entries, out));
        let (status, complaint) = self.send(&command, feed, &sent).await?;
        match status {
            0 => Ok(total),
            NO_TAR => self.upload_singly(&tree, to, &sent).await.map(|()| total),
            _ => Err(failed(to, status, &complaint)),
        }
    }

    /// For guests without tar: one command for all directories and links, then one per file.
    async fn upload_singly(
        &self,
        tree: &Tree,
        to: &str,
        sent: &Sent<'_>,
    ) -> Result<(), GuestError> {
        let base = operand(to);
        let base = base.trim_end_matches('/');
        let place = |entry: &Entry| format!("{base}/{}", entry.path.to_string_lossy());
        let mut script = format!("set -e; mkdir -p -- {}\n", quote(&operand(to)));
        for entry in &tree.entries {
            let path = quote(&place(entry));
            match &entry.content {
                Content::Dir => {
                    let line = format!("mkdir -p -- {path}; chmod {:o} {path}\n", entry.mode);
                    script.push_str(&line);
                }
                Content::Link(target) => {
                    let target = quote(&target.to_string_lossy());
                    script.push_str(&format!("rm -f -- {path}; ln -s -- {target} {path}\n"));
                }
                Content::File(..) => {}
            }
        }
        let feed = Feed::Bytes(script.into_bytes());
        let (status, complaint) = self.send("exec /bin/sh -s", feed, sent).await?;
        if status != 0 {
            return Err(failed(to, status, &complaint));
        }
        for entry in &tree.entries {
            if let Content::File(path, size) = &entry.content {
                let place = place(entry);
                let feed = file(path, *size)?;
                self.put(feed, (&place, entry.mode, *size), sent).await?;
            }
        }
        Ok(())
    }

    /// Runs a receiving command; returns its status and what it complains about.
    async fn send(
        &self,
        command: &str,
        feed: Feed,
        sent: &Sent<'_>,
    ) -> Result<(i32, String), GuestError> {
        let mut complaint = Vec::new();
        let source = sent.source.to_string_lossy();
        let job = Job {
            command,
            what: &source,
            timeout: None,
            cancel: sent.cancel,
            progress: sent.progress,
        };
        let mut keep = |_: Stream, bytes: &[u8]| {
            if complaint.len() < PIECE {
                complaint.extend_from_slice(bytes);
            }
        };
        let status = self.execute(&job, feed, &mut keep).await?;
        let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
        Ok((status, complaint))
    }
}

/// An upload's circumstances.
struct Sent<'a> {
    source: &'a Path,
    progress: Progress<'a>,
    cancel: &'a Cancel,
}

/// A path that no tool takes for an option.
fn operand(path: &str) -> String {
    if path.starts_with('-') {
        return format!("./{path}");
    }
    path.to_owned()
}

fn failed(to: &str, status: i32, complaint: &str) -> GuestError {
    let why = match complaint {
        "" => format!("exit status {status}"),
        text => text.lines().take(3).collect::<Vec<_>>().join("; "),
    };
    GuestError::Failed(format!("cannot write {to} in the guest: {why}"))
}

fn local(path: &Path, source: io::Error) -> GuestError {
    GuestError::Local {
        path: path.to_owned(),
        source,
    }
}

/// What lies under a directory, sorted.
struct Tree {
    entries: Vec<Entry>,
    size: u64,
}

#[derive(Clone)]
struct Entry {
    /// Relative to the tree.
    path: PathBuf,
    mode: u32,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Dir,
    File(PathBuf, u64),
    Link(PathBuf),
}

impl Tree {
    fn read(root: &Path) -> Result<Self, GuestError> {
        let mut tree = Self {
            entries: Vec::new(),
            size: 0,
        };
        let walk = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name();
        for found in walk {
            let found = found.map_err(|error| {
                let path = error.path().unwrap_or(root).to_owned();
                local(&path, error.into())
            })?;
            let meta = found
                .metadata()
                .map_err(|e| local(found.path(), e.into()))?;
            let content = if meta.is_dir() {
                Content::Dir
            } else if meta.is_symlink() {
                let target = std::fs::read_link(found.path());
                Content::Link(target.map_err(|e| local(found.path(), e))?)
            } else if meta.is_file() {
                tree.size += meta.len();
                Content::File(found.path().to_owned(), meta.len())
            } else {
                let what = "neither a file nor a directory nor a link";
                return Err(local(found.path(), io::Error::other(what)));
            };
            let path = found.path().strip_prefix(root).unwrap_or(found.path());
            tree.entries.push(Entry {
                path: path.to_owned(),
                mode: mode(&meta),
                content,
            });
        }
        Ok(tree)
    }
}

#[cfg(unix)]
fn mode(meta: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    meta.permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode(meta: &std::fs::Metadata) -> u32 {
    if meta.is_dir() { 0o755 } else { 0o644 }
}

/// Writes the tree as a tar stream.
fn archive(entries: &[Entry], out: &mut Pieces) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_mtime(MTIME);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match &entry.content {
            Content::Dir => {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, &entry.path, io::empty())?;
            }
            Content::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, &entry.path, target)?;
            }
            Content::File(path, size) => {
                let name =
                    |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
                let file = std::fs::File::open(path).map_err(name)?;
                header.set_entry_type(tar::EntryType::Regular);
                header.set_size(*size);
                let exact = Exact { file, left: *size };
                tar.append_data(&mut header, &entry.path, exact)
                    .map_err(name)?;
            }
        }
    }
    tar.into_inner()?.flush()
}

/// A file of exactly the size that was announced: one that shrinks meanwhile would spoil the stream.
struct Exact {
    file: std::fs::File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (&mut self.file).take(self.left).read(buffer)?;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::other("the file has become shorter meanwhile"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// The first `size` bytes of a file as a feed.
fn file(path: &Path, size: u64) -> Result<Feed, GuestError> {
    let file = std::fs::File::open(path).map_err(|e| local(path, e))?;
    let mut exact = Exact { file, left: size };
    Ok(pieces(move |out| io::copy(&mut exact, out).map(|_| ())))
}

/// Runs `write` on a thread for blocking work; what it writes is the feed.
fn pieces(write: impl FnOnce(&mut Pieces) -> io::Result<()> + Send + 'static) -> Feed {
    let (sender, receiver) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let mut pieces = Pieces {
            sender,
            buffer: Vec::with_capacity(PIECE),
        };
        let result = write(&mut pieces).and_then(|()| pieces.flush());
        if let Err(error) = result {
            // nobody listens any more if the command has ended
            let _ = pieces.sender.blocking_send(Err(error));
        }
    });
    Feed::Pieces(receiver)
}

/// Cuts a stream into pieces.
struct Pieces {
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
    buffer: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.sender
            .blocking_send(Ok(piece))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
