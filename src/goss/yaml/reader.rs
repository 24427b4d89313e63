//! YAML: anchors and merge keys are resolved, duplicate keys are faults.

use std::collections::HashMap;

use base64::Engine;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::{Entry, Kind, Node, fault, scalar};
use crate::diag::{Diagnostic, FileId, Span};
use crate::goss::Value;

/// How deep values may lie in each other.
const DEPTH: usize = 64;
/// How many values a document may have once its aliases are resolved: a few lines could otherwise fill the memory.
const SIZE: usize = 1 << 20;

/// Parses one document; what follows it is ignored, as goss does.
pub(super) fn parse(file: FileId, text: &str) -> Result<Node, Diagnostic> {
    let mut reader = Reader {
        file,
        offsets: offsets(text),
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        size: 0,
    };
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => break,
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd, _) => {}
            (event, span) => return reader.node(event, span, 0),
        }
    }
    Ok(Node {
        span: Span::new(file, 0..0),
        kind: Kind::Scalar {
            value: Value::Null,
            text: String::new(),
        },
    })
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
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    size: usize,
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

    fn grow(&mut self, by: usize, span: Span) -> Result<(), Diagnostic> {
        self.size += by;
        if self.size > SIZE {
            return Err(fault("the document has too many values", span));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > DEPTH {
            return Err(fault("the values are nested too deeply", span));
        }
        let before = self.size;
        self.grow(1, span)?;
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = tagged(&text, style, tag.as_deref(), span)?;
                (
                    Kind::Scalar {
                        value,
                        text: text.into_owned(),
                    },
                    anchor,
                )
            }
            Event::SequenceStart(anchor, _) => (Kind::List(self.list(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Kind::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let Some((node, size)) = known else {
                    return Err(fault("this anchor is not complete here", span));
                };
                self.grow(size, span)?;
                return Ok(node);
            }
            _ => return Err(fault("a value is missing here", span)),
        };
        let node = Node { span, kind };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.size - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Diagnostic> {
        let mut list = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(list),
                (event, span) => list.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Diagnostic> {
        let mut map: Vec<Entry> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut merged = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merges =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let Kind::Scalar { text: key, .. } = self.node(event, key_span, depth + 1)?.kind else {
                return Err(fault("a key must be a word", key_span));
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            if merges {
                merged.extend(merge(node)?);
            } else if let Some(first) = places.get(&key).and_then(|at| map.get(*at)) {
                let message = format!("`{key}` stands here twice");
                return Err(fault(&message, key_span).label(first.key_span, "the first one"));
            } else {
                places.insert(key.clone(), map.len());
                map.push(Entry {
                    key,
                    key_span,
                    node,
                });
            }
        }
        for entry in merged {
            if !places.contains_key(&entry.key) {
                places.insert(entry.key.clone(), map.len());
                map.push(entry);
            }
        }
        Ok(map)
    }
}

/// The entries that a merge key brings.
fn merge(node: Node) -> Result<Vec<Entry>, Diagnostic> {
    match node.kind {
        Kind::Map(entries) => Ok(entries),
        Kind::List(maps) => {
            let entries: Result<Vec<_>, _> = maps.into_iter().map(merge).collect();
            Ok(entries?.into_iter().flatten().collect())
        }
        Kind::Scalar { .. } => Err(fault("`<<` takes a map", node.span)),
    }
}

/// A scalar's value by its style and tag.
fn tagged(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Value, Diagnostic> {
    let suffix = tag.filter(|tag| tag.handle == "tag:yaml.org,2002:" || tag.handle == "!!");
    let Some(tag) = suffix else {
        return Ok(match style {
            ScalarStyle::Plain if tag.is_none() => scalar::resolve(text),
            _ => Value::Text(text.to_owned()),
        });
    };
    let resolved = scalar::resolve(text);
    let fits = match (tag.suffix.as_str(), resolved) {
        ("str", _) => Some(Value::Text(text.to_owned())),
        ("binary", _) => {
            let packed: String = text.split_whitespace().collect();
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(packed)
                .ok();
            bytes.map(|bytes| Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        ("int", value @ Value::Int(_))
        | ("float", value @ Value::Float(_))
        | ("bool", value @ Value::Bool(_))
        | ("null", value @ Value::Null) => Some(value),
        #[expect(clippy::cast_precision_loss, reason = "the tag asks for it")]
        ("float", Value::Int(number)) => Some(Value::Float(number as f64)),
        ("int" | "float" | "bool" | "null", _) => None,
        _ => Some(Value::Text(text.to_owned())),
    };
    fits.ok_or_else(|| fault(&format!("`{text}` is not what its tag says"), span))
}
