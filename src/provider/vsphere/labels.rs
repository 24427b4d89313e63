//! What else vCenter writes on a machine: its tags, and the policy of its storage.

use super::library::absent;
use super::{Lab, translate};
use crate::model::Hardware;
use crate::provider::ProviderError;
use crate::vim::{ConfigSpec, DeviceSpec, Named, Ref, VimError};

fn named<'n>(all: &'n [Named], what: &str, name: &str) -> Result<&'n Named, ProviderError> {
    let found = all.iter().find(|known| known.name == name);
    found.ok_or_else(|| {
        let names: Vec<String> = all.iter().map(|known| known.name.clone()).collect();
        absent(what, name, &names)
    })
}

impl Lab {
    /// The tags and the storage policy of such a machine that are not there.
    pub(super) async fn unlabelled(&self, hardware: &Hardware) -> Vec<ProviderError> {
        let mut errors = Vec::new();
        match self.tags(hardware).await {
            Ok(tags) => errors.extend(tags.into_iter().filter_map(Result::err)),
            Err(error) => errors.push(translate(error)),
        }
        errors.extend(self.storage_policy(hardware).await.err());
        errors
    }

    /// The identifiers of the machine's tags, or what is wrong with each.
    async fn tags(
        &self,
        hardware: &Hardware,
    ) -> Result<Vec<Result<String, ProviderError>>, VimError> {
        let more = hardware.vsphere.as_deref();
        let wanted = more.map(|more| more.tags.as_slice()).unwrap_or_default();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let categories = self.client.tag_categories().await?;
        let mut found = Vec::new();
        for wanted in wanted {
            let (category, name) = wanted.split_once('/').unwrap_or(("", wanted));
            let category = match named(&categories, "category of tags", category) {
                Ok(category) => category,
                Err(error) => {
                    found.push(Err(error));
                    continue;
                }
            };
            let tags = self.client.tags(category).await?;
            let what = format!("tag in the category `{}`:", category.name);
            found.push(named(&tags, &what, name).map(|tag| tag.id.clone()));
        }
        Ok(found)
    }

    /// Gives a machine its tags.
    pub(super) async fn tag(&self, vm: &Ref, hardware: &Hardware) -> Result<(), ProviderError> {
        for tag in self.tags(hardware).await.map_err(translate)? {
            let attached = self.client.attach_tag(&tag?, vm).await;
            attached.map_err(translate)?;
        }
        Ok(())
    }

    /// The identifier of the machine's storage policy, if it has one.
    pub(super) async fn storage_policy(
        &self,
        hardware: &Hardware,
    ) -> Result<Option<String>, ProviderError> {
        let more = hardware.vsphere.as_deref();
        let Some(name) = more.and_then(|more| more.storage_policy.as_deref()) else {
            return Ok(None);
        };
        let all = self.client.storage_policies().await.map_err(translate)?;
        let found = named(&all, "storage policy", name)?;
        Ok(Some(found.id.clone()))
    }
}

/// The machine and its new disks under a storage policy.
pub(super) fn under(policy: Option<&String>, mut config: ConfigSpec) -> ConfigSpec {
    config.storage_policy = policy.cloned();
    for change in &mut config.devices {
        if let DeviceSpec::Disk(disk) = &mut change.device {
            disk.storage_policy = policy.cloned();
        }
    }
    config
}
