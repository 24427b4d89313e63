//! One connection of a trunk: a channel on one side, a stream in memory on the other.

use std::io::{self, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use ssh2::{Channel, ErrorCode};
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf};

use super::Unreached;
use crate::guest::connection::{Connection, Limits, Step, Stop, code, would_block};
use crate::guest::quote;

const BUFFER: usize = 64 * 1024;

/// The two ends of a connection and what is between them.
pub(super) struct Pipe {
    channel: Channel,
    local: Option<DuplexStream>,
    to_guest: Vec<u8>,
    from_guest: Vec<u8>,
    guest_eof: bool,
    closed: bool,
    /// A packet of this channel is half sent: libssh2 takes nothing else before it is out.
    holds: bool,
}

/// What a turn has brought.
pub(super) enum Turn {
    /// Bytes.
    Moved,
    /// Nothing.
    Idle,
    /// A packet is half sent.
    Holds,
}

impl Pipe {
    /// A pipe, and its end for whoever has asked for it.
    pub(super) fn new(channel: Channel) -> (Self, DuplexStream) {
        let (local, stream) = tokio::io::duplex(BUFFER);
        let pipe = Self {
            channel,
            local: Some(local),
            to_guest: Vec::new(),
            from_guest: Vec::new(),
            guest_eof: false,
            closed: false,
            holds: false,
        };
        (pipe, stream)
    }

    /// Whether nothing of it is left.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a packet of it is half sent.
    pub(super) const fn holds(&self) -> bool {
        self.holds
    }

    /// Moves bytes to and from the guest.
    pub(super) fn guest_turn(&mut self, connection: &Connection) -> Result<Turn, ssh2::Error> {
        self.holds = false;
        if self.local.is_none() && self.to_guest.is_empty() {
            return self.close(connection);
        }
        let mut moved = false;
        while !self.to_guest.is_empty() {
            match self.channel.write(&self.to_guest) {
                Ok(n) => {
                    self.to_guest.drain(..n);
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if connection.interest().is_writable() {
                        return Ok(self.hold());
                    }
                    break;
                }
                // the guest's server wants no more of it
                Err(_) if self.channel.eof() => self.to_guest.clear(),
                Err(_) => return Err(lost()),
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
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // reading may send how much more may come
                    if connection.interest().is_writable() {
                        return Ok(self.hold());
                    }
                    break;
                }
                Err(_) => return Err(lost()),
            }
        }
        Ok(if moved { Turn::Moved } else { Turn::Idle })
    }

    const fn hold(&mut self) -> Turn {
        self.holds = true;
        Turn::Holds
    }

    fn close(&mut self, connection: &Connection) -> Result<Turn, ssh2::Error> {
        match self.channel.close() {
            Ok(()) => {
                self.closed = true;
                Ok(Turn::Moved)
            }
            Err(error) if would_block(&error) => {
                if connection.interest().is_writable() {
                    return Ok(self.hold());
                }
                Ok(Turn::Idle)
            }
            Err(_) => Err(lost()),
        }
    }

    /// Moves bytes to and from this machine's end; whether something has moved.
    pub(super) fn local_turn(&mut self, context: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(local) = &mut self.local {
            if self.from_guest.is_empty() {
                break;
            }
            match Pin::new(local).poll_write(context, &self.from_guest) {
                Poll::Ready(Ok(n)) => {
                    self.from_guest.drain(..n);
                    moved = true;
                }
                Poll::Ready(Err(_)) => self.hang_up(),
                Poll::Pending => break,
            }
        }
        while let Some(local) = &mut self.local {
            if self.to_guest.len() >= BUFFER {
                break;
            }
            let mut buffer = [0; 16 * 1024];
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(local).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.to_guest.extend_from_slice(buffer.filled());
                    moved = true;
                }
                // nobody is at the other end any more
                Poll::Ready(_) => {
                    self.hang_up();
                    moved = true;
                }
                Poll::Pending => break,
            }
        }
        if self.guest_eof && self.from_guest.is_empty() && self.local.is_some() {
            // the other end has read all, or will
            self.to_guest.clear();
            self.local = None;
            moved = true;
        }
        moved
    }

    fn hang_up(&mut self) {
        self.local = None;
        self.from_guest.clear();
    }
}

/// A channel to `host:port` (quoted) by `nc`, where SSH's own forwarding is forbidden.
pub(super) async fn by_netcat(
    connection: &mut Connection,
    host: &str,
    port: u16,
    limits: Limits<'_>,
) -> Result<Result<Channel, Unreached>, Stop> {
    // the first line tells whether there is an nc at all
    let line =
        format!("command -v nc >/dev/null && echo y || {{ echo n; exit; }}; exec nc {host} {port}");
    let line = format!("exec /bin/sh -c {}", quote(&line));
    let session = connection.drive(limits, ssh2::Session::channel_session);
    let mut channel = session.await?;
    connection.drive(limits, |_| channel.exec(&line)).await?;
    let mut answer = Vec::new();
    connection
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
        .await?;
    if answer.ends_with(b"y") {
        return Ok(Ok(channel));
    }
    Ok(Err(Unreached::Forbidden(
        "the guest's SSH server forbids forwarding (AllowTcpForwarding no), and there is no nc"
            .to_owned(),
    )))
}

fn lost() -> ssh2::Error {
    ssh2::Error::from_errno(ErrorCode::Session(code::SOCKET_RECV))
}
