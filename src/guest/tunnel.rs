//! A TCP connection that starts inside the guest, offered on a port of this machine.
//!
//! What connects to [`Tunnel::addr`] talks to a server as the guest sees it: `127.0.0.1` is the guest itself. The bytes
//! flow while [`Tunnel::carry`] is polled; nothing runs in the background.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use ssh2::{Channel, ErrorCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::client::Lent;
use super::connection::{Connection, Limits, Step, Stop, code, would_block};
use super::{Guest, GuestError, quote};

/// A port of this machine that leads to a server as the guest sees it.
pub(super) struct Tunnel<'a> {
    lent: Lent<'a>,
    listener: TcpListener,
    host: String,
    port: u16,
}

/// Why no bytes flow.
#[derive(Debug)]
pub(super) enum TunnelEnd {
    /// The server cannot be reached from the guest.
    Unreachable(String),
    /// The guest does not let us try.
    Forbidden(String),
    /// The connection to the guest.
    Guest(GuestError),
}

impl Guest {
    /// A tunnel to `host:port`.
    pub(super) async fn tunnel(
        &self,
        host: &str,
        port: u16,
        limits: Limits<'_>,
    ) -> Result<Tunnel<'_>, GuestError> {
        let (lent, _) = self.lend(limits).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.map_err(|e| GuestError::Failed(format!("no free port: {e}")))?;
        Ok(Tunnel {
            lent,
            listener,
            host: host.to_owned(),
            port,
        })
    }
}

impl Tunnel<'_> {
    /// Where to connect on this machine.
    pub(super) fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Carries one connection after the other; returns only when that is not possible.
    pub(super) async fn carry(&mut self, limits: Limits<'_>) -> TunnelEnd {
        loop {
            let local = match limits.run(self.listener.accept()).await {
                Ok(Ok((local, _))) => local,
                Ok(Err(error)) => return TunnelEnd::Guest(GuestError::Failed(error.to_string())),
                Err(stop) => return self.stopped(stop),
            };
            let connection = &mut self.lent.connection;
            let channel = match open(connection, &self.host, self.port, limits).await {
                Ok(channel) => channel,
                Err(end) => return end,
            };
            let mut pipe = Pipe {
                channel,
                to_guest: Vec::new(),
                from_guest: Vec::new(),
                local_eof: false,
                eof_sent: false,
                guest_eof: false,
            };
            if let Err(stop) = pipe.flow(connection, &local, limits).await {
                return self.stopped(stop);
            }
        }
    }

    fn stopped(&self, stop: Stop) -> TunnelEnd {
        let what = format!("{}:{}", self.host, self.port);
        TunnelEnd::Guest(stop.into_error(&what, Duration::ZERO))
    }
}

/// A channel that is connected to `host:port`: by SSH itself, or by `nc` where the server forbids that.
async fn open(
    connection: &mut Connection,
    host: &str,
    port: u16,
    limits: Limits<'_>,
) -> Result<Channel, TunnelEnd> {
    let opened = connection
        .drive(limits, |s| s.channel_direct_tcpip(host, port, None))
        .await;
    let refused = match opened {
        Ok(channel) => return Ok(channel),
        Err(Stop::Ssh(error)) if error.code() == ErrorCode::Session(code::CHANNEL_FAILURE) => {
            error.message().to_owned()
        }
        Err(stop) => {
            let what = format!("connecting to {host}:{port}");
            return Err(TunnelEnd::Guest(stop.into_error(&what, Duration::ZERO)));
        }
    };
    if !refused.contains("prohibited") {
        let why = format!("{host}:{port} does not answer in the guest");
        return Err(TunnelEnd::Unreachable(why));
    }
    by_netcat(connection, host, port, limits).await
}

async fn by_netcat(
    connection: &mut Connection,
    host: &str,
    port: u16,
    limits: Limits<'_>,
) -> Result<Channel, TunnelEnd> {
    let what = "starting nc in the guest";
    let end = |stop: Stop| TunnelEnd::Guest(stop.into_error(what, Duration::ZERO));
    let host = quote(host);
    // the first line tells whether there is an nc at all
    let line =
        format!("command -v nc >/dev/null && echo y || {{ echo n; exit; }}; exec nc {host} {port}");
    let line = format!("exec /bin/sh -c {}", quote(&line));
    let session = connection.drive(limits, ssh2::Session::channel_session);
    let mut channel = session.await.map_err(end)?;
    let started = connection.drive(limits, |_| channel.exec(&line)).await;
    started.map_err(end)?;
    let mut answer = Vec::new();
    let read = connection
        .steps(limits, |_| {
            let mut byte = [0];
            match channel.read(&mut byte) {
                Ok(0) => Ok(Step::Done(())),
                Ok(_) if byte == *b"\n" => Ok(Step::Done(())),
                Ok(_) => {
                    answer.push(byte[0]);
                    Ok(Step::Moved)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::Blocked),
                Err(_) => Err(lost()),
            }
        })
        .await;
    read.map_err(end)?;
    if answer.ends_with(b"y") {
        return Ok(channel);
    }
    Err(TunnelEnd::Forbidden(
        "the guest's SSH server forbids forwarding (AllowTcpForwarding no), and there is no nc"
            .to_owned(),
    ))
}

fn lost() -> ssh2::Error {
    ssh2::Error::from_errno(ErrorCode::Session(code::SOCKET_RECV))
}

/// The two ends of a connection and what is between them.
struct Pipe {
    channel: Channel,
    to_guest: Vec<u8>,
    from_guest: Vec<u8>,
    local_eof: bool,
    eof_sent: bool,
    guest_eof: bool,
}

const BUFFER: usize = 64 * 1024;

impl Pipe {
    /// Carries bytes both ways until both sides are done.
    async fn flow(
        &mut self,
        connection: &mut Connection,
        local: &TcpStream,
        limits: Limits<'_>,
    ) -> Result<(), Stop> {
        let mut waited = None;
        loop {
            let step = connection.attempt(waited.take(), &mut |c| self.guest_step(c));
            let moved = matches!(step.map_err(Stop::Ssh)?, Step::Moved);
            let moved = self.local_step(local) || moved;
            if self.guest_eof && self.from_guest.is_empty() {
                let deadline = Some(Instant::now() + Duration::from_secs(2));
                let limits = Limits { deadline, ..limits };
                let channel = &mut self.channel;
                let _ = connection.drive(limits, |_| channel.close()).await;
                return Ok(());
            }
            if moved {
                limits.check()?;
                tokio::task::consume_budget().await;
                continue;
            }
            let interest = connection.interest();
            tokio::select! {
                ready = connection.ready(limits, interest) => {
                    ready?;
                    waited = Some(interest);
                }
                _ = local.readable(), if self.to_guest.is_empty() && !self.local_eof => {}
                _ = local.writable(), if !self.from_guest.is_empty() => {}
            }
        }
    }

    /// Moves bytes to and from the guest.
    fn guest_step(&mut self, connection: &Connection) -> Result<Step<()>, ssh2::Error> {
        let mut moved = false;
        while !self.to_guest.is_empty() {
            match self.channel.write(&self.to_guest) {
                Ok(n) => {
                    self.to_guest.drain(..n);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if connection.interest().is_writable() {
                        // libssh2 takes nothing else before the half-sent packet is out
                        return Ok(Step::Blocked);
                    }
                    break;
                }
                Err(_) => return Err(lost()),
            }
        }
        if self.local_eof && self.to_guest.is_empty() && !self.eof_sent {
            match self.channel.send_eof() {
                Ok(()) => self.eof_sent = true,
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; 16 * 1024];
        while !self.guest_eof && self.from_guest.len() < BUFFER {
            match self.channel.read(&mut buffer) {
                Ok(0) => {
                    self.guest_eof = true;
                    moved = true;
                }
                Ok(n) => {
                    self.from_guest.extend_from_slice(&buffer[..n]);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return Err(lost()),
            }
        }
        Ok(if moved { Step::Moved } else { Step::Blocked })
    }

    /// Moves bytes to and from this machine's end; whether something moved.
    fn local_step(&mut self, local: &TcpStream) -> bool {
        let mut moved = false;
        while !self.from_guest.is_empty() {
            match local.try_write(&self.from_guest) {
                Ok(n) => {
                    self.from_guest.drain(..n);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    // nobody reads any more
                    self.from_guest.clear();
                    self.guest_eof = true;
                }
            }
        }
        while !self.local_eof && self.to_guest.len() < BUFFER {
            let mut buffer = [0; 16 * 1024];
            match local.try_read(&mut buffer) {
                Ok(0) => {
                    self.local_eof = true;
                    moved = true;
                }
                Ok(n) => {
                    self.to_guest.extend_from_slice(&buffer[..n]);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.local_eof = true;
                    moved = true;
                }
            }
        }
        moved
    }
}
