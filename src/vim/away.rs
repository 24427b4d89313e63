//! Servers that are away for a while: they restart, or the network between breaks.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::VimError;
use crate::model;
use crate::sys::Cancel;

/// How long a server may be away before it is given up: as long as a vCenter needs to start.
pub(super) const AWAY: Duration = Duration::from_secs(15 * 60);
/// The pauses before a request is sent again; what is shorter than these is nobody's business.
const SHORT: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
];
/// The pause between later tries.
const LONG: Duration = Duration::from_secs(2);

/// What is done while a server is away that was there before.
#[derive(Clone)]
pub struct WhileAway {
    /// Ends the waiting.
    pub cancel: Cancel,
    /// Is told that it is waited for, and that it is there again.
    pub tell: Arc<dyn Fn(String) + Send + Sync>,
}

impl Default for WhileAway {
    /// Nobody is told.
    fn default() -> Self {
        Self {
            cancel: Cancel::new(),
            tell: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for WhileAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhileAway")
    }
}

/// Since when the server is away: told once, however many wait.
pub(super) struct Absence {
    server: String,
    around: WhileAway,
    since: Mutex<Option<Instant>>,
}

impl Absence {
    pub(super) fn new(server: &str, around: WhileAway) -> Self {
        Self {
            server: server.to_owned(),
            around,
            since: Mutex::default(),
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server has answered.
    pub(super) fn over(&self) {
        if let Some(since) = self.since().take() {
            let time = model::Duration::from(Duration::from_secs(since.elapsed().as_secs()));
            (self.around.tell)(format!("{} answers again, after {time}", self.server));
        }
    }

    fn begins(&self, began: Instant, error: &VimError) {
        let mut since = self.since();
        if since.is_none() {
            *since = Some(began);
            let time = model::Duration::from(AWAY);
            (self.around.tell)(format!("{error}; trying again for up to {time}"));
        }
    }

    /// The tries of one request. Only a server that has been there before is waited for long, and only as long as
    /// nobody has asked to stop.
    pub(super) fn tries(&self, known: bool) -> Tries<'_> {
        Tries {
            absence: self,
            short: SHORT.iter(),
            began: None,
            patient: known && !self.around.cancel.is_cancelled(),
        }
    }
}

/// How often a request has been tried.
pub(super) struct Tries<'a> {
    absence: &'a Absence,
    short: std::slice::Iter<'static, Duration>,
    began: Option<Instant>,
    patient: bool,
}

impl Tries<'_> {
    /// Waits before the next try; gives the error back when there is none.
    pub(super) async fn pause(&mut self, error: VimError) -> Result<(), VimError> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if let Some(pause) = self.short.next() {
            sleep(*pause).await;
            return Ok(());
        }
        if !self.patient || began.elapsed() > AWAY {
            return Err(error);
        }
        self.absence.begins(began, &error);
        let slept = self.absence.around.cancel.run(sleep(LONG)).await;
        slept.ok_or(VimError::Cancelled)
    }
}
