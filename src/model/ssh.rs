//! How guests are logged in to.

use super::{Duration, Text};

/// How a guest is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Ssh {
    /// The account.
    pub user: Text,
    /// How it is proved.
    pub login: Login,
    /// The guest's port.
    pub port: u16,
    /// How long a machine may take from power-on (or from a reboot) to a working login.
    pub timeout: Duration,
}

/// Ways to log in; all that are given are tried, in this order: key, agent, password.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Login {
    /// Password, also for keyboard-interactive.
    pub password: Option<Text>,
    /// A private key's path: absolute, `~/…`, or relative to the project.
    pub key_file: Option<Text>,
    /// Ask the agent at `SSH_AUTH_SOCK`.
    pub agent: bool,
    /// Use the project's own key pair ([`PROJECT_KEY`]), made when it is first needed; `ssh.public_key` is its public
    /// half, for the installer to put into the guest.
    pub generate_key: bool,
}

/// Where the project's own private key lies, relative to the project; the public one stands beside it, with `.pub`.
pub const PROJECT_KEY: &str = ".forge/ssh/id_ed25519";

/// The public half of [`PROJECT_KEY`].
pub const PROJECT_PUBLIC_KEY: &str = ".forge/ssh/id_ed25519.pub";
