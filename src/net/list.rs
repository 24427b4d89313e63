//! Checksums from a list beside the file: `file:URL-or-path`.

use super::error::{FetchError, SourceError};
use super::fetch::{Job, Wanted};
use super::source::{self, Source};
use super::sums::{self, Found};
use super::transfer::{html_title, status_error, unreachable, why};
use crate::model::{Checksum, Size};

/// The longest list that is read.
const MAX: u64 = 16 << 20;

impl Job<'_> {
    /// What the checksum is in the end: that of a list is looked up.
    pub(super) async fn wanted(&self, names: &[String]) -> Result<Wanted, FetchError> {
        let list = match &self.request.checksum {
            Checksum::None => return Ok(None),
            Checksum::Hex { algorithm, hex } => return Ok(Some((*algorithm, hex.clone()))),
            Checksum::File(list) => list,
        };
        let place = source::shown(list);
        let text = match self.read_list(list).await {
            Ok(text) => text,
            Err(source) => return Err(FetchError::Checksums { place, source }),
        };
        let name = names.first().cloned().unwrap_or_default();
        match sums::find(&text, names) {
            Found::Checksum(algorithm, hex) => {
                if algorithm.is_weak() {
                    (self.request.notice)(format!(
                        "{place} has only {algorithm}, which can be forged"
                    ));
                }
                Ok(Some((algorithm, hex)))
            }
            Found::Ambiguous => Err(FetchError::Ambiguous { name, place }),
            Found::Missing(listed) => Err(FetchError::NotListed {
                name,
                place,
                listed,
            }),
        }
    }

    async fn read_list(&self, list: &str) -> Result<String, SourceError> {
        let url = match Source::parse(list, self.request.root)? {
            Source::File(path) => {
                let bytes =
                    std::fs::read(&path).map_err(|source| SourceError::File { path, source })?;
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            Source::Http(url) => url,
        };
        let reach = |e: reqwest::Error| unreachable(why(e));
        let patience = self.settings.patience;
        let stalled = |_| SourceError::Stalled {
            patience,
            got: 0,
            total: None,
        };
        let send = self.settings.client.get(url).send();
        let mut response = tokio::time::timeout(patience, send)
            .await
            .map_err(stalled)?
            .map_err(reach)?;
        if !response.status().is_success() {
            return Err(status_error(response.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = tokio::time::timeout(patience, response.chunk())
            .await
            .map_err(stalled)?
            .map_err(reach)?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > MAX {
                return Err(SourceError::TooLarge(Size::from_bytes(MAX)));
            }
        }
        match html_title(&bytes, false) {
            Some(title) => Err(SourceError::Html { title }),
            None => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}
