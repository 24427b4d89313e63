//! Digests by whatever algorithm a manifest names.

use std::io;

use sha2::digest::DynDigest;

use crate::image::source::{CopyOutcome, Window};
use crate::model::{Algorithm, hex};

/// A digest in the making.
pub(super) struct Hasher(Box<dyn DynDigest + Send>);

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => Box::<md5::Md5>::default(),
            Algorithm::Sha1 => Box::<sha1::Sha1>::default(),
            Algorithm::Sha256 => Box::<sha2::Sha256>::default(),
            Algorithm::Sha512 => Box::<sha2::Sha512>::default(),
        })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Lower-case hexadecimal digits.
    pub(super) fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The hexadecimal digest of `bytes`.
pub(super) fn of_bytes(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.hex()
}

/// The hexadecimal digest of a file; `None` when `go_on` said to stop.
pub(super) fn of_window(
    algorithm: Algorithm,
    window: &Window,
    go_on: &dyn Fn() -> bool,
) -> io::Result<Option<String>> {
    let mut hasher = Hasher::new(algorithm);
    let outcome = window.for_each_piece(&mut |piece| {
        hasher.update(piece);
        go_on()
    })?;
    Ok((outcome == CopyOutcome::Whole).then(|| hasher.hex()))
}
