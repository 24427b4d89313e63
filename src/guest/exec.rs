//! Running a command: its output as it comes, its input, its exit status.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use ssh2::{BlockDirections, Channel};
use tokio::io::Interest;
use tokio::sync::mpsc;

use super::connection::{Connection, Limits, Step, Stop, would_block};
use super::mark::Mark;
use super::quote;

/// A command for the guest's `/bin/sh`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// What to run: any text for `sh -c`, shorter than some 30 kB.
    pub command: String,
    /// What it reads; none: end of file at once.
    pub stdin: Option<Vec<u8>>,
    /// How long it may take; then its whole process group is ended.
    pub timeout: Option<Duration>,
}

impl Exec {
    /// A command without input or limit.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            ..Self::default()
        }
    }
}

/// Where output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a command has left, when it was not streamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Its exit status; 128 + N if signal N ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Captured {
    /// Standard error for messages: the last lines, trimmed.
    #[must_use]
    pub fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let text = text.trim();
        if text.is_empty() {
            return format!("exit status {}", self.status);
        }
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(3)..].join("; ")
    }
}

/// What feeds a command's standard input.
pub(super) enum Feed {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Pieces as somebody makes them; an error there ends the command.
    Pieces(mpsc::Receiver<io::Result<Vec<u8>>>),
}

/// Returns the next piece when it comes, if one is waited for.
async fn next_piece(feed: &mut Option<Feed>, wanted: bool) -> Option<io::Result<Vec<u8>>> {
    match feed {
        Some(Feed::Pieces(pieces)) if wanted => pieces.recv().await,
        _ => std::future::pending().await,
    }
}

/// How often output may be handed on before input has a turn.
const BURST: usize = 16;
/// A command that runs.
pub(super) struct Running {
    channel: Channel,
    feed: Option<Feed>,
    /// What of the feed is not written yet.
    pending: VecDeque<u8>,
    /// Bytes of the feed written so far.
    pub(super) written: u64,
    eof_sent: bool,
    mark: Mark,
}

/// How a command has ended.
pub(super) enum Ended {
    /// With this status.
    Status(i32),
    /// The feed failed on this side.
    Feed(io::Error),
}

impl Running {
    /// Starts `command` on a new channel.
    pub(super) async fn start(
        connection: &mut Connection,
        mut channel: Channel,
        command: &str,
        feed: Feed,
        limits: Limits<'_>,
    ) -> Result<Self, Stop> {
        // the shell tells its process id first, so that all that it starts can be ended; it counts as a level below the login's
        // shell: a bash that takes itself for the first one reads the login's start files
        let line = format!("echo forge-pid:$$;SHLVL=1;{command}");
        let line = format!("exec /bin/sh -c {}", quote(&line));
        connection.drive(limits, |_| channel.exec(&line)).await?;
        Ok(Self {
            channel,
            feed: Some(feed),
            pending: VecDeque::new(),
            written: 0,
            eof_sent: false,
            mark: Mark::default(),
        })
    }

    /// The process group's id, once it is known.
    pub(super) const fn pid(&self) -> Option<u32> {
        self.mark.pid
    }

    /// Whether a packet is half sent, so that the connection is good for nothing else.
    pub(super) fn is_stuck(&self, connection: &Connection) -> bool {
        matches!(
            connection.session().block_directions(),
            BlockDirections::Outbound | BlockDirections::Both
        )
    }

    /// Follows the command to its end.
    pub(super) async fn follow(
        &mut self,
        connection: &mut Connection,
        out: &mut (dyn FnMut(Stream, &[u8]) + Send),
        limits: Limits<'_>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Ended, Stop> {
        let mut waited: Option<Interest> = None;
        loop {
            if let Some(error) = self.fill() {
                return Ok(Ended::Feed(error));
            }
            let before = self.written;
            let step = connection.attempt(waited, &mut |c| self.step(c, out));
            if self.written != before {
                progress(self.written);
            }
            match step.map_err(Stop::Ssh)? {
                Step::Done(status) => {
                    self.mark.flush(out);
                    let channel = &mut self.channel;
                    let _ = connection.drive(limits, |_| channel.close()).await;
                    return Ok(Ended::Status(status));
                }
                Step::Moved => {
                    waited = None;
                    limits.check()?;
                    tokio::task::consume_budget().await;
                }
                Step::Blocked => {
                    let interest = connection.interest();
                    tokio::select! {
                        ready = connection.ready(limits, interest) => {
                            ready?;
                            waited = Some(interest);
                        }
                        // a command that ends must not wait for input that nobody gives
                        piece = next_piece(&mut self.feed, self.pending.is_empty()) => {
                            if let Some(error) = self.take(piece) {
                                return Ok(Ended::Feed(error));
                            }
                            waited = None;
                        }
                    }
                }
            }
        }
    }

    /// Takes the next piece of input if it is there, when the last one is written.
    fn fill(&mut self) -> Option<io::Error> {
        if !self.pending.is_empty() {
            return None;
        }
        let piece = match &mut self.feed {
            None => return None,
            Some(Feed::Bytes(bytes)) => {
                self.pending = std::mem::take(bytes).into();
                self.feed = None;
                return None;
            }
            Some(Feed::Pieces(pieces)) => match pieces.try_recv() {
                Ok(piece) => Some(piece),
                Err(mpsc::error::TryRecvError::Empty) => return None,
                Err(mpsc::error::TryRecvError::Disconnected) => None,
            },
        };
        self.take(piece)
    }

    /// A piece of input has come; none: that was the last one.
    fn take(&mut self, piece: Option<io::Result<Vec<u8>>>) -> Option<io::Error> {
        match piece {
            Some(Ok(piece)) => self.pending = piece.into(),
            Some(Err(error)) => return Some(error),
            None => self.feed = None,
        }
        None
    }

    /// Writes what can be written and reads what can be read.
    fn step(
        &mut self,
        connection: &Connection,
        out: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Result<Step<i32>, ssh2::Error> {
        let written = self.write()?;
        if !written && self.is_stuck(connection) {
            // libssh2 takes nothing else before the half-sent packet is out
            return Ok(Step::Blocked);
        }
        let mut read = false;
        for stream in [Stream::Stdout, Stream::Stderr] {
            read |= self.read(stream, out)?;
        }
        if self.channel.eof() && self.channel.read_window().available == 0 {
            match self.channel.wait_close() {
                Ok(()) => return self.status().map(Step::Done),
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error),
            }
        }
        // reading one stream may have taken in what belongs to the other, or room to write
        let room = !self.pending.is_empty()
            && !self.is_stuck(connection)
            && self.channel.write_window().remaining > 0;
        let more = room || self.channel.read_window().available > 0;
        if written || read || more {
            return Ok(Step::Moved);
        }
        Ok(Step::Blocked)
    }

    /// Whether something was written.
    fn write(&mut self) -> Result<bool, ssh2::Error> {
        let mut moved = false;
        for _ in 0..BURST {
            if self.pending.is_empty() {
                break;
            }
            match self.channel.write(self.pending.make_contiguous()) {
                Ok(0) => break,
                Ok(n) => {
                    self.pending.drain(..n);
                    self.written += n as u64;
                    moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(ssh_error(error)),
            }
        }
        if self.pending.is_empty() && self.feed.is_none() && !self.eof_sent {
            match self.channel.send_eof() {
                Ok(()) => {
                    self.eof_sent = true;
                    moved = true;
                }
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    fn read(
        &mut self,
        stream: Stream,
        out: &mut (dyn FnMut(Stream, &[u8]) + Send),
    ) -> Result<bool, ssh2::Error> {
        let mut buffer = [0; 32 * 1024];
        let mut moved = false;
        for _ in 0..BURST {
            let result = match stream {
                Stream::Stdout => self.channel.read(&mut buffer),
                Stream::Stderr => self.channel.stderr().read(&mut buffer),
            };
            match result {
                Ok(0) => break,
                Ok(n) => {
                    moved = true;
                    match stream {
                        Stream::Stdout => self.mark.pass(&buffer[..n], out),
                        Stream::Stderr => out(stream, &buffer[..n]),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(ssh_error(error)),
            }
        }
        Ok(moved)
    }

    fn status(&self) -> Result<i32, ssh2::Error> {
        let signal = self.channel.exit_signal()?.exit_signal;
        match signal {
            Some(name) => Ok(128 + number(&name)),
            None => self.channel.exit_status(),
        }
    }
}

/// The error that ssh2's streams have turned into one of input and output.
fn ssh_error(error: io::Error) -> ssh2::Error {
    let code = match error.kind() {
        io::ErrorKind::UnexpectedEof => super::connection::code::SOCKET_DISCONNECT,
        _ => super::connection::code::SOCKET_RECV,
    };
    match error.downcast::<ssh2::Error>() {
        Ok(error) => error,
        Err(_) => ssh2::Error::from_errno(ssh2::ErrorCode::Session(code)),
    }
}

/// The number that Linux gives to a signal that SSH calls by name.
fn number(name: &str) -> i32 {
    const NAMES: [(&str, i32); 13] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
    ];
    let found = NAMES.iter().find(|(known, _)| *known == name);
    found.map_or(15, |(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell_only_where_needed() {
        assert_eq!(quote("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
        assert_eq!(number("KILL"), 9);
        assert_eq!(number("TERM"), 15);
    }
}
