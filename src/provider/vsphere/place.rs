//! Where on the server machines are made: the names in the settings, looked up in the inventory.

use super::inventory::Inventory;
use super::settings::Settings;
use crate::diag::closest;
use crate::model::Size;
use crate::vim::{ApiType, Client, DatastorePath, Found, NetworkBacking, Ref, VimError};

/// Places that have been found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The datacenter, and its path in the inventory.
    pub(super) datacenter: Ref,
    pub(super) datacenter_path: String,
    pub(super) pool: Ref,
    /// The host, if one is chosen.
    pub(super) host: Option<Ref>,
    /// The hosts that may run machines.
    pub(super) hosts: Vec<Ref>,
    /// What knows which hardware they give.
    pub(super) environment: Option<Ref>,
    pub(super) datastore: Ref,
    pub(super) datastore_name: String,
    pub(super) free: Size,
    /// What lists the datastore's files.
    pub(super) browser: Ref,
    /// The datacenter's folder of machines.
    pub(super) machines: Ref,
    /// The folder below it, part by part.
    pub(super) folder: Vec<String>,
    networks: Vec<(Found, NetworkBacking)>,
}

/// A setting that does not fit the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) message: String,
    pub(super) help: String,
}

/// What stands in the way of finding the places.
pub(super) enum PlaceError {
    /// The server did not answer as it should.
    Vim(VimError),
    /// These settings do not fit, all of them.
    Misfits(Vec<Misfit>),
}

impl From<VimError> for PlaceError {
    fn from(error: VimError) -> Self {
        Self::Vim(error)
    }
}

/// What may have been meant by a name that is not there: a near one, else all of them behind `lead`, or what `none` says.
pub(super) fn meant<'n>(
    wanted: &str,
    names: impl Iterator<Item = &'n str> + Clone,
    lead: &str,
    none: impl FnOnce() -> String,
) -> String {
    if let Some(near) = closest(wanted, names.clone()) {
        return format!("did you mean `{near}`?");
    }
    listed(names, lead, none)
}

/// All names behind `lead`, or what `none` says.
fn listed<'n>(
    names: impl Iterator<Item = &'n str>,
    lead: &str,
    none: impl FnOnce() -> String,
) -> String {
    match names.collect::<Vec<_>>() {
        all if all.is_empty() => none(),
        all => format!("{lead} {}", all.join(", ")),
    }
}

/// Picks the one that is `wanted`, or the only one.
fn pick(what: &str, key: &str, wanted: Option<&str>, all: &[Found]) -> Result<Found, Misfit> {
    let names = || all.iter().map(|found| found.name.as_str());
    let none = || format!("the server shows no {what} to this account");
    match (wanted, all) {
        (Some(wanted), _) => {
            let found = all.iter().find(|found| found.name == wanted);
            found.cloned().ok_or_else(|| Misfit {
                message: format!("there is no {what} `{wanted}`"),
                help: meant(wanted, names(), "there:", none),
            })
        }
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(Misfit {
            message: format!("`{key}` is not set, and there is not just one {what}"),
            help: format!("set `{key}`; {}", listed(names(), "there:", none)),
        }),
    }
}

/// Looks everything up; all that does not fit is told at once.
pub(super) async fn find(client: &Client, settings: &Settings) -> Result<Place, PlaceError> {
    let root = &client.content().root_folder;
    let kinds: &[(&str, &[&str])] = &[("Datacenter", &["name", "parent", "vmFolder"])];
    let datacenters = client.survey(root, kinds).await?;
    let wanted = match client.about().api {
        ApiType::VirtualCenter => settings.datacenter.as_deref(),
        // a host has just one
        ApiType::HostAgent => None,
    };
    let known: Vec<Found> = datacenters.iter().map(|(found, _)| found.clone()).collect();
    let datacenter = pick("datacenter", "datacenter", wanted, &known)
        .map_err(|misfit| PlaceError::Misfits(vec![misfit]))?;
    let lost = |what: &str| VimError::Protocol(format!("the server does not tell {what}"));
    let read = datacenters.iter().find(|(found, _)| *found == datacenter);
    let (_, read) = read.ok_or_else(|| lost("the datacenter"))?;
    let inventory = Inventory::read(client, settings, &datacenter.obj).await?;
    let mut misfits = Vec::new();
    let compute = compute(client, settings, &inventory, &mut misfits).await?;
    let datastore = datastore(client, settings, &inventory, &mut misfits).await?;
    let networks = inventory.networks(client).await?;
    if let Some(name) = settings.network.as_deref() {
        misfits.extend(network(&networks, name, None).err());
    }
    let (Some((compute, pool, host)), Some(datastore), true) =
        (compute, datastore, misfits.is_empty())
    else {
        return Err(PlaceError::Misfits(misfits));
    };
    let compute = inventory
        .about(&compute)
        .ok_or_else(|| lost("its cluster"))?;
    let about = inventory.about(&datastore.obj);
    let free = about.and_then(|about| about.u64("summary.freeSpace"));
    let folder = settings.folder.as_deref().unwrap_or_default();
    Ok(Place {
        datacenter_path: path_of(client, &datacenter, read.reference("parent")).await?,
        pool,
        hosts: match &host {
            Some(host) => vec![host.clone()],
            None => compute.references("host"),
        },
        host,
        environment: compute.reference("environmentBrowser"),
        free: Size::from_bytes(free.unwrap_or(u64::MAX)),
        browser: about
            .and_then(|about| about.reference("browser"))
            .ok_or_else(|| lost("the datastore's browser"))?,
        datastore: datastore.obj,
        datastore_name: datastore.name,
        machines: read
            .reference("vmFolder")
            .ok_or_else(|| lost("its folder of machines"))?,
        folder: folder
            .split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect(),
        datacenter: datacenter.obj,
        networks,
    })
}

/// The datacenter's path: its name behind those of the folders above it.
async fn path_of(
    client: &Client,
    datacenter: &Found,
    mut above: Option<Ref>,
) -> Result<String, VimError> {
    let mut path = datacenter.name.clone();
    while let Some(at) = above.filter(|above| *above != client.content().root_folder) {
        let read = client.read(&at, &["name", "parent"]).await?;
        path = format!("{}/{path}", read.text("name").unwrap_or_default());
        above = read.reference("parent");
    }
    Ok(path)
}

/// The cluster or the lone host, the resource pool, and the host if one is named.
async fn compute(
    client: &Client,
    settings: &Settings,
    inventory: &Inventory,
    misfits: &mut Vec<Misfit>,
) -> Result<Option<(Ref, Ref, Option<Ref>)>, VimError> {
    let mut host = None;
    if let Some(name) = settings
        .host
        .as_deref()
        .filter(|_| client.about().api == ApiType::VirtualCenter)
    {
        match pick("host", "host", Some(name), &inventory.of("HostSystem")) {
            Ok(found) => host = Some(found.obj),
            Err(misfit) => misfits.push(misfit),
        }
    }
    let of_host = host
        .as_ref()
        .and_then(|host| inventory.about(host)?.reference("parent"));
    // a host that stands alone is its own, whatever else the settings are used for
    let cluster = match client.about().api {
        ApiType::VirtualCenter => settings.cluster.as_deref(),
        ApiType::HostAgent => None,
    };
    let compute = match (of_host, cluster) {
        (Some(compute), None) => compute,
        (_, cluster) => {
            let all = inventory.of("ComputeResource");
            match pick("cluster", "cluster", cluster, &all) {
                Ok(found) => found.obj,
                Err(misfit) => {
                    misfits.push(misfit);
                    return Ok(None);
                }
            }
        }
    };
    let root = inventory
        .about(&compute)
        .and_then(|about| about.reference("resourcePool"));
    let Some(root) = root else {
        return Err(VimError::Protocol(
            "the cluster has no resource pool".into(),
        ));
    };
    let Some(wanted) = settings.resource_pool.as_deref() else {
        return Ok(Some((compute, root, host)));
    };
    let pools = client.list(&root, "ResourcePool").await?;
    let last = wanted.rsplit('/').next();
    match pick("resource pool", "resource_pool", last, &pools) {
        Ok(pool) => Ok(Some((compute, pool.obj, host))),
        Err(misfit) => {
            misfits.push(misfit);
            Ok(None)
        }
    }
}

/// The datastore; of a cluster of them the one with the most space.
async fn datastore(
    client: &Client,
    settings: &Settings,
    inventory: &Inventory,
    misfits: &mut Vec<Misfit>,
) -> Result<Option<Found>, VimError> {
    let mut all = inventory.of("Datastore");
    let wanted = settings.datastore.as_deref();
    let known =
        |all: &[Found]| wanted.is_none_or(|name| all.iter().any(|found| found.name == name));
    if !known(&all) {
        let clusters = inventory.of("StoragePod");
        if let Some(cluster) = clusters
            .iter()
            .find(|pod| Some(pod.name.as_str()) == wanted)
        {
            let members = client.children(&cluster.obj).await?;
            let free = |member: &Found| {
                let about = inventory.about(&member.obj);
                about.and_then(|about| about.u64("summary.freeSpace"))
            };
            return Ok(members.into_iter().max_by_key(free));
        }
        all.extend(clusters);
    }
    match pick("datastore", "datastore", wanted, &all) {
        Ok(found) => Ok(Some(found)),
        Err(misfit) => {
            misfits.push(misfit);
            Ok(None)
        }
    }
}

/// How an adapter is put on the network `name`, or on `instead` where that is not there.
fn network<'n>(
    networks: &'n [(Found, NetworkBacking)],
    name: &str,
    instead: Option<&str>,
) -> Result<&'n (Found, NetworkBacking), Misfit> {
    let named = |name: &str| networks.iter().find(|(found, _)| found.name == name);
    if let Some(network) = named(name).or_else(|| named(instead?)) {
        return Ok(network);
    }
    let all: Vec<Found> = networks.iter().map(|(found, _)| found.clone()).collect();
    Err(
        match pick("network", "network", Some(instead.unwrap_or(name)), &all) {
            Err(misfit) => misfit,
            Ok(found) => Misfit {
                message: format!("the network `{}` cannot be used", found.name),
                help: "the server does not tell how adapters are put on it".into(),
            },
        },
    )
}

impl Place {
    /// How an adapter is put on the network `name`; `instead` names the one to take where that is not there.
    pub(super) fn network(
        &self,
        name: &str,
        instead: Option<&str>,
    ) -> Result<&(Found, NetworkBacking), Misfit> {
        network(&self.networks, name, instead)
    }

    /// The folder for machines, made if need be.
    pub(super) async fn folder(&self, client: &Client) -> Result<Ref, VimError> {
        if client.about().api == ApiType::HostAgent {
            return Ok(self.machines.clone());
        }
        let mut at = self.machines.clone();
        for part in &self.folder {
            let children = client.children(&at).await?;
            let known = children
                .iter()
                .find(|c| c.name == *part && c.obj.kind == "Folder");
            at = match known {
                Some(found) => found.obj.clone(),
                None => client.create_folder(&at, part).await?,
            };
        }
        Ok(at)
    }

    /// A machine of this name in the folder.
    pub(super) async fn machine(
        &self,
        client: &Client,
        name: &str,
    ) -> Result<Option<Ref>, VimError> {
        let folder = match client.about().api {
            ApiType::VirtualCenter => self.folder.iter().map(|part| format!("/{part}")).collect(),
            ApiType::HostAgent => String::new(),
        };
        let path = format!("{}/vm{folder}/{name}", self.datacenter_path);
        client.find(&path).await
    }

    /// A file of the datastore.
    pub(super) fn file(&self, path: &str) -> DatastorePath {
        DatastorePath::new(&self.datastore_name, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<Found> {
        let make = |name: &&str| Found {
            obj: Ref::new("Datastore", *name),
            name: (*name).to_owned(),
        };
        names.iter().map(make).collect()
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let misfit = |wanted: Option<&str>, names: &[&str]| {
            let misfit = pick("datastore", "datastore", wanted, &found(names)).unwrap_err();
            format!("{}\n{}", misfit.message, misfit.help)
        };
        assert_eq!(
            misfit(Some("datastor1"), &["datastore1", "nfs"]),
            "there is no datastore `datastor1`\ndid you mean `datastore1`?"
        );
        assert_eq!(
            misfit(Some("zfs9"), &["big", "small"]),
            "there is no datastore `zfs9`\nthere: big, small"
        );
        assert_eq!(
            misfit(None, &["a", "b"]),
            "`datastore` is not set, and there is not just one datastore\nset `datastore`; there: a, b"
        );
        assert!(misfit(Some("a"), &[]).contains("shows no datastore to this account"));
        assert_eq!(
            pick("datastore", "datastore", None, &found(&["a"]))
                .unwrap()
                .name,
            "a"
        );
    }
}
