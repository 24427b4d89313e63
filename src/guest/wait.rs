//! Getting in: one try, and many of them until a deadline.

use std::time::Duration;

use tokio::time::Instant as Tick;

use super::auth::{AuthFault, login};
use super::connection::{Connection, Limits, Stop};
use super::{GuestError, SshTarget};

/// When a refused login is believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// After so many refusals in a row …
    pub(super) refusals: u32,
    /// … over at least this time (accounts may appear late during the first boot).
    pub(super) span: Duration,
}

/// What users get.
pub(super) const PATIENCE: Patience = Patience {
    refusals: 5,
    span: Duration::from_secs(10),
};
/// How long one login may take: a translated guest on a busy host needs more than a minute when several come at once.
pub(super) const LOGIN: Duration = Duration::from_secs(120);

/// Why one try to get in failed.
pub(super) enum Attempt {
    /// Nobody there yet.
    Refused(String),
    /// Somebody there who refuses.
    Auth(String),
    /// Time was up in the middle of it.
    Late,
    /// No use to try again.
    Fatal(GuestError),
}

/// One try.
pub(super) async fn attempt(
    target: &SshTarget,
    limits: Limits<'_>,
    banner: Duration,
) -> Result<Connection, Attempt> {
    let stopped = |stop: Stop| match stop {
        Stop::Cancelled => Attempt::Fatal(GuestError::Cancelled),
        Stop::Deadline => Attempt::Late,
        Stop::Lost(reason) => Attempt::Refused(reason),
        Stop::Ssh(error) => Attempt::Refused(error.message().to_owned()),
    };
    let dialled = limits.run(Connection::dial(target.addr, banner)).await;
    let tcp = dialled.map_err(stopped)?.map_err(Attempt::Refused)?;
    let end = Tick::now() + LOGIN;
    let limits = Limits {
        deadline: Some(limits.deadline.map_or(end, |d| d.min(end))),
        ..limits
    };
    let port = target.addr.port();
    let kinds = target
        .known_hosts
        .as_ref()
        .map(|hosts| hosts.kinds(port))
        .transpose();
    let kinds = kinds.map_err(Attempt::Fatal)?.unwrap_or_default();
    let handshake = Connection::handshake(tcp, &kinds, limits).await;
    let mut connection = handshake.map_err(stopped)?;
    if let Some(hosts) = &target.known_hosts {
        let key = connection.session().host_key().map(|(key, _)| key.to_vec());
        hosts
            .check(port, &key.unwrap_or_default())
            .map_err(Attempt::Fatal)?;
    }
    match login(&mut connection, target, limits).await {
        Ok(()) => Ok(connection),
        Err(AuthFault::Refused(reason)) => Err(Attempt::Auth(reason)),
        Err(AuthFault::Fatal(error)) => Err(Attempt::Fatal(error)),
        Err(AuthFault::Stop(stop)) => Err(stopped(stop)),
    }
}

/// Tries again and again until the deadline.
pub(super) async fn wait(
    target: &SshTarget,
    limits: Limits<'_>,
    note: &(dyn Fn(&str) + Send + Sync),
    patience: Patience,
) -> Result<Connection, GuestError> {
    let start = Tick::now();
    let auth = |reason: String| GuestError::Auth {
        user: target.user.clone(),
        reason,
    };
    // a slow guest may need longer than the first second for its banner
    let mut banner = Duration::from_secs(1);
    let mut refusals = 0;
    let mut first_refusal = start;
    let mut told = String::new();
    loop {
        let (reason, pause) = match attempt(target, limits, banner).await {
            Ok(connection) => return Ok(connection),
            Err(Attempt::Fatal(error)) => return Err(error),
            Err(Attempt::Refused(reason)) => {
                refusals = 0;
                banner = (banner + banner / 4).min(Duration::from_secs(5));
                (reason, Duration::from_millis(100))
            }
            Err(Attempt::Late) if told.is_empty() => {
                ("the login takes too long".to_owned(), Duration::ZERO)
            }
            Err(Attempt::Late) => (told.clone(), Duration::ZERO),
            Err(Attempt::Auth(reason)) => {
                if refusals == 0 {
                    first_refusal = Tick::now();
                }
                refusals += 1;
                if refusals >= patience.refusals && first_refusal.elapsed() >= patience.span {
                    return Err(auth(reason));
                }
                (
                    format!("login refused: {reason}"),
                    patience.span / patience.refusals,
                )
            }
        };
        if reason != told {
            note(&format!("waiting for SSH at {}: {reason}", target.addr));
            told.clone_from(&reason);
        }
        match limits.run(tokio::time::sleep(pause)).await {
            Ok(()) => {}
            Err(Stop::Deadline) if refusals > 0 => return Err(auth(reason)),
            Err(Stop::Deadline) => {
                return Err(GuestError::Refused {
                    addr: target.addr,
                    waited: start.elapsed(),
                    reason,
                });
            }
            Err(stop) => return Err(stop.into_error("waiting for SSH", start.elapsed())),
        }
    }
}
