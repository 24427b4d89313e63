//! Masks secrets in text, in the forms in which programs print them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::Secret;

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Shorter values are not masked: they would turn up everywhere by chance, and are no secrets.
const MIN_CHARS: usize = 4;
/// The same for the part of a base64 text that depends on the secret alone.
const MIN_BASE64: usize = 5;

/// Masks the values it was made of: as they are, line by line, in base64 (wherever they start in the encoded text, also
/// wrapped), URL-encoded, quoted for a shell, escaped for JSON and XML.
#[derive(Clone, Default)]
pub struct Redactor {
    patterns: Patterns,
}

#[derive(Clone, Default)]
enum Patterns {
    #[default]
    None,
    Some(AhoCorasick),
    /// The automaton could not be built: nothing may be shown.
    All,
}

impl Redactor {
    /// A redactor for these values; those of less than four characters are left alone.
    #[must_use]
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets {
            let value = secret.reveal();
            let lines = value.lines().map(str::trim);
            for piece in lines.chain([value, value.trim()]) {
                if piece.chars().count() >= MIN_CHARS {
                    add_forms(piece, &mut forms);
                }
            }
        }
        if forms.is_empty() {
            return Self::default();
        }
        let patterns = AhoCorasick::new(&forms).map_or(Patterns::All, Patterns::Some);
        Self { patterns }
    }

    /// `text` with every secret replaced by [`MASK`].
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let automaton = match &self.patterns {
            Patterns::None => return Cow::Borrowed(text),
            Patterns::All => return Cow::Borrowed(MASK),
            Patterns::Some(automaton) => automaton,
        };
        // matches may overlap (`user:pass` and `pass`): what any of them covers is masked
        let mut spans: Vec<(usize, usize)> = automaton
            .find_overlapping_iter(text)
            .map(|found| (found.start(), found.end()))
            .collect();
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        spans.sort_unstable();
        let mut masked = String::with_capacity(text.len());
        let mut done = 0;
        for (start, end) in spans {
            if start >= done {
                masked.push_str(&text[done..start]);
                masked.push_str(MASK);
            }
            done = done.max(end);
        }
        masked.push_str(&text[done..]);
        Cow::Owned(masked)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

fn add_forms(value: &str, forms: &mut BTreeSet<String>) {
    forms.insert(value.to_owned());
    add_base64(value, forms);
    add_url(value, forms);
    add_shell(value, forms);
    let json = serde_json::Value::from(value).to_string();
    forms.insert(json[1..json.len() - 1].to_owned());
    let xml = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    forms.insert(xml.replace('"', "&quot;").replace('\'', "&apos;"));
    forms.insert(xml.replace('"', "&#34;").replace('\'', "&#39;"));
    forms.insert(xml);
}

/// The characters of the encoded text that depend on the value alone, for each of the three places in a group of three
/// bytes at which it may start: so that `user:VALUE` and `VALUE\n` are caught as well. Also the lines of a wrapped one.
fn add_base64(value: &str, forms: &mut BTreeSet<String>) {
    for alphabet in [&STANDARD, &URL_SAFE] {
        for lead in 0..3 {
            let encoded = encode(alphabet, lead, value);
            let first = (lead * 8).div_ceil(6);
            let last = (lead + value.len()) * 8 / 6;
            if last.saturating_sub(first) >= MIN_BASE64 {
                forms.insert(encoded[first..last].to_owned());
            }
        }
        let encoded = encode(alphabet, 0, value);
        for width in [64, 76].into_iter().filter(|width| encoded.len() > *width) {
            let lines = encoded.as_bytes().chunks(width);
            forms.extend(
                lines
                    .filter(|line| line.len() >= 16)
                    .map(|line| String::from_utf8_lossy(line).into_owned()),
            );
        }
    }
}

fn encode(alphabet: &Alphabet, lead: usize, value: &str) -> String {
    let mut bytes = vec![0; lead];
    bytes.extend_from_slice(value.as_bytes());
    GeneralPurpose::new(alphabet, NO_PAD).encode(bytes)
}

/// What the usual encoders leave as it is: RFC 3986, the same with `/`, JavaScript's.
const URL_PLAIN: &[&str] = &["-._~", "-._~/", "-._~!'()*"];

fn add_url(value: &str, forms: &mut BTreeSet<String>) {
    for plain in URL_PLAIN {
        let encode = |upper: bool| {
            value.bytes().fold(String::new(), |mut text, byte| {
                let c = char::from(byte);
                if c.is_ascii_alphanumeric() || plain.contains(c) {
                    text.push(c);
                } else if upper {
                    text.push_str(&format!("%{byte:02X}"));
                } else {
                    text.push_str(&format!("%{byte:02x}"));
                }
                text
            })
        };
        for text in [encode(true), encode(false)] {
            forms.insert(text.replace("%20", "+"));
            forms.insert(text);
        }
    }
}

fn add_shell(value: &str, forms: &mut BTreeSet<String>) {
    forms.insert(value.replace('\'', r"'\''"));
    forms.insert(value.replace('\'', r#"'"'"'"#));
    let escaped = |special: &dyn Fn(char) -> bool| {
        value.chars().fold(String::new(), |mut text, c| {
            if special(c) {
                text.push('\\');
            }
            text.push(c);
            text
        })
    };
    forms.insert(escaped(&|c| r#"\"$`"#.contains(c)));
    forms.insert(escaped(&|c| r"\'".contains(c)));
    forms.insert(escaped(&|c| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && !"_@%+=:,./-".contains(c)
    }));
    forms.insert(escaped(&|c| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && !"_@%+:,./-".contains(c)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(values: &[&str]) -> Redactor {
        let secrets: Vec<Secret> = values.iter().map(|value| Secret::new(*value)).collect();
        Redactor::new(&secrets)
    }

    fn base64(text: &str) -> String {
        base64::engine::general_purpose::STANDARD.encode(text)
    }

    #[test]
    fn every_form_is_masked() {
        let value = r#"p4$$ w'rd"&<é/+"#;
        let redactor = redactor(&[value]);
        for form in [
            value.to_owned(),
            r#"p4$$ w'\''rd"&<é/+"#.to_owned(),
            r#"p4\$\$ w'rd\"&<é/+"#.to_owned(),
            r#"p4\$\$\ w\'rd\"\&\<é/+"#.to_owned(),
            r#"p4$$ w'rd\"&<é/+"#.to_owned(),
            "p4$$ w&apos;rd&quot;&amp;&lt;é/+".to_owned(),
            "p4%24%24%20w%27rd%22%26%3C%C3%A9%2F%2B".to_owned(),
            "p4%24%24+w%27rd%22%26%3c%c3%a9%2f%2b".to_owned(),
        ] {
            assert_eq!(redactor.redact(&format!("<<{form}>>")), "<<***>>", "{form}");
        }
        for text in [
            value.to_owned(),
            format!("u:{value}"),
            format!("us:{value}\n"),
            format!("user:{value}x"),
        ] {
            let shown = redactor.redact(&base64(&text)).into_owned();
            assert!(
                shown.contains(MASK) && shown.len() <= 16,
                "{text:?} shows as {shown}"
            );
        }
    }

    #[test]
    fn long_values_are_masked_line_by_line() {
        let key: String = (0..6)
            .map(|i| format!("{i}{}\n", "k3y".repeat(20)))
            .collect();
        let redactor = redactor(&[&key]);
        for line in key.lines() {
            assert_eq!(redactor.redact(&format!("    {line}")), "    ***");
        }
        let encoded = base64(&key);
        for line in encoded.as_bytes().chunks(76) {
            let line = std::str::from_utf8(line).unwrap();
            let shown = redactor.redact(line);
            assert!(
                shown.contains(MASK) && shown.len() < 12,
                "{line} shows as {shown}"
            );
        }
    }

    #[test]
    fn short_values_and_no_values_mask_nothing() {
        let text = "abc root";
        assert!(matches!(
            redactor(&["abc", "", "a\nbc\n"]).redact(text),
            Cow::Borrowed("abc root")
        ));
        assert!(matches!(
            Redactor::default().redact(text),
            Cow::Borrowed("abc root")
        ));
    }

    #[test]
    fn overlapping_secrets_leave_nothing_between() {
        assert_eq!(
            redactor(&["abcdef", "defghi"]).redact("<abcdefghi>"),
            "<***>"
        );
        assert_eq!(
            redactor(&["abcd", "xyz1"]).redact("abcdxyz1 abcd"),
            "****** ***"
        );
        assert_eq!(format!("{:?}", redactor(&["abcd"])), "Redactor(***)");
    }

    proptest! {
        #[test]
        fn a_secret_never_shows(value in "[ -~éß]{4,40}", before in "[a-z]{0,9}", after in "[a-z]{0,9}") {
            // a value that is part of the mask cannot be told from it
            prop_assume!(!"******".contains(&value));
            let redactor = redactor(&[&value]);
            let text = format!("{before}{value}{after}");
            prop_assert!(!redactor.redact(&text).contains(&value));
        }
    }
}
