//! How a clone differs from the machine that it is made of.

use super::hardware::{
    Bench, add_disk, add_nic, controller_kind, marked, processor, provisioning, video,
};
use super::place::{Misfit, Place, meant};
use crate::model::{Controller, Customization, Disk, Firmware, Hardware, Network, Nic, Size};
use crate::provider::Mark;
use crate::vim::{
    ConfigSpec, CustomizationLinux, Device, DeviceChange, DeviceSpec, Element, NetworkBacking,
    NicAddress,
};

/// What of a machine decides how its clones are made.
pub(super) struct Source {
    pub(super) devices: Vec<Device>,
    /// Its vApp properties: `VAppPropertyInfo`.
    pub(super) properties: Vec<Element>,
}

/// The change that makes a clone of `source` the machine that is wanted. Tells whether a disk grows, which a linked
/// clone cannot.
pub(super) fn config(
    hardware: &Hardware,
    mark: &Mark,
    place: &Place,
    source: &Source,
    network: Option<&str>,
) -> Result<(ConfigSpec, bool), Misfit> {
    let devices = &source.devices;
    let mut bench = Bench::over(devices);
    let mut grows = false;
    for (index, disk) in hardware.disks.iter().enumerate() {
        let Some(old) = disks(devices).nth(index) else {
            add_disk(&mut bench, disk, None, (place, provisioning(hardware)));
            continue;
        };
        let change = grown(old, disk);
        grows |= change.is_some();
        bench.devices.extend(change);
    }
    let mut cards = devices.iter().filter(|d| d.mac.is_some());
    for nic in &hardware.nics {
        let backing = &place.network(&nic.network, network)?.1;
        match cards.next() {
            Some(card) => bench.devices.extend(rewired(card, nic, backing)),
            None => add_nic(&mut bench, nic, backing),
        }
    }
    bench.devices.extend(video(hardware, devices));
    let spec = ConfigSpec {
        devices: bench.devices,
        vapp: vapp(hardware, &source.properties)?,
        ..processor(marked(mark), hardware)
    };
    Ok((spec, grows))
}

/// The disks of a machine, in order.
pub(super) fn disks(devices: &[Device]) -> impl Iterator<Item = &Device> {
    devices.iter().filter(|d| d.kind == "VirtualDisk")
}

/// The change that makes a disk as large as it should be; none: it is.
pub(super) fn grown(old: &Device, disk: &Disk) -> Option<DeviceChange> {
    old.capacity.filter(|capacity| *capacity < disk.size)?;
    let mut raw = old.raw.clone();
    raw.set("capacityInKB", (disk.size.bytes() >> 10).to_string());
    raw.set("capacityInBytes", disk.size.bytes().to_string());
    Some(DeviceChange::edit(DeviceSpec::Raw(raw)))
}

/// A network card on the network where it should be, with the address that it should have.
fn rewired(card: &Device, nic: &Nic, backing: &NetworkBacking) -> Option<DeviceChange> {
    let wanted = backing.to_element();
    let same = |path: &str| {
        let old = card.raw.child("backing").and_then(|old| old.text_of(path));
        old == wanted.text_of(path)
    };
    let there = card.backing == wanted.kind
        && ["deviceName", "port.portgroupKey", "opaqueNetworkId"]
            .iter()
            .all(|path| same(path));
    let addressed = nic.mac.is_none() || nic.mac == card.mac;
    if there && addressed {
        return None;
    }
    let mut raw = card.raw.clone();
    if !there {
        for child in raw.children.iter_mut().filter(|c| c.name == "backing") {
            *child = wanted.clone();
        }
    }
    if let Some(mac) = &nic.mac {
        raw.set("addressType", "manual");
        raw.set("macAddress", mac);
    }
    Some(DeviceChange::edit(DeviceSpec::Raw(raw)))
}

/// The vApp properties with their values, as `VmConfigSpec`; those that the source does not have are told.
fn vapp(hardware: &Hardware, properties: &[Element]) -> Result<Option<Element>, Misfit> {
    let more = hardware.vsphere.as_ref();
    let wanted = more.map(|more| &more.vapp_properties);
    let mut changes = Vec::new();
    for (id, value) in wanted.into_iter().flatten() {
        let ids = || properties.iter().filter_map(|p| p.text_of("id"));
        let Some(known) = properties.iter().find(|p| p.text_of("id") == Some(id)) else {
            return Err(Misfit {
                message: format!("the machine that is cloned has no vApp property `{id}`"),
                help: meant(id, ids(), "it has", || {
                    "it has none: leave `vapp_properties` out".into()
                }),
            });
        };
        let mut info = known.clone();
        "info".clone_into(&mut info.name);
        info.kind = None;
        // in the schema's order the value comes before the description
        info.remove("value");
        let leaf = Element {
            name: "value".into(),
            text: value.clone(),
            ..Element::default()
        };
        let before = info.children.iter().position(|c| c.name == "description");
        info.children
            .insert(before.unwrap_or(info.children.len()), leaf);
        let mut change = Element {
            name: "property".into(),
            ..Element::default()
        };
        change.set("operation", "edit");
        change.children.push(info);
        changes.push(change);
    }
    Ok((!changes.is_empty()).then(|| Element {
        name: "vAppConfig".into(),
        children: changes,
        ..Element::default()
    }))
}

/// What the guest is told; every network card has its part, as vSphere wants it.
pub(super) fn customization(told: &Customization, hardware: &Hardware) -> CustomizationLinux {
    let mut nics: Vec<NicAddress> = Vec::new();
    for index in 0..hardware.nics.len() {
        let nic = told.nics.get(index).cloned().unwrap_or_default();
        let address = nic.address.as_deref().and_then(Network::parse);
        let mut told = NicAddress::default();
        match address.map(|network| (network, network.mask())) {
            Some((network, Some(mask))) => {
                told.ipv4 = Some((network.address.to_string(), mask.to_string()));
                told.gateways.extend(nic.gateway);
            }
            Some((network, None)) => {
                told.ipv6 = vec![(network.address.to_string(), network.prefix)];
                told.ipv6_gateways.extend(nic.gateway);
            }
            None => {}
        }
        nics.push(told);
    }
    CustomizationLinux {
        host_name: told.hostname.clone(),
        domain: told.domain.clone(),
        time_zone: told.time_zone.clone(),
        hw_clock_utc: Some(true),
        dns_suffixes: told.dns_suffixes.clone(),
        dns_servers: told.dns_servers.clone(),
        nics,
    }
}

/// Whether a machine of somebody else's is what `machine` says of it; every difference, with what to write instead.
pub(super) fn differences(
    name: &str,
    hardware: &Hardware,
    devices: &[Device],
    firmware: Firmware,
) -> Option<Misfit> {
    let mut differs = Vec::new();
    let mut right = Vec::new();
    if hardware.firmware != firmware {
        differs.push(format!("its firmware is {firmware}"));
    }
    let there: Vec<(Size, Option<Controller>)> = disks(devices)
        .map(|disk| {
            let controller = devices.iter().find(|d| Some(d.key) == disk.controller);
            let kind = controller.and_then(|c| controller_kind(&c.kind));
            (disk.capacity.unwrap_or(Size::from_bytes(0)), kind)
        })
        .collect();
    if there.len() > hardware.disks.len() {
        let plural = if there.len() == 1 { "" } else { "s" };
        differs.push(format!("it has {} disk{plural}", there.len()));
    }
    for (index, (size, kind)) in there.iter().enumerate() {
        let kind = kind.map_or("pvscsi", Controller::as_str);
        right.push(format!("{{ size = \"{size}\", controller = \"{kind}\" }}"));
        let Some(told) = hardware.disks.get(index) else {
            continue;
        };
        if told.size < *size {
            differs.push(format!("disk {} has {size}", index + 1));
        }
        if told.controller.as_str() != kind {
            differs.push(format!("disk {} hangs on {kind}", index + 1));
        }
    }
    (!differs.is_empty()).then(|| Misfit {
        message: format!(
            "the machine `{name}` is not as `machine` says: {}",
            differs.join(", ")
        ),
        help: format!(
            "`machine = {{ firmware = \"{firmware}\", disks = [{}] }}`; disks can be larger",
            right.join(", ")
        ),
    })
}
