//! What goes wrong on a vCenter while machines are made there: each fault of the tests' own one, and forge interrupted or
//! killed meanwhile. The machines start, but their guests never answer: nothing is waited for that takes long.

use serde_json::json;

use super::support::Sandbox;
use super::support::vcenter::{Phase, Running, VCenter, other_medium, quick};

const RUN: &[&str] = &["run", "iso-base", "--output", "plain"];
/// How the stage ends when the server does what it should.
const SILENT: &str = "the guest had no address within";

/// Runs forge; it ends with this code and has said these words. Nothing is left on the server.
fn ends(server: &VCenter, sandbox: &Sandbox, code: i32, words: &[&str]) -> String {
    let output = sandbox.forge(RUN).exits(code);
    let text = format!("{}{}", output.stdout, output.stderr);
    for word in words {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    let machines = server.machines();
    assert!(machines.is_empty(), "{machines:?} after\n{text}");
    server.is_tidy(sandbox);
    text
}

/// Sets a key of the provider.
fn set(sandbox: &Sandbox, key: &str, value: &str) {
    let text = sandbox.read("builds.toml");
    let line = regex::Regex::new(&format!("(?m)^{key} = .*\n")).unwrap();
    let text = line.replace(&text, "").into_owned();
    let head = "type = \"vsphere\"\n";
    let with = format!("{head}{key} = \"{value}\"\n");
    sandbox.write("builds.toml", &text.replacen(head, &with, 1));
}

#[test]
fn an_account_that_is_not_there_is_missed_only_where_it_is_used() {
    let sandbox = quick("127.0.0.1:9", "ca.pem");
    let _ = sandbox.forge(&["validate"]).exits(0);
    let _ = sandbox
        .forge(&["logs"])
        .exits(2)
        .complains("there is no log of this project");
    let _ = sandbox.forge(RUN).exits(3).complains(
        "provider `lab`: `login.username` is not defined: the environment has no `LAB_USERNAME`",
    );
}

#[test]
fn vm_a_task_that_fails_is_told_and_one_that_is_slow_is_waited_for() {
    let server = VCenter::start();
    let sandbox = server.quick();
    for (task, words) in [
        ("CreateVM_Task", "the host is on fire"),
        ("PowerOnVM_Task", "no more power"),
        ("MoveDatastoreFile_Task", "the file is stuck"),
    ] {
        other_medium(&sandbox, words.as_bytes()[4]);
        server.fault("task-error", 1, task, &json!(words));
        let text = ends(&server, &sandbox, 1, &[words]);
        assert!(!text.contains(SILENT), "{text}");
        server.faults_were_met();
    }
    // one that cannot be removed is removed by the next run
    server.fault("task-error", 1, "Destroy_Task", &json!("not now"));
    let _ = sandbox
        .forge(RUN)
        .exits(1)
        .prints("stays until the next run, which tries to remove it again: not now");
    assert_eq!(server.machines().len(), 1);
    server.faults_were_met();
    let again = "cleaned up after a forge that was killed: machine `quick-iso-base.forge-";
    ends(&server, &sandbox, 1, &[again, SILENT]);

    let began = std::time::Instant::now();
    server.fault("slow-task", 1, "CreateVM_Task", &json!(3));
    ends(&server, &sandbox, 1, &[SILENT]);
    server.faults_were_met();
    assert!(began.elapsed().as_secs() >= 3, "it was waited for");
}

#[test]
fn vm_an_upload_that_breaks_leaves_no_torn_file_and_is_done_again() {
    let server = VCenter::start();
    let sandbox = server.quick();
    server.fault("cut-transfer", 1, ".part", &json!(100_000));
    let again = "the start of iso-base broke off and is begun anew";
    ends(&server, &sandbox, 1, &[again, SILENT]);
    server.faults_were_met();

    other_medium(&sandbox, b'1');
    server.fault("cut-transfer", -1, ".part", &json!(100_000));
    let cut = format!(
        "{} cannot be reached: the connection was closed before the end",
        server.address()
    );
    let text = ends(&server, &sandbox, 3, &[&cut, again]);
    assert!(!text.contains(SILENT), "{text}");
    server.no_faults();
    let media = server.govc(&["datastore.ls", "-ds", "Packer", "forge"]);
    assert_eq!(media.lines().count(), 1, "only the one of before: {media}");
}

#[test]
fn vm_sessions_that_end_and_proxies_that_stumble_are_nobodys_business() {
    let server = VCenter::start();
    let sandbox = server.quick();
    server.fault("http-502", 3, "/sdk", &json!(null));
    for method in [
        "CreateVM_Task",
        "PowerOnVM_Task",
        "WaitForUpdatesEx",
        "Destroy_Task",
    ] {
        server.fault("session-expired", 1, method, &json!(null));
        server.forget_calls();
        let text = ends(&server, &sandbox, 1, &[SILENT]);
        for word in ["502 Bad", "NotAuthenticated", "session", "again"] {
            assert!(!text.contains(word), "{method}: {text}");
        }
        server.faults_were_met();
        assert!(server.calls("Login") >= 2, "{method}");
    }
    server.fault("http-502", -1, "/sdk", &json!(null));
    ends_before(&server, &sandbox, "the server answers 502 Bad Gateway");
}

/// Runs forge; it ends before anything was made.
fn ends_before(server: &VCenter, sandbox: &Sandbox, words: &str) {
    server.forget_calls();
    let _ = sandbox.forge(RUN).exits(3).complains(words);
    server.no_faults();
    assert_eq!(server.calls("CreateVM_Task"), 0);
    assert!(server.machines().is_empty());
}

#[test]
fn vm_names_privileges_and_space_are_looked_at_first_and_folders_made() {
    let server = VCenter::start_with(&["-pool", "builds"]);
    let sandbox = server.quick();
    for (key, wrong, right, words) in [
        (
            "host",
            "127.0.0.2",
            "127.0.0.1",
            "there is no host `127.0.0.2`",
        ),
        (
            "resource_pool",
            "bulids",
            "builds",
            "there is no resource pool `bulids`",
        ),
    ] {
        set(&sandbox, key, wrong);
        ends_before(&server, &sandbox, words);
        let near = format!("did you mean `{right}`?");
        let _ = sandbox.forge(RUN).exits(3).complains(&near);
        set(&sandbox, key, right);
    }
    for (method, privilege) in [
        ("CreateVM_Task", "VirtualMachine.Inventory.Create"),
        ("MakeDirectory", "Datastore.FileManagement"),
        ("ExportSnapshot", "VApp.Export"),
        ("PutUsbScanCodes", "VirtualMachine.Interact.PutUsbScanCodes"),
        ("CloneVM_Task", "VirtualMachine.Provisioning.Clone"),
    ] {
        server.fault("no-privilege", -1, method, &json!(null));
        let words = format!("the account lacks privileges: {privilege}");
        ends_before(&server, &sandbox, &words);
    }
    server.fault("datastore-full", -1, "CreateVM", &json!(null));
    ends_before(
        &server,
        &sandbox,
        "the datastore `Packer` has only 4KiB free",
    );

    set(&sandbox, "folder", "Packer/images/quick");
    ends(&server, &sandbox, 1, &[SILENT]);
    let folders = server.govc(&["find", "/Packer/vm", "-type", "f"]);
    assert!(
        folders.contains("/Packer/vm/Packer/images/quick"),
        "{folders}"
    );
}

#[test]
fn vm_killed_and_interrupted_wherever_it_is_it_leaves_nothing() {
    let server = VCenter::start();
    let sandbox = server.quick();
    let text = sandbox.read("builds.toml");
    let patient = text.replace("timeout = \"1s\"", "timeout = \"5m\"");
    sandbox.write("builds.toml", &patient);
    for (round, phase) in [
        Some(Phase("slow-transfer", ".part", 1000)),
        Some(Phase("slow-task", "MoveDatastoreFile_Task", 3)),
        Some(Phase("slow-task", "CreateVM_Task", 3)),
        Some(Phase("slow-task", "PowerOnVM_Task", 3)),
        None,
    ]
    .into_iter()
    .enumerate()
    {
        // killed: the next run removes what is left, also what the server is still at
        other_medium(&sandbox, b'a' + u8::try_from(round).unwrap());
        let running = Running::in_phase(&server, &sandbox, RUN, phase);
        assert_eq!(running.end("-KILL").0, None);
        other_medium(&sandbox, b'k' + u8::try_from(round).unwrap());
        let running = Running::in_phase(&server, &sandbox, RUN, phase);
        let machines = server.machines();
        assert!(machines.len() <= 1, "{phase:?}: {machines:?}");
        let (code, text) = running.end("-INT");
        assert_eq!(code, Some(130), "{phase:?}: {text}");
        assert!(
            text.contains("cleaned up after a forge that was killed: "),
            "{phase:?}: {text}"
        );
        assert!(server.machines().is_empty(), "{phase:?}: {text}");
        server.is_tidy(&sandbox);
        let staging = std::fs::read_dir(sandbox.cache().join("staging")).unwrap();
        assert_eq!(staging.count(), 0, "{phase:?}");
    }
    sandbox.write("builds.toml", &text);
    ends(&server, &sandbox, 1, &[SILENT]);
}

#[test]
fn vm_a_server_that_restarts_is_waited_for() {
    let server = VCenter::start();
    let sandbox = server.quick();
    let away = format!("{} cannot be reached: ", server.address());
    for phase in [
        Phase("slow-task", "CreateVM_Task", 2),
        Phase("slow-task", "Destroy_Task", 2),
    ] {
        let running = Running::up_to(&server, &sandbox, RUN, phase);
        server.restart(6);
        let (code, text) = running.end("-CONT");
        assert_eq!(code, Some(1), "{phase:?}: {text}");
        for words in [
            away.as_str(),
            "; trying again for up to 15m",
            &format!("{} answers again, after ", server.address()),
            SILENT,
        ] {
            assert!(text.contains(words), "{phase:?}: no `{words}` in {text}");
        }
        assert!(server.machines().is_empty(), "{phase:?}: {text}");
        server.is_tidy(&sandbox);
    }
    // Ctrl-C while it is waited for
    let phase = Phase("slow-task", "CreateVM_Task", 2);
    let mut running = Running::up_to(&server, &sandbox, RUN, phase);
    server.restart(8);
    running.wait_for("trying again for up to");
    let (code, text) = running.end("-INT");
    assert_eq!(code, Some(130), "{text}");
}
