//! The two ways to a system: a guest by SSH, and this machine. What is asked and what comes of it is the same.

use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::guest::client::SshTarget;
use crate::guest::trunk::{Trunk, Unreached};
use crate::guest::{Captured, Exec, Guest, GuestError};
use crate::sys::{Cancel, process};

/// What facts are asked of.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    /// Where it is.
    pub place: Place<'a>,
    /// Whether the script runs through sudo, with the login's password if that asks for one. Connections are made as the login.
    pub sudo: bool,
}

/// Where a system is.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// Behind SSH.
    Guest(&'a Guest),
    /// Here.
    Local,
}

/// The shell that reads a script.
const SHELL: &str = "/bin/sh -s";

impl System<'_> {
    /// Runs a script to its end, or ends it with all that it has started.
    pub(super) async fn run(
        &self,
        script: String,
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<Captured, GuestError> {
        match self.place {
            Place::Guest(guest) => {
                let (command, head) = self.shell(guest.target());
                let exec = Exec {
                    command,
                    stdin: Some((head + &script).into_bytes()),
                    timeout: Some(limit),
                };
                guest.capture(&exec, cancel).await
            }
            Place::Local => {
                let work = local(script, self.sudo, cancel);
                let ended = tokio::time::timeout(limit, work).await;
                ended.unwrap_or(Err(GuestError::Timeout {
                    what: "asking this machine".to_owned(),
                    limit,
                }))
            }
        }
    }

    /// The command that reads the script, and what comes before the script. The password is never a part of the command, and
    /// never reaches the shell: without need of it, it is read away.
    fn shell(&self, target: &SshTarget) -> (String, String) {
        match (&target.password, self.sudo) {
            (_, false) => (format!("exec {SHELL}"), String::new()),
            (None, true) => (format!("exec sudo -n {SHELL}"), String::new()),
            (Some(password), true) => (
                format!(
                    "if sudo -n true 2>/dev/null; then read -r line; exec sudo -n {SHELL}; fi; exec sudo -S -p '' {SHELL}"
                ),
                format!("{}\n", password.reveal()),
            ),
        }
    }
}

/// Runs a script on this machine.
async fn local(script: String, sudo: bool, cancel: &Cancel) -> Result<Captured, GuestError> {
    let failed =
        |error: std::io::Error| GuestError::Failed(format!("this machine's shell: {error}"));
    let mut words = SHELL.split(' ');
    let mut command = match sudo {
        true => process::command("sudo", "check"),
        false => process::command(words.next().unwrap_or_default(), "check"),
    };
    if sudo {
        command.arg("-n");
    }
    command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut group = process::Group::spawn(&mut command).map_err(failed)?;
    let (stdin, stdout, stderr) = (
        group.child.stdin.take(),
        group.child.stdout.take(),
        group.child.stderr.take(),
    );
    let mut captured = Captured::default();
    let talk = async {
        let write = async {
            if let Some(mut stdin) = stdin {
                // a shell that does not want all of it says why
                let _ = stdin.write_all(script.as_bytes()).await;
            }
        };
        let (_, out, err) = tokio::join!(
            write,
            read(stdout, &mut captured.stdout),
            read(stderr, &mut captured.stderr)
        );
        out.and(err)
    };
    let Some(talked) = cancel.run(talk).await else {
        let _ = group.stop(Duration::from_secs(2)).await;
        return Err(GuestError::Cancelled);
    };
    talked.map_err(failed)?;
    captured.status = group.wait().await.map_err(failed)?.code().unwrap_or(-1);
    Ok(captured)
}

async fn read(from: Option<impl AsyncRead + Unpin>, to: &mut Vec<u8>) -> std::io::Result<()> {
    if let Some(mut from) = from {
        from.read_to_end(to).await?;
    }
    Ok(())
}

/// A connection to a server as the system sees it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How connections are made as the system would make them.
pub(super) enum Dialler {
    /// From inside the guest.
    Trunk(Trunk),
    /// From here.
    Local,
}

impl Dialler {
    pub(super) fn new(system: &System<'_>) -> Self {
        match system.place {
            Place::Guest(_) => Self::Trunk(Trunk::default()),
            Place::Local => Self::Local,
        }
    }

    /// A connection, and when its limit is over.
    pub(super) async fn dial(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<(Box<dyn Stream>, Instant), Unreached> {
        self.dial_from(None, host, port, limit).await
    }

    /// The same, from this address of the system: only this machine can do that.
    pub(super) async fn dial_from(
        &self,
        from: Option<IpAddr>,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<(Box<dyn Stream>, Instant), Unreached> {
        match self {
            Self::Trunk(trunk) => {
                let line = trunk.dial(host, port, limit).await?;
                Ok((Box::new(line.stream), line.begun + limit))
            }
            Self::Local => {
                let end = Instant::now() + limit;
                match tokio::time::timeout_at(end, connect(from, host, port)).await {
                    Ok(Ok(stream)) => Ok((Box::new(stream), end)),
                    Ok(Err(_)) => Err(Unreached::Refused(format!("{host}:{port} does not answer"))),
                    Err(_) => Err(Unreached::Late),
                }
            }
        }
    }
}

/// A connection from this machine.
async fn connect(from: Option<IpAddr>, host: &str, port: u16) -> std::io::Result<TcpStream> {
    let Some(from) = from else {
        return TcpStream::connect((host, port)).await;
    };
    let mut failed = std::io::ErrorKind::AddrNotAvailable.into();
    for to in tokio::net::lookup_host((host, port)).await? {
        if to.is_ipv4() != from.is_ipv4() {
            continue;
        }
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(SocketAddr::new(from, 0))?;
        match socket.connect(to).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
