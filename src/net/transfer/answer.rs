//! What a server's answer means for the file that is being fetched.

use reqwest::header::{self, HeaderMap};
use reqwest::{Response, StatusCode};

use super::part::Part;
use super::{SourceError, Transfer, Trouble, fatal};

impl Transfer<'_> {
    /// Judges the answer's head, and writes down which version it is.
    pub(super) fn accept(
        &self,
        response: &Response,
        offset: u64,
        part: &mut Part,
    ) -> Result<(), Trouble> {
        let headers = response.headers();
        let total = match response.status() {
            StatusCode::PARTIAL_CONTENT if offset > 0 => self.accept_rest(headers, offset, part)?,
            StatusCode::OK => {
                if offset > 0 {
                    (self.notice)(
                        "the server sends the whole file; starting from the beginning".to_owned(),
                    );
                    part.reset().map_err(fatal)?;
                }
                response.content_length()
            }
            StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => {
                return Err(Trouble::Restart(
                    "the server's file is shorter than what is here",
                ));
            }
            status => return Err(refused(status)),
        };
        part.version.url = Some(self.url_digest());
        part.version.etag = text(headers, header::ETAG);
        part.version.last_modified = text(headers, header::LAST_MODIFIED);
        part.version.total = total;
        part.check_space(self.settings.free_space).map_err(fatal)?;
        part.write_version().map_err(fatal)
    }

    /// The total, if the answer goes on where the file ends, with the same version.
    fn accept_rest(
        &self,
        headers: &HeaderMap,
        offset: u64,
        part: &mut Part,
    ) -> Result<Option<u64>, Trouble> {
        let (start, total) = content_range(headers).ok_or(Trouble::Restart(
            "the server does not say which part it sends",
        ))?;
        let differs = |old: &Option<String>, new: Option<String>| {
            old.is_some() && new.is_some() && *old != new
        };
        let changed =
            self.is_of_this_url(part) && differs(&part.version.etag, text(headers, header::ETAG));
        let known = part.version.total;
        let resized = known.is_some() && total.is_some() && known != total;
        if start != offset || changed || resized {
            return Err(Trouble::Restart("the server has another version by now"));
        }
        part.mixed = true;
        Ok(total.or(known))
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn refused(status: StatusCode) -> Trouble {
    let error = status_error(status);
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        Trouble::Passing(error)
    } else {
        error.into()
    }
}

/// The error of an answer that is not the file.
pub(in crate::net) fn status_error(status: StatusCode) -> SourceError {
    SourceError::Status {
        code: status.as_u16(),
        reason: status.canonical_reason().unwrap_or(""),
    }
}

/// The start and the total of `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// Whether the server calls the body a web page.
pub(super) fn says_html(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"text/html")
    })
}

/// How much of a body is looked at to tell whether it is a web page.
pub(in crate::net) const HEAD: usize = 1024;

/// `Some` if this is the start of a web page; with its title if that is near.
pub(in crate::net) fn html_title(head: &[u8], says_html: bool) -> Option<Option<String>> {
    let text = String::from_utf8_lossy(&head[..head.len().min(HEAD)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let lower = text.to_ascii_lowercase();
    let is_html = ["<!doctype html", "<html"]
        .iter()
        .any(|start| lower.starts_with(start))
        || (says_html && lower.starts_with('<'));
    if !is_html {
        return None;
    }
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = lower[start..].find("</title>")?;
        let words: Vec<&str> = text[start..start + end].split_whitespace().collect();
        (!words.is_empty()).then(|| words.join(" "))
    });
    Some(title)
}
