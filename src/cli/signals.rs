//! Ctrl-C: the first one stops and cleans up, the second one stops at once.

use crate::sys::{Cancel, CancelKind};

/// Cancels `cancel` on SIGINT and SIGTERM; on the second one the process ends with 130, and the next run cleans up.
pub(super) fn watch(cancel: &Cancel, tell: impl Fn(&str) + Send + 'static) {
    let cancel = cancel.clone();
    tokio::spawn(async move {
        if wait().await {
            tell("stopping and cleaning up; press Ctrl-C again to stop at once");
            cancel.cancel(CancelKind::Graceful);
            if wait().await {
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

#[cfg(unix)]
async fn wait() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return false;
    };
    tokio::select! {
        received = interrupt.recv() => received.is_some(),
        received = terminate.recv() => received.is_some(),
    }
}

#[cfg(not(unix))]
async fn wait() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
