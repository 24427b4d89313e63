//! Content store, records, run history, stat cache, collection.
//!
//! The store is shared by all projects of a user:
//!
//! ```text
//! $FORGE_CACHE_DIR/
//!   CACHEDIR.TAG         tells backup programs to leave it out
//!   lock                 held shared while an object is put or taken up, alone while objects are removed
//!   running/             the journal of all that forges make on this host; see `sys`
//!   objects/ab/abcd…     content under its SHA-256; mode 0444, written elsewhere, synced, then renamed
//!   used/ab/abcd…        empty; its modification time is when the object was last used
//!   staging/ID-N         work in progress of the forge ID; left over ones go when a store is opened
//!   quarantine/abcd…     objects whose content was found to be wrong
//!   projects/ID          the projects whose records need objects
//!   downloads/           partial downloads, and what has been fetched before; see `net`
//! ```
//!
//! An object's modification time carries a mark that any write breaks, so one `stat` tells whether it is intact. An
//! object without its mark (restored from a backup that cuts times, say) is read once: if its content is right, it gets
//! the mark back, else it counts as missing.
//!
//! The project's own `.forge/forge.db` ([`Db`]) holds records, history and the stat cache. A record is committed only
//! after its objects are durable, so killing forge at any instant leaves both valid: at worst objects that nothing leads
//! to. They stand in the killed forge's notes, by which the next one removes them. Small outputs of commands are written
//! when the system gets to it: a power cut may cost them, their mark tells, and the command makes them again.
//!
//! What is never removed: what the last record of a stage needs, or a failed machine that is kept, in *any* project that
//! ever registered with the store and still exists; and every object that a forge which is running has put or taken up.
//! The rest goes by age and quota ([`Store::gc`]).

mod claims;
mod content;
mod db;
mod error;
mod gc;
mod graph;
mod inventory;
mod kept;
mod mark;
mod objects;
mod projects;
mod put;
mod quota;
mod roots;
mod session;
mod staging;
mod survey;
mod tree;
mod verify;

#[cfg(test)]
mod tests;

pub use claims::{Limits, Why};
pub use content::FileDigest;
pub use db::{
    CheckpointCost, Db, Met, NewRun, RunEntry, RunOutcome, RunStage, StageOutcome, StatCache,
    StepCheckpoint, StoredRecords,
};
pub use error::StoreError;
pub use gc::{GcReport, Removed};
pub use graph::{
    Change, Checked, Drawn, Head, KeptGraph, Settled, Sketch, can_be_kept, digest_of_facts,
};
pub use inventory::{Inventory, Kind, Owner, Stored, project_name};
pub use kept::Kept;
pub use objects::{ObjectState, ObjectSummary, Place, Store};
pub use put::Put;
pub use roots::{Held, Root};
pub use staging::Staging;
pub use survey::facts;
pub use tree::is_whole;
pub use verify::{Corrupt, VerifyReport};
