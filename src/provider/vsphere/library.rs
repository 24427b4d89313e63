//! Appliances in content libraries: items of type `ovf`, known by the mark in their description. Nothing without the mark
//! is ever changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::place::{Misfit, meant};
use super::{Lab, Shared, misfit, owned, translate};
use crate::provider::{Appliance, Mark, ProviderError, Published, Work};
use crate::vim::{Library, LibraryItem, LibraryPush, LibraryUpdate, VimError};

/// The type of items that appliances are.
const OVF: &str = "ovf";

/// What is not there, with what may have been meant.
pub(super) fn absent(what: &str, name: &str, names: &[String]) -> ProviderError {
    let names = names.iter().map(String::as_str);
    misfit(Misfit {
        message: format!("there is no {what} `{name}`"),
        help: meant(name, names, "there:", || {
            "this account sees none at all".into()
        }),
    })
}

/// What is written on an item for people and for forge.
fn description(mark: &Mark) -> String {
    format!(
        "Made by forge.\n{} = {}\n{} = {}\n{} = {}",
        owned::PROJECT,
        mark.project,
        owned::STAGE,
        mark.stage,
        owned::FINGERPRINT,
        mark.fingerprint
    )
}

/// A line of the mark in a description.
fn line<'d>(description: &'d str, key: &str) -> Option<&'d str> {
    let mut lines = description.lines();
    lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
}

/// Refuses to touch an item that is not of this project and stage.
fn ours(item: &LibraryItem, library: &str, mark: &Mark) -> Result<(), ProviderError> {
    let told = &item.description;
    let told = (line(told, owned::PROJECT), line(told, owned::STAGE));
    let what = format!("an item `{}` in the library `{library}`", item.name);
    owned::claimed(told, mark, &what, "item")
}

impl Lab {
    /// The library `name`.
    pub(super) async fn library(&self, name: &str) -> Result<Library, ProviderError> {
        if let Some(found) = self.client.library(name).await.map_err(translate)? {
            return Ok(found);
        }
        let names = self.client.library_names().await.map_err(translate)?;
        Err(absent("content library", name, &names))
    }

    /// The library `name`, which takes new items; and the item that is there already, if it is this stage's.
    pub(super) async fn shelf(
        &self,
        library: &str,
        mark: Option<&Mark>,
    ) -> Result<(Library, Option<LibraryItem>), ProviderError> {
        let found = self.library(library).await?;
        if !found.local {
            return Err(misfit(Misfit {
                message: format!(
                    "the content library `{library}` shows the items of another one: nothing can be put into it"
                ),
                help: "name a local library, such as the one that it subscribes to".into(),
            }));
        }
        let Some(mark) = mark else {
            return Ok((found, None));
        };
        let item = self.client.library_item(&found, &mark.name).await;
        let item = item.map_err(translate)?;
        if let Some(item) = &item {
            ours(item, library, mark)?;
        }
        Ok((found, item))
    }
}

/// What is undone when an upload does not come to its end.
struct Unfinished {
    shared: Arc<Shared>,
    lab: Arc<Lab>,
    update: Option<LibraryUpdate>,
    /// The item, if it was made for this.
    item: Option<String>,
}

async fn undo(lab: &Lab, update: Option<LibraryUpdate>, item: Option<String>) {
    // what cannot be removed does no harm: updates end by themselves, and an item without content has forge's mark
    if let Some(update) = update {
        let _ = update.end().await;
    }
    if let Some(item) = item {
        let _ = lab.client.delete_library_item(&item).await;
    }
}

impl Unfinished {
    async fn undo(mut self) {
        let (update, item) = (self.update.take(), self.item.take());
        undo(&self.lab, update, item).await;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (update, item) = (self.update.take(), self.item.take());
        if update.is_some() || item.is_some() {
            let lab = Arc::clone(&self.lab);
            self.shared
                .clean_up(async move { undo(&lab, update, item).await });
        }
    }
}

/// Puts an appliance into a library: as a new item, or as a new version of its own.
pub(super) async fn publish(
    shared: &Arc<Shared>,
    lab: Arc<Lab>,
    appliance: &Appliance,
    work: Work<'_>,
) -> Result<Published, ProviderError> {
    let mark = &appliance.mark;
    let (library, old) = lab.shelf(&appliance.library, Some(mark)).await?;
    let mut unfinished = Unfinished {
        shared: Arc::clone(shared),
        lab: Arc::clone(&lab),
        update: None,
        item: None,
    };
    match upload(&lab, &library, old, appliance, &work, &mut unfinished).await {
        Ok(id) => {
            unfinished.item = None;
            unfinished.undo().await;
            let item = lab.client.library_item_by_id(&id).await;
            let version = item.map_err(translate)?.version;
            Ok(Published { id, version })
        }
        Err(error) => {
            unfinished.undo().await;
            Err(translate(error))
        }
    }
}

/// Gives the item's identifier.
async fn upload(
    lab: &Lab,
    library: &Library,
    old: Option<LibraryItem>,
    appliance: &Appliance,
    work: &Work<'_>,
    unfinished: &mut Unfinished,
) -> Result<String, VimError> {
    let mark = &appliance.mark;
    let words = description(mark);
    let id = match &old {
        Some(item) => item.id.clone(),
        None => {
            let made = lab
                .client
                .create_library_item(library, (&mark.name, OVF), &words)
                .await?;
            unfinished.item.insert(made).clone()
        }
    };
    let update = lab.client.update_library_item(&id).await?;
    let update = unfinished.update.insert(update);
    push(update, appliance, work).await?;
    if let Some(old) = &old {
        for file in lab.client.library_files(old).await? {
            // a disk of an older version may have another name
            if appliance.files.iter().all(|new| new.name != file.name) {
                update.remove(&file.name).await?;
            }
        }
    }
    update.finish(work.cancel).await?;
    if old.is_some() {
        lab.client.describe_library_item(&id, &words).await?;
    }
    Ok(id)
}

async fn push(
    update: &LibraryUpdate,
    appliance: &Appliance,
    work: &Work<'_>,
) -> Result<(), VimError> {
    let total: u64 = appliance.files.iter().map(|file| file.size.bytes()).sum();
    let before = AtomicU64::new(0);
    for file in &appliance.files {
        let so_far = before.load(Ordering::Relaxed);
        let progress = |done: u64, _: u64| (work.progress)(so_far + done, Some(total));
        let push = LibraryPush {
            name: &file.name,
            path: &file.path,
            size: file.size,
            digest: file.digest,
        };
        update.push(&push, &progress, work.cancel).await?;
        before.fetch_add(file.size.bytes(), Ordering::Relaxed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(project: &str) -> Mark {
        Mark {
            project: project.into(),
            stage: "publish[os=mini]".into(),
            fingerprint: "f00".into(),
            name: "k3s".into(),
            template: false,
        }
    }

    fn item(description: String) -> LibraryItem {
        LibraryItem {
            id: "1".into(),
            name: "k3s".into(),
            kind: OVF.into(),
            description,
            version: "1".into(),
            cached: true,
        }
    }

    #[test]
    fn only_items_of_the_same_stage_are_ours() {
        let judge =
            |told: String| ours(&item(told), "images", &mark("k3s")).map_err(|e| e.to_string());
        assert_eq!(judge(description(&mark("k3s"))), Ok(()));
        assert_eq!(
            judge(description(&mark("other"))).unwrap_err(),
            "there is an item `k3s` in the library `images` already, of project other, stage publish[os=mini]"
        );
        assert_eq!(
            judge("Made by hand.".into()).unwrap_err(),
            "there is an item `k3s` in the library `images` already, and forge did not make it"
        );
    }
}
