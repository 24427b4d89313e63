//! What a server says: elements of XML, and references to its objects.

use std::fmt;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use serde::{Deserialize, Serialize};

use super::VimError;
use crate::xml::text_of;

/// The namespace of `xsi:type`.
const XSI: &[u8] = b"http://www.w3.org/2001/XMLSchema-instance";
/// How deep elements may be nested: chains of snapshots and of disks are trees.
const DEPTH: usize = 512;

/// A reference to an object of the server, such as `VirtualMachine` `vm-42`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ref {
    /// The object's kind, such as `VirtualMachine`.
    pub kind: String,
    /// Its name for the server, such as `vm-42`.
    pub id: String,
}

impl Ref {
    /// A reference to the object `id` of a kind.
    #[must_use]
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            id: id.into(),
        }
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.id)
    }
}

/// An element with all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name, without a prefix.
    pub name: String,
    /// Its `xsi:type`, without a prefix.
    pub kind: Option<String>,
    /// Its other attributes; names without a prefix, declarations of namespaces left out.
    pub attributes: Vec<(String, String)>,
    /// Its text, all pieces joined.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    pub fn parse(xml: &str) -> Result<Self, VimError> {
        read(xml).map_err(|why| VimError::Protocol(format!("the answer is not XML: {why}")))
    }

    /// The first child of a name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }

    /// The children of a name.
    pub fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// The first element on a path of names, such as `backing.fileName`.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |at, name| at.child(name))
    }

    /// The text of the first element on a path.
    #[must_use]
    pub fn text_of(&self, path: &str) -> Option<&str> {
        self.at(path).map(|e| e.text.as_str())
    }

    /// The truth of the first element on a path.
    #[must_use]
    pub fn bool_of(&self, path: &str) -> Option<bool> {
        self.at(path)?.as_bool()
    }

    /// The number in the first element on a path.
    #[must_use]
    pub fn u64_of(&self, path: &str) -> Option<u64> {
        self.at(path)?.as_u64()
    }

    /// The number in the first element on a path; it may be negative.
    #[must_use]
    pub fn i32_of(&self, path: &str) -> Option<i32> {
        self.text_of(path)?.trim().parse().ok()
    }

    /// The reference in the first element on a path.
    #[must_use]
    pub fn reference_of(&self, path: &str) -> Option<Ref> {
        self.at(path)?.as_reference()
    }

    /// The text as a truth.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.text.trim() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    /// The text as a number.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        self.text.trim().parse().ok()
    }

    /// The element as a reference to an object.
    #[must_use]
    pub fn as_reference(&self) -> Option<Ref> {
        let kind = self.attribute("type")?;
        (!self.text.is_empty()).then(|| Ref::new(kind, self.text.trim()))
    }

    /// An attribute, `xsi:type` aside.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find_map(|(n, value)| (n == name).then_some(value.as_str()))
    }

    /// The first `returnval` of a response.
    #[must_use]
    pub fn returned(&self) -> Option<&Self> {
        self.child("returnval")
    }

    /// Every element of a name in it, at any depth, in the order of the document.
    #[must_use]
    pub fn find_all(&self, name: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        let mut waiting: Vec<&Self> = self.children.iter().rev().collect();
        while let Some(next) = waiting.pop() {
            if next.name == name {
                found.push(next);
            }
            waiting.extend(next.children.iter().rev());
        }
        found
    }

    /// Sets the text of a child, which is made if there is none.
    pub fn set(&mut self, child: &str, text: impl Into<String>) {
        let text = text.into();
        match self.children.iter_mut().find(|c| c.name == child) {
            Some(found) => found.text = text,
            None => self.children.push(Self {
                name: child.to_owned(),
                text,
                ..Self::default()
            }),
        }
    }

    /// Removes the children of a name.
    pub fn remove(&mut self, child: &str) {
        self.children.retain(|c| c.name != child);
    }
}

fn read(xml: &str) -> Result<Element, String> {
    let mut reader = NsReader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    let mut stack = vec![Element::default()];
    loop {
        match reader.read_event().map_err(|e| e.to_string())? {
            Event::Start(start) => {
                if stack.len() > DEPTH {
                    return Err("too deep".into());
                }
                stack.push(element(&reader, &start)?);
            }
            Event::End(_) => {
                // The reader has checked that end and start match.
                if let (Some(mut done), Some(parent)) = (stack.pop(), stack.last_mut()) {
                    if !done.children.is_empty() && done.text.trim().is_empty() {
                        done.text.clear();
                    }
                    parent.children.push(done);
                }
            }
            Event::Eof => break,
            other => {
                if let (Some(text), Some(top)) = (text_of(&other)?, stack.last_mut()) {
                    top.text.push_str(&text);
                }
            }
        }
    }
    if let [_, .., open] = stack.as_slice() {
        return Err(format!("`{}` is not closed", open.name));
    }
    stack
        .pop()
        .and_then(|mut root| (!root.children.is_empty()).then(|| root.children.remove(0)))
        .ok_or_else(|| "there is no element in it".into())
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element {
        name: String::from_utf8_lossy(start.local_name().as_ref()).into_owned(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let value = attribute
            .unescape_value()
            .map_err(|e| e.to_string())?
            .into_owned();
        let (namespace, name) = reader.resolve_attribute(attribute.key);
        if matches!(namespace, ResolveResult::Bound(uri) if uri.as_ref() == XSI) {
            if name.as_ref() == b"type" {
                element.kind = Some(local(&value).to_owned());
            }
            continue;
        }
        let name = String::from_utf8_lossy(name.as_ref()).into_owned();
        element.attributes.push((name, value));
    }
    Ok(element)
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}
