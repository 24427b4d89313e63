//! Content under the other checksums that users write.

use std::path::PathBuf;

use super::{Store, StoreError, error::at};
use crate::model::{Checksum, Digest};
use crate::sys;

impl Store {
    /// The digest of intact content that fulfils `checksum`, if it is known; nothing for `file:…` and `none`.
    #[must_use]
    pub fn find_checksum(&self, checksum: &Checksum) -> Option<Digest> {
        let path = self.alias_path(checksum)?;
        let text = std::fs::read_to_string(path).ok()?;
        let digest = Digest::parse(text.trim()).ok()?;
        self.contains(&digest).then_some(digest)
    }

    /// Remembers that the content `digest` was found to fulfil `checksum`.
    pub fn remember_checksum(
        &self,
        checksum: &Checksum,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let Some(path) = self.alias_path(checksum) else {
            return Ok(());
        };
        sys::fs::write_atomic(&path, digest.hex().as_bytes()).map_err(at(&path))
    }

    fn alias_path(&self, checksum: &Checksum) -> Option<PathBuf> {
        let Checksum::Hex { algorithm, hex } = checksum else {
            return None;
        };
        Some(
            self.root()
                .join("aliases")
                .join(format!("{algorithm}-{hex}")),
        )
    }
}
