//! Whether what the stages were made of and what they left is still there.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use super::{KeptGraph, Role, Was};
use crate::model::Digest;
use crate::store::content;
use crate::store::db::{Links, Stamp};
use crate::store::mark::is_mark;
use crate::store::objects::sharded;
use crate::store::tree::is_whole;

/// Fewer places than this are looked at sooner than a thread is started.
const FEW: usize = 512;
/// More threads only wait for the kernel.
const THREADS: usize = 8;

/// What has changed since the graph was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The numbers of the places that are not as they were.
    pub(super) changed: Vec<usize>,
    /// Whether a file is known better now than the graph says.
    pub refreshed: bool,
}

impl Checked {
    /// Whether every place is as it was.
    #[must_use]
    pub const fn is_unchanged(&self) -> bool {
        self.changed.is_empty()
    }
}

/// Where the graph leads nowhere: the project has to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file that the project was loaded from is another one.
    Project,
    /// A file that a stage reads is gone, or cannot be read.
    Gone,
}

/// How a place turned out to be.
enum Found {
    Same,
    /// It has the content that it had, and this is how to tell the next time.
    Refreshed(Was),
    Changed,
    Gone,
}

/// What looking at the places takes.
struct Look<'a> {
    graph: &'a KeptGraph,
    root: Dir<'a>,
    objects: Dir<'a>,
}

/// A directory that is open: paths in it are found sooner.
struct Dir<'a> {
    path: &'a Path,
    open: OwnedFd,
}

impl<'a> Dir<'a> {
    fn open(path: &'a Path) -> Option<Self> {
        let open = std::fs::File::open(path).ok()?.into();
        Some(Self { path, open })
    }

    fn stamp(&self, path: &str, links: Links) -> std::io::Result<Option<Stamp>> {
        Stamp::at(self.open.as_fd(), path, links)
    }
}

impl KeptGraph {
    /// Looks at every place; `root` is the project's directory, `objects` that of the store's objects. What is known better
    /// then is kept in memory.
    pub fn check(&mut self, root: &Path, objects: &Path) -> Result<Checked, Change> {
        let (Some(root), Some(objects)) = (Dir::open(root), Dir::open(objects)) else {
            return Err(Change::Project);
        };
        let look = Look {
            graph: &*self,
            root,
            objects,
        };
        let count = self.places();
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
        let threads = if count < FEW { 1 } else { threads };
        let size = count.div_ceil(threads).max(1);
        let parts: Vec<Vec<(usize, Found)>> = std::thread::scope(|scope| {
            let look = &look;
            let part = move |start: usize| look.all(start..(start + size).min(count));
            let others: Vec<_> = (1..threads)
                .map(|n| scope.spawn(move || part(n * size)))
                .collect();
            let mut parts = vec![part(0)];
            // a thread that panicked has looked at nothing: its part counts as changed
            for (n, other) in (1..).zip(others) {
                let all_changed = || {
                    let numbers = n * size..((n + 1) * size).min(count);
                    numbers.map(|number| (number, Found::Changed)).collect()
                };
                parts.push(other.join().unwrap_or_else(|_| all_changed()));
            }
            parts
        });
        self.take(parts.into_iter().flatten())
    }

    fn take(&mut self, found: impl Iterator<Item = (usize, Found)>) -> Result<Checked, Change> {
        let mut checked = Checked::default();
        for (number, found) in found {
            let role = self.place(number).map(|(_, role, _)| role);
            match (found, role) {
                (Found::Same, _) => {}
                (Found::Refreshed(was), _) => {
                    self.set(number, &was);
                    checked.refreshed = true;
                }
                (_, Some(Role::Loaded) | None) => return Err(Change::Project),
                (Found::Gone, Some(Role::Input)) => return Err(Change::Gone),
                (Found::Changed | Found::Gone, _) => checked.changed.push(number),
            }
        }
        Ok(checked)
    }
}

impl Look<'_> {
    /// What is not as it was among the places with these numbers.
    fn all(&self, numbers: std::ops::Range<usize>) -> Vec<(usize, Found)> {
        let mut found = Vec::new();
        for number in numbers {
            let one = self
                .graph
                .place(number)
                .map_or(Found::Changed, |place| self.one(place));
            if !matches!(one, Found::Same) {
                found.push((number, one));
            }
        }
        found
    }

    fn one(&self, (path, role, was): (&str, Role, Was)) -> Found {
        match was {
            Was::Missing => match self.root.stamp(path, Links::Looked) {
                Ok(None) => Found::Same,
                Ok(Some(now)) if now.is_file() => Found::Changed,
                _ => Found::Gone,
            },
            Was::Tree { digest, .. } => {
                let full = self.root.path.join(path);
                let whole = self.is_stored(&digest)
                    && full.is_dir()
                    && is_whole(&self.objects.path.join(sharded(&digest)), &full).unwrap_or(false);
                if whole { Found::Same } else { Found::Changed }
            }
            Was::File { digest, .. } => {
                let found = self.file(path, role, was);
                let stored = role != Role::Output || self.is_stored(&digest);
                if stored { found } else { Found::Changed }
            }
        }
    }

    fn file(&self, path: &str, role: Role, was: Was) -> Found {
        let Was::File {
            stamp,
            trusted,
            digest,
        } = was
        else {
            return Found::Changed;
        };
        let now = match self.root.stamp(path, Links::Followed) {
            Ok(Some(now)) => now,
            _ => return Found::Gone,
        };
        if trusted && now == stamp {
            return Found::Same;
        }
        // a link is another input than the file behind it
        let is_link = || self.root.stamp(path, Links::Looked).ok().flatten() != Some(now);
        let other_mode = now.executable() != stamp.executable();
        if !now.is_file() {
            return Found::Gone;
        }
        if role == Role::Input && (other_mode || is_link()) {
            return Found::Changed;
        }
        let read_at = Stamp::clock();
        let Ok(found) = content::hash(&self.root.path.join(path)) else {
            return Found::Gone;
        };
        let unchanged =
            matches!(self.root.stamp(path, Links::Followed), Ok(Some(after)) if after == now);
        if !unchanged || found.digest != digest {
            return Found::Changed;
        }
        Found::Refreshed(Was::File {
            stamp: now,
            trusted: !now.is_racy(read_at),
            digest,
        })
    }

    /// Whether the object is there, as one `stat` can tell.
    fn is_stored(&self, digest: &Digest) -> bool {
        let Ok(Some(stamp)) = self.objects.stamp(&sharded(digest), Links::Looked) else {
            return false;
        };
        let nanos = u32::try_from(stamp.mtime.rem_euclid(1_000_000_000)).unwrap_or(0);
        stamp.is_file() && is_mark(nanos, digest, u64::try_from(stamp.size).unwrap_or(0))
    }
}
