//! YAML as a tree that remembers where everything stands: anchors and merge keys are resolved, duplicate keys are faults.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use super::{Raw, RawEntry, RawValue};
use crate::diag::{Diagnostic, FileId, Span};

/// How deep values may lie in each other.
const DEPTH: usize = 64;

/// The place of the first Go template action that is not in a comment line.
pub(super) fn template(file: FileId, text: &str) -> Option<Span> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let (Some(at), false) = (line.find("{{"), line.trim_start().starts_with('#')) {
            let end = line.find("}}").map_or(line.trim_end().len(), |end| end + 2);
            return Some(Span::new(file, start + at..start + end.max(at + 2)));
        }
        start += line.len();
    }
    None
}

/// Parses one document.
pub(super) fn parse(file: FileId, text: &str) -> Result<Raw, Diagnostic> {
    let mut reader = Reader {
        file,
        offsets: offsets(text),
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
    };
    let mut root = None;
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (_, span) if root.is_some() => {
                return Err(fault("only one document may stand in a file", span));
            }
            (event, span) => root = Some(reader.node(event, span, 0)?),
        }
    }
    Ok(root.unwrap_or(Raw {
        span: Span::new(file, 0..0),
        value: RawValue::Null,
    }))
}

fn fault(message: &str, span: Span) -> Diagnostic {
    Diagnostic::error("yaml", message).label(span, "")
}

/// Byte offsets of all characters, and of the end: the parser counts characters.
fn offsets(text: &str) -> Vec<usize> {
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect()
}

struct Reader<'a> {
    file: FileId,
    offsets: Vec<usize>,
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Raw>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Diagnostic> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(span.start.index(), span.end.index());
                Ok((event, span))
            }
            Some(Err(error)) => Err(self.broken(&error)),
            None => Ok((Event::StreamEnd, self.span(0, 0))),
        }
    }

    fn broken(&self, error: &ScanError) -> Diagnostic {
        let at = error.marker().index();
        fault(error.info(), self.span(at, at + 1))
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let offset = |index: usize| {
            let last = self.offsets.len() - 1;
            self.offsets[index.min(last)]
        };
        Span::new(self.file, offset(start)..offset(end.max(start)))
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Raw, Diagnostic> {
        if depth > DEPTH {
            return Err(fault("the values are nested too deeply", span));
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain {
                    resolve(&text)
                } else {
                    RawValue::Text(text.into_owned())
                };
                (value, anchor)
            }
            Event::SequenceStart(anchor, _) => (RawValue::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (RawValue::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                return known.ok_or_else(|| fault("this anchor is not complete here", span));
            }
            _ => return Err(fault("a value is missing here", span)),
        };
        let node = Raw { span, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Raw>, Diagnostic> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(list),
                (event, span) => list.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<RawEntry>, Diagnostic> {
        let mut map: Vec<RawEntry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (key, key_span) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, ..), span) => (text.into_owned(), span),
                (_, span) => return Err(fault("a key must be a word", span)),
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if key == "<<" {
                merged.extend(merge(node)?);
            } else if let Some(first) = map.iter().find(|entry| entry.key == key) {
                let message = format!("`{key}` stands here twice");
                return Err(fault(&message, key_span).label(first.key_span, "the first one"));
            } else {
                map.push(RawEntry {
                    key,
                    key_span,
                    node,
                });
            }
        }
        for entry in merged {
            if !map.iter().any(|known| known.key == entry.key) {
                map.push(entry);
            }
        }
        Ok(map)
    }
}

/// The entries that a merge key brings.
fn merge(node: Raw) -> Result<Vec<RawEntry>, Diagnostic> {
    match node.value {
        RawValue::Map(entries) => Ok(entries),
        RawValue::List(maps) => {
            let entries: Result<Vec<_>, _> = maps.into_iter().map(merge).collect();
            Ok(entries?.into_iter().flatten().collect())
        }
        _ => Err(fault("`<<` takes a map", node.span)),
    }
}

/// A plain scalar's value by YAML's core schema; octal numbers are not read as such (`0644` would be 420).
fn resolve(text: &str) -> RawValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return RawValue::Null,
        "true" | "True" | "TRUE" => return RawValue::Bool(true),
        "false" | "False" | "FALSE" => return RawValue::Bool(false),
        _ => {}
    }
    let digits = text.trim_start_matches(['+', '-']);
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if padded || !numeric {
        return RawValue::Text(text.to_owned());
    }
    if let Ok(number) = text.parse() {
        return RawValue::Int(number);
    }
    match text.parse() {
        Ok(number) => RawValue::Float(number),
        Err(_) => RawValue::Text(text.to_owned()),
    }
}
