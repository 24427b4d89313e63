//! What a datacenter has for machines, read at once: servers are far away, and each question costs a round trip.

use std::collections::BTreeSet;

use super::settings::Settings;
use crate::vim::{ApiType, Client, Found, NetworkBacking, Properties, Ref, VimError};

/// A kind of objects, with what is read of each.
type Kind = (&'static str, &'static [&'static str]);

/// What is always looked at.
const KINDS: &[Kind] = &[
    ("ComputeResource", &["name", "resourcePool"]),
    ("Datastore", &["name", "browser", "summary.freeSpace"]),
    ("Network", &["name"]),
];
/// Hosts are many, and interesting only when one is named.
const HOSTS: Kind = ("HostSystem", &["name", "parent"]);
/// Datastore clusters; a lone host knows no such thing.
const PODS: Kind = ("StoragePod", &["name"]);

/// The objects of a datacenter, by name.
pub(super) struct Inventory {
    all: Vec<(Found, Properties)>,
}

impl Inventory {
    pub(super) async fn read(
        client: &Client,
        settings: &Settings,
        datacenter: &Ref,
    ) -> Result<Self, VimError> {
        let mut kinds = KINDS.to_vec();
        if client.about().api == ApiType::VirtualCenter {
            kinds.push(PODS);
            kinds.extend(settings.host.is_some().then_some(HOSTS));
        }
        Ok(Self {
            all: client.survey(datacenter, &kinds).await?,
        })
    }

    /// The objects of a kind, or of one that is a special case of it.
    pub(super) fn of(&self, kind: &str) -> Vec<Found> {
        let fits = self.all.iter().filter(|(found, _)| is_a(&found.obj, kind));
        fits.map(|(found, _)| found.clone()).collect()
    }

    /// What was read of an object.
    pub(super) fn about(&self, obj: &Ref) -> Option<&Properties> {
        let mut all = self.all.iter();
        all.find(|(found, _)| found.obj == *obj)
            .map(|(_, read)| read)
    }

    /// All networks with what an adapter says to be on them: standard, distributed and NSX's own.
    pub(super) async fn networks(
        &self,
        client: &Client,
    ) -> Result<Vec<(Found, NetworkBacking)>, VimError> {
        let all = self.of("Network");
        let of = |kind: &str| -> Vec<Ref> {
            let fits = all.iter().filter(|found| found.obj.kind == kind);
            fits.map(|found| found.obj.clone()).collect()
        };
        let distributed = distributed(client, &of("DistributedVirtualPortgroup")).await?;
        let opaque = opaque(client, &of("OpaqueNetwork")).await?;
        let backing = |found: &Found| match found.obj.kind.as_str() {
            "DistributedVirtualPortgroup" | "OpaqueNetwork" => {
                let mut special = distributed.iter().chain(&opaque);
                special
                    .find(|(obj, _)| *obj == found.obj)
                    .map(|(_, backing)| backing.clone())
            }
            _ => Some(NetworkBacking::Standard {
                name: found.name.clone(),
                network: Some(found.obj.clone()),
            }),
        };
        let usable = all
            .iter()
            .filter_map(|found| Some((found.clone(), backing(found)?)));
        Ok(usable.collect())
    }
}

fn is_a(obj: &Ref, kind: &str) -> bool {
    obj.kind == kind
        || matches!(
            (kind, obj.kind.as_str()),
            ("ComputeResource", "ClusterComputeResource")
                | ("Network", "DistributedVirtualPortgroup" | "OpaqueNetwork")
        )
}

/// Distributed port groups with their switches: two questions, however many there are.
async fn distributed(
    client: &Client,
    groups: &[Ref],
) -> Result<Vec<(Ref, NetworkBacking)>, VimError> {
    const SWITCH: &str = "config.distributedVirtualSwitch";
    let groups = client.read_many(groups, &["key", SWITCH]).await?;
    let switches = groups.iter().filter_map(|(_, read)| read.reference(SWITCH));
    let switches: BTreeSet<Ref> = switches.collect();
    let switches: Vec<Ref> = switches.into_iter().collect();
    let switches = client.read_many(&switches, &["uuid"]).await?;
    let backing = |read: &Properties| {
        let switch = read.reference(SWITCH)?;
        let (_, about) = switches.iter().find(|(obj, _)| *obj == switch)?;
        Some(NetworkBacking::Distributed {
            switch_uuid: about.text("uuid")?.to_owned(),
            portgroup_key: read.text("key")?.to_owned(),
        })
    };
    let usable = groups
        .iter()
        .filter_map(|(obj, read)| Some((obj.clone(), backing(read)?)));
    Ok(usable.collect())
}

async fn opaque(client: &Client, networks: &[Ref]) -> Result<Vec<(Ref, NetworkBacking)>, VimError> {
    let networks = client.read_many(networks, &["summary"]).await?;
    let backing = |read: &Properties| {
        let text = |path: &str| Some(read.get("summary")?.text_of(path)?.to_owned());
        Some(NetworkBacking::Opaque {
            id: text("opaqueNetworkId")?,
            kind: text("opaqueNetworkType")?,
        })
    };
    let usable = networks
        .iter()
        .filter_map(|(obj, read)| Some((obj.clone(), backing(read)?)));
    Ok(usable.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_special_case_counts_as_its_kind() {
        let is = |special: &str, kind: &str| is_a(&Ref::new(special, "x-1"), kind);
        assert!(is("Datastore", "Datastore"));
        assert!(is("ClusterComputeResource", "ComputeResource"));
        assert!(is("OpaqueNetwork", "Network"));
        assert!(is("DistributedVirtualPortgroup", "Network"));
        assert!(!is("StoragePod", "Datastore"));
        assert!(!is("HostSystem", "ComputeResource"));
    }
}
