//! Digests of content, and the checksums that users write.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A SHA-256 digest: the identity of content in the store, and of a stage's ingredients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Why a text is no digest or checksum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not hexadecimal, or not of a known length.
    #[error("expected hexadecimal digits: 32 (md5), 40 (sha1), 64 (sha256) or 128 (sha512)")]
    Hex,
    /// The hex digits do not have the length of the algorithm.
    #[error("{algorithm} has {expected} hexadecimal digits, here are {found}")]
    Length {
        /// The algorithm's name.
        algorithm: Algorithm,
        /// How many digits it has.
        expected: usize,
        /// How many were written.
        found: usize,
    },
    /// `xyz:…` with an algorithm nobody knows.
    #[error("unknown checksum kind `{0}`; known: sha256, sha512, sha1, md5, file, none")]
    Algorithm(String),
}

impl Digest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let bytes = parse_hex(text).ok_or(DigestError::Hex)?;
        let found = text.len();
        bytes.try_into().map(Self).map_err(|_| DigestError::Length {
            algorithm: Algorithm::Sha256,
            expected: 64,
            found,
        })
    }

    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.hex()
    }
}

/// A checksum algorithm that users may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// MD5: accepted with a warning.
    Md5,
    /// SHA-1: accepted with a warning.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// How many hexadecimal digits a digest has.
    #[must_use]
    pub const fn hex_len(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    /// The lower-case name, as it stands before the colon.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Whether collisions can be made at will, so that a warning is due.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Md5 | Self::Sha1)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A checksum as users write it, for a download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Checksum {
    /// `sha256:…`, `sha512:…`, `sha1:…`, `md5:…`, or bare hex whose length tells the algorithm.
    Hex {
        /// The algorithm.
        algorithm: Algorithm,
        /// Lower-case hexadecimal digits, as many as the algorithm has.
        hex: String,
    },
    /// `file:URL-or-path`: a list of checksums in GNU or BSD form; the entry is picked by the download's file name.
    File(String),
    /// `none`: nothing is verified.
    None,
}

impl Checksum {
    /// Parses any of the forms.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let text = text.trim();
        if text == "none" {
            return Ok(Self::None);
        }
        let Some((kind, value)) = text.split_once(':') else {
            let algorithm = Algorithm::ALL
                .into_iter()
                .find(|a| a.hex_len() == text.len())
                .ok_or(DigestError::Hex)?;
            return Self::hex(algorithm, text);
        };
        if kind == "file" {
            return Ok(Self::File(value.to_owned()));
        }
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|a| a.as_str().eq_ignore_ascii_case(kind))
            .ok_or_else(|| DigestError::Algorithm(kind.to_owned()))?;
        Self::hex(algorithm, value)
    }

    fn hex(algorithm: Algorithm, value: &str) -> Result<Self, DigestError> {
        if value.len() != algorithm.hex_len() {
            return Err(DigestError::Length {
                algorithm,
                expected: algorithm.hex_len(),
                found: value.len(),
            });
        }
        parse_hex(value).ok_or(DigestError::Hex)?;
        Ok(Self::Hex {
            algorithm,
            hex: value.to_ascii_lowercase(),
        })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex { algorithm, hex } => write!(f, "{algorithm}:{hex}"),
            Self::File(place) => write!(f, "file:{place}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// The bytes of hexadecimal digits, two for each; none if that is what they are not.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok())
        .collect()
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_go_to_hex_and_back() {
        let digest = Digest::of(b"forge");
        assert_eq!(Digest::parse(&digest.hex()), Ok(digest));
        assert_eq!(Digest::parse("zz"), Err(DigestError::Hex));
        assert!(matches!(
            Digest::parse("abcd"),
            Err(DigestError::Length { .. })
        ));
    }

    #[test]
    fn checksums_have_all_their_forms() {
        let sha1 = "c2883a42e402a2330d9c39b4d1e071cf9b3b5898";
        assert_eq!(
            Checksum::parse(sha1).unwrap().to_string(),
            format!("sha1:{sha1}")
        );
        assert_eq!(
            Checksum::parse(&format!("SHA1:{}", sha1.to_uppercase()))
                .unwrap()
                .to_string(),
            format!("sha1:{sha1}")
        );
        assert_eq!(Checksum::parse("none"), Ok(Checksum::None));
        assert_eq!(
            Checksum::parse("file:https://x/SUMS"),
            Ok(Checksum::File("https://x/SUMS".into()))
        );
        assert!(matches!(
            Checksum::parse("sha256:abc"),
            Err(DigestError::Length {
                expected: 64,
                found: 3,
                ..
            })
        ));
        assert!(matches!(
            Checksum::parse("crc32:abc"),
            Err(DigestError::Algorithm(_))
        ));
        assert_eq!(Checksum::parse("hello"), Err(DigestError::Hex));
    }
}
