//! A guest: where it is, how to get in, and the connections that are open.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::Instant as Tick;

use super::connection::{Connection, Limits, Stop};
use super::exec::{Captured, Ended, Exec, Feed, Running, Stream};
use super::wait::{Attempt, LOGIN, PATIENCE, Patience, attempt, wait};
use super::{GuestError, KnownHosts, kill};
use crate::model::Secret;
use crate::sys::Cancel;

/// Where a guest is and how to get in.
#[derive(Clone, Debug)]
pub struct SshTarget {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The account.
    pub user: String,
    /// The password, also for keyboard-interactive.
    pub password: Option<Secret>,
    /// Private keys, tried in order.
    pub key_files: Vec<PathBuf>,
    /// Whether the agent at `SSH_AUTH_SOCK` is asked.
    pub agent: bool,
    /// Which servers are trusted; none: any, as with a machine that has just made its key.
    pub known_hosts: Option<KnownHosts>,
}

/// How many connections a guest may have at once; sshd takes no more than 10 unauthenticated ones by default.
const CONNECTIONS: usize = 4;
/// A machine that lets us in.
#[derive(Debug)]
pub struct Guest {
    target: SshTarget,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    /// The command that tells one boot from another.
    pub(super) boot_id: String,
    /// What it has told; forgotten with the connections.
    pub(super) boot: Mutex<Option<String>>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// A connection lent to one operation. It goes back only if the operation hands it back.
pub(super) struct Lent<'a> {
    guest: &'a Guest,
    pub(super) connection: Connection,
    _permit: SemaphorePermit<'a>,
}

impl Lent<'_> {
    /// Gives the connection back: nothing is open on it.
    pub(super) fn give_back(self) {
        if let Ok(mut idle) = self.guest.idle.lock() {
            idle.push(self.connection);
        }
    }
}

impl Guest {
    /// Waits until the guest answers and lets us in. Refusals, resets and silence are met with patience until `deadline`;
    /// a login refused again and again is reported after some ten seconds. `note` is told what is waited for.
    pub async fn connect(
        target: &SshTarget,
        deadline: Instant,
        cancel: &Cancel,
        note: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, GuestError> {
        Self::connect_with(target, deadline, cancel, note, PATIENCE).await
    }

    pub(super) async fn connect_with(
        target: &SshTarget,
        deadline: Instant,
        cancel: &Cancel,
        note: &(dyn Fn(&str) + Send + Sync),
        patience: Patience,
    ) -> Result<Self, GuestError> {
        let limits = Limits {
            deadline: Some(deadline.into()),
            cancel,
        };
        let connection = wait(target, limits, note, patience).await?;
        Ok(Self {
            target: target.clone(),
            idle: Mutex::new(vec![connection]),
            permits: Semaphore::new(CONNECTIONS),
            boot_id: "cat /proc/sys/kernel/random/boot_id".to_owned(),
            boot: Mutex::default(),
        })
    }

    /// Forgets all open connections and waits for a new one, as [`Guest::connect`] does: after a script that has cut them.
    pub async fn reconnect(
        &self,
        deadline: Instant,
        cancel: &Cancel,
        note: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), GuestError> {
        self.forget();
        let limits = Limits {
            deadline: Some(deadline.into()),
            cancel,
        };
        let connection = wait(&self.target, limits, note, PATIENCE).await?;
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(connection);
        }
        Ok(())
    }

    /// Where and how the guest is reached.
    #[must_use]
    pub const fn target(&self) -> &SshTarget {
        &self.target
    }

    /// Runs a command and returns its exit status: 128 + N if signal N ended it. Output goes to `on_output` as it comes.
    /// When its time is up, or when it is cancelled, the command is ended in the guest with all that it has started.
    pub async fn run(
        &self,
        exec: &Exec,
        on_output: &mut (dyn FnMut(Stream, &[u8]) + Send),
        cancel: &Cancel,
    ) -> Result<i32, GuestError> {
        let feed = Feed::Bytes(exec.stdin.clone().unwrap_or_default());
        let job = Job {
            command: &exec.command,
            what: "the command",
            timeout: exec.timeout,
            cancel,
            progress: &|_| {},
        };
        self.execute(&job, feed, on_output).await
    }

    /// As [`Guest::run`], with input that comes in pieces; an error there ends the command.
    pub async fn run_fed(
        &self,
        command: &str,
        input: mpsc::Receiver<std::io::Result<Vec<u8>>>,
        on_output: &mut (dyn FnMut(Stream, &[u8]) + Send),
        cancel: &Cancel,
    ) -> Result<i32, GuestError> {
        let job = Job {
            command,
            what: "the command",
            timeout: None,
            cancel,
            progress: &|_| {},
        };
        self.execute(&job, Feed::Pieces(input), on_output).await
    }

    /// Runs a command and returns all that it has printed.
    pub async fn capture(&self, exec: &Exec, cancel: &Cancel) -> Result<Captured, GuestError> {
        let mut captured = Captured::default();
        let status = {
            let mut keep = |stream: Stream, bytes: &[u8]| match stream {
                Stream::Stdout => captured.stdout.extend_from_slice(bytes),
                Stream::Stderr => captured.stderr.extend_from_slice(bytes),
            };
            self.run(exec, &mut keep, cancel).await?
        };
        captured.status = status;
        Ok(captured)
    }

    /// Runs a command with any feed.
    pub(super) async fn execute(
        &self,
        job: &Job<'_>,
        feed: Feed,
        out: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Result<i32, GuestError> {
        let limits = Limits {
            deadline: job.timeout.map(|t| Tick::now() + t),
            cancel: job.cancel,
        };
        let limit = job.timeout.unwrap_or_default();
        let (mut lent, mut running) = self.start(job, feed, limits).await?;
        let connection = &mut lent.connection;
        let end = running.follow(connection, out, limits, job.progress).await;
        match end {
            Ok(Ended::Status(status)) => {
                drop(running);
                lent.give_back();
                Ok(status)
            }
            Ok(Ended::Feed(source)) => {
                // before its input ends: the command must not take half of it for the whole
                end_remote(lent, &running).await;
                Err(GuestError::Local {
                    path: PathBuf::from(job.what),
                    source,
                })
            }
            Err(stop) => {
                if matches!(stop, Stop::Deadline | Stop::Cancelled) {
                    end_remote(lent, &running).await;
                }
                Err(stop.into_error(job.what, limit))
            }
        }
    }

    /// Starts a command. An idle connection that turns out to be dead is replaced: the command has not run yet.
    async fn start(
        &self,
        job: &Job<'_>,
        feed: Feed,
        limits: Limits<'_>,
    ) -> Result<(Lent<'_>, Running), GuestError> {
        let limit = job.timeout.unwrap_or_default();
        let (mut lent, fresh) = self.lend(limits).await?;
        let probe = lent
            .connection
            .drive(limits, ssh2::Session::channel_session)
            .await;
        let channel = match probe {
            Ok(channel) => channel,
            Err(stop @ (Stop::Ssh(_) | Stop::Lost(_))) if fresh => {
                return Err(stop.into_error(job.what, limit));
            }
            Err(Stop::Ssh(_) | Stop::Lost(_)) => {
                drop(lent);
                self.forget();
                lent = self.lend(limits).await?.0;
                let again = lent
                    .connection
                    .drive(limits, ssh2::Session::channel_session)
                    .await;
                again.map_err(|s| s.into_error(job.what, limit))?
            }
            Err(stop) => return Err(stop.into_error(job.what, limit)),
        };
        let running =
            Running::start(&mut lent.connection, channel, job.command, feed, limits).await;
        let running = running.map_err(|s| s.into_error(job.what, limit))?;
        Ok((lent, running))
    }

    /// An idle connection, or a new one (then the second value is true).
    pub(super) async fn lend(&self, limits: Limits<'_>) -> Result<(Lent<'_>, bool), GuestError> {
        let permit = limits.run(self.permits.acquire()).await;
        let permit = permit.map_err(|s| s.into_error("waiting for a connection", LOGIN))?;
        let permit = permit.map_err(|_| GuestError::Cancelled)?;
        let idle = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        let fresh = idle.is_none();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open(limits).await?,
        };
        let lent = Lent {
            guest: self,
            connection,
            _permit: permit,
        };
        Ok((lent, fresh))
    }

    /// One more connection, without the patience of the first one.
    async fn open(&self, limits: Limits<'_>) -> Result<Connection, GuestError> {
        match attempt(&self.target, limits, LOGIN).await {
            Ok(connection) => Ok(connection),
            Err(Attempt::Refused(reason)) => Err(GuestError::Lost(reason)),
            Err(Attempt::Late) => Err(GuestError::Lost("a new login takes too long".to_owned())),
            Err(Attempt::Auth(reason)) => Err(GuestError::Auth {
                user: self.target.user.clone(),
                reason,
            }),
            Err(Attempt::Fatal(error)) => Err(error),
        }
    }

    /// Closes what is idle. The guest may have restarted.
    pub(super) fn forget(&self) {
        if let Ok(mut boot) = self.boot.lock() {
            *boot = None;
        }
        if let Ok(mut idle) = self.idle.lock() {
            idle.clear();
        }
    }
}

/// A command and its circumstances.
pub(super) struct Job<'a> {
    pub(super) command: &'a str,
    /// For messages.
    pub(super) what: &'a str,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel: &'a Cancel,
    pub(super) progress: &'a (dyn Fn(u64) + Send + Sync),
}

/// Ends a command in the guest, over its own connection if that is free to talk, else over a new one.
async fn end_remote(lent: Lent<'_>, running: &Running) {
    let Some(pid) = running.pid() else { return };
    let mut lent = lent;
    if running.is_stuck(&lent.connection) {
        let cancel = Cancel::new();
        let limits = Limits {
            deadline: Some(Tick::now() + Duration::from_secs(10)),
            cancel: &cancel,
        };
        match lent.guest.open(limits).await {
            Ok(connection) => lent.connection = connection,
            Err(_) => return,
        }
    }
    kill::kill(&mut lent.connection, pid).await;
}
