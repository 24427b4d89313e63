//! Signs a package that exists: an OVA is written anew with its `.cert`, beside an OVF the `.cert` is a file.

use std::fs::File;
use std::path::Path;
use std::thread;

use super::OvaError;
use super::archive::{Package, has_extension};
use super::manifest::Manifest;
use super::signature::Signer;
use super::verify::digests_hold;
use super::write::{Source, Writer};
use crate::image::Progress;
use crate::model::{Algorithm, Digest, Size};
use crate::sys::Cancel;

/// A package that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOva {
    /// Its size.
    pub size: Size,
    /// Its digest.
    pub digest: Digest,
}

impl Package {
    /// The name and the text of the signature file. A package whose manifest is missing or not true is refused.
    pub fn signature(
        &self,
        signer: &Signer,
        cancel: &Cancel,
    ) -> Result<(String, String), OvaError> {
        if let Some((offset, what)) = &self.damage {
            return Err(OvaError::Damaged {
                offset: *offset,
                what: what.clone(),
            });
        }
        let member = self.with_extension("mf").ok_or_else(|| {
            OvaError::Unsound("there is no manifest in it; `forge ova pack` makes one".into())
        })?;
        digests_hold(self, cancel)?;
        let bytes = member.read()?;
        let manifest = Manifest::parse(&String::from_utf8_lossy(&bytes));
        let first = manifest.entries.first().map(|entry| entry.algorithm);
        let algorithm = first
            .filter(|a| *a == Algorithm::Sha512)
            .unwrap_or(Algorithm::Sha256);
        let (stem, _) = member.name.rsplit_once('.').unwrap_or((&member.name, ""));
        let text = signer.sign(&member.name, &bytes, algorithm)?;
        Ok((format!("{stem}.cert"), text))
    }
}

/// Writes a signed copy of a tar package to the empty file `out`; a signature that it had is replaced.
pub fn sign(
    package: &Package,
    signer: &Signer,
    mtime: u64,
    out: &File,
    progress: Progress<'_>,
    cancel: &Cancel,
) -> Result<SignedOva, OvaError> {
    for member in &package.members {
        super::check_name(&member.name)?;
        if let Some(special) = member.special {
            return Err(OvaError::Unsound(format!("`{}` is {special}", member.name)));
        }
    }
    let (name, text) = package.signature(signer, cancel)?;
    thread::scope(|scope| {
        let mut writer = Writer::new(scope, out, progress, cancel);
        for member in &package.members {
            if has_extension(&member.name, "cert") {
                continue;
            }
            let source = Source {
                path: Path::new(&member.name).to_owned(),
                window: member.data.clone(),
            };
            writer.file(&member.name, &source, mtime, None)?;
            if has_extension(&member.name, "mf") {
                writer.member(&name, text.as_bytes(), mtime)?;
            }
        }
        let (size, digest) = writer.finish()?;
        Ok(SignedOva { size, digest })
    })
}
