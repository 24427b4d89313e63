//! Properties of objects.

use std::collections::{BTreeMap, BTreeSet};

use super::{Client, Element, Fault, Ref, VimError, Xml};

/// Properties of an object by path. What is not set on the server is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    values: BTreeMap<String, Element>,
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

impl Properties {
    /// Sets a property, or takes it away.
    pub(super) fn put(&mut self, path: &str, value: Option<Element>) {
        match value {
            Some(value) => self.values.insert(path.to_owned(), value),
            None => self.values.remove(path),
        };
    }

    /// Whether a property of exactly this path is there.
    pub(super) fn has(&self, path: &str) -> bool {
        self.values.contains_key(path)
    }

    /// The value of a property, to be changed.
    pub(super) fn get_mut(&mut self, path: &str) -> Option<&mut Element> {
        self.values.get_mut(path)
    }
}

/// How many objects are asked for in one request.
const BATCH: usize = 500;

impl Client {
    /// Reads properties of an object; `PropertyCollector.RetrievePropertiesEx`.
    pub async fn read(&self, obj: &Ref, paths: &[&str]) -> Result<Properties, VimError> {
        let filter = |xml: &mut Xml| {
            wanted(xml, &obj.kind, paths);
            xml.within("objectSet", |xml| {
                xml.reference("obj", obj);
            });
        };
        let found = self.retrieve(&filter).await?;
        let (_, properties, missing) = found
            .into_iter()
            .find(|(found, ..)| found == obj)
            .unwrap_or_else(|| (obj.clone(), Properties::default(), None));
        match missing {
            Some(fault) => Err(fault.into()),
            None => Ok(properties),
        }
    }

    /// Reads the same properties of several objects. Objects that are gone, and properties that may not be read, are left
    /// out.
    pub async fn read_many(
        &self,
        objects: &[Ref],
        paths: &[&str],
    ) -> Result<Vec<(Ref, Properties)>, VimError> {
        let mut all = Vec::new();
        for batch in objects.chunks(BATCH) {
            let kinds: BTreeSet<&str> = batch.iter().map(|obj| obj.kind.as_str()).collect();
            let filter = |xml: &mut Xml| {
                for kind in &kinds {
                    wanted(xml, kind, paths);
                }
                for obj in batch {
                    xml.within("objectSet", |xml| {
                        xml.reference("obj", obj);
                    });
                }
                xml.element("reportMissingObjectsInResults", true);
            };
            all.extend(
                self.retrieve(&filter)
                    .await?
                    .into_iter()
                    .map(|(obj, properties, _)| (obj, properties)),
            );
        }
        Ok(all)
    }

    /// What a `PropertyFilterSpec` finds: objects, their properties, and the first fault of one that is missing.
    pub(super) async fn retrieve(
        &self,
        filter: &(dyn Fn(&mut Xml) + Sync),
    ) -> Result<Vec<Retrieved>, VimError> {
        let generation = self.generation();
        match self.retrieve_once(filter).await {
            // An ended session may show only in the properties.
            Err(error) if error.is("NotAuthenticated") => {
                self.inner.renew(generation).await?;
                self.retrieve_once(filter).await
            }
            result => result,
        }
    }

    async fn retrieve_once(
        &self,
        filter: &(dyn Fn(&mut Xml) + Sync),
    ) -> Result<Vec<Retrieved>, VimError> {
        let collector = &self.content().property_collector;
        let mut response = self
            .call(collector, "RetrievePropertiesEx", |xml| {
                xml.within("specSet", filter).within("options", |_| {});
            })
            .await?;
        let mut found = Vec::new();
        while let Some(page) = response.returned() {
            for object in page.children_named("objects") {
                found.extend(retrieved(object)?);
            }
            let Some(token) = page.text_of("token").map(str::to_owned) else {
                break;
            };
            response = self
                .call(collector, "ContinueRetrievePropertiesEx", |xml| {
                    xml.element("token", &token);
                })
                .await?;
        }
        Ok(found)
    }

    /// How many logins there have been.
    pub(super) fn generation(&self) -> u64 {
        self.inner.wire.session.state().generation
    }
}

/// An object, its properties, and the first fault of one that is missing.
pub(super) type Retrieved = (Ref, Properties, Option<Fault>);

/// Writes a `PropertySpec`.
pub(super) fn wanted(xml: &mut Xml, kind: &str, paths: &[&str]) {
    xml.within("propSet", |xml| {
        xml.element("type", kind).element("all", false);
        for path in paths {
            xml.element("pathSet", path);
        }
    });
}

/// Reads an `ObjectContent`.
fn retrieved(object: &Element) -> Result<Option<Retrieved>, VimError> {
    let Some(obj) = object.reference_of("obj") else {
        return Ok(None);
    };
    let mut properties = Properties::default();
    for property in object.children_named("propSet") {
        properties.put(
            property.text_of("name").unwrap_or_default(),
            property.child("val").cloned(),
        );
    }
    Ok(Some((obj, properties, missing(object)?)))
}

/// The first fault in a `missingSet`; an ended session is an error.
pub(super) fn missing(object: &Element) -> Result<Option<Fault>, VimError> {
    let mut faults = object
        .children_named("missingSet")
        .filter_map(|m| m.child("fault"))
        .map(Fault::localized);
    let first = faults.next();
    match first
        .iter()
        .cloned()
        .chain(faults)
        .find(|f| f.kind == "NotAuthenticated")
    {
        Some(ended) => Err(ended.into()),
        None => Ok(first),
    }
}
