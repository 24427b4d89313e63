//! forge on vSphere: real builds on the tests' own vCenter, and what goes wrong there.

use serde_json::json;

use super::support::vcenter::{Running, VCenter};
use super::support::{Output, Sandbox};
use super::vcenter_interrupted as interrupted;

const BASE: &str = "k3s-iso-base-mini";
const DONE: &str = "k3s-provision-mini";

/// forge with the server as provider.
fn forge(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut all = args.to_vec();
    all.extend(["--provider", "lab"]);
    sandbox.forge(&all)
}

/// What has changed is gone on from, in the guest that is met where it was; not if another one has its address by now.
fn gone_on_from(server: &VCenter, sandbox: &Sandbox) {
    const ELSEWHERE: &str = "is another machine now";
    let change = |path: &str, says: &str| {
        sandbox.write(path, &format!("{}\n# changed\n", sandbox.read(path)));
        let _ = forge(sandbox, &["run", "provision"]).exits(0).prints(says);
        newest_log(sandbox, "provision")
    };
    let log = change("scripts/k3s/lib.sh", "going on from the running machine");
    let waited = log.contains("no address is reported yet") || log.contains(ELSEWHERE);
    assert!(!waited, "{log}");

    let db = rusqlite::Connection::open(sandbox.path(".forge/forge.db")).unwrap();
    let other = "UPDATE checkpoints SET state = json_replace(state, '$.met.boot_id', 'another')";
    assert!(db.execute(other, []).unwrap() > 0);
    drop(db);
    let says = "2 of 3 steps are as they were, going on from there";
    let log = change("scripts/cleanup.sh", says);
    assert!(log.contains(ELSEWHERE), "{log}");
    assert_eq!(server.calls("CloneVM_Task"), 0);
    assert_eq!(server.machines(), [BASE, DONE]);
}

/// The log that a stage has left in the last run that it was in.
fn newest_log(sandbox: &Sandbox, stage: &str) -> String {
    let logs = walkdir::WalkDir::new(sandbox.path(".forge/logs"));
    let of_stage = logs.into_iter().flatten().filter(|entry| {
        let name = entry.file_name().to_string_lossy();
        name.starts_with(stage) && name.ends_with(".log")
    });
    let newest = of_stage.max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    std::fs::read_to_string(newest.unwrap().path()).unwrap()
}

/// The password is nowhere.
pub(super) fn no_secrets(server: &VCenter, sandbox: &Sandbox) {
    let password = server.get("password");
    for entry in walkdir::WalkDir::new(sandbox.path(".forge")) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            // the word stands in many messages; the value as it is sent does not
            assert!(
                !text.contains(&format!("<password>{password}")),
                "{:?}",
                entry.path()
            );
        }
    }
}

#[test]
fn vm_a_build_on_vcenter_from_the_iso_to_the_verified_ova_and_what_becomes_of_its_machines() {
    let server = VCenter::start();
    let sandbox = server.project();
    let _ = forge(&sandbox, &["run", "ova"])
        .exits(0)
        .prints("25 passed")
        .prints("done in");
    assert_eq!(server.machines(), [BASE, DONE]);
    let marks = server.govc(&["vm.info", "-e", DONE]);
    assert!(
        marks.contains("forge.stage") && marks.contains("provision[os=mini]"),
        "{marks}"
    );
    server.is_tidy(&sandbox);

    // nothing to do costs one look
    server.forget_calls();
    let _ = forge(&sandbox, &["run", "ova"])
        .exits(0)
        .prints("nothing to do");
    assert_eq!(
        (server.calls("CreateVM_Task"), server.calls("CloneVM_Task")),
        (0, 0)
    );
    assert_eq!(server.calls("Login"), server.calls("Logout"));

    gone_on_from(&server, &sandbox);
    server.is_tidy(&sandbox);

    interrupted::the_name_is_taken_meanwhile(&server, &sandbox);
    interrupted::broken_transfers(&server, &sandbox);
    interrupted::restarts(&server, &sandbox);
    interrupted::stopped_everywhere(&server, &sandbox);
    interrupted::behind_its_back(&server, &sandbox);

    // a machine removed behind forge's back
    server.govc(&["vm.destroy", DONE]);
    let _ = forge(&sandbox, &["plan", "provision"])
        .exits(0)
        .prints("artifact missing: the machine `")
        .prints("` is gone from 127.0.0.1:");
    // its checkpoints are gone with it
    let args = ["run", "provision", "--provider", "lab", "--output", "plain"];
    let mut running = Running::start(&sandbox, &args);
    running.wait_for("waiting for ssh");
    let (code, text) = running.end("-INT");
    assert_eq!(
        (code, server.machines()),
        (Some(130), vec![BASE.into()]),
        "{text}"
    );
    server.is_tidy(&sandbox);

    no_secrets(&server, &sandbox);
    // the shared cache is others' too
    let own = sandbox.path("cache");
    let sandbox = sandbox.with_cache(&own);
    let _ = sandbox
        .forge(&["clean", "iso-base"])
        .exits(0)
        .prints("removed the machine k3s-iso-base-mini");
    assert!(server.machines().is_empty());
}

fn vcenter_vars(sandbox: &Sandbox, from: &str, to: &str) {
    let text = sandbox.read("vars/vcenter.toml");
    assert!(text.contains(from), "{text}");
    sandbox.write("vars/vcenter.toml", &text.replacen(from, to, 1));
}

#[test]
fn vm_what_does_not_fit_the_server_is_told_before_anything_runs() {
    let server = VCenter::start();
    let sandbox = server.project();
    let _ = forge(&sandbox, &["plan", "--refresh"]).exits(0);
    let _ = sandbox
        .forge(&["doctor", "--provider", "lab"])
        .exits(0)
        .prints("VMware vCenter Server");

    for (from, to, expected) in [
        (
            "datacenter = \"Packer\"",
            "datacenter = \"Pakcer\"",
            "there is no datacenter `Pakcer`",
        ),
        (
            "cluster = \"Packer\"",
            "cluster = \"Pakcer\"",
            "there is no cluster `Pakcer`",
        ),
        (
            "datastore = \"Packer\"",
            "datastore = \"Pakcer\"",
            "there is no datastore `Pakcer`",
        ),
        (
            "\"VM Network\"",
            "\"VM Netwrok\"",
            "there is no network `VM Netwrok`",
        ),
        (
            "\"Resources\"",
            "\"Batch\"",
            "there is no resource pool `Batch`",
        ),
    ] {
        vcenter_vars(&sandbox, from, to);
        let _ = forge(&sandbox, &["run", "iso-base"])
            .exits(3)
            .complains(expected);
        vcenter_vars(&sandbox, to, from);
    }
    // all of it at once
    vcenter_vars(&sandbox, "datastore = \"Packer\"", "datastore = \"Pakcer\"");
    vcenter_vars(&sandbox, "\"VM Network\"", "\"VM Netwrok\"");
    let _ = forge(&sandbox, &["run", "iso-base"])
        .exits(3)
        .complains("2 things stand in the way")
        .complains("did you mean `Packer`?")
        .complains("did you mean `VM Network`?");
    vcenter_vars(&sandbox, "datastore = \"Pakcer\"", "datastore = \"Packer\"");
    vcenter_vars(&sandbox, "\"VM Netwrok\"", "\"VM Network\"");

    assert!(server.machines().is_empty());
}

#[test]
fn vm_accounts_and_machines_of_others_are_left_alone() {
    let server = VCenter::start();
    let sandbox = server.project();
    // somebody else's machine
    server.govc(&["object.rename", "/Packer/vm/Packer/bare", BASE]);
    let _ = forge(&sandbox, &["run", "iso-base"])
        .exits(3)
        .complains("there is a machine `k3s-iso-base-mini` already, and forge did not make it");
    server.govc(&[
        "object.rename",
        &format!("/Packer/vm/Packer/{BASE}"),
        "bare",
    ]);

    server.fault(
        "no-privilege",
        -1,
        "CreateVM_Task",
        &json!("VirtualMachine.Inventory.Create"),
    );
    let _ = forge(&sandbox, &["run", "iso-base"])
        .exits(3)
        .complains("lacks privileges: VirtualMachine.Inventory.Create");
    server.no_faults();
    server.fault("datastore-full", -1, "", &json!(null));
    let _ = forge(&sandbox, &["run", "iso-base"])
        .exits(3)
        .complains("free");
    server.no_faults();

    let wrong = server.project().env("VCENTER_PASSWORD", "wrong");
    let _ = forge(&wrong, &["run", "iso-base"])
        .exits(3)
        .complains("the server refuses the login");
    let nobody = server.project().env("VCENTER_SERVER", "127.0.0.1:9");
    let _ = forge(&nobody, &["run", "iso-base"])
        .exits(3)
        .complains("127.0.0.1:9 cannot be reached");
    let unset = server.project().env("VCENTER_PASSWORD", "");
    let _ = forge(&unset, &["run", "iso-base"])
        .exits(3)
        .complains("the provider `lab` has no password");
    assert!(server.machines().is_empty());
}

#[test]
fn vm_a_certificate_is_verified_pinned_or_taken_as_it_is() {
    let server = VCenter::start();
    let sandbox = server.project();
    let trust = |line: &str| {
        let text = sandbox.read("builds.toml");
        let text = regex::Regex::new("(?m)^(ca_file|tls_thumbprint) = .*\n")
            .unwrap()
            .replace_all(&text, "")
            .into_owned();
        let text = text.replacen("[providers.lab]\n", &format!("[providers.lab]\n{line}"), 1);
        sandbox.write("builds.toml", &text);
        sandbox.forge(&["doctor", "--provider", "lab"])
    };
    let sha256 = server.get("sha256");
    let pin = format!("tls_thumbprint = \"{sha256}\"");
    let _ = trust("").exits(3).prints("is not trusted").prints(&pin);
    let _ = trust(&format!("{pin}\n")).exits(0);
    let _ = trust("tls_thumbprint = \"AA:BB\"\n")
        .exits(3)
        .prints("is not trusted");
    vcenter_vars(
        &sandbox,
        "insecure_connection = false",
        "insecure_connection = true",
    );
    let _ = trust("").exits(0);
}

#[test]
fn vm_faults_of_the_server_end_a_stage_and_leave_nothing() {
    let server = VCenter::start();
    let sandbox = server.project();
    for (name, matches, arg, expected) in [
        (
            "task-error",
            "CreateVM_Task",
            json!("the disk shelf is on fire"),
            "the disk shelf is on fire",
        ),
        (
            "task-error",
            "PowerOnVM_Task",
            json!("no host has room"),
            "no host has room",
        ),
        ("question", "", json!(null), "asks"),
    ] {
        server.fault(name, 1, matches, &arg);
        let ended = forge(&sandbox, &["run", "iso-base"]);
        assert!(matches!(ended.code, 1 | 3), "{name}: {}", ended.all());
        assert!(ended.stdout.contains(expected), "{name}: {}", ended.all());
        server.no_faults();
        assert!(server.machines().is_empty(), "{name}");
        server.is_tidy(&sandbox);
    }
    // what a server does for a moment is nobody's business
    server.fault("session-expired", 1, "CreateContainerView", &json!(null));
    server.fault("http-502", 2, "/sdk", &json!(null));
    let _ = sandbox.forge(&["doctor", "--provider", "lab"]).exits(0);
}
