//! What goes wrong with a server, in words.

use std::io;
use std::path::PathBuf;

use super::Element;

/// Why a server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum VimError {
    /// No connection, or it broke again and again.
    #[error("{server} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// The server is not who it should be, or nobody known here vouches for it.
    #[error("the certificate of {server} is not trusted: {why}")]
    Certificate {
        /// The server.
        server: String,
        /// Why.
        why: String,
        /// The SHA-256 of the certificate it shows, if it could be seen.
        thumbprint: Option<String>,
    },
    /// The server does not know the account or its password.
    #[error("the server refuses the login: {0}")]
    Login(String),
    /// The server refuses, or its task failed.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// The server answers, but neither with a result nor with a fault.
    #[error("{what}: the server answers {status}{}", reason(*status))]
    Http {
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
    },
    /// The server's answer is not understood.
    #[error("{0}")]
    Protocol(String),
    /// It took too long.
    #[error("{0}")]
    Timeout(String),
    /// The server has restarted meanwhile and has lost track.
    #[error("{server} does not know any more what became of {what}: it has restarted")]
    Lost {
        /// The server.
        server: String,
        /// What was under way.
        what: String,
    },
    /// Someone asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// A file of this host failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A fault, `MethodFault` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its type, such as `NoPermission`.
    pub kind: String,
    /// The server's words, and what else the fault tells.
    pub message: String,
    /// The fault itself.
    pub detail: Element,
}

impl VimError {
    /// Whether it is a fault of a kind, such as `DuplicateName`.
    #[must_use]
    pub fn is(&self, fault_kind: &str) -> bool {
        matches!(self, Self::Fault(fault) if fault.kind == fault_kind)
    }

    /// Whether the same may well succeed a moment later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Timeout(_) => true,
            Self::Http { status, .. } => matches!(status, 408 | 429 | 502 | 503 | 504),
            Self::Fault(fault) => matches!(
                fault.kind.as_str(),
                "TaskInProgress"
                    | "HostCommunication"
                    | "HostNotConnected"
                    | "HostNotReachable"
                    | "ConcurrentAccess"
                    | "Timedout"
                    | "NotAuthenticated"
                    | "FileLocked"
            ),
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "check the name, the port and the network; behind a proxy, set HTTPS_PROXY, and NO_PROXY for servers within"
                    .into(),
            ),
            Self::Certificate {
                thumbprint: Some(seen),
                ..
            } => Some(format!(
                "if this is the server's own certificate, trust it with `tls_thumbprint = \"{seen}\"`; \
                 or name the file of the authority that signed it"
            )),
            Self::Certificate { .. } => {
                Some("name the file of the authority that signed it, or the certificate's thumbprint".into())
            }
            Self::Login(_) => Some(
                "check the user and the password; a user of vCenter is written with its domain, as in `builder@vsphere.local`"
                    .into(),
            ),
            Self::Http { status: 401 | 403, .. } => {
                Some("the account may lack a privilege there, or a proxy stands before the server".into())
            }
            Self::Http {
                what,
                status: 500 | 507,
            } if what.contains("/folder/") => {
                Some("the datastore may be full, or the file in use: look at the events of the host".into())
            }
            Self::Lost { .. } => Some("look at the server's recent tasks, and run again".into()),
            Self::Http { status: 502..=504, .. } => {
                Some("the server, or a proxy before it, is starting or overloaded: try again in a few minutes".into())
            }
            Self::Fault(fault) => fault.help(),
            _ => None,
        }
    }
}

impl Fault {
    /// The fault in a `LocalizedMethodFault`, as tasks, leases and missing properties tell it.
    #[must_use]
    pub fn localized(told: &Element) -> Self {
        let detail = told.child("fault").cloned().unwrap_or_default();
        let kind = detail.kind.clone().unwrap_or_else(|| "MethodFault".into());
        let words = told.text_of("localizedMessage").unwrap_or_default();
        Self::new(kind, words, detail)
    }

    /// The fault in the body of a SOAP answer.
    #[must_use]
    pub fn soap(told: &Element) -> Self {
        let detail = told.child("detail").and_then(|d| d.children.first());
        let detail = detail.cloned().unwrap_or_default();
        let kind = detail
            .kind
            .clone()
            .or_else(|| detail.name.strip_suffix("Fault").map(str::to_owned))
            .filter(|kind| !kind.is_empty())
            .unwrap_or_else(|| "SoapFault".into());
        Self::new(
            kind,
            told.text_of("faultstring").unwrap_or_default(),
            detail,
        )
    }

    fn new(kind: String, words: &str, detail: Element) -> Self {
        let mut message = words.trim().trim_end_matches('.').to_owned();
        if message.is_empty() {
            message.clone_from(&kind);
        }
        for more in (detail.children_named("faultMessage")).filter_map(|m| m.text_of("message")) {
            add(&mut message, "; ", more.trim().trim_end_matches('.'));
        }
        for (child, says) in TELLING {
            if let Some(text) = detail.text_of(child).map(str::trim)
                && !text.is_empty()
                && !message.contains(text)
            {
                message.push_str(&format!("; {says} `{text}`"));
            }
        }
        Self {
            kind,
            message,
            detail,
        }
    }

    /// The privileges that a `NoPermission` names.
    #[must_use]
    pub fn privileges(&self) -> Vec<&str> {
        let mut named: Vec<&str> = (self.detail.find_all("privilegeId").into_iter())
            .chain(self.detail.find_all("privilegeIds"))
            .map(|p| p.text.trim())
            .filter(|p| !p.is_empty())
            .collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    fn help(&self) -> Option<String> {
        let help = match self.kind.as_str() {
            "NoPermission" => {
                let named = self.privileges();
                let object = self.detail.text_of("object");
                let on = object.map_or_else(String::new, |o| format!(" on `{o}`"));
                return Some(if named.is_empty() {
                    "grant the account a role that allows this".into()
                } else {
                    format!("grant the account `{}`{on}", named.join("`, `"))
                });
            }
            "NotAuthenticated" => "the session has ended: run it again",
            "NoDiskSpace" | "InsufficientStorageSpace" | "OutOfDiskSpace" => {
                "free space on the datastore, or name another one"
            }
            "RestrictedVersion" => {
                "the host's licence makes its API read-only: give it a licence, or go through a vCenter"
            }
            "DuplicateName" | "AlreadyExists" | "FileAlreadyExists" => {
                "rename or remove what has this name already"
            }
            "InvalidPowerState" => "the machine is not in the power state that this needs",
            "TaskInProgress" => "something else works on this object: wait for its end",
            "FileLocked" => "another machine or task uses the file",
            "ToolsUnavailable" => "VMware Tools do not run in the guest",
            "HostNotConnected" | "HostCommunication" | "HostNotReachable" => {
                "the host has lost its connection to vCenter: look at the host"
            }
            "ManagedObjectNotFound" => "someone has removed the object",
            "RequestCanceled" => "someone has cancelled the task on the server",
            _ => return None,
        };
        Some(help.into())
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if self.message.starts_with(&self.kind) {
            return Ok(());
        }
        write!(f, " ({})", self.kind)
    }
}

impl From<Fault> for VimError {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// What faults tell besides their words: the element, and how it is put.
const TELLING: &[(&str, &str)] = &[
    ("privilegeId", "privilege"),
    ("datastore", "datastore"),
    ("file", "file"),
    ("name", "name"),
    ("invalidProperty", "property"),
    ("property", "property"),
    ("existingState", "it is"),
    ("reason", "reason"),
];

fn add(message: &mut String, between: &str, more: &str) {
    if !more.is_empty() && !message.contains(more) {
        message.push_str(between);
        message.push_str(more);
    }
}

/// The usual name of a status.
fn reason(status: u16) -> String {
    reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason())
        .map_or_else(String::new, |name| format!(" {name}"))
}
