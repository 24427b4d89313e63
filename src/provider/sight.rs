//! How machines are looked at from outside of the process that runs them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How a running machine is looked at by another process than the one that runs it. What is not there, the provider does
/// not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// A control socket on this host for one who looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<PathBuf>,
    /// A socket on this host that is the other end of the serial line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<PathBuf>,
    /// What has come over the serial line so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial_log: Option<PathBuf>,
    /// Where people see the machine in their browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// The machine in the server's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}
