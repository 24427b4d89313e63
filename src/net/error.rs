//! What goes wrong with downloads, in words.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{Algorithm, Size};
use crate::sys::LockError;

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No address was given.
    #[error("there is no address to fetch from")]
    NoSource,
    /// Every address failed.
    #[error("{}", AllFailed(name, attempts))]
    Failed {
        /// The file's name.
        name: String,
        /// What happened at each address, in order.
        attempts: Vec<Attempt>,
    },
    /// The list of checksums could not be read.
    #[error("the list of checksums `{place}` cannot be read: {source}")]
    Checksums {
        /// Where it is.
        place: String,
        /// Why.
        source: SourceError,
    },
    /// The list of checksums does not name the file.
    #[error("`{name}` is not in the list of checksums `{place}`")]
    NotListed {
        /// The file that was looked for.
        name: String,
        /// Where the list is.
        place: String,
        /// What it names instead: the nearest name, or its first few.
        listed: Vec<String>,
    },
    /// The list of checksums names the file twice, with different digests.
    #[error("the list of checksums `{place}` has several digests for `{name}`")]
    Ambiguous {
        /// The file that was looked for.
        name: String,
        /// Where the list is.
        place: String,
    },
    /// The disk is full.
    #[error("{}", DiskFull(dir, *missing, *kept))]
    DiskFull {
        /// Where there is no space.
        dir: PathBuf,
        /// How much more is needed, if the size of the download is known.
        missing: Option<Size>,
        /// What has been fetched and is kept for the next time.
        kept: Size,
    },
    /// A file of the cache cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lock of the download cannot be used.
    #[error("the download's lock cannot be used: {0}")]
    Lock(#[from] LockError),
    /// Somebody asked to stop; what has been fetched is kept.
    #[error("interrupted")]
    Cancelled,
}

impl FetchError {
    /// What to do about it, one entry per line.
    #[must_use]
    pub fn help(&self) -> Vec<String> {
        match self {
            Self::NotListed { listed, .. } if listed.is_empty() => {
                vec!["it has no line of the form `DIGEST  NAME` or `SHA256 (NAME) = DIGEST`".into()]
            }
            Self::NotListed { listed, .. } => vec![format!("it names `{}`", listed.join("`, `"))],
            Self::DiskFull { .. } => vec![
                "free some space, or set FORGE_CACHE_DIR to a place with more; `forge cache gc` removes what is unused"
                    .into(),
            ],
            Self::Failed { attempts, .. } => {
                let mut help: Vec<String> = attempts.iter().filter_map(|a| a.error.help()).collect();
                help.dedup();
                help
            }
            Self::Checksums { source, .. } => source.help().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether this host or its network is at fault (exit code 3) rather than the input.
    #[must_use]
    pub fn environment(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Io { .. } | Self::Lock(_) => true,
            Self::Failed { attempts, .. } => attempts.iter().any(|a| a.error.environment()),
            Self::Checksums { source, .. } => source.environment(),
            Self::NoSource | Self::NotListed { .. } | Self::Ambiguous { .. } | Self::Cancelled => {
                false
            }
        }
    }
}

/// An address that failed.
#[derive(Debug)]
pub struct Attempt {
    /// The address, passwords masked.
    pub from: String,
    /// What happened there.
    pub error: SourceError,
}

/// Why one address gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address is malformed.
    #[error("the address is malformed: {0}")]
    Address(String),
    /// Nobody knows how to fetch from there.
    #[error("`{0}://` is not supported; http, https, file and plain paths are")]
    Scheme(String),
    /// The server could not be reached.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server is not who it should be, or this host does not know who vouches for it.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    /// The server answers, but not with the file.
    #[error("the server answers {code}{}", Spaced(reason))]
    Status {
        /// The status.
        code: u16,
        /// Its usual name.
        reason: &'static str,
    },
    /// A web page came instead of a file.
    #[error("the server sends a web page (HTML) instead of the file{}", Titled(title.as_deref()))]
    Html {
        /// The page's title.
        title: Option<String>,
    },
    /// The connection broke, again and again.
    #[error("the connection breaks off after {} of {} ({why})", Size::from_bytes(*got), Whole(*total))]
    Cut {
        /// How much is there.
        got: u64,
        /// How much there should be.
        total: Option<u64>,
        /// What the connection said last.
        why: String,
    },
    /// No byte came for a long time.
    #[error("nothing came for {}, after {} of {}", crate::model::Duration::from(*patience), Size::from_bytes(*got), Whole(*total))]
    Stalled {
        /// For how long.
        patience: Duration,
        /// How much is there.
        got: u64,
        /// How much there should be.
        total: Option<u64>,
    },
    /// The content is not what was promised.
    #[error("the {algorithm} is {found}, not {expected}{}", Kept(kept.as_deref()))]
    Mismatch {
        /// The algorithm.
        algorithm: Algorithm,
        /// What was promised.
        expected: String,
        /// What came.
        found: String,
        /// Where the file lies now; none: it is the user's own and has not been touched.
        kept: Option<PathBuf>,
    },
    /// The local file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The local path is no file.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// A list of checksums that is far too long to be one.
    #[error("it is larger than {0}, too large for a list of checksums")]
    TooLarge(Size),
}

impl SourceError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Html { .. } => Some("a login page, a proxy or a moved download often does that: open the address in a browser".into()),
            Self::Status { code: 401 | 403, .. } => Some("the server wants credentials: write them as `https://USER:PASSWORD@…`".into()),
            Self::Status { code: 404 | 410, .. } => Some("the file may have moved: look at the download page, or add a mirror to `urls`".into()),
            Self::Certificate(_) => Some(
                "if an authority of your own vouches for it, add that to the system's certificates, or name its file in SSL_CERT_FILE"
                    .into(),
            ),
            Self::Unreachable(_) => Some("check the network; behind a proxy, set HTTPS_PROXY and HTTP_PROXY".into()),
            Self::Mismatch { .. } => Some("if the publisher has replaced the file, write the new checksum; else do not use it".into()),
            _ => None,
        }
    }

    fn environment(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Certificate(_) | Self::Cut { .. } | Self::Stalled { .. }
        ) || matches!(self, Self::Status { code, .. } if *code >= 500)
    }
}

struct AllFailed<'a>(&'a str, &'a [Attempt]);

impl fmt::Display for AllFailed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, attempts) = self;
        if let [Attempt { from, error }] = attempts {
            return write!(f, "cannot fetch `{name}` from {from}: {error}");
        }
        write!(
            f,
            "cannot fetch `{name}` from any of {} places:",
            attempts.len()
        )?;
        for Attempt { from, error } in *attempts {
            write!(f, "\n  {from}: {error}")?;
        }
        Ok(())
    }
}

struct DiskFull<'a>(&'a std::path::Path, Option<Size>, Size);

impl fmt::Display for DiskFull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no space left in {}", self.0.display())?;
        if let Some(missing) = self.1 {
            write!(f, ": {missing} more needed")?;
        }
        if self.2.bytes() > 0 {
            write!(f, "; the {} fetched so far are kept", self.2)?;
        }
        Ok(())
    }
}

struct Spaced(&'static str);

impl fmt::Display for Spaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " {}", self.0)
        }
    }
}

struct Titled<'a>(Option<&'a str>);

impl fmt::Display for Titled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |title| write!(f, ", titled `{title}`"))
    }
}

struct Whole(Option<u64>);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(total) => Size::from_bytes(total).fmt(f),
            None => f.write_str("an unknown size"),
        }
    }
}

struct Kept<'a>(Option<&'a std::path::Path>);

impl fmt::Display for Kept<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |path| {
            write!(f, "; the file is kept aside as {}", path.display())
        })
    }
}
