//! Machines on a server that forge did not make, as what clones are made of; what clones are given; a host without clones.

use serde_json::{Value, json};

use super::support::vcenter::{Running, VCenter};
use super::support::{Output, Sandbox, vm};

/// The project: clones of the machine `golden`.
const PROJECT: &str = r#"
version = 1

[project]
name = "shop"

[providers.lab]
type = "vsphere"
scopes = ["vcenter"]
server = "{{ vcenter.server }}"
username = "{{ vcenter.username }}"
password = "{{ vcenter.password }}"
insecure = true
datacenter = "Packer"
folder = "Packer/shop"
datastore = "Packer"

[scopes.vcenter]
env = { server = "VCENTER_SERVER", username = "VCENTER_USERNAME", password = "VCENTER_PASSWORD" }
secret = ["password"]

[machine]
cpus = 1
memory = "512MiB"
disks = [{ size = "8GiB", controller = "pvscsi" }]

[stages.clone]
source = { vm = "golden", snapshot = "clean" }
ssh = { user = "root", password = "forge" }

[stages.provision]
from = "clone"
checkpoint = "never"
steps = [{ shell = { inline = "uname -n; ip link" } }]
"#;

fn project(server: &VCenter) -> Sandbox {
    Sandbox::new(PROJECT)
        .env("VCENTER_SERVER", server.get("url"))
        .env("VCENTER_USERNAME", server.get("username"))
        .env("VCENTER_PASSWORD", server.get("password"))
}

fn change(sandbox: &Sandbox, from: &str, to: &str) {
    let text = sandbox.read("builds.toml");
    assert!(text.contains(from), "{from}: {text}");
    sandbox.write("builds.toml", &text.replacen(from, to, 1));
}

/// The appliance of the repository's project as a machine `golden`, with a snapshot `clean`.
fn golden(server: &VCenter) {
    let built = vm::built();
    let ova = walkdir::WalkDir::new(built.path("output"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .find(|path| path.extension().is_some_and(|e| e == "ova"))
        .unwrap();
    let ova = ova.to_str().unwrap();
    server.govc(&[
        "import.ova",
        "-name",
        "golden",
        "-ds",
        "Packer",
        "-folder",
        "/Packer/vm",
        ova,
    ]);
    server.govc(&["snapshot.create", "-vm", "golden", "clean"]);
}

/// What the server says of a machine.
fn about(server: &VCenter, name: &str) -> Value {
    let told: Value = serde_json::from_str(&server.govc(&["vm.info", "-json", name])).unwrap();
    told["virtualMachines"][0].clone()
}

fn devices<'v>(about: &'v Value, label: &str) -> Vec<&'v Value> {
    let all = about["config"]["hardware"]["device"].as_array().unwrap();
    let named = |device: &&Value| {
        let text = device["deviceInfo"]["label"].as_str();
        text.unwrap_or_default().starts_with(label)
    };
    all.iter().filter(named).collect()
}

fn run(sandbox: &Sandbox) -> Output {
    sandbox.forge(&["run", "provision"])
}

fn all_that_a_clone_can_be_given(server: &VCenter, sandbox: &Sandbox) {
    change(
        sandbox,
        "ssh = {",
        r#"machine = { cpus = 2, nics = [{ adapter = "vmxnet3", network = "DVPG", mac = "00-50-56-01-02-AB" }, { network = "VM Network" }], disks = [{ size = "8GiB" }, { size = "64MiB" }], vsphere = { linked = false, template = true, video_memory = "16MiB", tools_upgrade = true, sync_time = true, notes = "for the shop", vapp_properties = { PAYLOAD_VERSION = "9.9" }, customization = { hostname = "till", domain = "shop.example", time_zone = "Europe/Berlin", dns_servers = "10.0.0.1", nics = [{ address = "10.20.0.7/24", gateway = "10.20.0.1" }] } } }
ssh = {"#,
    );
    let _ = run(sandbox).exits(0);
    let made = about(server, "shop-provision");
    let config = &made["config"];
    assert_eq!(config["template"], true);
    assert_eq!(config["hardware"]["numCPU"], 2);
    assert_eq!(config["tools"]["toolsUpgradePolicy"], "upgradeAtPowerCycle");
    assert_eq!(config["tools"]["syncTimeWithHost"], true);
    let waiting = &config["tools"]["pendingCustomization"];
    assert!(
        waiting
            .as_str()
            .unwrap()
            .ends_with("linux-till.shop.example"),
        "{waiting}"
    );
    assert!(
        config["annotation"]
            .as_str()
            .unwrap()
            .starts_with("for the shop\n"),
        "{config:#}"
    );
    let properties = config["vAppConfig"]["property"].as_array().unwrap();
    let value = |id: &str| {
        let found = properties.iter().find(|p| p["id"] == id);
        found.map(|p| p["value"].clone())
    };
    assert_eq!(value("PAYLOAD_VERSION").unwrap(), "9.9");
    let card = devices(&made, "Network adapter")[0];
    assert_eq!(card["macAddress"], "00:50:56:01:02:ab");
    assert_eq!(card["addressType"], "manual");
    assert!(
        card["backing"]["port"]["portgroupKey"].is_string(),
        "{card:#}"
    );
    assert_eq!(devices(&made, "Network adapter").len(), 2);
    let disks = devices(&made, "Hard disk");
    assert_eq!(disks.len(), 2);
    assert!(
        disks[0]["backing"]["parent"]["parent"].is_null(),
        "{:#}",
        disks[0]
    );
    assert_eq!(disks[0]["controllerKey"], disks[1]["controllerKey"]);
    let video = devices(&made, "Video card")[0];
    assert_eq!(video["videoRamSizeInKB"], 16 * 1024);
}

#[test]
fn vm_a_machine_of_somebody_elses_is_cloned() {
    let server = VCenter::start();
    golden(&server);
    let sandbox = project(&server);
    let said = run(&sandbox).exits(0);
    assert!(said.stdout.contains("done in"), "{}", said.all());
    let made = about(&server, "shop-provision");
    let disk = devices(&made, "Hard disk")[0];
    // its own layer, the snapshot's, and that of `golden`
    assert!(!disk["backing"]["parent"]["parent"].is_null(), "{disk:#}");
    let _ = run(&sandbox).exits(0).prints("nothing to do");

    all_that_a_clone_can_be_given(&server, &sandbox);
    // a template is replaced like any other machine, and its disks are exported
    change(&sandbox, "uname -n", "uname -r");
    let _ = run(&sandbox).exits(0);
    assert_eq!(server.machines(), ["golden", "shop-provision"]);
    let text = sandbox.read("builds.toml");
    sandbox.write(
        "builds.toml",
        &format!("{text}\n[stages.export]\nfrom = \"provision\"\n"),
    );
    let _ = sandbox.forge(&["run", "export"]).exits(0);
    assert_eq!(about(&server, "shop-provision")["config"]["template"], true);

    // what is done to the machine behind forge's back
    server.govc(&["snapshot.remove", "-vm", "golden", "clean"]);
    let _ = sandbox
        .forge(&["plan", "provision"])
        .exits(0)
        .prints("the snapshot of the machine `golden` is gone");
    let _ = sandbox.forge(&["clean"]).exits(0);
    assert_eq!(server.machines(), ["golden"]);
}

#[test]
fn vm_what_does_not_fit_a_source_is_told_before_anything_runs() {
    let server = VCenter::start();
    let sandbox = project(&server);
    change(
        &sandbox,
        "vm = \"golden\", snapshot = \"clean\"",
        "vm = \"barr\"",
    );
    let _ = run(&sandbox)
        .exits(3)
        .complains("there is no machine `barr`")
        .complains("did you mean `bare`?");
    change(&sandbox, "vm = \"barr\"", "vm = \"Packer/bare\"");
    let _ = run(&sandbox)
        .exits(3)
        .complains("the machine `bare` has no snapshot, and a linked clone starts from one")
        .complains("linked = false");
    server.govc(&["snapshot.create", "-vm", "bare", "first"]);
    change(
        &sandbox,
        "vm = \"Packer/bare\"",
        "vm = \"bare\", snapshot = \"frist\"",
    );
    let _ = run(&sandbox)
        .exits(3)
        .complains("the machine `bare` has no snapshot `frist`")
        .complains("did you mean `first`?");
    change(&sandbox, "snapshot = \"frist\"", "snapshot = \"first\"");
    change(
        &sandbox,
        "[{ size = \"8GiB\", controller = \"pvscsi\" }]",
        "[{ size = \"16MiB\", controller = \"sata\" }]",
    );
    let _ = run(&sandbox)
        .exits(3)
        .complains("the machine `bare` is not as `machine` says: disk 1 has")
        .complains("disk 1 hangs on");
    change(
        &sandbox,
        "memory = ",
        "guest_id = \"debian12_63Guest\"\nhardware_version = 15\nmemory = ",
    );
    let _ = run(&sandbox)
        .exits(3)
        .complains("vmx-15 knows no guest `debian12_63Guest`")
        .complains("did you mean `guest_id = \"debian12_64Guest\"`?");
    change(&sandbox, "hardware_version = 15", "hardware_version = 99");
    let _ = run(&sandbox)
        .exits(3)
        .complains("the hosts have no virtual hardware vmx-99");
    assert_eq!(server.machines().len(), 0);
}

#[test]
fn vm_hosts_that_disks_come_from_are_reached_before_anything_runs() {
    let server = VCenter::start_with(&["-host", "esxi-1.invalid"]);
    let sandbox = server.project();
    let _ = sandbox
        .forge(&["plan", "--provider", "lab", "--refresh"])
        .exits(3)
        .complains("the host esxi-1.invalid:")
        .complains("cannot be reached from here")
        .complains("choose a `host` that can be reached");
    // without disks on their way it does not matter
    let _ = sandbox
        .forge(&["plan", "iso-base", "--provider", "lab", "--refresh"])
        .exits(0);
}

#[test]
fn vm_a_host_without_vcenter_copies_disks_instead_of_cloning() {
    let server = VCenter::start_with(&["-esx"]);
    let sandbox = server.project();
    // with UEFI, whose variables are copied and exported too; GRUB starts the installer by itself
    let vars = sandbox.read("vars/mini.toml");
    let (vars, _) = vars.split_once("boot_wait_text").unwrap();
    sandbox.write("vars/mini.toml", &format!("{vars}firmware = \"efi\"\n"));
    let said = sandbox.forge(&["run", "ova", "--provider", "lab"]).exits(0);
    assert!(said.stdout.contains("25 passed"), "{}", said.all());
    assert_eq!(
        server.machines(),
        ["k3s-iso-base-mini", "k3s-provision-mini"]
    );
    assert_eq!(server.calls("CloneVM_Task"), 0);
    assert!(server.calls("CopyVirtualDisk_Task") > 0);
    server.is_tidy(&sandbox);
    let name = "output/k3s-mini-1.2.3/k3s-mini-1.2.3";
    let ovf = sandbox.read(&format!("{name}.ovf"));
    assert!(
        ovf.contains(r#"vmw:key="nvram" vmw:value="ovf:/file/file2""#),
        "{ovf}"
    );
    assert!(
        std::fs::metadata(sandbox.path(&format!("{name}.nvram")))
            .unwrap()
            .len()
            > 65_536
    );
    // the shared cache is others' too
    let own = sandbox.path("cache");
    let sandbox = sandbox.with_cache(&own);
    let _ = sandbox.forge(&["clean", "iso-base", "provision"]).exits(0);
    let left = server.govc(&["datastore.ls", "-ds", "Packer"]);
    let left: Vec<&str> = left.lines().filter(|name| *name != "bare").collect();
    assert_eq!(left, ["forge"]);
}

/// Hardware with everything in it.
const EVERYTHING: &str = r#"
[stages.iso-base.machine]
cpus = 4
cores_per_socket = 2
firmware = "efi-secure"
guest_id = "debian12_64Guest"
nics = [{ adapter = "e1000e", mac = "00:50:56:01:02:03" }, { adapter = "e1000", network = "DVPG" }]
disks = [
    { size = "2GiB", controller = "lsilogic-sas" },
    { size = "1GiB", controller = "pvscsi" },
    { size = "1GiB", controller = "sata" },
    { size = "1GiB", controller = "nvme" },
]
vsphere = { cpu_hot_add = true, memory_hot_add = true, cpu_reservation = 500, memory_reservation = "64MiB", nested = true, tpm = true, video_memory = "8MiB", provisioning = "eager", extra_config = { "disk.EnableUUID" = "TRUE" } }
"#;

/// What a machine has beside its devices.
fn has_settings(config: &Value) {
    let has = |path: &str| config.pointer(path).cloned().unwrap_or_default();
    for (path, value) in [
        ("/firmware", json!("efi")),
        ("/bootOptions/efiSecureBootEnabled", json!(true)),
        ("/hardware/numCPU", json!(4)),
        ("/hardware/numCoresPerSocket", json!(2)),
        ("/cpuHotAddEnabled", json!(true)),
        ("/memoryHotAddEnabled", json!(true)),
        ("/nestedHVEnabled", json!(true)),
        ("/cpuAllocation/reservation", json!(500)),
        ("/memoryAllocation/reservation", json!(64)),
        ("/guestId", json!("debian12_64Guest")),
        ("/version", json!("vmx-15")),
    ] {
        assert_eq!(has(path), value, "{path}: {config:#}");
    }
    let extra = has("/extraConfig");
    let uuid = json!({ "key": "disk.EnableUUID", "value": "TRUE" });
    assert!(extra.as_array().unwrap().contains(&uuid), "{extra:#}");
}

#[test]
fn vm_a_new_machine_has_all_that_it_is_said_to_have() {
    let server = VCenter::start();
    let sandbox = server.project();
    let text = sandbox.read("builds.toml");
    sandbox.write("builds.toml", &format!("{text}{EVERYTHING}"));
    let args = ["run", "iso-base", "--provider", "lab", "--output", "plain"];
    let mut running = Running::start(&sandbox, &args);
    running.wait_for("console: https://127.0.0.1:");
    let name = server.machines().remove(0);
    let (made, list) = (
        about(&server, &name),
        server.govc(&["device.ls", "-vm", &name]),
    );
    assert_eq!(running.end("-INT").0, Some(130));
    let config = &made["config"];
    has_settings(config);
    let disks = devices(&made, "Hard disk");
    assert_eq!(disks.len(), 4);
    assert_eq!(disks[0]["backing"]["eagerlyScrub"], true);
    let bus = |disk: &Value| {
        let all = &config["hardware"]["device"];
        let found = all
            .as_array()
            .unwrap()
            .iter()
            .find(|d| d["key"] == disk["controllerKey"]);
        found.unwrap()["deviceInfo"]["label"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let buses: Vec<String> = disks.iter().map(|disk| bus(disk)).collect();
    assert_eq!(
        buses,
        [
            "SCSI controller 0",
            "SCSI controller 1",
            "SATA controller 0",
            "NVME controller 0"
        ]
    );
    assert_eq!(
        devices(&made, "Network adapter")[0]["macAddress"],
        "00:50:56:01:02:03"
    );
    assert_eq!(
        devices(&made, "Video card")[0]["videoRamSizeInKB"],
        8 * 1024
    );
    assert!(list.contains("VirtualTPM"), "{list}");
    assert!(server.machines().is_empty());
}
