//! A key pair for one machine's life: made here, put into the guest by its installer, thrown away with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::GuestError;
use crate::model::Secret;

/// An ed25519 key pair in OpenSSH's formats.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The private key as a file's content (the file's mode must be 0600).
    pub private: Secret,
    /// The public key as a line of `authorized_keys`, without line end.
    pub public: String,
}

const KIND: &[u8] = b"ssh-ed25519";

impl KeyPair {
    /// Makes a new pair; `comment` stands at the end of the public key.
    pub fn generate(comment: &str) -> Result<Self, GuestError> {
        let broken = |_| GuestError::Failed("the system gives no random numbers".to_owned());
        let random = SystemRandom::new();
        let (mut seed, mut check) = ([0; 32], [0; 4]);
        random.fill(&mut seed).map_err(broken)?;
        random.fill(&mut check).map_err(broken)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|error| GuestError::Failed(format!("no key can be made: {error}")))?;
        let key = pair.public_key().as_ref();
        let public = [text(KIND), text(key)].concat();
        let mut private = [check, check].concat();
        for part in [KIND, key, &[&seed, key].concat(), comment.as_bytes()] {
            private.extend(text(part));
        }
        // to a multiple of the block size of the cipher that is not used
        let missing = (8 - private.len() % 8) % 8;
        private.extend((1..).take(missing).map(|n: u8| n));
        let mut file = b"openssh-key-v1\0".to_vec();
        for part in [b"none".as_slice(), b"none", b""] {
            file.extend(text(part));
        }
        file.extend(1_u32.to_be_bytes());
        file.extend(text(&public));
        file.extend(text(&private));
        Ok(Self {
            private: Secret::new(armour(&file)),
            public: format!("ssh-ed25519 {} {comment}", STANDARD.encode(&public)),
        })
    }
}

/// Bytes with their length before them.
fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

fn armour(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut file = "-----BEGIN OPENSSH PRIVATE KEY-----\n".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(70));
        file.push_str(line);
        file.push('\n');
        rest = next;
    }
    file + "-----END OPENSSH PRIVATE KEY-----\n"
}
