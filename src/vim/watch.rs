//! Waiting until properties are as they should be.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::away::AWAY;
use super::property::{missing, wanted};
use super::{Client, Element, Fault, Properties, Ref, VimError};
use crate::sys::Cancel;

/// The longest time one call waits: proxies and firewalls cut connections on which nothing moves.
const SLICE: Duration = Duration::from_secs(60);
/// The pause before a broken wait is begun anew.
const PAUSE: Duration = Duration::from_secs(2);
/// What a wait may take longer than its deadline.
const GRACE: Duration = Duration::from_secs(5);

/// A property collector of its own, so that waits do not disturb each other.
struct Watcher {
    client: Client,
    collector: Ref,
    version: String,
    seen: Properties,
}

impl Client {
    /// Waits until `see` finds what it looks for in the properties of an object. It is shown them at once and after every
    /// change; it goes on through broken connections and ended sessions. [`VimError::Timeout`] when the deadline has passed.
    pub async fn watch<T>(
        &self,
        obj: &Ref,
        paths: &[&str],
        deadline: Instant,
        cancel: &Cancel,
        mut see: impl FnMut(&Properties) -> Option<T>,
    ) -> Result<T, VimError> {
        let mut watcher = None;
        let mut away_since = None;
        loop {
            let step = timeout_at(
                deadline + GRACE,
                self.step(&mut watcher, obj, paths, deadline),
            );
            let Some(step) = cancel.run(step).await else {
                return Err(VimError::Cancelled);
            };
            match step.unwrap_or(Ok(None)) {
                Ok(seen) => {
                    away_since = None;
                    if let Some(found) = seen.and_then(&mut see) {
                        return Ok(found);
                    }
                }
                Err(error) => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if !passes(&error, obj) || since.elapsed() > AWAY {
                        return Err(error);
                    }
                    watcher = None;
                    if cancel.run(sleep(PAUSE)).await.is_none() {
                        return Err(VimError::Cancelled);
                    }
                }
            }
            if Instant::now() >= deadline {
                let paths = paths.join("`, `");
                return Err(VimError::Timeout(format!(
                    "nothing came of `{paths}` of `{obj}` in time"
                )));
            }
        }
    }

    /// Waits for one change, at most for a slice; none: there was none.
    async fn step<'a>(
        &self,
        watcher: &'a mut Option<Watcher>,
        obj: &Ref,
        paths: &[&str],
        deadline: Instant,
    ) -> Result<Option<&'a Properties>, VimError> {
        let generation = self.generation();
        let watcher = match watcher {
            Some(watcher) => watcher,
            None => watcher.insert(Watcher::new(self, obj, paths).await?),
        };
        match watcher.step(obj, paths, deadline).await {
            Err(error) if error.is("NotAuthenticated") => {
                self.inner.renew(generation).await?;
                Err(error)
            }
            Ok(true) => Ok(Some(&watcher.seen)),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Watcher {
    async fn new(client: &Client, obj: &Ref, paths: &[&str]) -> Result<Self, VimError> {
        let shared = &client.content().property_collector;
        let response = client
            .call(shared, "CreatePropertyCollector", |_| {})
            .await?;
        let collector = response.reference_of("returnval").ok_or_else(|| {
            VimError::Protocol("CreatePropertyCollector gives no collector".into())
        })?;
        let watcher = Self {
            client: client.clone(),
            collector,
            version: String::new(),
            seen: Properties::default(),
        };
        client
            .call(&watcher.collector, "CreateFilter", |xml| {
                xml.within("spec", |xml| {
                    wanted(xml, &obj.kind, paths);
                    xml.within("objectSet", |xml| {
                        xml.reference("obj", obj);
                    });
                })
                .element("partialUpdates", false);
            })
            .await?;
        Ok(watcher)
    }

    /// `PropertyCollector.WaitForUpdatesEx`; whether there was a change.
    async fn step(
        &mut self,
        obj: &Ref,
        paths: &[&str],
        deadline: Instant,
    ) -> Result<bool, VimError> {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .min(SLICE);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let response = self
            .client
            .call(&self.collector, "WaitForUpdatesEx", |xml| {
                xml.element("version", &self.version)
                    .within("options", |xml| {
                        xml.element("maxWaitSeconds", seconds);
                    });
            })
            .await?;
        let Some(update) = response.returned() else {
            return Ok(false);
        };
        if let Some(version) = update.text_of("version") {
            version.clone_into(&mut self.version);
        }
        let mut exact = true;
        for filter in update.children_named("filterSet") {
            for object in filter.children_named("objectSet") {
                exact &= self.take(object, obj)?;
            }
        }
        if !exact {
            self.seen = self.client.read(obj, paths).await?;
        }
        Ok(true)
    }

    /// Takes over what an `ObjectUpdate` tells; whether that was possible for all of it.
    fn take(&mut self, object: &Element, obj: &Ref) -> Result<bool, VimError> {
        if object.text_of("kind") == Some("leave") {
            return Err(gone(obj));
        }
        if let Some(fault) = missing(object)? {
            return Err(fault.into());
        }
        let mut exact = true;
        for change in object.children_named("changeSet") {
            let name = change.text_of("name").unwrap_or_default();
            let value = match change.text_of("op") {
                Some("remove" | "indirectRemove") => None,
                _ => change.child("val").cloned(),
            };
            exact &= merge(&mut self.seen, name, value);
        }
        Ok(exact)
    }
}

impl Drop for Watcher {
    /// The server keeps a collector until the session's end, unless it is told.
    fn drop(&mut self) {
        let (client, collector) = (self.client.clone(), self.collector.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // It may be gone already, with its session.
                let _ = client
                    .call(&collector, "DestroyPropertyCollector", |_| {})
                    .await;
            });
        }
    }
}

/// Sets `info.state` within `info`; whether that was possible.
pub(super) fn merge(seen: &mut Properties, name: &str, value: Option<Element>) -> bool {
    let within = name
        .match_indices('.')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(path, _)| seen.has(path));
    let Some((path, rest)) = within else {
        seen.put(name, value);
        return !name.contains('[');
    };
    if rest.contains('[') {
        return false;
    }
    let Some(mut at) = seen.get_mut(path) else {
        return false;
    };
    let (parents, last) = rest.rsplit_once('.').unwrap_or(("", rest));
    for parent in parents.split('.').filter(|p| !p.is_empty()) {
        let Some(next) = at.children.iter_mut().find(|c| c.name == parent) else {
            return false;
        };
        at = next;
    }
    at.remove(last);
    if let Some(value) = value {
        at.children.push(Element {
            name: last.to_owned(),
            ..value
        });
    }
    true
}

/// Whether a wait may go on after an error: the connection broke, or the session ended and its collectors with it.
fn passes(error: &VimError, obj: &Ref) -> bool {
    match error {
        VimError::Fault(fault) => match fault.kind.as_str() {
            "NotAuthenticated"
            | "InvalidCollectorVersion"
            | "RequestCanceled"
            | "HostCommunication" => true,
            "ManagedObjectNotFound" => fault
                .detail
                .reference_of("obj")
                .is_some_and(|lost| lost != *obj),
            _ => false,
        },
        error => error.is_transient(),
    }
}

fn gone(obj: &Ref) -> VimError {
    Fault {
        kind: "ManagedObjectNotFound".into(),
        message: format!("`{obj}` has been removed"),
        detail: Element::default(),
    }
    .into()
}
