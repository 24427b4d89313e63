//! The one door to the operating system: files, processes, locks, cancellation, and what must be undone.
//!
//! Other modules reach for `std::process` or write files through here, so that every child process is found again after
//! a crash and every file that appears is whole.

mod cancel;
pub mod fs;
mod journal;
mod lock;
pub mod process;
mod whole;

pub use cancel::{Cancel, CancelKind};
pub use journal::{
    Dead, Entry, Guard, Journal, LeftMachine, Recovered, RemoteMachine, Running, Scratch,
};
pub use lock::{FileLock, Holder, LockError};
pub use whole::Whole;
