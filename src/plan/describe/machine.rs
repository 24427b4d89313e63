//! Machines: installing, cloning, reaching them.

use super::super::ingredients::PROVIDER;
use super::super::inputs;
use super::Sheet;
use crate::model::{
    Boot, Checksum, Clone, CustomNic, Customization, Disk, Hardware, IsoBase, IsoSource, Kickstart,
    Layout, Login, MachineSource, MediaFile, MediaVia, Name, Nic, Size, Ssh, VsphereHardware,
};

/// What an SSH login is for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Purpose {
    /// A way to do something in the guest.
    Work,
    /// The login itself is under test.
    Test,
}

impl Sheet<'_> {
    pub(super) fn iso_base(&mut self, iso_base: &IsoBase) {
        let IsoBase {
            provider,
            hardware,
            iso,
            kickstart,
            boot,
            ssh,
            shutdown,
            // what is kept beside the result does not change it
            checkpoint: _,
            // a name can be changed afterwards
            vm_name: _,
        } = iso_base;
        self.provider(provider);
        self.hardware(hardware);
        self.iso(iso);
        if let Some(kickstart) = kickstart {
            self.kickstart(kickstart);
        }
        self.boot(boot);
        self.ssh(ssh, Purpose::Work);
        self.optional("shutdown", shutdown.as_ref());
    }

    pub(super) fn clone_stage(&mut self, clone: &Clone) {
        let Clone {
            source,
            hardware,
            ssh,
        } = clone;
        if let Some(MachineSource {
            provider,
            vm,
            snapshot,
        }) = source
        {
            self.provider(provider);
            self.add("source vm", vm);
            if let Some(snapshot) = snapshot {
                self.add("source snapshot", snapshot);
            }
        }
        self.hardware(hardware);
        self.ssh(ssh, Purpose::Work);
    }

    /// The machine's later stages depend on the provider through the artifact of the one that installed it.
    pub(super) fn provider(&mut self, name: &Name) {
        self.add("provider", name.to_string());
        for (part, value) in self.facts.identities.get(name).into_iter().flatten() {
            self.add(format!("{PROVIDER}{part}"), value);
        }
    }

    pub(super) fn iso(&mut self, iso: &IsoSource) {
        let IsoSource { urls, checksum } = iso;
        if let Some(checksum) = checksum {
            self.add("iso checksum", checksum.to_string());
        }
        // a checksum says what the content is, wherever it comes from
        if !matches!(checksum, Some(Checksum::Hex { .. })) {
            for (i, url) in urls.iter().enumerate() {
                self.text(format!("iso url {}", i + 1), url);
            }
        }
        self.files(inputs::of_iso(iso));
    }

    pub(super) fn kickstart(&mut self, kickstart: &Kickstart) {
        let Kickstart { files, via, label } = kickstart;
        for file in files {
            match file {
                MediaFile::Text { path, content } => {
                    self.text(format!("kickstart {path}"), content);
                }
                MediaFile::Copy { path, source } => {
                    self.add(format!("kickstart {path}"), format!("copy of {source}"));
                }
            }
        }
        self.files(inputs::of_kickstart(Some(kickstart)));
        let via = match via {
            MediaVia::Floppy => "floppy",
            MediaVia::Cd => "cd",
            MediaVia::Http => "http",
        };
        self.add("kickstart via", via);
        self.add("kickstart label", label);
    }

    pub(super) fn boot(&mut self, boot: &Boot) {
        let Boot {
            wait,
            wait_text,
            // a deadline: it is met or the stage fails
            wait_timeout: _,
            keys,
            interval,
            layout,
        } = boot;
        // these are in because a menu that is typed at too late, or too fast, boots something else
        if let Some(wait) = wait {
            self.add("boot wait", wait.to_string());
        }
        if let Some(pattern) = wait_text {
            self.add("boot wait text", pattern);
        }
        if let Some(interval) = interval {
            self.add("boot key interval", interval.to_string());
        }
        self.text("boot keys", keys);
        let layout = match layout {
            Layout::Us => "us",
            Layout::De => "de",
            Layout::Fr => "fr",
            Layout::Gb => "gb",
        };
        self.add("boot layout", layout);
    }

    pub(super) fn ssh(&mut self, ssh: &Ssh, purpose: Purpose) {
        let Ssh {
            user,
            login,
            port,
            // a deadline: it is met or the stage fails
            timeout: _,
        } = ssh;
        self.text("ssh user", user);
        // a new key does not open the guests that were given the old one
        self.files(inputs::of_login(login));
        // how the account is proved and where it is reached does not change what is done as it; a wrong one fails
        if purpose == Purpose::Work {
            return;
        }
        let Login {
            password,
            key_file,
            agent,
            generate_key,
        } = login;
        self.optional("ssh password", password.as_ref());
        self.optional("ssh key file", key_file.as_ref());
        self.flag("ssh agent", *agent);
        if *generate_key {
            self.add("ssh generated key", "yes");
        }
        self.add("ssh port", port.to_string());
    }

    pub(super) fn hardware(&mut self, hardware: &Hardware) {
        let Hardware {
            cpus,
            cores_per_socket,
            memory,
            firmware,
            disks,
            nics,
            guest_id,
            hardware_version,
            vsphere,
        } = hardware;
        self.add("cpus", cpus.to_string());
        self.add("cores per socket", cores_per_socket.to_string());
        self.add("memory", exact(*memory));
        self.add("firmware", firmware.to_string());
        for (i, Disk { size, controller }) in disks.iter().enumerate() {
            self.add(format!("disk {} size", i + 1), exact(*size));
            self.add(format!("disk {} controller", i + 1), controller.to_string());
        }
        for (i, nic) in nics.iter().enumerate() {
            let Nic {
                adapter,
                network,
                mac,
            } = nic;
            self.add(format!("nic {} adapter", i + 1), adapter.to_string());
            self.add(format!("nic {} network", i + 1), network);
            if let Some(mac) = mac {
                self.add(format!("nic {} mac", i + 1), mac);
            }
        }
        if let Some(id) = guest_id {
            self.add("guest id", id);
        }
        self.add("hardware version", hardware_version.to_string());
        if let Some(vsphere) = vsphere {
            self.vsphere(vsphere);
        }
    }

    fn vsphere(&mut self, vsphere: &VsphereHardware) {
        let VsphereHardware {
            cpu_hot_add,
            memory_hot_add,
            cpu_reservation,
            memory_reservation,
            nested,
            tpm,
            video_memory,
            tools_upgrade,
            sync_time,
            provisioning,
            full_clone,
            template,
            notes,
            extra_config,
            vapp_properties,
            customization,
        } = vsphere;
        // what is not said is not told: most of it is never asked for
        for (name, flag) in [
            ("cpu hot add", cpu_hot_add),
            ("memory hot add", memory_hot_add),
            ("nested", nested),
            ("tpm", tpm),
            ("tools upgrade", tools_upgrade),
            ("sync time", sync_time),
            ("full clone", full_clone),
            ("template", template),
        ] {
            if *flag {
                self.flag(&format!("vsphere {name}"), true);
            }
        }
        if let Some(size) = video_memory {
            self.add("vsphere video memory", exact(*size));
        }
        self.add("vsphere provisioning", provisioning.to_string());
        if let Some(mhz) = cpu_reservation {
            self.add("vsphere cpu reservation", mhz.to_string());
        }
        if let Some(size) = memory_reservation {
            self.add("vsphere memory reservation", exact(*size));
        }
        if let Some(notes) = notes {
            self.add("vsphere notes", notes);
        }
        for (key, value) in extra_config {
            self.add(format!("vsphere extra config {key}"), value);
        }
        for (key, value) in vapp_properties {
            self.add(format!("vsphere vapp property {key}"), value);
        }
        if let Some(customization) = customization {
            self.customization(customization);
        }
    }

    fn customization(&mut self, customization: &Customization) {
        let Customization {
            spec,
            hostname,
            domain,
            time_zone,
            dns_servers,
            dns_suffixes,
            nics,
        } = customization;
        let servers = Some(dns_servers.join(" "));
        let suffixes = Some(dns_suffixes.join(" "));
        for (name, value) in [
            ("spec", spec),
            ("hostname", hostname),
            ("domain", &Some(domain.clone())),
            ("time zone", time_zone),
            ("dns servers", &servers),
            ("dns suffixes", &suffixes),
        ] {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                self.add(format!("vsphere customization {name}"), value);
            }
        }
        for (i, CustomNic { address, gateway }) in nics.iter().enumerate() {
            let address = address.as_deref().unwrap_or("dhcp");
            let gateway = gateway.as_deref().unwrap_or("none");
            self.add(
                format!("vsphere customization nic {}", i + 1),
                format!("{address} by {gateway}"),
            );
        }
    }
}

/// A size without rounding.
fn exact(size: Size) -> String {
    let shown = size.to_string();
    if Size::parse(&shown) == Ok(size) {
        shown
    } else {
        format!("{}B", size.bytes())
    }
}
