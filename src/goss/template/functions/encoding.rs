//! Sprig's encodings and digests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest;

use super::{Function, Outcome, bounded};
use crate::goss::Value;
use crate::goss::json::{self, Html};

pub(super) const TABLE: &[Function] = &[
    ("b64enc", 1, 1, |call| {
        bounded(STANDARD.encode(call.text(0)?))
    }),
    ("b64dec", 1, 1, |call| {
        match STANDARD.decode(call.text(0)?) {
            Ok(bytes) => bounded(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => Err("this is not base64".into()),
        }
    }),
    ("b32enc", 1, 1, |call| {
        bounded(base32(call.text(0)?.as_bytes()))
    }),
    ("b32dec", 1, 1, |call| unbase32(call.text(0)?)),
    ("sha1sum", 1, 1, |call| {
        Ok(hex(&sha1::Sha1::digest(call.text(0)?)))
    }),
    ("sha256sum", 1, 1, |call| {
        Ok(hex(&sha2::Sha256::digest(call.text(0)?)))
    }),
    ("sha512sum", 1, 1, |call| {
        Ok(hex(&sha2::Sha512::digest(call.text(0)?)))
    }),
    ("adler32sum", 1, 1, |call| {
        Ok(adler32(call.text(0)?.as_bytes()).to_string().into())
    }),
    ("toJson", 1, 1, |call| {
        bounded(json::encode(call.get(0), Html::Escaped))
    }),
    ("mustToJson", 1, 1, |call| {
        bounded(json::encode(call.get(0), Html::Escaped))
    }),
    ("toRawJson", 1, 1, |call| {
        bounded(json::encode(call.get(0), Html::Plain))
    }),
    ("mustToRawJson", 1, 1, |call| {
        bounded(json::encode(call.get(0), Html::Plain))
    }),
    ("toPrettyJson", 1, 1, |call| pretty(call.get(0))),
    ("mustToPrettyJson", 1, 1, |call| pretty(call.get(0))),
    ("fromJson", 1, 1, |call| {
        Ok(parsed(call.text(0)?).unwrap_or(Value::Null))
    }),
    ("mustFromJson", 1, 1, |call| parsed(call.text(0)?)),
];

fn pretty(value: &Value) -> Outcome {
    bounded(json::indent(&json::encode(value, Html::Escaped), "  "))
}

fn parsed(text: &str) -> Outcome {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(json.into())
}

fn hex(bytes: &[u8]) -> Value {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Value::Text(digits.concat())
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut word = 0u64;
        for at in 0..5 {
            word = word << 8 | u64::from(chunk.get(at).copied().unwrap_or(0));
        }
        let digits = (chunk.len() * 8).div_ceil(5);
        for at in 0..8 {
            let digit = (word >> (35 - 5 * at) & 31) as usize;
            out.push(if at < digits {
                ALPHABET[digit].into()
            } else {
                '='
            });
        }
    }
    out
}

fn unbase32(text: &str) -> Outcome {
    let bad = || "this is not base32".to_owned();
    if !text.len().is_multiple_of(8) {
        return Err(bad());
    }
    let mut bytes = Vec::new();
    let (mut word, mut bits) = (0u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let digit = ALPHABET
            .iter()
            .position(|known| *known == byte)
            .ok_or_else(bad)?;
        word = word << 5 | u32::try_from(digit).unwrap_or(0);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits & 255) as u8);
            word &= (1 << bits) - 1;
        }
    }
    bounded(String::from_utf8_lossy(&bytes).into_owned())
}
