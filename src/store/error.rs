//! Why the store or the records cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::Digest;

/// Why the store or the records cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be used.
    #[error("{}: {}", path.display(), Cause(source))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be used.
    #[error("{}: {source}", path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A newer forge has written the database.
    #[error(
        "{} was written by a newer forge (format {found}; this one knows {known})",
        path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest known format.
        known: i64,
    },
    /// Content is needed that is not there, or not as it was.
    #[error("object {} is {state}", digest.short())]
    Object {
        /// Which.
        digest: Digest,
        /// `missing` or `damaged`.
        state: &'static str,
    },
    /// It is not known what another project needs.
    #[error("the records of {} cannot be read, so what it needs is not known: {source}", root.display())]
    Project {
        /// Its directory.
        root: PathBuf,
        /// Why.
        source: Box<StoreError>,
    },
}

impl StoreError {
    /// What to do, in a sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if is_full(source) => Some(
                "make room, for example with `forge cache gc`, or set FORGE_CACHE_DIR to a place with more"
                    .to_owned(),
            ),
            Self::Newer { .. } => Some("use the newer forge, or remove the file".to_owned()),
            Self::Object { .. } => Some("run the stage again, with `--force`".to_owned()),
            Self::Project { root, .. } => Some(format!(
                "repair or remove {}",
                root.join(".forge").display()
            )),
            Self::Database { source, .. } if is_damage(source) => {
                Some("run it again: the damaged file will be set aside".to_owned())
            }
            Self::Io { .. } | Self::Database { .. } => None,
        }
    }
}

/// Disk and quota alike.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Why a file cannot be used; the most common reason in plain words.
struct Cause<'a>(&'a io::Error);

impl std::fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.kind() {
            io::ErrorKind::StorageFull => f.write_str("the disk is full"),
            io::ErrorKind::QuotaExceeded => f.write_str("the disk quota is used up"),
            _ => self.0.fmt(f),
        }
    }
}

/// Names the file in an error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
    move |source| StoreError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Whether the file itself is bad, rather than the question or the moment.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase)
    )
}
