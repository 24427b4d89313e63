//! Machines of somebody else's that clones are made of, and templates.

use super::clone::{Source, differences};
use super::place::{Misfit, meant};
use super::{Lab, misfit, translate};
use crate::diag::closest;
use crate::model::{Firmware, Hardware, MachineSource, Remote};
use crate::provider::ProviderError;
use crate::vim::{Client, Element, Properties, Ref, VimError};

/// What is read of a machine that is to be cloned.
const ABOUT: &[&str] = &[
    "name",
    "snapshot",
    "config.instanceUuid",
    "config.changeVersion",
    "config.firmware",
    "config.bootOptions",
];

impl Lab {
    /// What of a machine, or of one of its snapshots, decides how its clones are made.
    pub(super) async fn source(&self, at: &Ref) -> Result<Source, VimError> {
        const PROPERTIES: &str = "config.vAppConfig";
        let devices = self.client.devices(at).await?;
        let read = self.client.read(at, &[PROPERTIES]).await?;
        let vapp = read.get(PROPERTIES);
        let properties = vapp.map(|vapp| vapp.children_named("property").cloned().collect());
        Ok(Source {
            devices,
            properties: properties.unwrap_or_default(),
        })
    }

    /// Makes a template a machine; tells whether it was one.
    pub(super) async fn as_machine(&self, vm: &Ref) -> Result<bool, VimError> {
        let read = self.client.read(vm, &["config.template"]).await?;
        let template = read.bool("config.template") == Some(true);
        if template {
            let (pool, host) = (&self.place.pool, self.place.host.as_ref());
            self.client.mark_as_vm(vm, pool, host).await?;
        }
        Ok(template)
    }

    /// The machine that is named, at the snapshot that its clones start from.
    pub(super) async fn locate(
        &self,
        source: &MachineSource,
        hardware: &Hardware,
    ) -> Result<Remote, Vec<ProviderError>> {
        let one = |error: VimError| vec![translate(error)];
        let found = self.find_machine(&source.vm).await.map_err(one)?;
        let vm = found.map_err(|unfit| vec![misfit(unfit)])?;
        let read = self.client.read(&vm, ABOUT).await.map_err(one)?;
        let name = read.text("name").unwrap_or(&source.vm).to_owned();
        let mut misfits = Vec::new();
        let more = hardware.vsphere.as_deref();
        let whole = more.is_some_and(|more| more.full_clone);
        let snapshot = match snapshot(&read, &name, source.snapshot.as_deref(), whole) {
            Ok(snapshot) => snapshot,
            Err(unfit) => {
                misfits.push(unfit);
                None
            }
        };
        let at = snapshot.as_ref().unwrap_or(&vm);
        let devices = self.client.devices(at).await.map_err(one)?;
        misfits.extend(differences(&name, hardware, &devices, firmware(&read)));
        if !misfits.is_empty() {
            return Err(misfits.into_iter().map(misfit).collect());
        }
        let text = |path: &str| read.text(path).map(str::to_owned);
        let version = text("config.changeVersion").filter(|_| snapshot.is_none());
        Ok(Remote {
            name,
            uuid: text("config.instanceUuid").unwrap_or_default(),
            snapshot: snapshot.map(|found| found.id).unwrap_or_default(),
            version,
        })
    }

    /// A machine by its path below the datacenter's folder of machines, or by its name alone.
    async fn find_machine(&self, wanted: &str) -> Result<Result<Ref, Misfit>, VimError> {
        let client: &Client = &self.client;
        let path = format!("{}/vm/{}", self.place.datacenter_path, wanted);
        if let Some(found) = client
            .find(&path)
            .await?
            .filter(|f| f.kind == "VirtualMachine")
        {
            return Ok(Ok(found));
        }
        let all = client.list(&self.place.machines, "VirtualMachine").await?;
        let mut named = all.iter().filter(|found| found.name == wanted);
        Ok(match (named.next(), named.next()) {
            (Some(only), None) => Ok(only.obj.clone()),
            (Some(_), Some(_)) => Err(Misfit {
                message: format!("there are several machines `{wanted}`"),
                help: "say in which folder: `vm = \"FOLDER/NAME\"`".into(),
            }),
            (None, _) => {
                let last = wanted.rsplit('/').next().unwrap_or(wanted);
                let near = closest(last, all.iter().map(|found| found.name.as_str()));
                Err(Misfit {
                    message: format!("there is no machine `{wanted}`"),
                    help: match near {
                        Some(near) if near != last => format!("did you mean `{near}`?"),
                        _ => "`vm` is its name, or its path below the datacenter's folder of machines".into(),
                    },
                })
            }
        })
    }
}

fn firmware(read: &Properties) -> Firmware {
    let secure = read
        .get("config.bootOptions")
        .and_then(|options| options.bool_of("efiSecureBootEnabled"));
    match (read.text("config.firmware"), secure) {
        (Some("efi"), Some(true)) => Firmware::EfiSecure,
        (Some("efi"), _) => Firmware::Efi,
        _ => Firmware::Bios,
    }
}

/// The snapshot that is named, else for linked clones the one that the machine stands at.
fn snapshot(
    read: &Properties,
    machine: &str,
    wanted: Option<&str>,
    whole: bool,
) -> Result<Option<Ref>, Misfit> {
    let known = read.get("snapshot");
    let Some(wanted) = wanted else {
        if whole {
            return Ok(None);
        }
        let current = known.and_then(|known| known.reference_of("currentSnapshot"));
        return current.map(Some).ok_or_else(|| Misfit {
            message: format!(
                "the machine `{machine}` has no snapshot, and a linked clone starts from one"
            ),
            help:
                "take one, or have full clones made: `machine = { vsphere = { linked = false } }`"
                    .into(),
        });
    };
    let mut all = Vec::new();
    for root in known
        .into_iter()
        .flat_map(|k| k.children_named("rootSnapshotList"))
    {
        snapshots(root, "", &mut all);
    }
    let fits = |(path, name, _): &&(String, String, Ref)| path == wanted || name == wanted;
    if let Some((.., found)) = all.iter().find(fits) {
        return Ok(Some(found.clone()));
    }
    let names = || all.iter().map(|(_, name, _)| name.as_str());
    Err(Misfit {
        message: format!("the machine `{machine}` has no snapshot `{wanted}`"),
        help: meant(wanted, names(), "it has", || "it has none".into()),
    })
}

/// The snapshots of a tree: path, name, itself.
fn snapshots(tree: &Element, above: &str, all: &mut Vec<(String, String, Ref)>) {
    let name = tree.text_of("name").unwrap_or_default();
    let path = match above {
        "" => name.to_owned(),
        above => format!("{above}/{name}"),
    };
    if let Some(snapshot) = tree.reference_of("snapshot") {
        all.push((path.clone(), name.to_owned(), snapshot));
    }
    for child in tree.children_named("childSnapshotList") {
        snapshots(child, &path, all);
    }
}
