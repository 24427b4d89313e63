//! Manifests: a digest for every file of a package.

use std::fmt;

use crate::model::Algorithm;

/// A manifest's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The lines that can be read.
    pub entries: Vec<ManifestEntry>,
    /// The lines that cannot, with what is wrong with them.
    pub bad_lines: Vec<(String, &'static str)>,
}

/// A file's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The file's name.
    pub file: String,
    /// Lower-case hexadecimal digits.
    pub hex: String,
}

impl Manifest {
    /// The manifest of files with these hexadecimal digests.
    pub fn of<'a>(
        algorithm: Algorithm,
        files: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let entries = files
            .into_iter()
            .map(|(file, hex)| ManifestEntry {
                algorithm,
                file: file.to_owned(),
                hex,
            })
            .collect();
        Self {
            entries,
            bad_lines: Vec::new(),
        }
    }

    /// Reads a manifest. A line in a form that some importer refuses is a bad one, even if it could be understood.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match parse_line(line) {
                Ok(entry) => manifest.entries.push(entry),
                Err(why) => manifest.bad_lines.push((line.to_owned(), why)),
            }
        }
        manifest
    }

    /// The entry of a file.
    #[must_use]
    pub fn entry(&self, file: &str) -> Option<&ManifestEntry> {
        self.entries.iter().find(|entry| entry.file == file)
    }
}

fn parse_line(line: &str) -> Result<ManifestEntry, &'static str> {
    let (name, rest) = line
        .split_once('(')
        .ok_or("expected `SHA256(file)= digest`")?;
    // A file's name may hold brackets, a digest cannot.
    let (file, hex) = rest
        .rsplit_once(")=")
        .ok_or("expected `SHA256(file)= digest`")?;
    if name.ends_with(' ') {
        return Err("a space stands before the bracket; ESXi refuses it");
    }
    let algorithm = match name.to_ascii_uppercase().as_str() {
        "SHA1" => Algorithm::Sha1,
        "SHA256" => Algorithm::Sha256,
        "SHA512" => Algorithm::Sha512,
        "MD5" => Algorithm::Md5,
        "SHA2-256" | "SHA2-512" => return Err("vCenter knows the algorithm as SHA256 or SHA512"),
        _ => return Err("the algorithm is not known"),
    };
    let hex = hex.trim();
    if hex.len() != algorithm.hex_len() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("the digest does not have the algorithm's length, or is not hexadecimal");
    }
    Ok(ManifestEntry {
        algorithm,
        file: file.to_owned(),
        hex: hex.to_ascii_lowercase(),
    })
}

impl fmt::Display for Manifest {
    /// The file's text: no space before the bracket, one after the sign, which is what all importers take.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in &self.entries {
            let algorithm = entry.algorithm.as_str().to_ascii_uppercase();
            writeln!(f, "{algorithm}({})= {}", entry.file, entry.hex)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    #[test]
    fn a_manifest_goes_to_text_and_back() {
        let manifest = Manifest::of(
            Algorithm::Sha256,
            [
                ("a.ovf", Digest::of(b"a").hex()),
                ("disk (1).vmdk", Digest::of(b"b").hex()),
            ],
        );
        let text = manifest.to_string();
        assert!(
            text.starts_with("SHA256(a.ovf)= ca978112ca1bbdcafac231b39a23dc4da786eff8"),
            "{text}"
        );
        assert_eq!(Manifest::parse(&text), manifest);
        assert_eq!(Manifest::parse(&text.replace('\n', "\r\n")), manifest);
        assert!(manifest.entry("disk (1).vmdk").is_some());
    }

    #[test]
    fn what_an_importer_refuses_is_a_bad_line() {
        let hex = Digest::of(b"a").hex();
        for (line, why) in [
            (
                format!("SHA256 (a.ovf) = {hex}"),
                "expected `SHA256(file)= digest`",
            ),
            (
                format!("SHA256 (a.ovf)= {hex}"),
                "a space stands before the bracket; ESXi refuses it",
            ),
            (
                format!("SHA2-256(a.ovf)= {hex}"),
                "vCenter knows the algorithm as SHA256 or SHA512",
            ),
            (format!("CRC32(a.ovf)= {hex}"), "the algorithm is not known"),
            (
                "SHA256(a.ovf)= 123".to_owned(),
                "the digest does not have the algorithm's length, or is not hexadecimal",
            ),
            ("hello".to_owned(), "expected `SHA256(file)= digest`"),
        ] {
            let manifest = Manifest::parse(&line);
            assert_eq!(manifest.bad_lines, vec![(line, why)]);
        }
    }
}
