//! The signature: does it fit the manifest, is the certificate valid, and who says so.

use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::prelude::X509Certificate;

use super::super::OvaError;
use super::super::archive::Package;
use super::super::signature::{SignatureFile, parse};
use super::{Importer, Options, Report};
use crate::model::Algorithm;

/// Who signed a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureReport {
    /// Whose key it is: the certificate's subject.
    pub signer: String,
    /// Who says so: the certificate's issuer.
    pub issuer: String,
    /// The digest that was signed.
    pub digest: Algorithm,
    /// The time from which the certificate is valid.
    pub valid_from: String,
    /// The time until which it is valid.
    pub valid_until: String,
    /// The certificate is signed with its own key.
    pub self_signed: bool,
    /// The chain leads to a trusted authority; none: nobody was asked for.
    pub trusted: Option<bool>,
}

const VMWARE: &[Importer] = &[Importer::Vcenter, Importer::Workstation, Importer::Ovftool];

/// Checks the `.cert` file, or says that it is missing where an authority is asked for.
pub(super) fn check(
    package: &Package,
    options: &Options,
    report: &mut Report,
) -> Result<(), OvaError> {
    let Some(member) = package.with_extension("cert") else {
        if options.authorities.is_some() {
            report.error("cert-missing", ".cert", "it is not signed", &[]);
        }
        return Ok(());
    };
    let Some(manifest) = package.with_extension("mf") else {
        let message = "there is no manifest that it could be the signature of";
        report.error("signature", &member.name, message, VMWARE);
        return Ok(());
    };
    let text = member.read()?;
    let file = match SignatureFile::parse(&String::from_utf8_lossy(&text)) {
        Ok(file) => file,
        Err(why) => {
            report.error("cert-form", &member.name, why, VMWARE);
            return Ok(());
        }
    };
    if file.manifest != manifest.name {
        let message = format!(
            "it is for `{}`, the manifest is `{}`",
            file.manifest, manifest.name
        );
        report.error("cert-form", &member.name, message, VMWARE);
    }
    match file.fits(&manifest.read()?) {
        Ok(true) => {}
        Ok(false) => {
            let message = "the signature is not one of this manifest with the certificate's key";
            report.error("signature", &member.name, message, VMWARE);
        }
        Err(why) => report.error("signature", &member.name, why, VMWARE),
    }
    match parse(&file.chain[0]) {
        Ok(certificate) => judge(&file, &certificate, &member.name, options, report),
        Err(why) => report.error("cert-form", &member.name, why, VMWARE),
    }
    Ok(())
}

fn judge(
    file: &SignatureFile,
    certificate: &X509Certificate<'_>,
    name: &str,
    options: &Options,
    report: &mut Report,
) {
    let own = certificate.subject() == certificate.issuer();
    let validity = certificate.validity();
    let (from, until) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let now = i64::try_from(options.now).unwrap_or(i64::MAX);
    if now > until {
        let message = format!("the certificate was valid until {}", shown(until));
        report.warning("cert-dates", name, message, &[]);
    } else if now < from {
        let message = format!("the certificate is valid from {} on", shown(from));
        report.warning("cert-dates", name, message, &[]);
    }
    let trusted = options.authorities.as_ref().map(|authorities| {
        let outcome = trust(file, authorities, options.now);
        if let Err(why) = &outcome {
            let message = format!("the certificate does not come from a trusted authority: {why}");
            report.error("cert-untrusted", name, message, &[]);
        }
        outcome.is_ok()
    });
    if own && trusted.is_none() {
        let message = "the certificate is signed with its own key: it shows that nothing was changed since, not who made it";
        report.warning("cert-self-signed", name, message, &[]);
    }
    report.signature = Some(SignatureReport {
        signer: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        digest: file.algorithm,
        valid_from: shown(from),
        valid_until: shown(until),
        self_signed: own,
        trusted,
    });
}

/// A moment as people write it.
fn shown(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
}

/// Whether the chain leads to one of the authorities; a certificate that is itself among them is trusted as it is.
fn trust(
    file: &SignatureFile,
    authorities: &[CertificateDer<'static>],
    now: u64,
) -> Result<(), String> {
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    let (first, rest) = file.chain.split_first().ok_or("there is no certificate")?;
    if authorities.contains(first) {
        let validity = parse(first)?.validity().clone();
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        return match (validity.not_before.timestamp()..=validity.not_after.timestamp())
            .contains(&now)
        {
            true => Ok(()),
            false => Err("it is not valid at this time".into()),
        };
    }
    let anchors: Vec<_> = authorities
        .iter()
        .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
        .collect();
    let end = EndEntityCert::try_from(first).map_err(|e| words(&e))?;
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let path = end.verify_for_usage(algorithms, &anchors, rest, time, AnyUse, None, None);
    path.map(|_| ()).map_err(|e| words(&e))
}

fn words(error: &Error) -> String {
    match error {
        Error::UnknownIssuer => "nobody who signed it is among those that are trusted".into(),
        Error::CertExpired { .. } => "a certificate of the chain has expired".into(),
        Error::CertNotValidYet { .. } => "a certificate of the chain is not valid yet".into(),
        Error::CaUsedAsEndEntity => {
            "it is an authority's certificate, which should not sign".into()
        }
        other => other.to_string(),
    }
}

/// Nobody agrees on what certificates that sign appliances must be for.
struct AnyUse;

impl ExtendedKeyUsageValidator for AnyUse {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        Ok(())
    }
}
