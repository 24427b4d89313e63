//! The keys of known SSH servers, in OpenSSH's file.

use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::GuestError;

/// Which servers are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHosts {
    /// OpenSSH's file of them; it need not be there yet.
    pub file: PathBuf,
    /// Whether a server that the file does not know is written into it, instead of being refused.
    pub accept_new: bool,
    /// The name by which the server is called.
    pub host: String,
}

/// One key that the file has for a server.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    kind: String,
    key: String,
    revoked: bool,
}

impl KnownHosts {
    /// The kinds of keys that the file has for the server; a server may have several, and shows the one that it is asked for.
    pub(super) fn kinds(&self, port: u16) -> Result<Vec<String>, GuestError> {
        let known = find(&self.text()?, &self.host, port);
        Ok(known
            .into_iter()
            .filter(|known| !known.revoked)
            .map(|known| known.kind)
            .collect())
    }

    /// Whether the server that shows `key` may be trusted.
    pub(super) fn check(&self, port: u16, key: &[u8]) -> Result<(), GuestError> {
        let shown = STANDARD.encode(key);
        let known = find(&self.text()?, &self.host, port);
        let refuse = |reason: String| GuestError::HostKey {
            host: self.host.clone(),
            file: self.file.clone(),
            reason,
        };
        if known
            .iter()
            .any(|known| known.revoked && known.key == shown)
        {
            return Err(refuse("its key is revoked there".to_owned()));
        }
        if known
            .iter()
            .any(|known| !known.revoked && known.key == shown)
        {
            return Ok(());
        }
        let sum = fingerprint(key);
        if known.iter().any(|known| !known.revoked) {
            return Err(refuse(format!(
                "it shows another key than the one that is known ({sum})"
            )));
        }
        if !self.accept_new {
            return Err(refuse(format!(
                "it is not known there, and shows the key {sum}"
            )));
        }
        self.add(port, key, &shown)
    }

    fn text(&self) -> Result<String, GuestError> {
        match std::fs::read(&self.file) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(GuestError::Local {
                path: self.file.clone(),
                source,
            }),
        }
    }

    fn add(&self, port: u16, key: &[u8], shown: &str) -> Result<(), GuestError> {
        let local = |source| GuestError::Local {
            path: self.file.clone(),
            source,
        };
        let line = format!("{} {} {shown}\n", name(&self.host, port), kind(key));
        if let Some(dir) = self.file.parent() {
            std::fs::create_dir_all(dir).map_err(local)?;
        }
        let before = self.text()?;
        let gap = if before.is_empty() || before.ends_with('\n') {
            ""
        } else {
            "\n"
        };
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(&self.file)
            .map_err(local)?;
        file.write_all(format!("{gap}{line}").as_bytes())
            .map_err(local)
    }
}

/// The server's name in the file.
fn name(host: &str, port: u16) -> String {
    match port {
        22 => host.to_owned(),
        port => format!("[{host}]:{port}"),
    }
}

/// The kind is the key's first field.
fn kind(key: &[u8]) -> String {
    let length = key
        .get(..4)
        .and_then(|four| four.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    let end = 4 + usize::try_from(length).unwrap_or_default();
    String::from_utf8_lossy(key.get(4..end).unwrap_or_default()).into_owned()
}

/// As `ssh` shows it.
fn fingerprint(key: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, key);
    format!(
        "SHA256:{}",
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(digest)
    )
}

fn find(text: &str, host: &str, port: u16) -> Vec<Known> {
    let name = name(&host.to_ascii_lowercase(), port);
    let known = |line: &str| {
        let mut words = line.split_whitespace().peekable();
        let marker = words.next_if(|word| word.starts_with('@'));
        let revoked = marker == Some("@revoked");
        if marker.is_some() && !revoked {
            return None;
        }
        let names = words.next().filter(|names| !names.starts_with('#'))?;
        let (kind, key) = (words.next()?.to_owned(), words.next()?.to_owned());
        fits(names, &name).then_some(Known { kind, key, revoked })
    };
    text.lines().filter_map(known).collect()
}

/// Whether a list of patterns, or a hashed name, means `name`.
fn fits(names: &str, name: &str) -> bool {
    if let Some(hashed) = names.strip_prefix("|1|") {
        return hashes(hashed, name) == Some(true);
    }
    let mut fits = false;
    for pattern in names.split(',') {
        let (no, pattern) = pattern
            .strip_prefix('!')
            .map_or((false, pattern), |pattern| (true, pattern));
        if glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) {
            if no {
                return false;
            }
            fits = true;
        }
    }
    fits
}

/// `SALT|HASH`.
fn hashes(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let key = hmac::Key::new(
        hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        &STANDARD.decode(salt).ok()?,
    );
    Some(hmac::verify(&key, name.as_bytes(), &STANDARD.decode(hash).ok()?).is_ok())
}

/// `*` and `?`.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|at| glob(rest, &name[at..])),
        ([b'?', rest @ ..], [_, more @ ..]) => glob(rest, more),
        ([first, rest @ ..], [byte, more @ ..]) => first == byte && glob(rest, more),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x01k";

    fn hosts(dir: &tempfile::TempDir, accept_new: bool) -> KnownHosts {
        KnownHosts {
            file: dir.path().join("ssh/known_hosts"),
            accept_new,
            host: "Machine".into(),
        }
    }

    #[test]
    fn a_new_server_is_learnt_or_refused_and_another_key_always_refused() {
        let dir = tempfile::tempdir().unwrap();
        let strict = hosts(&dir, false).check(22, KEY).unwrap_err().to_string();
        assert!(
            strict.contains("`Machine`")
                && strict.contains("it is not known there")
                && strict.contains("SHA256:"),
            "{strict}"
        );
        hosts(&dir, true).check(22, KEY).unwrap();
        hosts(&dir, false).check(22, KEY).unwrap();
        assert_eq!(hosts(&dir, false).kinds(22).unwrap(), ["ssh-ed25519"]);
        assert!(hosts(&dir, false).kinds(2222).unwrap().is_empty());
        let other = hosts(&dir, true)
            .check(22, b"\0\0\0\x01xother")
            .unwrap_err()
            .to_string();
        assert!(other.contains("another key"), "{other}");
    }

    #[test]
    fn lines_of_all_kinds_are_read() {
        let key = STANDARD.encode(KEY);
        let hashed = "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=";
        let text = format!(
            "# comment\n*.lab,!bad.lab ssh-rsa {key}\n{hashed} ssh-rsa {key}\n@revoked old ssh-rsa {key}\n@cert-authority * ssh-rsa {key}\n[a]:2222 ssh-rsa {key}\n"
        );
        assert_eq!(find(&text, "x.lab", 22).len(), 1);
        assert_eq!(find(&text, "bad.lab", 22).len(), 0);
        assert_eq!(find(&text, "192.168.1.61", 22).len(), 1);
        assert!(find(&text, "old", 22)[0].revoked);
        assert_eq!(
            (find(&text, "A", 2222).len(), find(&text, "a", 22).len()),
            (1, 0)
        );
        assert!(glob(b"a?c*", b"abcdef") && !glob(b"a?c", b"ac"));
    }
}
