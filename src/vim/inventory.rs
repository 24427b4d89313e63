//! Finding things in the inventory.

use super::property::wanted;
use super::{Client, Properties, Ref, VimError, Xml};

/// An object and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The object.
    pub obj: Ref,
    /// Its name as the server writes it: `/` is `%2f`, `\` is `%5c`, `%` is `%25`.
    pub name: String,
}

impl Client {
    /// The object at a path such as `DC/vm/folder/name`; `SearchIndex.FindByInventoryPath`.
    pub async fn find(&self, inventory_path: &str) -> Result<Option<Ref>, VimError> {
        let response = self
            .call(self.search_index()?, "FindByInventoryPath", |xml| {
                xml.element("inventoryPath", inventory_path.trim_matches('/'));
            })
            .await?;
        Ok(response.reference_of("returnval"))
    }

    /// The machine with an instance uuid; `SearchIndex.FindByUuid`.
    pub async fn find_vm_by_uuid(&self, instance_uuid: &str) -> Result<Option<Ref>, VimError> {
        let response = self
            .call(self.search_index()?, "FindByUuid", |xml| {
                xml.element("uuid", instance_uuid)
                    .element("vmSearch", true)
                    .element("instanceUuid", true);
            })
            .await?;
        Ok(response.reference_of("returnval"))
    }

    fn search_index(&self) -> Result<&Ref, VimError> {
        has(self.content().search_index.as_ref(), "search index")
    }

    /// What lies in a folder.
    pub async fn children(&self, folder: &Ref) -> Result<Vec<Found>, VimError> {
        let kinds: &[(&str, &[&str])] = &[("ManagedEntity", &["name"])];
        let all = self.named(kinds, folder, "childEntity").await?;
        Ok(all.into_iter().map(|(found, _)| found).collect())
    }

    /// Everything of a kind below an object, at any depth.
    pub async fn list(&self, root: &Ref, kind: &str) -> Result<Vec<Found>, VimError> {
        let all = self.survey(root, &[(kind, &["name"])]).await?;
        Ok(all.into_iter().map(|(found, _)| found).collect())
    }

    /// Everything of these kinds below an object, at any depth, with the properties named beside each kind, the name among
    /// them: one view for all of it; `ViewManager.CreateContainerView`.
    pub async fn survey(
        &self,
        root: &Ref,
        kinds: &[(&str, &[&str])],
    ) -> Result<Vec<(Found, Properties)>, VimError> {
        let manager = has(self.content().view_manager.as_ref(), "view manager")?;
        let response = self
            .call(manager, "CreateContainerView", |xml| {
                xml.reference("container", root);
                for (kind, _) in kinds {
                    xml.element("type", kind);
                }
                xml.element("recursive", true);
            })
            .await?;
        let view = response
            .reference_of("returnval")
            .ok_or_else(|| VimError::Protocol("CreateContainerView gives no view".into()))?;
        let found = self.named(kinds, &view, "view").await;
        let client = self.clone();
        // The server keeps it until the session's end, unless it is told; nobody need wait for that.
        tokio::spawn(async move {
            let _ = client.call(&view, "DestroyView", |_| {}).await;
        });
        found
    }

    /// The objects that a property of `root` lists, by name.
    async fn named(
        &self,
        kinds: &[(&str, &[&str])],
        root: &Ref,
        property: &str,
    ) -> Result<Vec<(Found, Properties)>, VimError> {
        let filter = |xml: &mut Xml| {
            for (kind, paths) in kinds {
                wanted(xml, kind, paths);
            }
            xml.within("objectSet", |xml| {
                xml.reference("obj", root).element("skip", true).typed(
                    "selectSet",
                    "TraversalSpec",
                    |xml| {
                        xml.element("type", &root.kind)
                            .element("path", property)
                            .element("skip", false);
                    },
                );
            });
        };
        let mut found: Vec<(Found, Properties)> = (self.retrieve(&filter).await?.into_iter())
            .filter_map(|(obj, properties, _)| {
                let name = properties.text("name")?.to_owned();
                Some((Found { obj, name }, properties))
            })
            .collect();
        found.sort_by(|(a, _), (b, _)| (&a.name, &a.obj).cmp(&(&b.name, &b.obj)));
        Ok(found)
    }

    /// The datacenter that something is in, and the datacenter's place in the inventory.
    pub async fn datacenter_of(&self, entity: &Ref) -> Result<(Ref, String), VimError> {
        let mut at = entity.clone();
        let mut datacenter = None;
        let mut names: Vec<String> = Vec::new();
        while at != self.content().root_folder {
            // A machine in a vApp has no other parent.
            let paths: &[&str] = match at.kind.as_str() {
                "VirtualMachine" | "VirtualApp" => &["name", "parent", "parentVApp"],
                _ => &["name", "parent"],
            };
            let properties = self.read(&at, paths).await?;
            if at.kind == "Datacenter" {
                datacenter = Some(at.clone());
            }
            if datacenter.is_some() {
                names.insert(0, properties.text("name").unwrap_or_default().to_owned());
            }
            let parent = properties.reference("parent");
            match parent.or_else(|| properties.reference("parentVApp")) {
                Some(parent) => at = parent,
                None => break,
            }
        }
        let datacenter = datacenter
            .ok_or_else(|| VimError::Protocol(format!("`{entity}` is in no datacenter")))?;
        Ok((datacenter, names.join("/")))
    }

    /// A folder of this name in a folder: a new one, or the one that is there; `Folder.CreateFolder`.
    pub async fn create_folder(&self, parent: &Ref, name: &str) -> Result<Ref, VimError> {
        let made = self
            .call(parent, "CreateFolder", |xml| {
                xml.element("name", name);
            })
            .await;
        match made {
            Ok(response) => response
                .reference_of("returnval")
                .ok_or_else(|| VimError::Protocol("CreateFolder gives no folder".into())),
            Err(VimError::Fault(fault)) if fault.kind == "DuplicateName" => {
                let there = fault.detail.reference_of("object");
                there
                    .filter(|there| there.kind == parent.kind)
                    .ok_or(VimError::Fault(fault))
            }
            Err(error) => Err(error),
        }
    }

    /// Those of the privileges that the account lacks on an object; `AuthorizationManager.HasPrivilegeOnEntities`, or what
    /// it may do there at all where the server does not know that.
    pub async fn privileges(&self, obj: &Ref, wanted: &[&str]) -> Result<Vec<String>, VimError> {
        let manager = has(
            self.content().authorization_manager.as_ref(),
            "authorization manager",
        )?;
        let asked = self
            .call(manager, "HasPrivilegeOnEntities", |xml| {
                xml.reference("entity", obj)
                    .element("sessionId", self.inner.wire.session.state().key);
                for privilege in wanted {
                    xml.element("privId", privilege);
                }
            })
            .await;
        let (answer, list) = match asked {
            Ok(response) => (response, None),
            Err(VimError::Fault(_)) => {
                let response = self
                    .call(manager, "FetchUserPrivilegeOnEntities", |xml| {
                        xml.reference("entities", obj)
                            .element("userName", &self.inner.endpoint.username);
                    })
                    .await?;
                (response, Some("privileges"))
            }
            Err(error) => return Err(error),
        };
        let granted: Vec<&str> = match list {
            Some(list) => answer
                .find_all(list)
                .into_iter()
                .map(|p| p.text.trim())
                .collect(),
            None => (answer.find_all("privAvailability").into_iter())
                .filter(|p| p.bool_of("isGranted") == Some(true))
                .filter_map(|p| p.text_of("privId"))
                .collect(),
        };
        let missing = wanted.iter().filter(|p| !granted.contains(*p));
        Ok(missing.map(|p| (*p).to_owned()).collect())
    }
}

/// An object that the server should have.
pub(super) fn has<'a>(object: Option<&'a Ref>, what: &str) -> Result<&'a Ref, VimError> {
    object.ok_or_else(|| VimError::Protocol(format!("the server has no {what}")))
}
