//! Hardware, logins, and the stages that are little more: `iso-base` and `clone`.

use crate::config::tree::{Node, Table};
use crate::diag::Diagnostic;
use crate::model::{
    Checkpointing, Clone, Controller, Disk, Duration, Firmware, Hardware, IsoBase, Login,
    MachineSource, Name, Nic, NicAdapter, Size, Ssh, Text,
};

use super::site::Site;
use super::stage::{Here, Inherited, Lowering};
use super::{media, vsphere};

/// What a machine is when nothing is said.
fn plain() -> Hardware {
    Hardware {
        cpus: 1,
        cores_per_socket: 1,
        memory: Size::from_mib(1024),
        firmware: Firmware::Bios,
        disks: vec![plain_disk()],
        nics: vec![plain_nic()],
        guest_id: None,
        // ESXi 6.7 U2 and later; newer ones would shut those out
        hardware_version: 15,
        vsphere: None,
    }
}

fn plain_disk() -> Disk {
    Disk {
        size: Size::from_mib(16 * 1024),
        controller: Controller::Pvscsi,
    }
}

fn plain_nic() -> Nic {
    Nic {
        adapter: NicAdapter::Vmxnet3,
        network: "VM Network".to_owned(),
        mac: None,
    }
}

/// The hardware here: that of `from`, or `[machine]`, changed by the stage's own `machine`.
fn hardware(here: &Here<'_>, machine: Option<&Table>, hand_on: &mut Inherited) -> Hardware {
    let mut hardware = here.inherited.hardware.clone().unwrap_or_else(plain);
    for table in machine.into_iter().chain(here.table("machine")) {
        change(&here.site, &mut hardware, table);
    }
    hand_on.hardware = Some(hardware.clone());
    hardware
}

fn change(site: &Site<'_>, hardware: &mut Hardware, table: &Table) {
    let get = |key: &str| table.get(key);
    change_processor(site, hardware, table);
    if let Some(node) = get("memory")
        && let Some(memory) = site.size(node)
    {
        check_memory(site, node, memory);
        hardware.memory = memory;
    }
    if let Some(word) = get("firmware").and_then(|node| site.word(node, Firmware::WORDS)) {
        hardware.firmware = Firmware::from_word(&word).unwrap_or(hardware.firmware);
    }
    if let Some(node) = get("disks") {
        let nodes = site.list(node);
        hardware.disks = nodes.iter().filter_map(|node| disk(site, node)).collect();
        if nodes.is_empty() {
            site.fault("bad-value", "a machine needs a disk", node.span);
        }
    }
    if let Some(node) = get("nics") {
        let nodes = site.list(node);
        hardware.nics = nodes.iter().filter_map(|node| nic(site, node)).collect();
        if nodes.is_empty() {
            site.fault(
                "bad-value",
                "a machine needs a network adapter: SSH goes over it",
                node.span,
            );
        }
    }
    if let Some(id) = get("guest_id").and_then(|node| site.literal(node)) {
        hardware.guest_id = Some(id);
    }
    if let Some(version) = get("hardware_version").and_then(|node| site.u32(node, 4)) {
        hardware.hardware_version = version;
    }
    if let Some(table) = table.table("vsphere") {
        let known = hardware.vsphere.get_or_insert_default();
        vsphere::change(site, known, table);
    }
}

fn change_processor(site: &Site<'_>, hardware: &mut Hardware, table: &Table) {
    if let Some(cpus) = table.get("cpus").and_then(|node| site.u32(node, 1)) {
        hardware.cpus = cpus;
        if !cpus.is_multiple_of(hardware.cores_per_socket) {
            hardware.cores_per_socket = 1;
        }
    }
    if let Some(node) = table.get("cores_per_socket") {
        let cores = site.u32(node, 1).unwrap_or(1);
        if hardware.cpus.is_multiple_of(cores) {
            hardware.cores_per_socket = cores;
        } else {
            let message = format!(
                "{} CPUs cannot stand on sockets of {cores} cores",
                hardware.cpus
            );
            site.push(
                Diagnostic::error("bad-value", message)
                    .label(node.span, "")
                    .help("`cores_per_socket` divides `cpus`"),
            );
        }
    }
}

fn check_memory(site: &Site<'_>, node: &Node, memory: Size) {
    if memory < Size::from_mib(16) || !memory.bytes().is_multiple_of(1 << 20) {
        let message = format!("memory is a multiple of 1MiB, at least 16MiB; this is {memory}");
        site.fault("bad-value", message, node.span);
    }
}

fn disk(site: &Site<'_>, node: &Node) -> Option<Disk> {
    let table = node.as_table()?;
    let size = site.required(table, "size", "a disk", node.span)?;
    let controller = table
        .get("controller")
        .and_then(|node| site.word(node, Controller::WORDS));
    let bytes = site.size(size)?;
    if bytes.bytes() == 0 || !bytes.bytes().is_multiple_of(1 << 20) {
        let message = format!("a disk's size is a multiple of 1MiB; this is {bytes}");
        site.fault("bad-value", message, size.span);
    }
    Some(Disk {
        size: bytes,
        controller: controller
            .and_then(|word| Controller::from_word(&word))
            .unwrap_or(plain_disk().controller),
    })
}

fn nic(site: &Site<'_>, node: &Node) -> Option<Nic> {
    let table = node.as_table()?;
    let adapter = table
        .get("adapter")
        .and_then(|node| site.word(node, NicAdapter::WORDS));
    let network = table.get("network").and_then(|node| site.literal(node));
    Some(Nic {
        adapter: adapter
            .and_then(|word| NicAdapter::from_word(&word))
            .unwrap_or(plain_nic().adapter),
        network: network.unwrap_or(plain_nic().network),
        mac: table.get("mac").and_then(|node| mac(site, node)),
    })
}

/// A card's address, in the form that all providers take.
fn mac(site: &Site<'_>, node: &Node) -> Option<String> {
    let text = site.literal(node)?;
    let mac = text.to_ascii_lowercase().replace('-', ":");
    let byte = |part: &str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    let group = u8::from_str_radix(mac.get(..2).unwrap_or_default(), 16).unwrap_or(1) & 1 == 1;
    if mac.split(':').count() == 6 && mac.split(':').all(byte) && !group {
        return Some(mac);
    }
    let message = format!("`{text}` is no address of a network card");
    site.push(
        Diagnostic::error("bad-value", message)
            .label(node.span, "")
            .help("six bytes in hexadecimal, the first one even: `00:50:56:01:02:03`"),
    );
    None
}

/// The login here: that of `from`, changed by the stage's own `ssh`.
pub(super) fn ssh(here: &Here<'_>) -> Option<Ssh> {
    let site = &here.site;
    let old = here.inherited.ssh.clone();
    let Some(table) = here.table("ssh") else {
        let first = here.decl.kind == "iso-base" || here.get("source").is_some();
        if old.is_none() && first {
            site.push(
                Diagnostic::error("missing-key", format!("{} needs `ssh`", here.what()))
                    .label(here.decl.span, "")
                    .help("say how the installed system is reached: `ssh = { user = \"root\", password = \"…\" }`"),
            );
        }
        return old;
    };
    let span = here
        .table
        .entry("ssh")
        .map_or(here.decl.span, |entry| entry.key_span);
    let user = match (table.get("user"), &old) {
        (Some(node), _) => site.text(node),
        (None, Some(old)) => Some(old.user.clone()),
        (None, None) => site
            .required(table, "user", "`ssh`", span)
            .and_then(|node| site.text(node)),
    };
    let login = login(site, table, old.as_ref().map(|old| old.login.clone()));
    if login == Login::default()
        && !["password", "key_file"]
            .iter()
            .any(|key| table.get(key).is_some())
    {
        site.push(
            Diagnostic::error("missing-key", "`ssh` needs a way to log in")
                .label(span, "")
                .help("one of `password`, `key_file`, `agent = true`, `generate_key = true`"),
        );
    }
    let port = table.get("port").and_then(|node| site.int(node, 1, 65_535));
    let timeout = table.get("timeout").and_then(|node| site.duration(node));
    Some(Ssh {
        user: user?,
        login,
        port: port
            .and_then(|port| u16::try_from(port).ok())
            .or(old.as_ref().map(|old| old.port))
            .unwrap_or(22),
        timeout: timeout
            .or(old.map(|old| old.timeout))
            .unwrap_or(Duration::from_secs(30 * 60)),
    })
}

/// A way to log in that is written here replaces all those that are inherited.
fn login(site: &Site<'_>, table: &Table, old: Option<Login>) -> Login {
    let written = ["password", "key_file", "agent", "generate_key"]
        .iter()
        .any(|key| table.get(key).is_some());
    if !written {
        return old.unwrap_or_default();
    }
    let text = |key: &str| table.get(key).and_then(|node| site.text(node));
    let flag = |key: &str| table.get(key).and_then(|node| site.bool(node));
    Login {
        password: text("password"),
        key_file: text("key_file"),
        agent: flag("agent").unwrap_or(false),
        generate_key: flag("generate_key").unwrap_or(false),
    }
}

/// The shut-down command here: the stage's own, else that of `from`.
pub(super) fn shutdown(here: &Here<'_>, hand_on: &mut Inherited) -> Option<Text> {
    if let Some(own) = here.text("shutdown") {
        hand_on.shutdown = Some(own);
    }
    hand_on.shutdown.clone()
}

/// `kind = "iso-base"`.
pub(super) fn iso_base(
    lowering: &Lowering<'_>,
    here: &Here<'_>,
    hand_on: &mut Inherited,
) -> Option<IsoBase> {
    let provider: Option<Name> = lowering.provider(here);
    hand_on.provider.clone_from(&provider);
    let hardware = hardware(here, lowering.machine, hand_on);
    let iso = media::iso(here);
    let kickstart = here
        .get("kickstart")
        .map(|node| media::kickstart(here, node));
    let boot = media::boot(here);
    let ssh = ssh(here);
    hand_on.ssh.clone_from(&ssh);
    let shutdown = shutdown(here, hand_on);
    Some(IsoBase {
        provider: provider?,
        hardware,
        iso: iso?,
        kickstart: match kickstart {
            Some(read) => Some(read?),
            None => None,
        },
        boot,
        ssh: ssh?,
        shutdown,
        checkpoint: checkpoint(here, here.get("checkpoint")).unwrap_or_default(),
        vm_name: vm_name(here),
    })
}

/// When the running machine is kept: what `node` says of it.
pub(super) fn checkpoint(here: &Here<'_>, node: Option<&Node>) -> Option<Checkpointing> {
    let word = here.site.word(node?, Checkpointing::WORDS)?;
    Checkpointing::from_word(&word)
}

/// What the machine is called on a server.
pub(super) fn vm_name(here: &Here<'_>) -> Option<String> {
    let node = here.get("vm_name")?;
    let name = here.site.literal(node)?;
    // the limit of vSphere's names; a slash would be a place in its inventory
    if name.is_empty() || name.len() > 80 || name.contains(['/', '\\', '%']) {
        let message = format!(
            "`{name}` cannot be a machine's name: up to 80 letters, without `/`, `\\` and `%`"
        );
        here.site.fault("bad-value", message, node.span);
    }
    Some(name)
}

/// A machine that comes from another: its hardware and login; `base` is `[machine]`, if that other is no stage's.
pub(super) fn machine(
    here: &Here<'_>,
    base: Option<&Table>,
    hand_on: &mut Inherited,
) -> (Hardware, Option<Ssh>) {
    let hardware = hardware(here, base, hand_on);
    check_disks(here, &hardware);
    let ssh = ssh(here);
    hand_on.ssh.clone_from(&ssh);
    (hardware, ssh)
}

/// Disks of a machine that comes from another hold its content: they can grow and be joined by others.
fn check_disks(here: &Here<'_>, hardware: &Hardware) {
    let (Some(old), Some(node)) = (
        &here.inherited.hardware,
        here.table("machine")
            .and_then(|machine| machine.get("disks")),
    ) else {
        return;
    };
    if hardware.disks.len() < old.disks.len() {
        let message = format!(
            "the machine that it comes from has {} disks, here are {}",
            old.disks.len(),
            hardware.disks.len()
        );
        here.site.fault("bad-value", message, node.span);
    }
    for (index, (new, old)) in hardware.disks.iter().zip(&old.disks).enumerate() {
        if new.size < old.size {
            let message = format!(
                "disk {} would shrink from {} to {}",
                index + 1,
                old.size,
                new.size
            );
            here.site.fault("bad-value", message, node.span);
        }
    }
}

fn source(lowering: &Lowering<'_>, here: &Here<'_>, table: &Table) -> Option<MachineSource> {
    let span = here
        .table
        .entry("source")
        .map_or(here.decl.span, |entry| entry.key_span);
    let vm = here.site.required(table, "vm", "`source`", span);
    let literal = |node: &Node| here.site.literal(node);
    Some(MachineSource {
        provider: lowering.provider(here)?,
        vm: literal(vm?)?.trim_matches('/').to_owned(),
        snapshot: table.get("snapshot").and_then(literal),
    })
}

/// `kind = "clone"`.
pub(super) fn clone(
    lowering: &Lowering<'_>,
    here: &Here<'_>,
    hand_on: &mut Inherited,
) -> Option<Clone> {
    let source = here
        .table("source")
        .map(|table| source(lowering, here, table));
    if source.is_none()
        && let Some(node) = here.get("provider")
    {
        here.site.push(
            Diagnostic::error("bad-value", "a clone of a stage's machine is where that is")
                .label(node.span, "")
                .help("remove `provider`, or say with `source` which machine there is cloned"),
        );
    }
    if let Some(source) = &source {
        hand_on.provider = source.as_ref().map(|source| source.provider.clone());
    }
    let base = lowering.machine.filter(|_| source.is_some());
    let (hardware, ssh) = machine(here, base, hand_on);
    Some(Clone {
        source: match source {
            Some(read) => Some(read?),
            None => None,
        },
        hardware,
        ssh: ssh?,
    })
}
