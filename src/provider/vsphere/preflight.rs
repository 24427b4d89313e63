//! What stands in the way of a machine, found before anything runs.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;

use super::{Lab, locked, misfit, translate};
use crate::diag::closest;
use crate::model::Hardware;
use crate::provider::ProviderError;
use crate::vim::{ApiType, Properties, VimError};

/// What a build does, as the privileges that it needs.
const PRIVILEGES: &[&str] = &[
    "Resource.AssignVMToPool",
    "Datastore.AllocateSpace",
    "Datastore.Browse",
    "Datastore.FileManagement",
    "VirtualMachine.Inventory.Create",
    "VirtualMachine.Inventory.Delete",
    "VirtualMachine.Interact.PowerOn",
    "VirtualMachine.Interact.PowerOff",
    "VirtualMachine.Interact.PutUsbScanCodes",
    "VirtualMachine.State.CreateSnapshot",
    "VirtualMachine.Provisioning.Clone",
    "VApp.Export",
];
/// How long a host may take to take a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Where hosts listen, if they do not say so.
const HTTPS: u64 = 443;

impl Lab {
    /// What stands in the way of such a machine.
    pub(super) async fn preflight(
        &self,
        hardware: &Hardware,
        network: Option<&str>,
    ) -> Vec<ProviderError> {
        // once in a run is enough: what changes meanwhile is told by what fails
        let others = {
            let passed = locked(&self.passed);
            if passed.contains(hardware) {
                return Vec::new();
            }
            !passed.is_empty()
        };
        let mut errors = Vec::new();
        for nic in &hardware.nics {
            errors.extend(self.place.network(&nic.network, network).err().map(misfit));
        }
        // the machine's memory has a file of its size while it runs
        if self.place.free < hardware.memory {
            errors.push(ProviderError::Environment {
                message: format!(
                    "the datastore `{}` has only {} free, and a machine with {} of memory needs more than that",
                    self.place.datastore_name, self.place.free, hardware.memory
                ),
                help: "remove what is not needed there, or choose another `datastore`".into(),
            });
        }
        if !others {
            errors.extend(self.whatever_the_hardware().await);
        }
        match self.virtual_hardware(hardware).await {
            Ok(more) => errors.extend(more),
            Err(error) => errors.push(translate(error)),
        }
        errors.extend(self.unlabelled(hardware).await);
        if errors.is_empty() {
            locked(&self.passed).push(hardware.clone());
        }
        errors
    }

    /// What stands in the way of any machine: the account's privileges, and whether there is a host at all.
    async fn whatever_the_hardware(&self) -> Vec<ProviderError> {
        let mut errors = Vec::new();
        match self
            .client
            .privileges(&self.place.machines, PRIVILEGES)
            .await
        {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => errors.push(ProviderError::Environment {
                message: format!("the account lacks privileges: {}", missing.join(", ")),
                help: "grant them on the datacenter, or use another account".into(),
            }),
            Err(error) => errors.push(translate(error)),
        }
        if self.place.environment.is_some() {
            match self.usable_hosts().await {
                Ok((_, error)) => errors.extend(error),
                Err(error) => errors.push(translate(error)),
            }
        }
        errors
    }

    /// Whether the hosts know the hardware's version and the kind of guest.
    async fn virtual_hardware(&self, hardware: &Hardware) -> Result<Vec<ProviderError>, VimError> {
        let Some(browser) = &self.place.environment else {
            return Ok(Vec::new());
        };
        let mut errors = Vec::new();
        let wanted = hardware.hardware_version;
        let known = self.client.hardware_versions(browser).await?;
        if !known.is_empty() && !known.contains(&wanted) {
            let newest = known.iter().max().copied().unwrap_or_default();
            errors.push(ProviderError::Environment {
                message: format!("the hosts have no virtual hardware vmx-{wanted:02}"),
                help: match known.iter().filter(|version| **version < wanted).max() {
                    Some(nearest) => {
                        format!("`hardware_version = {nearest}`, or let newer hosts run it")
                    }
                    None => format!("`hardware_version = {newest}`"),
                },
            });
            return Ok(errors);
        }
        if let Some(id) = &hardware.guest_id {
            let known = self.client.guest_ids(browser, wanted, id).await?;
            if !known.is_empty() && !known.contains(id) {
                let near = closest(id, known.iter().map(String::as_str));
                errors.push(ProviderError::Environment {
                    message: format!("vmx-{wanted:02} knows no guest `{id}`"),
                    help: match near {
                        Some(near) => format!("did you mean `guest_id = \"{near}\"`?"),
                        None => "`guest_id` is one of vSphere's `VirtualMachineGuestOsIdentifier`, such as `debian12_64Guest` or `otherLinux64Guest`".into(),
                    },
                });
            }
        }
        Ok(errors)
    }

    /// The hosts that can run machines, and what is wrong if there are none.
    async fn usable_hosts(&self) -> Result<(Vec<Properties>, Option<ProviderError>), VimError> {
        const ABOUT: &[&str] = &[
            "name",
            "runtime.connectionState",
            "runtime.inMaintenanceMode",
            "summary.config.port",
        ];
        let all = self.client.read_many(&self.place.hosts, ABOUT).await?;
        let state = |read: &Properties| match (
            read.text("runtime.connectionState"),
            read.bool("runtime.inMaintenanceMode"),
        ) {
            (Some("connected") | None, Some(true)) => Some("in maintenance mode"),
            (Some("connected") | None, _) => None,
            (Some("disconnected"), _) => Some("disconnected"),
            (Some(_), _) => Some("not responding"),
        };
        let (out, usable): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, read)| state(read).is_some());
        let why = out.iter().map(|(_, read)| {
            let name = read.text("name").unwrap_or_default();
            format!("{name} is {}", state(read).unwrap_or_default())
        });
        let error = usable.is_empty().then(|| ProviderError::Environment {
            message: format!(
                "no host can run machines: {}",
                why.collect::<Vec<_>>().join(", ")
            ),
            help: "bring one back, or choose another `cluster` or `host`".into(),
        });
        Ok((usable.into_iter().map(|(_, read)| read).collect(), error))
    }

    /// The hosts that disks would be sent to or fetched from, and that do not answer from here: leases name the host that
    /// a machine is on, whatever is between this computer and it.
    pub(super) async fn unreachable_hosts(&self) -> Result<Vec<ProviderError>, VimError> {
        // a host that stands alone is the server
        if self.client.about().api == ApiType::HostAgent {
            return Ok(Vec::new());
        }
        let hosts = self.usable_hosts().await?.0;
        let tried = join_all(hosts.iter().map(|host| async move {
            let name = host.text("name")?;
            let port = host.u64("summary.config.port").unwrap_or(HTTPS);
            let address = format!("{name}:{port}");
            let connected = tokio::time::timeout(CONNECT, TcpStream::connect(&address)).await;
            let why = match connected {
                Ok(Ok(_)) => return None,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {}s", CONNECT.as_secs()),
            };
            Some(ProviderError::Environment {
                message: format!("the host {address} cannot be reached from here: {why}"),
                help: "disks are sent to and fetched from the host that a machine is on: let its name resolve and open the port, or choose a `host` that can be reached".into(),
            })
        }));
        Ok(tried.await.into_iter().flatten().collect())
    }
}
