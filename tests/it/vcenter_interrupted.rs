//! A whole build on a vCenter that is interrupted, killed and disturbed, stage by stage: what was built before stays, and
//! nothing else does.

use serde_json::json;

use super::support::Sandbox;
use super::support::vcenter::{Phase, Running, VCenter};

const BASE: &str = "k3s-iso-base-mini";
const DONE: &str = "k3s-provision-mini";
const CLEANED: &str = "cleaned up after a forge that was killed: ";

/// A stage that is done again.
fn anew(stage: &str) -> [&str; 8] {
    [
        "run",
        stage,
        "--force",
        stage,
        "--provider",
        "lab",
        "--output",
        "plain",
    ]
}

/// Killed, and the next run interrupted, in every phase that the first stage has not.
pub(crate) fn stopped_everywhere(server: &VCenter, sandbox: &Sandbox) {
    let transfer = Phase("slow-transfer", "/nfc/", 1000);
    for (stage, phase) in [
        ("export", Some(transfer)),
        ("verify", Some(transfer)),
        ("verify", None),
        ("provision", Some(Phase("slow-task", "CloneVM_Task", 3))),
        ("provision", None),
    ] {
        let up_to = || match phase {
            Some(phase) => Running::up_to(server, sandbox, &anew(stage), phase),
            None => {
                let mut running = Running::start(sandbox, &anew(stage));
                running.wait_for("waiting for ssh");
                running
            }
        };
        assert_eq!(up_to().end("-KILL").0, None, "{stage}");
        let (code, text) = up_to().end("-INT");
        assert_eq!(code, Some(130), "{stage} {phase:?}: {text}");
        // an export makes no machine
        assert_eq!(text.contains(CLEANED), stage != "export", "{stage}: {text}");
        assert_eq!(server.machines(), [BASE, DONE], "{stage} {phase:?}");
        server.is_tidy(sandbox);
    }
}

/// Transfers that break are done again, as often as that helps.
pub(crate) fn broken_transfers(server: &VCenter, sandbox: &Sandbox) {
    let anew = |stage| Running::start(sandbox, &anew(stage));
    let again = "the export broke off and is begun anew: 127.0.0.1:";
    for (fault, matches, why) in [
        (
            "cut-transfer",
            "/nfc/",
            "the connection was closed before the end",
        ),
        ("lease-unreachable", DONE, "Connection refused"),
    ] {
        server.fault(fault, 1, matches, &json!(null));
        let text = anew("export").ends(0, &[again, why]);
        // others take the server's disks as they are
        assert!(!text.contains("written anew"), "{text}");
        server.faults_were_met();
    }
    server.fault("lease-unreachable", -1, DONE, &json!(null));
    let why = "cannot be reached: Connection refused";
    let host = "disks go straight to and from this ESXi host: its name must resolve here";
    anew("export").ends(3, &[again, why, host]);
    server.no_faults();
    assert_eq!(server.machines(), [BASE, DONE]);
    server.is_tidy(sandbox);
}

/// The server restarts while disks come, while a machine boots, and while a snapshot is taken.
pub(crate) fn restarts(server: &VCenter, sandbox: &Sandbox) {
    let phase = Phase("slow-transfer", "/nfc/", 1000);
    let running = Running::up_to(server, sandbox, &anew("export"), phase);
    server.restart(1);
    running.ends(0, &["the export broke off and is begun anew"]);

    server.fault("cut-transfer", 1, "/nfc/", &json!(100_000));
    let mut running = Running::start(sandbox, &anew("verify"));
    running.wait_for("the start of verify[os=mini] broke off and is begun anew");
    running.wait_for("waiting for ssh");
    server.restart(1);
    running.ends(0, &["25 passed"]);
    server.faults_were_met();
    assert_eq!(server.machines(), [BASE, DONE]);
    server.is_tidy(sandbox);
}

/// Somebody else's machine gets the name while ours is made, and the server restarts meanwhile.
pub(crate) fn the_name_is_taken_meanwhile(server: &VCenter, sandbox: &Sandbox) {
    let project = sandbox.read("builds.toml");
    let named = "[stages.provision]\nvm_name = \"appliance\"\n";
    sandbox.write(
        "builds.toml",
        &project.replacen("[stages.provision]\n", named, 1),
    );
    let script = sandbox.read("scripts/cleanup.sh");
    sandbox.write("scripts/cleanup.sh", &format!("{script}\n# once more\n"));
    let args = ["run", "provision", "--provider", "lab", "--output", "plain"];
    let phase = Phase("slow-task", "CreateSnapshot_Task", 2);
    let running = Running::up_to(server, sandbox, &args, phase);
    server.govc(&["vm.create", "-on=false", "-folder", "Packer", "appliance"]);
    server.restart(1);
    running.ends(
        0,
        &[
            "the last snapshot broke off and is begun anew",
            "the machine could not be called `appliance`: there is a machine `appliance` already, and forge did not make it",
        ],
    );
    assert_eq!(server.machines(), ["appliance", BASE, DONE]);

    // it gets the name when that is free
    server.govc(&["vm.destroy", "appliance"]);
    Running::start(sandbox, &args).ends(0, &["nothing to do"]);
    assert_eq!(server.machines(), ["appliance", BASE]);
    server.is_tidy(sandbox);
    sandbox.write("builds.toml", &project);
    Running::start(sandbox, &args).ends(0, &["done in"]);
    assert_eq!(server.machines(), [BASE, DONE]);
}

/// The snapshot of a machine is removed; a machine is removed while it is used.
pub(crate) fn behind_its_back(server: &VCenter, sandbox: &Sandbox) {
    server.govc(&["snapshot.remove", "-vm", DONE, "*"]);
    let plan = ["plan", "provision", "--provider", "lab"];
    let _ = sandbox.forge(&plan).exits(0).prints(
        "artifact missing: the snapshot of the machine `k3s-provision-mini` is gone from 127.0.0.1:",
    );
    let mut running = Running::start(sandbox, &anew("provision"));
    running.wait_for("waiting for ssh");
    let machines = server.machines();
    let ours = machines.iter().find(|name| name.contains(".forge-"));
    server.govc(&["vm.destroy", ours.unwrap()]);
    running.ends(1, &["the machine was removed from the server"]);
    assert_eq!(server.machines(), [BASE, DONE]);
    server.is_tidy(sandbox);
}
