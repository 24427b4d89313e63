//! JSON with places: all numbers are floats, of two equal keys the later one counts.

use super::{Entry, Kind, Node, fault};
use crate::diag::{Diagnostic, FileId, Span};
use crate::goss::Value;

/// How deep values may lie in each other.
const DEPTH: usize = 64;

/// Parses one value and nothing after it.
pub(super) fn parse(file: FileId, text: &str) -> Result<Node, Diagnostic> {
    let mut reader = Reader { file, text, at: 0 };
    let node = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.unexpected("the end of the text"));
    }
    Ok(node)
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn unexpected(&self, expected: &str) -> Diagnostic {
        let (found, length) = match self.rest().chars().next() {
            Some(c) => (format!("`{c}`"), c.len_utf8()),
            None => ("the end of the text".to_owned(), 0),
        };
        let span = Span::new(self.file, self.at..self.at + length);
        fault(&format!("expected {expected}, found {found}"), span)
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        self.at += if found { c.len_utf8() } else { 0 };
        found
    }

    fn expect(&mut self, c: char) -> Result<(), Diagnostic> {
        self.space();
        if self.take(c) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{c}`")))
    }

    fn value(&mut self, depth: usize) -> Result<Node, Diagnostic> {
        self.space();
        let start = self.at;
        if depth > DEPTH {
            return Err(fault(
                "the values are nested too deeply",
                Span::new(self.file, start..start),
            ));
        }
        let kind = match self.rest().bytes().next() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => {
                let text = self.string()?;
                Kind::Scalar {
                    value: Value::Text(text.clone()),
                    text,
                }
            }
            _ => self.word()?,
        };
        Ok(Node {
            span: Span::new(self.file, start..self.at),
            kind,
        })
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Diagnostic> {
        self.at += 1;
        let mut entries: Vec<Entry> = Vec::new();
        self.space();
        if self.take('}') {
            return Ok(Kind::Map(entries));
        }
        loop {
            self.space();
            let start = self.at;
            if !self.rest().starts_with('"') {
                return Err(self.unexpected("a key in quotes"));
            }
            let key = self.string()?;
            let key_span = Span::new(self.file, start..self.at);
            self.expect(':')?;
            let node = self.value(depth + 1)?;
            entries.retain(|entry| entry.key != key);
            entries.push(Entry {
                key,
                key_span,
                node,
            });
            self.space();
            if self.take('}') {
                return Ok(Kind::Map(entries));
            }
            if !self.take(',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Diagnostic> {
        self.at += 1;
        let mut list = Vec::new();
        self.space();
        if self.take(']') {
            return Ok(Kind::List(list));
        }
        loop {
            list.push(self.value(depth + 1)?);
            self.space();
            if self.take(']') {
                return Ok(Kind::List(list));
            }
            if !self.take(',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    /// A string's content: its end is found here, its escapes are serde's.
    fn string(&mut self) -> Result<String, Diagnostic> {
        let start = self.at;
        let mut escaped = false;
        for (offset, c) in self.rest().char_indices().skip(1) {
            match c {
                '"' if !escaped => {
                    self.at = start + offset + 1;
                    let span = Span::new(self.file, start..self.at);
                    let text = serde_json::from_str(&self.text[start..self.at]);
                    return text.map_err(|_| fault("this string is not JSON", span));
                }
                c => escaped = !escaped && c == '\\',
            }
        }
        Err(fault(
            "this string has no end",
            Span::new(self.file, start..self.text.len()),
        ))
    }

    fn word(&mut self) -> Result<Kind, Diagnostic> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '-' | '.'));
        let word = &rest[..end.unwrap_or(rest.len())];
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => match serde_json::from_str::<f64>(word) {
                Ok(number) => Value::Float(number),
                Err(_) => return Err(self.unexpected("a value")),
            },
        };
        let text = word.to_owned();
        self.at += word.len();
        Ok(Kind::Scalar { value, text })
    }
}
