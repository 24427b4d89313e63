//! What keeps a lease alive: telling the server, again and again, how far the transfer is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::vim::{Client, Ref, VimError, Xml};

/// How often the server is told. Leases end when it hears nothing for some minutes.
const BEAT: Duration = Duration::from_secs(2);

/// How far a transfer is, over all its files.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    done: AtomicU64,
    total: AtomicU64,
}

impl Pulse {
    /// Sets how many bytes there will be, at most.
    pub(super) fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// Adds bytes that are through.
    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn percent(&self) -> u64 {
        let (done, total) = (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        );
        // The end is told when it has come.
        done.saturating_mul(100)
            .checked_div(total)
            .unwrap_or_default()
            .min(99)
    }
}

/// Tells the server how far a lease is, until the task is aborted; also when nothing moves.
pub(super) fn keep(client: &Client, lease: &Ref, pulse: &Arc<Pulse>) -> AbortHandle {
    let (client, lease, pulse) = (client.clone(), lease.clone(), Arc::clone(pulse));
    let beat = async move {
        let mut tick = interval(BEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let percent = |xml: &mut Xml| {
                xml.element("percent", pulse.percent());
            };
            match client.call(&lease, "HttpNfcLeaseProgress", percent).await {
                Err(VimError::Login(_)) => return,
                Err(error) if error.is("ManagedObjectNotFound") => return,
                // The next beat may get through; the transfer tells if the lease is lost.
                _ => {}
            }
        }
    };
    tokio::spawn(beat).abort_handle()
}
