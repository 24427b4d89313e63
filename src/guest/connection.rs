//! One SSH connection, used by one operation at a time, driven by the readiness of its socket.
//!
//! libssh2 works without blocking: a call either finishes or says which direction of the socket it waits for. The calls
//! are made inside tokio's `try_io`, so that readiness is cleared exactly when a call has seen the socket empty.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use ssh2::{BlockDirections, ErrorCode, MethodType, Session};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::GuestError;
use crate::sys::Cancel;

/// libssh2's codes that are told apart here.
pub(super) mod code {
    pub(in crate::guest) const BANNER_RECV: i32 = -2;
    pub(in crate::guest) const BANNER_SEND: i32 = -3;
    pub(in crate::guest) const SOCKET_SEND: i32 = -7;
    pub(in crate::guest) const SOCKET_DISCONNECT: i32 = -13;
    pub(in crate::guest) const FILE: i32 = -16;
    pub(in crate::guest) const AUTHENTICATION_FAILED: i32 = -18;
    pub(in crate::guest) const PUBLICKEY_UNVERIFIED: i32 = -19;
    pub(in crate::guest) const CHANNEL_FAILURE: i32 = -21;
    pub(in crate::guest) const CHANNEL_CLOSED: i32 = -26;
    pub(in crate::guest) const EAGAIN: i32 = -37;
    pub(in crate::guest) const SOCKET_RECV: i32 = -43;
    pub(in crate::guest) const BAD_SOCKET: i32 = -45;
}

/// AES-GCM first: half the CPU of the default ciphers for large uploads.
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,\
                       aes128-ctr,aes256-ctr,aes192-ctr,aes128-cbc,aes256-cbc";
/// ed25519 first: making or checking an RSA signature takes seconds in an emulated guest.
const HOST_KEYS: &str = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,\
                         rsa-sha2-512,rsa-sha2-256,ssh-rsa";
/// The kinds of keys that a server is asked for: those that are known of it, where some are.
fn host_keys(kinds: &[String]) -> String {
    let fits = |kind: &&str| {
        // an RSA key signs in newer ways too
        let signs =
            |known: &String| known == kind || (known == "ssh-rsa" && kind.starts_with("rsa-"));
        kinds.is_empty() || kinds.iter().any(signs)
    };
    let fitting: Vec<&str> = HOST_KEYS.split(',').filter(fits).collect();
    match fitting.is_empty() {
        true => HOST_KEYS.to_owned(),
        false => fitting.join(","),
    }
}

/// How often an idle connection is asked whether it still lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A connection on which nothing was heard for so long is lost: the machine is gone without a word.
const SILENCE: Duration = Duration::from_secs(75);

/// When to give up.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    /// At this time.
    pub(super) deadline: Option<Instant>,
    /// When somebody asks.
    pub(super) cancel: &'a Cancel,
}

/// Why a wait ended without an answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// The deadline.
    Deadline,
    /// Somebody asked.
    Cancelled,
    /// libssh2's error.
    Ssh(ssh2::Error),
    /// The connection's end.
    Lost(String),
}

impl Stop {
    /// The error, for something called `what` that had been given `limit`.
    pub(super) fn into_error(self, what: &str, limit: Duration) -> GuestError {
        match self {
            Self::Deadline => GuestError::Timeout {
                what: what.to_owned(),
                limit,
            },
            Self::Cancelled => GuestError::Cancelled,
            Self::Lost(reason) => GuestError::Lost(reason),
            Self::Ssh(error) if is_lost(&error) => GuestError::Lost(error.message().to_owned()),
            Self::Ssh(error) => GuestError::Failed(format!("{what}: {}", error.message())),
        }
    }
}

/// What one non-blocking attempt has brought.
pub(super) enum Step<T> {
    /// The end.
    Done(T),
    /// Something; more can be done at once.
    Moved,
    /// Nothing: the socket must become ready.
    Blocked,
}

/// One connection.
pub(super) struct Connection {
    session: Session,
    tcp: TcpStream,
    socket: std::net::TcpStream,
    heard: Instant,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self
            .session
            .disconnect(Some(ssh2::DisconnectCode::ByApplication), "done", None);
        // without this, freeing a session with open channels waits for the socket, that is, leaks
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Connection {
    /// Connects and waits for the server's banner, at most `banner` long. `Err` says what was met instead.
    pub(super) async fn dial(addr: SocketAddr, banner: Duration) -> Result<TcpStream, String> {
        let connect = tokio::time::timeout(Duration::from_secs(3), TcpStream::connect(addr));
        let tcp = match connect.await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(error)) => return Err(reason(&error)),
            Err(_) => return Err("the connection is not accepted".to_owned()),
        };
        // A forwarded port accepts before anyone listens in the guest: only the banner says that it is up. Peeking leaves
        // the banner to libssh2.
        let mut start = [0; 4];
        let peek = async {
            loop {
                match tcp.peek(&mut start).await {
                    Ok(0) => return Err("the connection is closed at once".to_owned()),
                    Ok(n) if start[..n] != b"SSH-"[..n] => {
                        return Err("what answers is no SSH server".to_owned());
                    }
                    Ok(4) => return Ok(()),
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => return Err(reason(&error)),
                }
            }
        };
        match tokio::time::timeout(banner, peek).await {
            Ok(result) => result.map(|()| tcp),
            Err(_) => Err("the port is open, no banner comes".to_owned()),
        }
    }

    /// Speaks the protocol up to the point where a login can be tried.
    /// `kinds` are the kinds of keys that the server may show; none: any.
    pub(super) async fn handshake(
        tcp: TcpStream,
        kinds: &[String],
        limits: Limits<'_>,
    ) -> Result<Self, Stop> {
        let prepare = || -> io::Result<(Session, std::net::TcpStream, TcpStream)> {
            tcp.set_nodelay(true)?;
            let socket = tcp.into_std()?;
            let mut session = Session::new()?;
            session.set_blocking(false);
            session.set_banner("SSH-2.0-forge")?;
            session.method_pref(MethodType::CryptCs, CIPHERS)?;
            session.method_pref(MethodType::CryptSc, CIPHERS)?;
            session.method_pref(MethodType::HostKey, &host_keys(kinds))?;
            session.set_tcp_stream(socket.try_clone()?);
            let tcp = TcpStream::from_std(socket.try_clone()?)?;
            Ok((session, socket, tcp))
        };
        let (session, socket, tcp) = prepare().map_err(|e| Stop::Lost(e.to_string()))?;
        let mut connection = Self {
            session,
            tcp,
            socket,
            heard: Instant::now(),
        };
        connection.drive(limits, |s| s.clone().handshake()).await?;
        connection
            .session
            .set_keepalive(true, u32::try_from(HEARTBEAT.as_secs()).unwrap_or(15));
        Ok(connection)
    }

    /// The session, for calls that do no input or output.
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// Which directions of the socket the last call waits for.
    pub(super) fn interest(&self) -> Interest {
        match self.session.block_directions() {
            BlockDirections::None | BlockDirections::Inbound => Interest::READABLE,
            BlockDirections::Outbound => Interest::WRITABLE,
            BlockDirections::Both => Interest::READABLE | Interest::WRITABLE,
        }
    }

    /// Calls `op` until it has an answer.
    pub(super) async fn drive<T>(
        &mut self,
        limits: Limits<'_>,
        mut op: impl FnMut(&Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, Stop> {
        self.steps(limits, |connection| match op(&connection.session) {
            Ok(value) => Ok(Step::Done(value)),
            Err(error) if would_block(&error) => Ok(Step::Blocked),
            Err(error) => Err(error),
        })
        .await
    }

    /// Calls `step` until it is done, waiting for the socket whenever it is blocked.
    pub(super) async fn steps<T>(
        &mut self,
        limits: Limits<'_>,
        mut step: impl FnMut(&Self) -> Result<Step<T>, ssh2::Error>,
    ) -> Result<T, Stop> {
        let mut waited: Option<Interest> = None;
        loop {
            match self.attempt(waited, &mut step).map_err(Stop::Ssh)? {
                Step::Done(value) => return Ok(value),
                Step::Moved => {
                    waited = None;
                    self.heard = Instant::now();
                    limits.check()?;
                    tokio::task::consume_budget().await;
                }
                Step::Blocked => {
                    let interest = self.interest();
                    self.ready(limits, interest).await?;
                    waited = Some(interest);
                }
            }
        }
    }

    /// One attempt. After a wait it is made inside `try_io`, which forgets the readiness if the attempt is blocked again.
    pub(super) fn attempt<T>(
        &self,
        waited: Option<Interest>,
        step: &mut impl FnMut(&Self) -> Result<Step<T>, ssh2::Error>,
    ) -> Result<Step<T>, ssh2::Error> {
        let Some(interest) = waited else {
            return step(self);
        };
        let result = self.tcp.try_io(interest, || match step(self) {
            Ok(Step::Blocked) => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        });
        result.unwrap_or(Ok(Step::Blocked))
    }

    /// Waits until the socket is ready, keeping the connection warm meanwhile.
    pub(super) async fn ready(
        &mut self,
        limits: Limits<'_>,
        interest: Interest,
    ) -> Result<(), Stop> {
        let mut beat = Instant::now() + HEARTBEAT;
        loop {
            tokio::select! {
                biased;
                () = limits.cancel.cancelled() => return Err(Stop::Cancelled),
                ready = self.tcp.ready(interest) => {
                    let ready = ready.map_err(|e| Stop::Lost(e.to_string()))?;
                    if ready.is_readable() {
                        self.heard = Instant::now();
                    }
                    return Ok(());
                }
                () = sleep_until(limits.deadline) => return Err(Stop::Deadline),
                () = tokio::time::sleep_until(beat) => {
                    if self.heard.elapsed() > SILENCE {
                        return Err(Stop::Lost(format!("nothing heard for {} s", SILENCE.as_secs())));
                    }
                    // an error here shows in the operation itself
                    let _ = self.session.keepalive_send();
                    beat = Instant::now() + HEARTBEAT;
                }
            }
        }
    }
}

impl Limits<'_> {
    /// Whether it is time to give up.
    pub(super) fn check(&self) -> Result<(), Stop> {
        if self.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        if self.deadline.is_some_and(|d| Instant::now() >= d) {
            return Err(Stop::Deadline);
        }
        Ok(())
    }

    /// The result of `work`, unless it is time to give up before.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stop::Cancelled),
            value = work => Ok(value),
            () = sleep_until(self.deadline) => Err(Stop::Deadline),
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Whether the call must be made again when the socket is ready.
pub(super) fn would_block(error: &ssh2::Error) -> bool {
    error.code() == ErrorCode::Session(code::EAGAIN)
}

/// Whether the error is the end of the connection.
pub(super) fn is_lost(error: &ssh2::Error) -> bool {
    const LOST: [i32; 7] = [
        code::BANNER_RECV,
        code::BANNER_SEND,
        code::SOCKET_SEND,
        code::SOCKET_DISCONNECT,
        code::SOCKET_RECV,
        code::BAD_SOCKET,
        code::CHANNEL_CLOSED,
    ];
    matches!(error.code(), ErrorCode::Session(code) if LOST.contains(&code))
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "no route to the guest".to_owned()
        }
        _ => error.to_string(),
    }
}
