//! Certificates: judged by thumbprint, or only looked at.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::ServerCertVerified;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::net::{CertificateJudge, judged_by};

/// The digest of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thumbprint {
    Sha1([u8; 20]),
    Sha256([u8; 32]),
}

impl Thumbprint {
    /// Reads 40 or 64 hexadecimal digits, with or without colons.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|b| !matches!(b, b':' | b' '))
            .map(|b| {
                char::from(b)
                    .to_digit(16)
                    .and_then(|d| u8::try_from(d).ok())
            })
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits
            .chunks(2)
            .map(|p| p.iter().fold(0, |n, d| n << 4 | d))
            .collect();
        match digits.len() {
            40 => bytes.try_into().ok().map(Self::Sha1),
            64 => bytes.try_into().ok().map(Self::Sha256),
            _ => None,
        }
    }

    fn matches(&self, certificate: &[u8]) -> bool {
        match self {
            Self::Sha1(digest) => Sha1::digest(certificate).as_slice() == digest,
            Self::Sha256(digest) => Sha256::digest(certificate).as_slice() == digest,
        }
    }
}

/// The SHA-256 of a certificate, as it is usually written.
pub(super) fn shown(certificate: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in Sha256::digest(certificate).iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        // Writing to memory cannot fail.
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

/// Whom to let through.
#[derive(Debug)]
pub(super) enum Accept {
    /// The one with this thumbprint.
    Only(Thumbprint),
    /// Whoever answers.
    Anyone,
    /// Nobody: only look.
    Nobody,
}

/// Judges a certificate by itself, whoever signed it; remembers what it saw last.
#[derive(Debug)]
pub(super) struct Judge {
    accept: Accept,
    seen: Mutex<Option<String>>,
}

impl Judge {
    pub(super) fn new(accept: Accept) -> Arc<Self> {
        Arc::new(Self {
            accept,
            seen: Mutex::default(),
        })
    }

    /// The SHA-256 of the certificate seen last.
    pub(super) fn seen(&self) -> Option<String> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Settings of connections that are judged by it.
    pub(super) fn config(self: &Arc<Self>) -> Result<ClientConfig, rustls::Error> {
        let judge = Arc::clone(self) as Arc<dyn CertificateJudge>;
        Ok(judged_by(judge)?.with_no_client_auth())
    }
}

impl CertificateJudge for Judge {
    fn verdict(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown(end_entity));
        let good = match &self.accept {
            Accept::Only(thumbprint) => thumbprint.matches(end_entity),
            Accept::Anyone => true,
            Accept::Nobody => false,
        };
        if good {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

/// Why a certificate was refused, if that is the cause.
pub(super) fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    let rustls::Error::InvalidCertificate(why) = cause(error)? else {
        return None;
    };
    Some(match why {
        CertificateError::UnknownIssuer => {
            "no authority that this host trusts has signed it".into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another name".into()
        }
        CertificateError::ApplicationVerificationFailure => {
            "it is not the one with the given thumbprint".into()
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "it is an authority's own, not a server's".into()
        }
        other => rustls::Error::InvalidCertificate(other.clone()).to_string(),
    })
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An `io::Error` hides what it was made of from `source`.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        at = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
