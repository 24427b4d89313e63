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

/// When a request is sent again.
struct Pace {
    /// The first pauses; what is shorter than these is nobody's business.
    short: &'static [Duration],
    /// The pause between later tries.
    long: Duration,
    /// The end.
    away: Duration,
}

const PACE: Pace = Pace {
    short: &[
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(3),
    ],
    long: Duration::from_secs(2),
    away: AWAY,
};

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
    pace: Pace,
    since: Mutex<Option<Instant>>,
}

impl Absence {
    pub(super) fn new(server: &str, around: WhileAway) -> Self {
        Self {
            server: server.to_owned(),
            around,
            pace: PACE,
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
            let time = model::Duration::from(self.pace.away);
            (self.around.tell)(format!("{error}; trying again for up to {time}"));
        }
    }

    /// The tries of one request. Only a server that has been there before is waited for long, and only as long as
    /// nobody has asked to stop.
    pub(super) fn tries(&self, known: bool) -> Tries<'_> {
        Tries {
            absence: self,
            short: self.pace.short.iter(),
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
        if !self.patient || began.elapsed() > self.absence.pace.away {
            return Err(error);
        }
        self.absence.begins(began, &error);
        let slept = self
            .absence
            .around
            .cancel
            .run(sleep(self.absence.pace.long))
            .await;
        slept.ok_or(VimError::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::CancelKind;

    const SHORT: &[Duration] = &[Duration::from_millis(1); 2];

    /// An absence, and what has been told of it.
    fn absence() -> (Absence, Arc<Mutex<Vec<String>>>, Cancel) {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let (listener, cancel) = (Arc::clone(&told), Cancel::new());
        let around = WhileAway {
            cancel: cancel.clone(),
            tell: Arc::new(move |text| listener.lock().unwrap().push(text)),
        };
        let absence = Absence {
            pace: Pace {
                short: SHORT,
                long: Duration::from_millis(1),
                away: Duration::from_millis(20),
            },
            ..Absence::new("vc", around)
        };
        (absence, told, cancel)
    }

    fn gone() -> VimError {
        VimError::Unreachable {
            server: "vc".into(),
            why: "refused".into(),
        }
    }

    #[tokio::test]
    async fn a_server_that_was_never_there_is_not_waited_for() {
        let (absence, told, _) = absence();
        let mut tries = absence.tries(false);
        for _ in absence.pace.short {
            assert!(tries.pause(gone()).await.is_ok());
        }
        assert!(tries.pause(gone()).await.is_err());
        absence.over();
        assert!(told.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_that_was_there_is_waited_for_which_is_told_once() {
        let (absence, told, _) = absence();
        let began = Instant::now();
        let (mut one, mut other) = (absence.tries(true), absence.tries(true));
        while one.pause(gone()).await.is_ok() {
            let _ = other.pause(gone()).await;
        }
        assert!(began.elapsed() > absence.pace.away);
        absence.over();
        absence.over();
        let told = told.lock().unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(
            told[0],
            "vc cannot be reached: refused; trying again for up to 20ms"
        );
        assert!(told[1].starts_with("vc answers again, after "), "{told:?}");
    }

    #[tokio::test]
    async fn who_stops_does_not_wait() {
        let (absence, _, cancel) = absence();
        let mut tries = absence.tries(true);
        for _ in absence.pace.short {
            assert!(tries.pause(gone()).await.is_ok());
        }
        cancel.cancel(CancelKind::Graceful);
        assert!(matches!(
            tries.pause(gone()).await,
            Err(VimError::Cancelled)
        ));
        // clean-up that finds it away
        let mut tries = absence.tries(true);
        for _ in absence.pace.short {
            assert!(tries.pause(gone()).await.is_ok());
        }
        assert!(matches!(
            tries.pause(gone()).await,
            Err(VimError::Unreachable { .. })
        ));
    }
}
