//! Signatures of packages: `NAME.cert` holds an RSA signature (PKCS #1 v1.5) over the bytes of the manifest, and the
//! certificates that say whose key made it. Since the manifest has the digests of all files, it stands for all of them.

use std::fmt;

use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature as rsa;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::model::{Algorithm, hex, parse_hex};

/// Why nothing can be signed with a key and a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key is protected by a passphrase.
    #[error("the key is encrypted; forge asks for no passphrase")]
    Encrypted,
    /// No key, or one of another kind.
    #[error("{0}")]
    Key(String),
    /// No certificate, or one that makes no sense.
    #[error("{0}")]
    Certificate(String),
    /// The certificate is that of another key.
    #[error("the certificate is not that of the key")]
    Pair,
    /// The digest has no place in a signature.
    #[error("nothing is signed with {0}")]
    Digest(Algorithm),
}

/// A key and its certificates. The key shows itself nowhere.
pub struct Signer {
    key: KeyPair,
    chain: Vec<CertificateDer<'static>>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer from PEM text: the key as PKCS #8 or PKCS #1; the certificates, that of the key first, then those that
    /// lead to its authority.
    pub fn from_pem(key: &[u8], certificates: &[u8]) -> Result<Self, SignError> {
        let key = private_key(key)?;
        let chain = certificates_of(certificates).map_err(SignError::Certificate)?;
        let Some(first) = chain.first() else {
            let message = "there is no certificate in it (`-----BEGIN CERTIFICATE-----`)";
            return Err(SignError::Certificate(message.into()));
        };
        let certificate = parse(first).map_err(SignError::Certificate)?;
        let public: &[u8] = &certificate.public_key().subject_public_key.data;
        if public != key.public().as_ref() {
            return Err(SignError::Pair);
        }
        Ok(Self { key, chain })
    }

    /// The text of `NAME.cert` for the manifest `name` with this content.
    pub fn sign(
        &self,
        name: &str,
        manifest: &[u8],
        algorithm: Algorithm,
    ) -> Result<String, SignError> {
        let padding: &dyn rsa::RsaEncoding = match algorithm {
            Algorithm::Sha256 => &rsa::RSA_PKCS1_SHA256,
            Algorithm::Sha512 => &rsa::RSA_PKCS1_SHA512,
            Algorithm::Md5 | Algorithm::Sha1 => return Err(SignError::Digest(algorithm)),
        };
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(padding, &SystemRandom::new(), manifest, &mut signature)
            .map_err(|_| SignError::Key("the key cannot sign".into()))?;
        let file = SignatureFile {
            algorithm,
            manifest: name.to_owned(),
            signature,
            chain: self.chain.clone(),
        };
        Ok(file.to_string())
    }
}

fn private_key(pem: &[u8]) -> Result<KeyPair, SignError> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(SignError::Encrypted);
    }
    let bad = |why: &dyn fmt::Display| SignError::Key(format!("the key cannot be used: {why}"));
    let key = match PrivateKeyDer::from_pem_slice(pem) {
        Ok(PrivateKeyDer::Pkcs8(key)) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Pkcs1(key)) => KeyPair::from_der(key.secret_pkcs1_der()),
        Ok(_) => {
            let message = "the key is no RSA key; packages are signed with RSA";
            return Err(SignError::Key(message.into()));
        }
        Err(rustls_pki_types::pem::Error::NoItemsFound) => {
            let message = "there is no private key in it (`-----BEGIN PRIVATE KEY-----`)";
            return Err(SignError::Key(message.into()));
        }
        Err(e) => return Err(bad(&e)),
    };
    key.map_err(|e| match e.to_string().as_str() {
        "WrongAlgorithm" => {
            SignError::Key("the key is no RSA key; packages are signed with RSA".into())
        }
        "TooSmall" => {
            SignError::Key("the key is too small; RSA keys have 2048 to 4096 bits".into())
        }
        why => bad(&why),
    })
}

/// The certificates in PEM text, in order.
pub(super) fn certificates_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("a certificate cannot be read: {e}"))
}

/// A certificate's parts.
pub(super) fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err("a certificate cannot be read: it is no X.509".into()),
    }
}

/// A `.cert` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignatureFile {
    pub(super) algorithm: Algorithm,
    /// The manifest's name, as it is said.
    pub(super) manifest: String,
    pub(super) signature: Vec<u8>,
    /// That of the key first.
    pub(super) chain: Vec<CertificateDer<'static>>,
}

impl SignatureFile {
    /// Reads a `.cert` file, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected a line `SHA256(NAME.mf)= SIGNATURE`";
        let line = text.lines().next().unwrap_or_default();
        let (name, rest) = line.split_once('(').ok_or(expected)?;
        let (manifest, hex) = rest.rsplit_once(")=").ok_or(expected)?;
        let name = name.trim().to_ascii_lowercase();
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or("the algorithm of the signature is not known")?;
        let signature = parse_hex(hex.trim())
            .filter(|bytes| !bytes.is_empty())
            .ok_or("the signature is not hexadecimal")?;
        let chain = certificates_of(text.as_bytes())?;
        if chain.is_empty() {
            return Err("there is no certificate in it".into());
        }
        Ok(Self {
            algorithm,
            manifest: manifest.to_owned(),
            signature,
            chain,
        })
    }

    /// Whether the signature is one over these bytes, made with the first certificate's key.
    pub(super) fn fits(&self, manifest: &[u8]) -> Result<bool, String> {
        let certificate = parse(&self.chain[0])?;
        let key = certificate.public_key();
        if !matches!(key.parsed(), Ok(x509_parser::public_key::PublicKey::RSA(_))) {
            return Err("the key is no RSA key".into());
        }
        // small keys and SHA-1 are read, since old packages have them
        let how: &dyn rsa::VerificationAlgorithm = match self.algorithm {
            Algorithm::Sha1 => &rsa::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha256 => &rsa::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            Algorithm::Sha512 => &rsa::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            Algorithm::Md5 => return Err("MD5 proves nothing".into()),
        };
        let key = rsa::UnparsedPublicKey::new(how, &key.subject_public_key.data);
        Ok(key.verify(manifest, &self.signature).is_ok())
    }
}

impl fmt::Display for SignatureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64::Engine as _;
        let algorithm = self.algorithm.as_str().to_ascii_uppercase();
        let signature = hex(&self.signature);
        writeln!(f, "{algorithm}({})= {signature}", self.manifest)?;
        for certificate in &self.chain {
            writeln!(f, "-----BEGIN CERTIFICATE-----")?;
            let text = base64::engine::general_purpose::STANDARD.encode(certificate);
            for line in text.as_bytes().chunks(64) {
                writeln!(f, "{}", String::from_utf8_lossy(line))?;
            }
            writeln!(f, "-----END CERTIFICATE-----")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
