//! Properties of objects, read and watched.

use tokio::time::Instant;

use super::{Client, Element, Ref, VimError};
use crate::sys::Cancel;

/// Properties of an object by path. What is not set on the server is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    values: std::collections::BTreeMap<String, Element>,
}

impl Properties {
    /// A property.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Element> {
        self.values.get(path)
    }

    /// A property's text.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path).map(|e| e.text.as_str())
    }

    /// A property as a number.
    #[must_use]
    pub fn u64(&self, path: &str) -> Option<u64> {
        self.get(path)?.as_u64()
    }

    /// A property as a truth.
    #[must_use]
    pub fn bool(&self, path: &str) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// A property that is a reference.
    #[must_use]
    pub fn reference(&self, path: &str) -> Option<Ref> {
        self.get(path)?.as_reference()
    }

    /// A property that is a list of references; empty if it is not set.
    #[must_use]
    pub fn references(&self, path: &str) -> Vec<Ref> {
        self.get(path).map_or_else(Vec::new, |list| {
            list.children
                .iter()
                .filter_map(Element::as_reference)
                .collect()
        })
    }
}

impl Client {
    /// Reads properties of an object.
    pub async fn read(&self, _obj: &Ref, _paths: &[&str]) -> Result<Properties, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Reads properties of objects of one kind. Objects that are gone, and properties that may not be read, are left out.
    pub async fn read_many(
        &self,
        _objects: &[Ref],
        _paths: &[&str],
    ) -> Result<Vec<(Ref, Properties)>, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Waits until `see` finds what it looks for in the properties of an object. It is shown them at once and after every
    /// change.
    pub async fn watch<T>(
        &self,
        _obj: &Ref,
        _paths: &[&str],
        _deadline: Instant,
        _cancel: &Cancel,
        _see: impl FnMut(&Properties) -> Option<T>,
    ) -> Result<T, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
