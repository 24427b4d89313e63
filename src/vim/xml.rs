//! What a client says: elements written one after the other, in the order that the API's schema wants.

use std::fmt::{Display, Write as _};

use super::{Element, Ref};

/// A piece of a request. The order of its elements is the order of the calls.
#[derive(Clone, Debug, Default)]
pub struct Xml {
    text: String,
}

impl Xml {
    /// An empty piece.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An element with a text.
    pub fn element(&mut self, name: &str, text: impl Display) -> &mut Self {
        self.start(name, &[]);
        escape(&text.to_string(), &mut self.text);
        self.end(name)
    }

    /// An element with a text, unless there is none.
    pub fn maybe(&mut self, name: &str, text: Option<impl Display>) -> &mut Self {
        match text {
            Some(text) => self.element(name, text),
            None => self,
        }
    }

    /// An element with others in it.
    pub fn within(&mut self, name: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.start(name, &[]);
        inside(self);
        self.end(name)
    }

    /// An element of a named type with others in it.
    pub fn typed(&mut self, name: &str, kind: &str, inside: impl FnOnce(&mut Self)) -> &mut Self {
        self.start(name, &[("xsi:type", &prefixed(kind))]);
        inside(self);
        self.end(name)
    }

    /// A text whose type must be told because the schema allows any.
    pub fn value(&mut self, name: &str, kind: &str, text: impl Display) -> &mut Self {
        self.start(name, &[("xsi:type", &prefixed(kind))]);
        escape(&text.to_string(), &mut self.text);
        self.end(name)
    }

    /// A reference to an object.
    pub fn reference(&mut self, name: &str, to: &Ref) -> &mut Self {
        self.start(name, &[("type", &to.kind)]);
        escape(&to.id, &mut self.text);
        self.end(name)
    }

    /// A reference, unless there is none.
    pub fn maybe_reference(&mut self, name: &str, to: Option<&Ref>) -> &mut Self {
        match to {
            Some(to) => self.reference(name, to),
            None => self,
        }
    }

    /// An element as it was read, under a name.
    pub fn copy(&mut self, name: &str, from: &Element) -> &mut Self {
        let kind = from.kind.as_deref().map(prefixed);
        let attributes: Vec<(&str, &str)> = (kind.iter().map(|k| ("xsi:type", k.as_str())))
            .chain(
                from.attributes
                    .iter()
                    .map(|(n, v)| (n.as_str(), v.as_str())),
            )
            .collect();
        self.start(name, &attributes);
        escape(&from.text, &mut self.text);
        for child in &from.children {
            self.copy(&child.name, child);
        }
        self.end(name)
    }

    /// What has been written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What has been written.
    #[must_use]
    pub fn into_string(self) -> String {
        self.text
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        // Writing to memory cannot fail.
        let _ = write!(self.text, "<{name}");
        for (key, value) in attributes {
            let _ = write!(self.text, " {key}=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        self.text.push('>');
    }

    fn end(&mut self, name: &str) -> &mut Self {
        let _ = write!(self.text, "</{name}>");
        self
    }
}

/// A type's name with the prefix of its namespace: the API's own types have none.
fn prefixed(kind: &str) -> String {
    const BASIC: &[&str] = &[
        "anyURI",
        "base64Binary",
        "boolean",
        "byte",
        "dateTime",
        "double",
        "float",
        "int",
        "long",
        "short",
        "string",
    ];
    if BASIC.contains(&kind) {
        format!("xsd:{kind}")
    } else {
        kind.to_owned()
    }
}

/// Escapes a text. What XML 1.0 cannot hold at all becomes the replacement character.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
}
