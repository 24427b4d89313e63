//! Bytes of formats: VMDK, qcow2, OVF, OVA, FAT floppies and ISO 9660 CDs. Knows no machine.
//!
//! Everything here is synchronous and takes files, readers or writers; callers run it with `spawn_blocking`. Long work reports
//! through a [`Progress`] and looks at a [`crate::sys::Cancel`]. What is written depends on the arguments alone: the same
//! content gives the same bytes, whatever the clock, the number of threads or the order of a directory.
//!
//! What is read may be hostile: sizes, offsets and names are checked before they are used, and nothing here panics.

pub mod convert;
pub mod disk;
pub mod fat;
pub mod iso;
pub mod ova;
pub mod ovf;
pub mod qcow2;
pub mod raw;
pub mod source;
pub mod vmdk;

mod batch;
mod behind;
mod bits;
mod cache;

pub use source::{BlockSource, RawDisk, Window};

/// Told how many bytes of the whole are done; called from any thread.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);
