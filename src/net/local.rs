//! Files of this machine as sources: verified where they lie, never copied here.

use std::path::Path;

use super::SourceError;
use super::hash::{Hashes, Sums, hash_rest};
use crate::model::Algorithm;

/// Hashes the file at `path`.
pub(super) async fn hash(
    path: &Path,
    wanted: Option<Algorithm>,
    progress: &(dyn Fn(u64, Option<u64>) + Sync),
) -> Result<Sums, SourceError> {
    let failed = |source| SourceError::File {
        path: path.to_owned(),
        source,
    };
    let meta = std::fs::metadata(path).map_err(failed)?;
    if !meta.is_file() {
        return Err(SourceError::NotAFile(path.to_owned()));
    }
    let total = meta.len();
    let file = std::fs::File::open(path).map_err(failed)?;
    let (_, hashes) = hash_rest(file, Hashes::new(wanted), &|done| {
        progress(done, Some(total));
    })
    .await
    .map_err(failed)?;
    Ok(hashes.finish())
}
