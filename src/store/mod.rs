//! Content store, records, run history, stat cache, collection.
//!
//! The store is shared by all projects of a user:
//!
//! ```text
//! $FORGE_CACHE_DIR/
//!   CACHEDIR.TAG         tells backup programs to leave it out
//!   lock                 shared by every running forge, exclusive for gc
//!   running/ID           one for each running forge, locked by it; tells who it is
//!   objects/ab/abcd…     content under its SHA-256; mode 0444, written elsewhere, synced, then renamed
//!   used/ab/abcd…        empty; its modification time is when the object was last used
//!   aliases/sha1-abcd…   the SHA-256 of content that users know under another checksum
//!   staging/ID-N/        work in progress of the forge ID; left over ones go when a store is opened
//!   quarantine/abcd…     objects whose content was found to be wrong
//!   projects/ID          the projects whose records need objects
//!   downloads/           partial downloads; see `net`
//! ```
//!
//! An object's modification time carries a mark that any write breaks, so one `stat` tells whether it is intact. An
//! object without its mark (restored from a backup that cuts times, say) is read once: if its content is right, it gets
//! the mark back, else it counts as missing.
//!
//! The project's own `.forge/forge.db` ([`Db`]) holds records, history and the stat cache. A record is committed only
//! after its objects are durable, so killing forge at any instant leaves both valid: at worst an object that nobody
//! refers to, which [`Store::gc`] removes.
//!
//! What gc keeps: every object that a record needs which was used within the given age or is the last one of its
//! stage, in *any* project that ever registered with the store and still exists; and every object used within the age.

mod aliases;
mod content;
mod db;
mod error;
mod gc;
mod mark;
mod objects;
mod projects;
mod put;
mod quota;
mod session;
mod staging;
mod survey;
mod verify;

#[cfg(test)]
mod tests;

pub use content::FileDigest;
pub use db::{
    Db, Met, NewRun, RunEntry, RunOutcome, RunStage, StageOutcome, StatCache, StepCheckpoint,
    StoredRecords,
};
pub use error::StoreError;
pub use gc::{GcReport, keep_set};
pub use objects::{ObjectState, ObjectSummary, Place, Store};
pub use put::Put;
pub use staging::Staging;
pub use survey::facts;
pub use verify::{Corrupt, VerifyReport};
