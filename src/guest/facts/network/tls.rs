//! TLS as the system would speak it: with its own authorities, or those that the question names.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::net::{CertificateJudge, judged_by};

/// What a request needs for TLS.
#[derive(Default)]
pub(super) struct Trust<'a> {
    /// Take any certificate.
    pub(super) insecure: bool,
    /// PEM: whom to trust.
    pub(super) authorities: &'a [u8],
    /// PEM: the client's certificate and key.
    pub(super) client: Option<(&'a [u8], &'a [u8])>,
}

/// What speaks TLS with `host`, and the name that its certificate must have.
pub(super) fn connector(
    host: &str,
    trust: &Trust<'_>,
) -> Result<(TlsConnector, ServerName<'static>), String> {
    let name = host.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(|e| format!("{host}: {e}"))?;
    Ok((TlsConnector::from(Arc::new(config(trust)?)), name))
}

fn config(trust: &Trust<'_>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own: Vec<_> = CertificateDer::pem_slice_iter(trust.authorities)
        .filter_map(Result::ok)
        .collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(own.clone());
    let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = Arc::new(Verifier {
        judge: judge.ok(),
        own,
        insecure: trust.insecure,
    });
    let builder = judged_by(verifier).map_err(|e| e.to_string())?;
    let Some((certificate, key)) = trust.client else {
        return Ok(builder.with_no_client_auth());
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|e| format!("the client's certificate: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| format!("the client's key: {e}"))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| format!("the client's certificate and key: {e}"))
}

/// Trusts the authorities, and a server whose very certificate is among them, as Go does.
#[derive(Debug)]
struct Verifier {
    judge: Option<Arc<WebPkiServerVerifier>>,
    own: Vec<CertificateDer<'static>>,
    insecure: bool,
}

impl CertificateJudge for Verifier {
    fn verdict(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.insecure {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(judge) = &self.judge else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let verdict =
            judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let expired = matches!(
            verdict,
            Err(Error::InvalidCertificate(
                CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYetContext { .. }
            ))
        );
        if verdict.is_err() && !expired && self.own.iter().any(|own| own == end_entity) {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            rustls::client::verify_server_name(&certificate, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        verdict
    }
}
