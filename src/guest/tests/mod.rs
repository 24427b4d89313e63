//! Tests against a real SSH server on this machine.

mod connect;
mod dropbear;
mod exec;
pub(in crate::guest) mod sshd;
mod upload;

use std::time::{Duration, Instant};

use super::{Captured, Exec, Guest, GuestError, SshTarget, Stream};
use crate::sys::{Cancel, CancelKind};
use sshd::Sshd;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

async fn connect(target: &SshTarget) -> Result<Guest, GuestError> {
    Guest::connect(target, soon(), &Cancel::new(), &|_| {}).await
}

async fn guest(sshd: &Sshd) -> Guest {
    connect(&sshd.target()).await.unwrap()
}

async fn sh(guest: &Guest, command: &str) -> Captured {
    let captured = guest.capture(&Exec::new(command), &Cancel::new()).await;
    captured.unwrap()
}

/// Whether a process on this machine runs (a dead one that nobody has waited for does not).
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z"))
}
