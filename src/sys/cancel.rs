//! Cancellation, shared by everything that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

/// How urgently to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CancelKind {
    /// Go on.
    None,
    /// Stop and clean up: the first Ctrl-C, or a failure under `--fail-fast`.
    Graceful,
    /// Stop at once; the next run cleans up.
    Now,
}

/// A request to stop that all holders of a copy see. A child is cancelled with its parent, not the other way round.
#[derive(Clone, Debug)]
pub struct Cancel {
    token: CancellationToken,
    kind: Arc<AtomicU8>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self {
            token: CancellationToken::new(),
            kind: Arc::new(AtomicU8::new(0)),
        }
    }
}

impl Cancel {
    /// A fresh one that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One for a part of the work: it can be cancelled alone, and is cancelled with this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            kind: Arc::clone(&self.kind),
        }
    }

    /// Asks everyone to stop.
    pub fn cancel(&self, kind: CancelKind) {
        self.kind.fetch_max(kind as u8, Ordering::SeqCst);
        self.token.cancel();
    }

    /// Whether someone has asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns when someone asks to stop.
    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// `None` when cancelled before `work` is done.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.token.run_until_cancelled(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_stops_with_its_parent_and_not_before() {
        let parent = Cancel::new();
        let child = parent.child();
        assert_eq!(child.run(async { 1 }).await, Some(1));
        parent.cancel(CancelKind::Graceful);
        assert!(child.is_cancelled());
        assert_eq!(child.run(std::future::pending::<()>()).await, None);
    }
}
