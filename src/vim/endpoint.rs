//! Which server, as whom, and how its certificate is judged.

use std::path::PathBuf;

use url::Url;

use super::VimError;
use crate::model::Secret;

/// How the server's certificate is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// By the authorities of this host, and those of [`Endpoint::ca_file`].
    #[default]
    Verify,
    /// By its SHA-256 or SHA-1 in hexadecimal digits; colons are optional.
    Thumbprint(String),
    /// Not at all.
    Insecure,
}

/// A server and an account on it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `host`, `host:port` or `https://host[:port][/sdk]`.
    pub server: String,
    /// The account, such as `administrator@vsphere.local`.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// How the server's certificate is judged.
    pub trust: Trust,
    /// Authorities that are trusted besides those of this host: a PEM file.
    pub ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// The server's address, `https://host[:port]/`.
    pub fn base(&self) -> Result<Url, VimError> {
        let fail = |why: &str| VimError::Unreachable {
            server: self.server.clone(),
            why: format!("{why}; write `host`, `host:port` or `https://host`"),
        };
        let written = self.server.trim();
        let text = match written.split_once("://") {
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => written.to_owned(),
            Some((scheme, _)) => return Err(fail(&format!("`{scheme}://` is not supported"))),
            None if is_bare_ipv6(written) => format!("https://[{written}]"),
            None => format!("https://{written}"),
        };
        let mut url = Url::parse(&text).map_err(|e| fail(&e.to_string()))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(fail("there is no host in it"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(VimError::Unreachable {
                server: host_and_port(&url),
                why: "the address must not hold a user or a password".into(),
            });
        }
        if !matches!(url.path().trim_end_matches('/'), "" | "/sdk" | "/ui") {
            return Err(fail(&format!("`{}` is no place of the API", url.path())));
        }
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        Ok(url)
    }
}

fn is_bare_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `host`, or `host:port` where the port is not the usual one.
pub(super) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
