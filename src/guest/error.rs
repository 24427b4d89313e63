//! What can go wrong with a guest, told apart by what the user can do about it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Why a guest did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Nobody answered as an SSH server before the deadline.
    #[error("no SSH server answers at {addr} after {}: {reason}", seconds(*waited))]
    Refused {
        /// Where.
        addr: SocketAddr,
        /// How long it was tried.
        waited: Duration,
        /// What the last try met.
        reason: String,
    },
    /// The server answers and does not let us in.
    #[error("the guest refuses the login of `{user}`: {reason}")]
    Auth {
        /// The account.
        user: String,
        /// What was tried, and what the server would take.
        reason: String,
    },
    /// The private key on this side cannot be used.
    #[error("key {}: {reason}", path.display())]
    Key {
        /// The key's file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The server's own key is not trusted.
    #[error("the SSH server `{host}` is not trusted by {}: {reason}", file.display())]
    HostKey {
        /// The server's name.
        host: String,
        /// The file of known servers.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A limit of time was reached.
    #[error("{what} took longer than {}", seconds(*limit))]
    Timeout {
        /// What took so long.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection was lost in the middle of something.
    #[error("lost the connection to the guest: {0}")]
    Lost(String),
    /// The guest, or its SSH server, refused a request.
    #[error("{0}")]
    Failed(String),
    /// A file on this side could not be read.
    #[error("{}: {source}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl GuestError {
    /// What the user can do about it, if there is something.
    #[must_use]
    pub const fn help(&self) -> Option<&'static str> {
        match self {
            Self::Refused { .. } => Some(
                "look at the screenshot and the serial log: has the system come up, and does it start an SSH server?",
            ),
            Self::Auth { .. } => Some(
                "compare `ssh` in builds.toml with what the installation sets up (password, PermitRootLogin, authorized_keys)",
            ),
            Self::Key { .. } => Some(
                "keys with a passphrase are used through an agent: `ssh-add` the key and set `agent = true`",
            ),
            Self::HostKey { .. } => Some(
                "if the machine was made anew, forget its old key: `ssh-keygen -R HOST`; if it is new, log in once with ssh, or use `--host-key accept-new`",
            ),
            Self::Lost(_) => Some(
                "if a script restarts the machine or its network, say `expect_disconnect = true` or use a `reboot` step",
            ),
            Self::Timeout { .. } | Self::Failed(_) | Self::Local { .. } | Self::Cancelled => None,
        }
    }
}

/// A span of time for people: `0.5 s`, `12 s`.
fn seconds(span: Duration) -> String {
    if span < Duration::from_secs(10) && span.subsec_millis() != 0 {
        format!("{:.1} s", span.as_secs_f64())
    } else {
        format!("{} s", span.as_secs())
    }
}
