//! Addresses: where a file is fetched from, and how that is shown without its passwords.

use std::path::{Path, PathBuf};

use url::Url;

use super::SourceError;

/// A place to fetch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// By HTTP.
    Http(Url),
    /// On this machine.
    File(PathBuf),
}

impl Source {
    /// Reads an address; plain paths are relative to `root`.
    pub(super) fn parse(text: &str, root: &Path) -> Result<Self, SourceError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::File(root.join(text)));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let url = Url::parse(text).map_err(|e| SourceError::Address(e.to_string()))?;
                Ok(Self::Http(url))
            }
            "file" if rest.starts_with('/') => Url::parse(text)
                .ok()
                .and_then(|url| url.to_file_path().ok())
                .map(Self::File)
                .ok_or_else(|| SourceError::Address("expected `file:///path`".into())),
            "file" => Ok(Self::File(root.join(rest))),
            other => Err(SourceError::Scheme(other.to_owned())),
        }
    }

    /// The address for people.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Http(url) => shown_url(url),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The last part of the path; `download` if there is none.
    pub(super) fn file_name(&self) -> String {
        let name = match self {
            Self::Http(url) => url
                .path_segments()
                .and_then(|mut parts| parts.next_back().map(percent_decoded)),
            Self::File(path) => path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned()),
        };
        let name: String = name
            .unwrap_or_default()
            .chars()
            .map(|c| {
                if c == '/' || c == '\\' || c.is_control() {
                    '_'
                } else {
                    c
                }
            })
            .collect();
        if matches!(name.as_str(), "" | "." | "..") {
            "download".to_owned()
        } else {
            name
        }
    }
}

/// An address as text, even one that is malformed, without passwords.
pub(super) fn shown(text: &str) -> String {
    match (text.contains("://"), Url::parse(text)) {
        (true, Ok(url)) => shown_url(&url),
        // malformed: whatever stands before an `@` might be a password
        (true, Err(_)) => match (text.find("://"), text.rfind('@')) {
            (Some(start), Some(at)) if at > start => {
                format!("{}***{}", &text[..start + 3], &text[at..])
            }
            _ => text.to_owned(),
        },
        (false, _) => text.to_owned(),
    }
}

/// Words in the names of query parameters whose values give access.
const SECRET_WORDS: &[&str] = &[
    "token",
    "key",
    "secret",
    "pass",
    "sig",
    "credential",
    "auth",
];

fn shown_url(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some("***"));
    } else if !url.username().is_empty() {
        // a lone user name is often a token
        let _ = url.set_username("***");
    }
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        SECRET_WORDS.iter().any(|word| name.contains(word))
    };
    if url.query_pairs().any(|(name, _)| is_secret(&name)) {
        let query: Vec<String> = url
            .query()
            .unwrap_or_default()
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{name}=***"),
                _ => pair.to_owned(),
            })
            .collect();
        url.set_query(Some(&query.join("&")));
    }
    url.to_string()
}

/// `%2B` to `+`, and so on; what is malformed stays.
pub(crate) fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escape = (bytes[i] == b'%')
            .then(|| bytes.get(i + 1..i + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(escape.unwrap_or(bytes[i]));
        i += if escape.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_four_forms() {
        let root = Path::new("/project");
        let parse = |text| Source::parse(text, root);
        assert_eq!(
            parse("iso/a.iso").unwrap(),
            Source::File("/project/iso/a.iso".into())
        );
        assert_eq!(
            parse("/abs/a.iso").unwrap(),
            Source::File("/abs/a.iso".into())
        );
        assert_eq!(
            parse("file:///abs/a%20b.iso").unwrap(),
            Source::File("/abs/a b.iso".into())
        );
        assert_eq!(
            parse("file://iso/a.iso").unwrap(),
            Source::File("/project/iso/a.iso".into())
        );
        assert!(matches!(
            parse("https://host/a.iso").unwrap(),
            Source::Http(_)
        ));
        assert_eq!(
            parse("s3://bucket/a").unwrap_err().to_string(),
            "`s3://` is not supported; http, https, file and plain paths are"
        );
        assert_eq!(
            parse("http://[bad/a").unwrap_err().to_string(),
            "the address is malformed: invalid IPv6 address"
        );
    }

    #[test]
    fn names_come_from_the_path() {
        let name = |text| Source::parse(text, Path::new("/p")).unwrap().file_name();
        assert_eq!(name("https://host/d/a%2Bb.iso?x=/y"), "a+b.iso");
        assert_eq!(name("https://host/"), "download");
        assert_eq!(name("https://host/..%2Fetc"), ".._etc");
        assert_eq!(name("images/x.iso"), "x.iso");
    }

    #[test]
    fn passwords_do_not_show() {
        for (text, expected) in [
            ("https://me:geheim@host/a", "https://me:***@host/a"),
            ("https://ghp_token@host/a", "https://***@host/a"),
            (
                "https://host/a?v=1&X-Amz-Signature=abc",
                "https://host/a?v=1&X-Amz-Signature=***",
            ),
            ("https://me:gehe im@[host/a", "https://***@[host/a"),
            ("https://host/a", "https://host/a"),
            ("iso/a@b.iso", "iso/a@b.iso"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
