//! Downloads with resume and checksum, and the server that hands kickstart files to one guest and takes its reports.
//!
//! [`fetch()`] leaves what it fetched under `CACHE/downloads/` and tells its SHA-256; putting it into the store is the
//! caller's. What has been fetched once is known by its checksum ([`known`]), whatever its address was. Addresses may
//! hold passwords: no message of this module shows one.

mod download;
mod error;
mod fetch;
mod hash;
mod index;
mod list;
mod local;
mod media;
mod report;
mod source;
mod sums;
mod sweep;
mod tls;
mod transfer;

pub use error::{Attempt, FetchError, SourceError};
pub use fetch::{FetchRequest, Fetched, Place, fetch};
pub use index::{known, origins};
pub use media::{Heard, Hearing, MediaContent, MediaRequest, MediaServer};
pub use report::Report;
pub(crate) use source::percent_decoded;
pub use sweep::{Swept, sweep};
pub use tls::{CertificateJudge, judged_by};

#[cfg(test)]
mod tests;
