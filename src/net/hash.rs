//! The digest that identifies content and the one that the user gave, in one pass.

use std::fs::File;
use std::io::{self, Read as _};

use sha2::Digest as _;

use crate::model::{Algorithm, Digest, hex};

/// How much is read at a time: large enough to be cheap, small enough to show progress and to stop in time.
const STEP: usize = 4 << 20;

/// SHA-256, and at most one other digest beside it.
pub(super) struct Hashes {
    sha256: sha2::Sha256,
    other: Other,
    len: u64,
}

enum Other {
    None,
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha512(Box<sha2::Sha512>),
}

/// The digests of a whole content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    /// The identity in the store.
    pub(super) digest: Digest,
    /// The one that the user gave the algorithm of (SHA-256 if none was given), in lower-case hex.
    pub(super) wanted: String,
    /// How many bytes.
    pub(super) size: u64,
}

impl Hashes {
    pub(super) fn new(wanted: Option<Algorithm>) -> Self {
        let other = match wanted {
            None | Some(Algorithm::Sha256) => Other::None,
            Some(Algorithm::Md5) => Other::Md5(md5::Md5::new()),
            Some(Algorithm::Sha1) => Other::Sha1(sha1::Sha1::new()),
            Some(Algorithm::Sha512) => Other::Sha512(Box::new(sha2::Sha512::new())),
        };
        Self {
            sha256: sha2::Sha256::new(),
            other,
            len: 0,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.other {
            Other::None => {}
            Other::Md5(hash) => hash.update(bytes),
            Other::Sha1(hash) => hash.update(bytes),
            Other::Sha512(hash) => hash.update(bytes),
        }
        self.len += bytes.len() as u64;
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn finish(self) -> Sums {
        let digest = Digest::from_bytes(self.sha256.finalize().into());
        let wanted = match self.other {
            Other::None => digest.hex(),
            Other::Md5(hash) => hex(&hash.finalize()),
            Other::Sha1(hash) => hex(&hash.finalize()),
            Other::Sha512(hash) => hex(&hash.finalize()),
        };
        Sums {
            digest,
            wanted,
            size: self.len,
        }
    }
}

/// Hashes `file` from where it stands to its end, off the runtime's threads; `progress` hears of every few MiB.
pub(super) async fn hash_rest(
    mut file: File,
    mut hashes: Hashes,
    progress: &(dyn Fn(u64) + Sync),
) -> io::Result<(File, Hashes)> {
    let mut buffer = Vec::new();
    loop {
        let read;
        (file, hashes, buffer, read) = tokio::task::spawn_blocking(move || -> io::Result<_> {
            buffer.clear();
            let read = (&mut file).take(STEP as u64).read_to_end(&mut buffer)?;
            hashes.update(&buffer);
            Ok((file, hashes, buffer, read))
        })
        .await
        .map_err(io::Error::other)??;
        if read == 0 {
            return Ok((file, hashes));
        }
        progress(hashes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_gives_its_known_digest() {
        let sums = |wanted| {
            let mut hashes = Hashes::new(wanted);
            hashes.update(b"a");
            hashes.update(b"bc");
            hashes.finish()
        };
        assert_eq!(
            sums(Some(Algorithm::Md5)).wanted,
            "900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(
            sums(Some(Algorithm::Sha1)).wanted,
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert!(
            sums(Some(Algorithm::Sha512))
                .wanted
                .starts_with("ddaf35a193617aba")
        );
        assert_eq!(sums(None).wanted, Digest::of(b"abc").hex());
        assert_eq!(
            (sums(None).digest, sums(None).size),
            (Digest::of(b"abc"), 3)
        );
    }
}
