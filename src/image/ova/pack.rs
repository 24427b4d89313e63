//! Makes a package of a descriptor and its files.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::thread;

use super::hash;
use super::manifest::Manifest;
use super::signature::Signer;
use super::write::{BLOCK, Source, USTAR_MOST, Writer, unreadable};
use super::{OvaError, check_name};
use crate::image::Progress;
use crate::image::ovf;
use crate::image::source::Window;
use crate::model::{Algorithm, Digest, Size};
use crate::sys::Cancel;

/// What file systems share and move: data that begins at a multiple of it need not be copied.
pub(super) const CLUSTER: u64 = 4096;

/// What goes into a package.
#[derive(Clone, Debug)]
pub struct PackInput<'a> {
    /// The base name: `NAME.ovf`, `NAME.mf`.
    pub name: &'a str,
    /// The descriptor's text.
    pub descriptor: &'a str,
    /// The files that the descriptor refers to, in its order.
    pub files: &'a [PackFile],
    /// The time that all members get, in seconds since 1970.
    pub mtime: u64,
    /// The manifest's digests: SHA-256, or SHA-512.
    pub algorithm: Algorithm,
    /// Where the manifest stands.
    pub manifest: ManifestPlace,
    /// Who signs it.
    pub signer: Option<&'a Signer>,
}

impl<'a> PackInput<'a> {
    /// A package that all importers take: SHA-256, the manifest in front, no signature.
    #[must_use]
    pub const fn new(
        name: &'a str,
        descriptor: &'a str,
        files: &'a [PackFile],
        mtime: u64,
    ) -> Self {
        Self {
            name,
            descriptor,
            files,
            mtime,
            algorithm: Algorithm::Sha256,
            manifest: ManifestPlace::Front,
            signer: None,
        }
    }
}

/// Where the manifest and the signature stand. The standard allows both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestPlace {
    /// After the descriptor, as most writers have it. Files whose digests are not known are read once more for them.
    #[default]
    Front,
    /// At the end: every file is read once, whatever is known.
    End,
}

/// A file of a package.
#[derive(Clone, Debug)]
pub struct PackFile {
    /// Its name in the package.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Its digest, when it is known; it is then not read for it.
    pub digest: Option<Digest>,
}

/// A package that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedOva {
    /// The package's size.
    pub size: Size,
    /// The package's digest.
    pub digest: Digest,
    /// The manifest in it.
    pub manifest: Manifest,
    /// The signature file in it.
    pub certificate: Option<String>,
    /// What some importer will not like.
    pub warnings: Vec<String>,
}

/// Writes a package to the empty file `out`. `progress` counts the bytes of the package.
pub fn pack(
    input: &PackInput<'_>,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<PackedOva, OvaError> {
    let job = Job::new(input)?;
    match input.manifest {
        ManifestPlace::Front => {
            let front = job.front(cancel)?;
            thread::scope(|scope| {
                let mut writer = Writer::new(scope, out, progress, cancel);
                job.head(&mut writer, Some(&front))?;
                for (file, source) in job.files() {
                    writer.file(&file.name, source, input.mtime, None)?;
                }
                Ok(job.packed(writer.finish()?, front))
            })
        }
        ManifestPlace::End => thread::scope(|scope| {
            let mut writer = Writer::new(scope, out, progress, cancel);
            job.head(&mut writer, None)?;
            let mut digests = vec![job.descriptor_digest()];
            for (file, source) in job.files() {
                let known = job.known(file);
                let tap = known.is_none().then_some(input.algorithm);
                let found = writer.file(&file.name, source, input.mtime, tap)?;
                digests.push((&file.name, known.or(found).unwrap_or_default()));
            }
            let front = job.seal(digests)?;
            job.tail(&mut writer, &front)?;
            Ok(job.packed(writer.finish()?, front))
        }),
    }
}

/// The descriptor with so many empty lines behind it that the first file's data begins where file systems can share or
/// move blocks, for a package with the manifest in front.
pub fn aligned(input: &PackInput<'_>) -> Result<String, OvaError> {
    let room = Job::new(input)?.needed_room()?;
    let missing = room.next_multiple_of(CLUSTER) - room;
    Ok(format!(
        "{}{}",
        input.descriptor,
        "\n".repeat(missing as usize)
    ))
}

/// The manifest and what signs it.
pub(super) struct Seal {
    manifest: Manifest,
    text: String,
    certificate: Option<String>,
}

pub(super) struct Job<'a> {
    pub(super) input: &'a PackInput<'a>,
    descriptor: String,
    manifest: String,
    certificate: String,
    pub(super) sources: Vec<Source>,
}

impl<'a> Job<'a> {
    pub(super) fn new(input: &'a PackInput<'a>) -> Result<Self, OvaError> {
        let name = |extension: &str| format!("{}.{extension}", input.name);
        let (descriptor, manifest, certificate) = (name("ovf"), name("mf"), name("cert"));
        let mut own = vec![descriptor.as_str(), &manifest];
        own.extend(input.signer.map(|_| certificate.as_str()));
        check_names(&own, input.files)?;
        let sources = input
            .files
            .iter()
            .map(open)
            .collect::<Result<Vec<_>, _>>()?;
        compare(input.descriptor, input.files, &sources)?;
        Ok(Self {
            input,
            descriptor,
            manifest,
            certificate,
            sources,
        })
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&'a PackFile, &Source)> {
        self.input.files.iter().zip(&self.sources)
    }

    const fn hex_len(&self) -> usize {
        self.input.algorithm.hex_len()
    }

    fn descriptor_digest(&self) -> (&str, String) {
        let hex = hash::of_bytes(self.input.algorithm, self.input.descriptor.as_bytes());
        (&self.descriptor, hex)
    }

    fn known(&self, file: &PackFile) -> Option<String> {
        let digest = file
            .digest
            .filter(|_| self.input.algorithm == Algorithm::Sha256);
        digest.map(|digest| digest.hex())
    }

    /// The manifest before anything is written.
    pub(super) fn front(&self, cancel: &Cancel) -> Result<Seal, OvaError> {
        let mut digests = vec![self.descriptor_digest()];
        for (file, source) in self.files() {
            let digest = match self.known(file) {
                Some(digest) => digest,
                None => {
                    let go_on = || !cancel.is_cancelled();
                    hash::of_window(self.input.algorithm, &source.window, &go_on)
                        .map_err(|e| unreadable(&source.path, e))?
                        .ok_or(OvaError::Cancelled)?
                }
            };
            digests.push((&file.name, digest));
        }
        self.seal(digests)
    }

    fn seal(&self, digests: Vec<(&str, String)>) -> Result<Seal, OvaError> {
        let manifest = Manifest::of(self.input.algorithm, digests);
        let text = manifest.to_string();
        let certificate = self
            .input
            .signer
            .map(|signer| signer.sign(&self.manifest, text.as_bytes(), self.input.algorithm));
        Ok(Seal {
            manifest,
            text,
            certificate: certificate.transpose()?,
        })
    }

    /// Bytes before the first file's data, which do not depend on what the digests are.
    pub(super) fn needed_room(&self) -> Result<u64, OvaError> {
        let digests = self
            .files()
            .map(|(file, _)| (file.name.as_str(), "0".repeat(self.hex_len())));
        let digests = std::iter::once(self.descriptor_digest()).chain(digests);
        // a signature is as long as its key, whatever is signed
        Ok(self.room(&self.seal(digests.collect())?))
    }

    /// Bytes before the first file's data.
    fn room(&self, seal: &Seal) -> u64 {
        let member = |len: usize| BLOCK + (len as u64).next_multiple_of(BLOCK);
        let certificate = seal
            .certificate
            .as_ref()
            .map_or(0, |text| member(text.len()));
        member(self.input.descriptor.len()) + member(seal.text.len()) + certificate + BLOCK
    }

    pub(super) fn head(
        &self,
        writer: &mut Writer<'_, '_, '_>,
        seal: Option<&Seal>,
    ) -> Result<(), OvaError> {
        let descriptor = self.input.descriptor.as_bytes();
        writer.member(&self.descriptor, descriptor, self.input.mtime)?;
        seal.map_or(Ok(()), |seal| self.tail(writer, seal))
    }

    fn tail(&self, writer: &mut Writer<'_, '_, '_>, seal: &Seal) -> Result<(), OvaError> {
        let mtime = self.input.mtime;
        writer.member(&self.manifest, seal.text.as_bytes(), mtime)?;
        if let Some(text) = &seal.certificate {
            writer.member(&self.certificate, text.as_bytes(), mtime)?;
        }
        Ok(())
    }

    pub(super) fn packed(&self, (size, digest): (Size, Digest), seal: Seal) -> PackedOva {
        let warnings = self
            .files()
            .filter_map(|(file, source)| size_warning(&file.name, source.window.len()));
        PackedOva {
            size,
            digest,
            warnings: warnings.collect(),
            manifest: seal.manifest,
            certificate: seal.certificate,
        }
    }
}

fn check_names(own: &[&str], files: &[PackFile]) -> Result<(), OvaError> {
    let mut seen = BTreeSet::new();
    let files = files.iter().map(|file| file.name.as_str());
    for name in own.iter().copied().chain(files) {
        check_name(name)?;
        if !seen.insert(name.to_ascii_lowercase()) {
            return Err(OvaError::Name {
                name: name.to_owned(),
                why: "another file has this name (case does not count)",
            });
        }
    }
    Ok(())
}

fn open(file: &PackFile) -> Result<Source, OvaError> {
    let window = Window::open(&file.path).map_err(|e| unreadable(&file.path, e))?;
    Ok(Source {
        path: file.path.clone(),
        window,
    })
}

/// The descriptor must list exactly these files, in this order, with their sizes.
fn compare(descriptor: &str, files: &[PackFile], sources: &[Source]) -> Result<(), OvaError> {
    let listed = ovf::parse(descriptor.as_bytes())?.files;
    if listed.len() != files.len() {
        return Err(OvaError::Mismatch(format!(
            "it lists {} files, there are {}",
            listed.len(),
            files.len()
        )));
    }
    for ((listed, file), source) in listed.iter().zip(files).zip(sources) {
        if listed.href != file.name {
            return Err(OvaError::Mismatch(format!(
                "it lists `{}` where `{}` comes",
                listed.href, file.name
            )));
        }
        let found = source.window.len();
        if listed.size.is_some_and(|size| size != found) {
            return Err(OvaError::Mismatch(format!(
                "it says {} bytes for `{}`, the file has {found}",
                listed.size.unwrap_or_default(),
                file.name,
            )));
        }
    }
    Ok(())
}

fn size_warning(name: &str, size: u64) -> Option<String> {
    (size > USTAR_MOST).then(|| {
        format!(
            "`{name}` is larger than 8GiB, beyond what plain tar can say; tools that know no GNU tar will refuse it"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_beyond_8_gib_is_told() {
        assert_eq!(size_warning("d.vmdk", USTAR_MOST), None);
        let warning = size_warning("d.vmdk", 9 << 30).unwrap();
        assert!(
            warning.starts_with("`d.vmdk` is larger than 8GiB"),
            "{warning}"
        );
    }
}
