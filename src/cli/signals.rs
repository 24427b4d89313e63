//! Ctrl-C: the first one stops and cleans up, the second one stops at once.

use crate::sys::{Cancel, CancelKind};

/// Cancels `cancel` on SIGINT and SIGTERM; on the second one the process ends with 130, and the next run cleans up.
pub(super) fn watch(cancel: &Cancel, tell: impl Fn(&str) + Send + 'static) {
    let cancel = cancel.clone();
    tokio::spawn(async move {
        let Some(mut stop) = Stop::listen() else {
            return;
        };
        if stop.asked().await {
            tell("stopping and cleaning up; press Ctrl-C again to stop at once");
            cancel.cancel(CancelKind::Graceful);
            if stop.asked().await {
                cancel.cancel(CancelKind::Now);
                #[expect(
                    clippy::exit,
                    reason = "the user asked twice; the journal tells the next run what to clean up"
                )]
                std::process::exit(i32::from(super::Exit::Interrupted.code()));
            }
        }
    });
}

/// Hears the signals that ask to stop, those too that come while nobody waits.
#[derive(Debug)]
pub(super) struct Stop {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    /// Hears them from now on; none where that cannot be. To be called within a runtime.
    #[cfg(unix)]
    pub(super) fn listen() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
        })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> Option<Self> {
        Some(Self {})
    }

    /// Returns when one has come since the last time (true), or none can come any more.
    #[cfg(unix)]
    pub(super) async fn asked(&mut self) -> bool {
        tokio::select! {
            received = self.interrupt.recv() => received.is_some(),
            received = self.terminate.recv() => received.is_some(),
        }
    }

    #[cfg(not(unix))]
    pub(super) async fn asked(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}
