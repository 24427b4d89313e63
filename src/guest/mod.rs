//! The machine from inside: it is reached by SSH, is given files, runs commands and answers checks.
//!
//! A [`Guest`] stands for one machine. It keeps a few connections open and lends one to each operation, so that a command
//! that hangs does not hold up the others, and so that no connection is ever shared between two operations (a reply read
//! on behalf of one could be missed by the other). Everything is driven by the socket's readiness: nothing here blocks a
//! thread or sleeps to poll, and every wait ends at its deadline, at a cancellation, or when the connection is lost.
//!
//! What may be assumed of a guest: a POSIX `/bin/sh` with the usual small tools (busybox is enough). No bash, curl, python
//! or agent. This module knows no hypervisor.

mod auth;
pub mod facts;
pub mod suite;

mod client;
mod connection;
mod error;
mod exec;
mod keypair;
mod kill;
mod known_hosts;
mod mark;
mod reboot;
mod trunk;
mod upload;
mod wait;

#[cfg(test)]
mod tests;

pub use auth::is_usable_key;
pub use client::{Guest, SshTarget};
pub use error::GuestError;
pub use exec::{Captured, Exec, Stream};
pub use keypair::KeyPair;
pub use known_hosts::KnownHosts;

/// `text` as one word of a POSIX shell.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
