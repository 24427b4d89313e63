use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::config::VariableRow;
use crate::model::{Digest, Name};
use crate::store::{Corrupt, RunEntry, RunOutcome, RunStage, StageOutcome, VerifyReport};

use super::super::{
    Detail, Finding, Health, Paint, doctor_json, doctor_text, runs_json, runs_text, vars_json,
    vars_text, verify_text,
};
use super::stage;

fn runs() -> Vec<RunEntry> {
    let ended = |name: &str, outcome, message: Option<&str>| RunStage {
        stage: stage(name),
        started: 1_795_491_700,
        duration: Duration::from_millis(52_140),
        reasons: vec!["never built".into()],
        outcome,
        message: message.map(str::to_owned),
        log: Some(".forge/logs/x.log".into()),
    };
    let run = |id: &str, outcome, stages: Vec<RunStage>| RunEntry {
        id: id.into(),
        started: 1_795_491_696,
        targets: vec!["ova".into(), "verify".into()],
        outcome,
        duration: outcome.map(|_| Duration::from_secs(112)),
        stages,
    };
    vec![
        run("r4", None, Vec::new()),
        run(
            "r3",
            Some(RunOutcome::Failed),
            vec![
                ended("base[os=mini]", StageOutcome::Cached, None),
                ended(
                    "provision[os=mini]",
                    StageOutcome::Failed,
                    Some("exited with 3\nmore"),
                ),
                ended("other", StageOutcome::Cancelled, None),
            ],
        ),
        run("r2", Some(RunOutcome::Interrupted), Vec::new()),
        run(
            "r1",
            Some(RunOutcome::Done),
            vec![ended("base[os=mini]", StageOutcome::Done, None)],
        ),
    ]
}

#[test]
fn runs_are_listed() {
    let list = |detail| runs_text(&runs(), detail, &TimeZone::UTC, Paint::plain());
    insta::assert_snapshot!("runs", list(Detail::Run));
    insta::assert_snapshot!("runs_with_stages", list(Detail::Stages));
    insta::assert_snapshot!(
        "runs_json",
        serde_json::to_string_pretty(&runs_json(&runs()[1..2])).unwrap()
    );
    assert_eq!(
        runs_text(&[], Detail::Run, &TimeZone::UTC, Paint::plain()),
        "no runs yet\n"
    );
}

#[test]
fn variables_are_listed_with_their_sources() {
    let row = |scope: &str, name: &str, value: &str, source: &str| VariableRow {
        scope: Name::parse(scope).unwrap(),
        axes: BTreeMap::new(),
        name: name.into(),
        value: value.into(),
        source: source.into(),
    };
    let mut rows = [
        row("common", "cpus", "2", "vars/common.toml:3"),
        row("common", "motd", "one\ntwo\u{1b}[2J", "--var"),
        row("os", "iso.url", "mini.iso", "vars/mini.toml:1"),
        row("vcenter", "password", "***", "env VCENTER_PASSWORD"),
    ];
    rows[2].axes = stage("x[os=mini]").axes;
    let rows: Vec<&VariableRow> = rows.iter().collect();
    insta::assert_snapshot!(vars_text(&rows, Paint::plain()), @r"
    common.cpus       2         vars/common.toml:3
    common.motd       one\ntwo  --var
    os.iso.url        mini.iso  vars/mini.toml:1  (os=mini)
    vcenter.password  ***       env VCENTER_PASSWORD
    ");
    assert_eq!(vars_text(&[], Paint::plain()), "no variables\n");
    assert_eq!(
        vars_json(&rows[2..3]).to_string(),
        r#"[{"scope":"os","name":"iso.url","axes":{"os":"mini"},"value":"mini.iso","source":"vars/mini.toml:1"}]"#
    );
}

#[test]
fn a_store_that_was_read_tells_what_is_damaged() {
    let corrupt = |moved_to| Corrupt {
        digest: Digest::of(b"old"),
        fault: "it is cut short".into(),
        moved_to,
    };
    let report = VerifyReport {
        objects: 3,
        bytes: 6 << 30,
        corrupt: vec![corrupt(Some("/c/bad".into())), corrupt(None)],
    };
    insta::assert_snapshot!(verify_text(&report, Paint::plain()), @r"
    damaged cba06b5736fa: it is cut short; moved to /c/bad
    damaged cba06b5736fa: it is cut short
    3 objects, 6GiB: 2 damaged
    ");
    let report = VerifyReport {
        objects: 1,
        bytes: 5,
        corrupt: Vec::new(),
    };
    assert_eq!(
        verify_text(&report, Paint::plain()),
        "1 object, 5B: all intact\n"
    );
}

#[test]
fn a_host_is_described_with_what_to_do() {
    let finding = |what: &str, health, detail: &str, fix: &[&str]| Finding {
        what: what.into(),
        health,
        detail: detail.into(),
        fix: fix.iter().map(|fix| (*fix).to_owned()).collect(),
    };
    let findings = [
        finding(
            "qemu-system-x86_64",
            Health::Good,
            "7.2.22 in /usr/bin",
            &[],
        ),
        finding(
            "KVM",
            Health::Poor,
            "/dev/kvm opens, but a probe guest hangs; TCG is used",
            &["enable nesting"],
        ),
        finding(
            "OVMF",
            Health::Bad,
            "no UEFI firmware",
            &["apt install ovmf", "or set `firmware = \"bios\"`"],
        ),
    ];
    insta::assert_snapshot!(doctor_text(&findings, Paint::plain()), @r#"
    ok       qemu-system-x86_64  7.2.22 in /usr/bin
    warning  KVM                 /dev/kvm opens, but a probe guest hangs; TCG is used
                                 fix: enable nesting
    missing  OVMF                no UEFI firmware
                                 fix: apt install ovmf
                                 fix: or set `firmware = "bios"`

    1 thing missing
    "#);
    let end = |findings: &[Finding]| {
        doctor_text(findings, Paint::plain())
            .lines()
            .last()
            .unwrap()
            .to_owned()
    };
    assert_eq!(end(&findings[..1]), "this host has all that forge needs");
    assert_eq!(
        end(&findings[..2]),
        "this host has all that forge needs; 1 warning"
    );
    let json = doctor_json(&findings[..1]).to_string();
    assert_eq!(
        json,
        r#"[{"what":"qemu-system-x86_64","health":"ok","detail":"7.2.22 in /usr/bin","fix":[]}]"#
    );
}
