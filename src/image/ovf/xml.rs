//! As much of XML as an OVF needs: a small tree to read, and a writer that escapes line ends too.

use std::fmt::Write as _;

use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::name::{QName, ResolveResult};
use quick_xml::{NsReader, Writer};

use super::OvfError;
use crate::xml::text_of;

/// Deeper nesting has no meaning in an OVF.
const DEPTH: usize = 64;
/// More elements than any appliance has.
const ELEMENTS: usize = 200_000;

/// An element with its name spaces resolved: elements carry theirs, attributes are known by their local names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    /// All text directly within, as it stands.
    pub(super) text: String,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// The trimmed text of the first child of this name, if there is any.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        let text = self.child(name)?.text.trim();
        (!text.is_empty()).then_some(text)
    }

    /// `ovf:required`, which is true unless it says otherwise.
    pub(super) fn required(&self) -> bool {
        !matches!(self.attribute("required"), Some("false" | "0"))
    }
}

/// Reads a document into a tree. Entities beyond the five of XML do not exist, so nothing can grow on expansion.
pub(super) fn read(text: &str) -> Result<Element, OvfError> {
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut stack = vec![Element::default()];
    let mut count = 0;
    loop {
        let at = reader.buffer_position();
        let fail = |what: String| OvfError::Xml { offset: at, what };
        let event = reader.read_event().map_err(|e| fail(e.to_string()))?;
        match event {
            Event::Start(start) => {
                count += 1;
                if stack.len() > DEPTH || count > ELEMENTS {
                    return Err(fail("too many elements, or too deep".into()));
                }
                stack.push(element(&reader, &start).map_err(fail)?);
            }
            Event::End(_) => {
                // The reader has checked that end and start match.
                if let (Some(done), Some(parent)) = (stack.pop(), stack.last_mut()) {
                    parent.children.push(done);
                }
            }
            Event::Eof => break,
            other => {
                if let (Some(text), Some(top)) = (text_of(&other).map_err(fail)?, stack.last_mut())
                {
                    top.text.push_str(&text);
                }
            }
        }
    }
    if stack.len() > 1 {
        let open = &stack[stack.len() - 1].name;
        return Err(OvfError::Xml {
            offset: text.len() as u64,
            what: format!("`{open}` is not closed"),
        });
    }
    stack
        .pop()
        .and_then(|mut root| (!root.children.is_empty()).then(|| root.children.remove(0)))
        .ok_or_else(|| OvfError::NotOvf("there is no element in it".into()))
}

/// VMware has an attribute of this name too, with another meaning.
const QUALIFIERS: &str = "qualifiers";
const VMWARE: &[u8] = b"http://www.vmware.com/schema/ovf";

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, String> {
    let namespace = match reader.resolve_element(start.name()) {
        (ResolveResult::Bound(uri), _) => String::from_utf8_lossy(uri.0).into_owned(),
        _ => String::new(),
    };
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let (of, name) = reader.resolve_attribute(attribute.key);
        let mut name = String::from_utf8_lossy(name.as_ref()).into_owned();
        if name == QUALIFIERS && matches!(of, ResolveResult::Bound(uri) if uri.0 == VMWARE) {
            name.insert_str(0, "vmw:");
        }
        let value = attribute.unescape_value().map_err(|e| e.to_string())?;
        attributes.push((name, value.into_owned()));
    }
    Ok(Element {
        namespace,
        name: String::from_utf8_lossy(start.local_name().as_ref()).into_owned(),
        attributes,
        ..Element::default()
    })
}

/// Writes indented XML.
pub(super) struct XmlWriter {
    writer: Writer<Vec<u8>>,
}

impl XmlWriter {
    pub(super) fn new() -> Self {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        // Writing to memory cannot fail.
        let _ = writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        Self { writer }
    }

    fn start<'a>(name: &'a str, attributes: &'a [(&'a str, &'a str)]) -> BytesStart<'a> {
        let mut start = BytesStart::new(name);
        for (key, value) in attributes {
            start.push_attribute(Attribute {
                key: QName(key.as_bytes()),
                value: escape(value, true).into_bytes().into(),
            });
        }
        start
    }

    pub(super) fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = self
            .writer
            .write_event(Event::Start(Self::start(name, attributes)));
    }

    pub(super) fn close(&mut self, name: &str) {
        let _ = self.writer.write_event(Event::End(BytesEnd::new(name)));
    }

    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = self
            .writer
            .write_event(Event::Empty(Self::start(name, attributes)));
    }

    pub(super) fn leaf(&mut self, name: &str, text: &str) {
        self.leaf_with(name, &[], text);
    }

    pub(super) fn leaf_with(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.open(name, attributes);
        let _ = self
            .writer
            .write_event(Event::Text(BytesText::from_escaped(escape(text, false))));
        self.close(name);
    }

    pub(super) fn finish(self) -> String {
        let mut bytes = self.writer.into_inner();
        bytes.push(b'\n');
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Parsers turn a raw line end in an attribute into a space, and a carriage return anywhere into a line end.
pub(super) fn escape(text: &str, attribute: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' if attribute => escaped.push_str("&quot;"),
            '\n' | '\t' if attribute => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\r' => escaped.push_str("&#13;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether XML 1.0 has all characters of `text`.
pub(super) fn can_hold(text: &str) -> bool {
    text.chars().all(|c| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    })
}
