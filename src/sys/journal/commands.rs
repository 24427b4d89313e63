//! Commands that run, in the notes: a line when one has started and one when it has ended. A file for each would cost more
//! than many a command.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Journal;
use crate::sys::process::Identity;

/// Before a command that has started.
const STARTED: char = '>';
/// Before the id of a leader whose group is gone.
const ENDED: char = '<';

/// A command that has started.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    what: String,
    leader: Identity,
}

/// A command that runs; dropping it says that its group is gone.
#[derive(Debug)]
pub struct Running {
    journal: Arc<Journal>,
    leader: u32,
}

impl Drop for Running {
    fn drop(&mut self) {
        // what is not written counts as running: a process that is not there any more is not found either
        let _ = self.journal.note(&format!("{ENDED}{}", self.leader));
    }
}

impl Journal {
    /// Notes that the process `leader` has started, which leads a group of its own. Until this is written it is found by its
    /// mark. None: it has ended already.
    pub fn command(self: &Arc<Self>, what: String, leader: u32) -> io::Result<Option<Running>> {
        let Some(identity) = Identity::of(leader) else {
            return Ok(None);
        };
        let started = Started {
            what,
            leader: identity,
        };
        self.note(&format!("{STARTED}{}", serde_json::to_string(&started)?))?;
        Ok(Some(Running {
            journal: Arc::clone(self),
            leader,
        }))
    }
}

/// The commands that have started and not ended, with their leaders.
pub(super) fn left(notes: &[String]) -> Vec<(String, Identity)> {
    let mut left = BTreeMap::new();
    for line in notes {
        if let Some(pid) = line.strip_prefix(ENDED) {
            let pid: Option<u32> = pid.parse().ok();
            pid.and_then(|pid| left.remove(&pid));
        } else if let Some(text) = line.strip_prefix(STARTED)
            && let Ok(Started { what, leader }) = serde_json::from_str(text)
        {
            left.insert(leader.pid, (what, leader));
        }
    }
    left.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_started_and_not_ended_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(dir.path(), "r").unwrap());
        let own = std::process::id();
        let notes = || super::super::notes(dir.path(), journal.id());
        let running = journal
            .command("command of a".into(), own)
            .unwrap()
            .unwrap();
        journal.note("+abc").unwrap();
        let found = left(&notes());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.as_str(), found[0].1.pid), ("command of a", own));
        drop(running);
        assert_eq!(left(&notes()), []);
        assert!(journal.command("none".into(), u32::MAX).unwrap().is_none());
    }
}
