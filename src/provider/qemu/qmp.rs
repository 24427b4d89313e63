//! QEMU's control socket: commands with answers, and the events that tell of resets and of the machine turning off.
//!
//! The client is forge's own, as it needs a dozen commands: the `qapi` crate brings a generated type for each of
//! QEMU's thousands of schema entries, and its event types fail on fields of newer QEMUs. forge listens and QEMU
//! connects, so that nothing polls for a socket to appear.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{oneshot, watch};

/// Why a command had no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum QmpError {
    /// QEMU closed the socket: it has ended.
    #[error("qemu closed its control socket")]
    Closed,
    /// QEMU refused the command.
    #[error("qemu refused `{command}`: {reason}")]
    Refused {
        /// The command.
        command: String,
        /// Its words.
        reason: String,
    },
}

/// What the events have told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Why the machine turned off: `guest-shutdown`, `host-qmp-quit`, …
    pub(super) shutdown: Option<String>,
    /// How often the guest has been reset.
    pub(super) resets: u64,
    /// Why QEMU stopped the guest: it could not write to its disks.
    pub(super) stopped: Option<String>,
    /// How far a migration (memory going to a file, or coming from one) is: `active`, `completed`, `failed`, …
    pub(super) migration: Option<String>,
    /// How many have ended, well or not.
    pub(super) migrations: u64,
    /// The socket has been closed.
    pub(super) closed: bool,
}

type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Value, String>>>>>;

/// A connection to a running QEMU.
pub(super) struct Qmp {
    writer: tokio::sync::Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
    pending: Pending,
    next: AtomicU64,
    seen: watch::Receiver<Seen>,
    reader: tokio::task::JoinHandle<()>,
}

impl Qmp {
    /// Takes over `stream`, which QEMU has just connected to, and leaves the negotiation mode.
    pub(super) async fn start<S>(stream: S) -> Result<Self, QmpError>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read, write) = tokio::io::split(stream);
        let pending = Pending::default();
        let (sender, seen) = watch::channel(Seen::default());
        let reader = tokio::spawn(read_messages(read, Arc::clone(&pending), sender));
        let qmp = Self {
            writer: tokio::sync::Mutex::new(Box::new(write)),
            pending,
            next: AtomicU64::new(0),
            seen,
            reader,
        };
        qmp.execute("qmp_capabilities", Value::Null).await?;
        Ok(qmp)
    }

    /// Runs `command` and returns what it answers.
    pub(super) async fn execute(&self, command: &str, arguments: Value) -> Result<Value, QmpError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "execute": command, "id": id });
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        let (sender, answer) = oneshot::channel();
        lock(&self.pending).insert(id, sender);
        // the reader empties the table when the socket closes: whoever comes later must not wait for it
        if self.seen.borrow().closed {
            lock(&self.pending).remove(&id);
            return Err(QmpError::Closed);
        }
        let line = format!("{message}\n");
        {
            let mut writer = self.writer.lock().await;
            writer
                .write_all(line.as_bytes())
                .await
                .map_err(|_| QmpError::Closed)?;
        }
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(reason)) => Err(QmpError::Refused {
                command: command.to_owned(),
                reason,
            }),
            Err(_) => Err(QmpError::Closed),
        }
    }

    /// Runs a command of the human monitor and returns its output.
    pub(super) async fn human(&self, line: &str) -> Result<String, QmpError> {
        let answer = self
            .execute("human-monitor-command", json!({ "command-line": line }))
            .await?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// What the events have told so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Returns when `condition` holds for what the events have told, at once if it already does.
    pub(super) async fn wait(&self, condition: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        match seen.wait_for(condition).await {
            Ok(seen) => seen.clone(),
            Err(_) => self.seen(),
        }
    }
}

impl Drop for Qmp {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_messages(read: impl AsyncRead + Unpin, pending: Pending, seen: watch::Sender<Seen>) {
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if let Some(event) = message["event"].as_str() {
            take_event(event, &message["data"], &seen);
            continue;
        }
        let Some(waiting) = message["id"]
            .as_u64()
            .and_then(|id| lock(&pending).remove(&id))
        else {
            continue;
        };
        let result = match message.get("return") {
            Some(value) => Ok(value.clone()),
            None => Err(message["error"]["desc"]
                .as_str()
                .unwrap_or("no reason given")
                .to_owned()),
        };
        let _ = waiting.send(result);
    }
    seen.send_modify(|seen| seen.closed = true);
    lock(&pending).clear();
}

fn take_event(event: &str, data: &Value, seen: &watch::Sender<Seen>) {
    match event {
        "SHUTDOWN" => seen.send_modify(|seen| {
            seen.shutdown = Some(data["reason"].as_str().unwrap_or("unknown").to_owned());
        }),
        "RESET" => seen.send_modify(|seen| seen.resets += 1),
        "BLOCK_IO_ERROR" if data["action"] == "stop" => {
            let reason = data["reason"].as_str().unwrap_or("unknown reason");
            seen.send_modify(|seen| seen.stopped = Some(reason.to_owned()));
        }
        "MIGRATION" => {
            let status = data["status"].as_str();
            let ended = matches!(status, Some("completed" | "failed" | "cancelled"));
            seen.send_modify(|seen| {
                seen.migration = status.map(str::to_owned);
                seen.migrations += u64::from(ended);
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn scripted(answers: &'static [(&'static str, &'static str)]) -> Result<Qmp, QmpError> {
        let (ours, theirs) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let (read, mut write) = tokio::io::split(theirs);
            write.write_all(b"{\"QMP\": {}}\n").await.unwrap();
            let mut lines = BufReader::new(read).lines();
            while let Some(line) = lines.next_line().await.unwrap() {
                let message: Value = serde_json::from_str(&line).unwrap();
                let command = message["execute"].as_str().unwrap();
                let Some((_, answer)) = answers.iter().find(|(c, _)| *c == command) else {
                    return;
                };
                let answer = answer.replace("ID", &message["id"].to_string());
                write.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Qmp::start(ours).await
    }

    const HELLO: (&str, &str) = ("qmp_capabilities", "{\"return\": {}, \"id\": ID}\n");

    #[tokio::test]
    async fn answers_find_their_commands_between_events() {
        let qmp = scripted(&[
            HELLO,
            (
                "stop",
                "{\"event\": \"RESET\", \"data\": {\"guest\": true}}\n{\"return\": 7, \"id\": ID}\n",
            ),
            (
                "bad",
                "{\"error\": {\"class\": \"X\", \"desc\": \"no such thing\"}, \"id\": ID}\n",
            ),
        ])
        .await
        .unwrap();
        assert_eq!(qmp.execute("stop", Value::Null).await.unwrap(), json!(7));
        assert_eq!(qmp.seen().resets, 1);
        let error = qmp.execute("bad", json!({ "a": 1 })).await.unwrap_err();
        assert_eq!(error.to_string(), "qemu refused `bad`: no such thing");
    }

    #[tokio::test]
    async fn a_closed_socket_ends_every_wait() {
        let qmp = scripted(&[
            HELLO,
            (
                "quit",
                "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": \"host-qmp-quit\"}}\n{\"return\": {}, \"id\": ID}\n",
            ),
        ])
        .await
        .unwrap();
        qmp.execute("quit", Value::Null).await.unwrap();
        // a command that the other side does not know makes it hang up
        let error = qmp.execute("unknown", Value::Null).await.unwrap_err();
        assert_eq!(error.to_string(), "qemu closed its control socket");
        let seen = qmp.wait(|seen| seen.closed).await;
        assert_eq!(seen.shutdown.as_deref(), Some("host-qmp-quit"));
        assert!(matches!(
            qmp.execute("stop", Value::Null).await,
            Err(QmpError::Closed)
        ));
    }
}
