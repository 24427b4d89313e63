//! Which setting is an ingredient and which is not, for every field of every kind.

use super::super::samples::{self, facts, name};
use super::*;
use crate::model::{
    Algorithm, Checks, Checksum, CommandLine, Controller, Discovery, Duration, Firmware, Kickstart,
    Late, Layout, MediaFile, MediaVia, NicAdapter, OvfVersion, Part, Shell, ShellSource, Size,
    StepAction, Variant,
};
use crate::plan::FileKind;

/// What the planner says about `stage` after `change`, as reasons in words.
fn reasons(stage: &Stage, change: impl FnOnce(&mut Stage)) -> String {
    let mut changed = stage.clone();
    change(&mut changed);
    let before = describe(stage, &facts(std::slice::from_ref(stage)));
    let after = describe(&changed, &facts(std::slice::from_ref(&changed)));
    let reasons: Vec<String> = after
        .diff(&before)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        reasons.is_empty(),
        before.fingerprint() == after.fingerprint()
    );
    reasons.join("; ")
}

fn describe(stage: &Stage, facts: &Facts) -> Ingredients {
    ingredients(stage, facts, &|key| {
        Some(Digest::of(key.to_string().as_bytes()))
    })
    .unwrap()
}

/// Checks a list of `field = value => reason` against the kind of a sample.
macro_rules! fields {
    ($sample:expr, $kind:path, $it:ident, [$($change:expr => $reason:expr),+ $(,)?]) => {
        let sample = $sample;
        $(
            let found = reasons(&sample, |stage| {
                let $kind($it) = &mut stage.kind else { panic!("another kind") };
                $change;
            });
            assert_eq!(found, $reason, "{}: {}", sample.key, stringify!($change));
        )+
    };
}

#[test]
fn what_every_stage_has() {
    let sample = samples::clone();
    let key = samples::key;
    assert_eq!(reasons(&sample, |s| s.key = key("renamed")), "");
    assert_eq!(reasons(&sample, |s| s.origin.line = 99), "");
    assert_eq!(reasons(&sample, |s| s.timeout = None), "");
    assert_eq!(reasons(&sample, |s| s.retries = 9), "");
    assert_eq!(reasons(&sample, |s| s.pool = Some(name("link"))), "");
    assert_eq!(
        reasons(&sample, |s| s.needs.push(key("more"))),
        "new upstream more"
    );
    assert_eq!(
        reasons(&sample, |s| s.needs.clear()),
        "",
        "the base is needed anyway"
    );
    assert_eq!(
        reasons(&sample, |s| s.from = Some(key("other"))),
        "new upstream other; from iso-base → other"
    );
    let found = reasons(&sample, |s| s.kind = samples::export().kind);
    assert!(found.contains("kind clone/1 → export/1"), "{found}");
}

#[test]
fn a_command() {
    fields!(samples::command(), StageKind::Command, k, [
        k.run = CommandLine::Argv(vec!["scripts/build.sh".into(), "-v".into()]) => "argument 2 ${outputs.iso} → -v",
        k.run = CommandLine::Shell("make".into()) => "argument 1 is gone; argument 2 is gone; new run: make",
        k.inputs = vec![Input::Path("scripts/build.sh".into())] => "input scripts/mini/init is gone",
        k.outputs = [(name("iso"), "x.iso".to_owned())].into() => "output iso mini.iso → x.iso",
        k.env = [("SIZE".to_owned(), "big".into())].into() => "env SIZE small → big",
        k.env = [].into() => "env SIZE is gone",
        k.pass_env = vec!["HOME".into(), "DISPLAY".into()] => "new pass env DISPLAY: yes",
        k.dir = None => "dir is gone",
        k.always = true => "",
        k.discovers = Some(Discovery::Depfile("a.d".into())) => "new depfile: a.d",
        k.discovers = Some(Discovery::Lines("Note:".into())) => "new deps prefix: Note:",
    ]);
}

fn kickstart(change: impl FnOnce(&mut Kickstart)) -> Option<Kickstart> {
    let StageKind::IsoBase(mut kind) = samples::iso_base().kind else {
        panic!("another kind")
    };
    kind.kickstart.as_mut().map(change);
    kind.kickstart
}

#[test]
fn an_iso_base() {
    let none = Checksum::None;
    fields!(samples::iso_base(), StageKind::IsoBase, k, [
        k.hardware.memory = Size::from_mib(4096) => "memory 2GiB → 4GiB",
        k.iso.urls = vec!["https://mirror/b.iso".into()] => "",
        k.iso.checksum = Some(none) => "iso checksum sha1:c2883a42e402a2330d9c39b4d1e071cf9b… → none; \
             new iso url 1: https://example.org/a.iso",
        k.kickstart = kickstart(|k| k.via = MediaVia::Cd) => "kickstart via floppy → cd",
        k.kickstart = kickstart(|k| k.label = "cidata".into()) => "kickstart label OEMDRV → cidata",
        k.kickstart = kickstart(|k| k.files[0] = MediaFile::Text { path: "ks.cfg".into(), content: "a\nb".into() })
            => "kickstart ks.cfg changed",
        k.kickstart = kickstart(|k| { k.files.remove(1); }) => "input kickstart/motd is gone; kickstart motd is gone",
        k.boot.wait = None => "boot wait is gone",
        k.boot.wait_text = Some("login:".into()) => "boot wait text boot: → login:",
        k.boot.wait_timeout = Duration::from_secs(1) => "",
        k.boot.keys = "<enter>".into() => "boot keys <tab> text ks=hd:fd0:/ks.cfg<enter> → <enter>",
        k.boot.interval = None => "boot key interval is gone",
        k.boot.layout = Layout::Us => "boot layout de → us",
        k.ssh.user = "admin".into() => "ssh user root → admin",
        k.ssh.login.password = None => "",
        k.ssh.port = 2222 => "",
        k.ssh.timeout = Duration::from_secs(1) => "",
        k.shutdown = None => "shutdown is gone",
    ]);
    let found = reasons(&samples::iso_base(), |stage| {
        let StageKind::IsoBase(kind) = &mut stage.kind else {
            panic!("another kind")
        };
        kind.provider = name("lab");
    });
    assert_eq!(found, "provider local → lab; provider qemu version is gone");
}

#[test]
fn hardware() {
    fields!(samples::clone(), StageKind::Clone, k, [
        k.hardware.cpus = 4 => "cpus 2 → 4",
        k.hardware.cores_per_socket = 2 => "cores per socket 1 → 2",
        k.hardware.memory = Size::from_bytes((2 << 30) + 1) => "memory 2GiB → 2147483649B",
        k.hardware.firmware = Firmware::Efi => "firmware bios → efi",
        k.hardware.disks = vec![] => "disk 1 controller is gone; disk 1 size is gone",
        k.hardware.disks[0].size = Size::from_mib(1024) => "disk 1 size 64GiB → 1GiB",
        k.hardware.disks[0].controller = Controller::Nvme => "disk 1 controller pvscsi → nvme",
        k.hardware.nics[0].adapter = NicAdapter::E1000 => "nic 1 adapter vmxnet3 → e1000",
        k.hardware.nics[0].network = "lab".into() => "nic 1 network VM Network → lab",
        k.hardware.guest_id = None => "guest id is gone",
        k.hardware.hardware_version = 19 => "hardware version 13 → 19",
        k.ssh.user = "admin".into() => "ssh user root → admin",
    ]);
}

#[test]
fn a_provision() {
    fields!(samples::provision(), StageKind::Provision, k, [
        k.hardware.cpus = 4 => "cpus 2 → 4",
        k.ssh.user = "admin".into() => "ssh user root → admin",
        k.shutdown = None => "shutdown is gone",
        k.steps[0].title = "copy".into() => "",
        k.steps[0].retries = 9 => "",
        k.steps[0].timeout = None => "",
        k.steps[0].pause_before = None => "step 1 pause before is gone",
        k.steps[0].action = StepAction::Upload { source: "scripts/k3s/".into(), to: "/opt".into() }
            => "step 1 to /root/scripts → /opt",
        k.steps[0].action = StepAction::Upload { source: "scripts/k3s".into(), to: "/root/scripts".into() }
            => "new step: upload scripts/k3s; step is gone: upload scripts/k3s/",
        k.steps[3].action = StepAction::Reboot { command: None, timeout: Duration::from_secs(300) }
            => "new step: reboot; step is gone: reboot reboot",
        k.steps[3].action = StepAction::Reboot { command: Some("reboot".into()), timeout: Duration::from_secs(1) } => "",
        k.steps[4].action = StepAction::Pause(Duration::from_secs(2))
            => "new step: pause 2s; step is gone: pause 1s",
        k.steps[5].action = StepAction::Check(Checks { inline: None, ..samples::checks("checks.yaml") })
            => "step 6 check port tcp:22 is gone",
    ]);
}

#[test]
fn a_shell_step() {
    let with = |change: fn(&mut Shell)| {
        reasons(&samples::provision(), |stage| {
            let StageKind::Provision(kind) = &mut stage.kind else {
                panic!("another kind")
            };
            let StepAction::Shell(shell) = &mut kind.steps[1].action else {
                panic!("another step")
            };
            change(shell);
        })
    };
    assert_eq!(
        with(|s| s.scripts[1] = ShellSource::Inline("echo 2".into())),
        "step 2 inline script 2 echo done → echo 2"
    );
    assert_eq!(
        with(|s| s.scripts[0] = ShellSource::File("scripts/other.sh".into())),
        "new step: shell scripts/other.sh; step is gone: shell scripts/install.sh"
    );
    assert_eq!(
        with(|s| {
            s.env.insert("REGISTRY".into(), samples::secret("registry"));
        }),
        "step 2 env REGISTRY registry:5000 → ${common.registry}"
    );
    assert_eq!(with(|s| s.sudo = true), "step 2 sudo no → yes");
    assert_eq!(
        with(|s| s.valid_exit_codes = vec![0]),
        "step 2 valid exit codes 0 3 → 0"
    );
    assert_eq!(
        with(|s| s.interpreter = "/bin/bash".into()),
        "step 2 interpreter /bin/sh -eu → /bin/bash"
    );
    assert_eq!(with(|s| s.dir = None), "step 2 dir is gone");
    assert_eq!(
        with(|s| s.expect_disconnect = true),
        "step 2 expect disconnect no → yes"
    );
}

#[test]
fn an_export_and_an_appliance() {
    fields!(samples::export(), StageKind::Export, k, [
        k.name = "other".into() => "name k3s-mini → other",
        k.level = 9 => "compression level 6 → 9",
    ]);
    let swapped = {
        let StageKind::PackOva(mut kind) = samples::pack_ova().kind else {
            panic!("another kind")
        };
        kind.properties.swap(0, 1);
        kind.properties
    };
    fields!(samples::pack_ova(), StageKind::PackOva, k, [
        k.name = "other".into() => "name k3s-mini → other",
        k.properties = vec![] => "property A is gone; property A password is gone; property A user configurable is gone; \
             property BUILD_DATE is gone; property BUILD_DATE password is gone; \
             property BUILD_DATE user configurable is gone",
        k.properties = swapped => "property order BUILD_DATE A → A BUILD_DATE",
        k.properties[1].value = "2".into() => "property A 1 → 2",
        k.properties[1].user_configurable = false => "property A user configurable yes → no",
        k.product = "x".into() => "product k3s → x",
        k.vendor = None => "vendor is gone",
        k.version = "1.3".into() => "version 1.2 → 1.3",
        k.annotation = Some("n".into()) => "annotation a note → n",
        k.full_version = None => "full version is gone",
        k.product_url = None => "product url is gone",
        k.vendor_url = None => "vendor url is gone",
        k.app_url = None => "app url is gone",
        k.class = None => "class is gone",
        k.instance = None => "instance is gone",
        k.eulas = vec![] => "eula is gone",
        k.transports = vec![] => "transport is gone",
        k.hardware_versions = vec![15] => "hardware versions 14 15 → 15",
        k.tpm = true => "tpm no → yes",
        k.digest = Algorithm::Sha512 => "new manifest digest: sha512",
        k.variant = Variant::Virtualbox => "new variant: virtualbox",
        k.ovf = OvfVersion::Second => "new ovf: 2.0",
        k.sign.as_mut().unwrap().key_file = "other.pem".into() => "sign key file key.pem → other.pem",
        k.sign.as_mut().unwrap().certificate = "other.pem".into()
            => "input certificate.pem is gone; new input other.pem; sign certificate certificate.pem → other.pem",
        k.template = None => "input appliance.ovf.j2 is gone",
        k.properties[1].kind = "uint8".into() => "new property A type: uint8",
        k.properties[1].password = true => "property A password no → yes",
        k.properties[1].qualifiers = Some("MinLen(1)".into()) => "new property A qualifiers: MinLen(1)",
        k.properties[1].category = Some("c".into()) => "new property A category: c",
        k.properties[1].label = Some("l".into()) => "new property A label: l",
        k.properties[1].description = Some("d".into()) => "new property A description: d",
        k.manifest = [("git".to_owned(), "def".into())].into() => "manifest git abc → def",
    ]);
}

#[test]
fn a_verify() {
    fields!(samples::verify(), StageKind::Verify, k, [
        k.ssh.user = "admin".into() => "ssh user root → admin",
        k.ssh.login.password = None => "ssh password is gone",
        k.ssh.login.key_file = None => "ssh key file is gone",
        k.ssh.login.agent = true => "ssh agent no → yes",
        k.ssh.login.generate_key = true => "new input .forge/ssh/id_ed25519.pub; new ssh generated key: yes",
        k.ssh.port = 2222 => "ssh port 22 → 2222",
        k.ssh.timeout = Duration::from_secs(1) => "",
        k.retry_timeout = None => "",
        k.sleep = Duration::from_secs(9) => "",
        k.checks.gossfiles.clear() => "input scripts/goss/goss.yaml is gone",
        k.checks.includes.push("scripts/goss/more.yaml".into()) => "new input scripts/goss/more.yaml",
        k.checks.vars_files.push("vars/goss.yaml".into()) => "new input vars/goss.yaml",
        k.checks.inline = None => "check port tcp:22 is gone",
        k.checks.scopes = "{}".into() => "checks see scope common is gone",
        k.checks.vars = Some(r#"{"ip":"10.0.2.16"}"#.into())
            => "checks see ip \"10.0.2.15\" → \"10.0.2.16\"",
    ]);
}

#[test]
fn a_publish() {
    fields!(samples::publish(), StageKind::Publish, k, [
        k.provider = name("local") => "provider vcenter → local; provider server is gone",
        k.library = "others".into() => "library images → others",
        k.item = None => "item is gone",
    ]);
}

#[test]
fn secrets_and_the_run_enter_by_name() {
    let stage = samples::iso_base();
    let all = describe(&stage, &facts(std::slice::from_ref(&stage)));
    let StageKind::IsoBase(kind) = &stage.kind else {
        panic!("another kind")
    };
    let MediaFile::Text { content, .. } = &kind.kickstart.as_ref().unwrap().files[0] else {
        panic!("another file")
    };
    assert_eq!(content.to_string(), "lang en\nrootpw ${common.password}");
    let kept = format!(
        "sha256:{} (2 lines)",
        Digest::of(content.to_string().as_bytes())
    );
    assert_eq!(all.get("kickstart ks.cfg"), Some(kept.as_str()));

    // a scope with `secret_in_fingerprint` gives a keyed digest, which is shown instead of the value
    let keyed = |value: &[u8]| {
        let secret = Late::Secret {
            scope: name("common"),
            variable: "password".into(),
            digest: Some(Digest::of(value)),
        };
        Text::from_parts(vec![Part::Late(secret)])
    };
    let with = |value: &'static [u8]| {
        let mut changed = samples::verify();
        let StageKind::Verify(kind) = &mut changed.kind else {
            panic!("another kind")
        };
        kind.ssh.login.password = Some(keyed(value));
        describe(&changed, &facts(std::slice::from_ref(&changed)))
    };
    let words = with(b"two").diff(&with(b"one"))[0].to_string();
    assert!(
        words.starts_with("ssh password ${common.password#"),
        "{words}"
    );
}

#[test]
fn an_input_that_is_not_there_is_named_with_the_stage() {
    let stage = samples::command();
    let mut facts = facts(std::slice::from_ref(&stage));
    let glob = Input::Glob("scripts/mini/**".into());
    facts.files.insert(glob, FileFacts::Found(Vec::new()));
    facts.files.remove(&Input::Path("scripts/build.sh".into()));
    let error = ingredients(&stage, &facts, &|_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 inputs cannot be read:\n  \
         stage `test-iso` (builds.toml:7) needs `scripts/build.sh`: was not looked at\n  \
         stage `test-iso` (builds.toml:7) needs `scripts/mini/**`: matches no file"
    );
}

#[test]
fn kinds_of_files_differ() {
    let stage = samples::command();
    let with = |kind: FileKind| {
        let mut facts = facts(std::slice::from_ref(&stage));
        let file = super::super::FileFact {
            kind,
            ..samples::file("scripts/build.sh", "x")
        };
        facts.files.insert(
            Input::Path("scripts/build.sh".into()),
            FileFacts::Found(vec![file]),
        );
        describe(&stage, &facts).fingerprint()
    };
    let all = [
        FileKind::File,
        FileKind::Executable,
        FileKind::Link,
        FileKind::EmptyDir,
    ]
    .map(with);
    let different: std::collections::BTreeSet<Digest> = all.into_iter().collect();
    assert_eq!(different.len(), 4);
}

/// Fingerprints of stages that have not changed must not change either: users' caches depend on it. Whoever changes one
/// of these on purpose raises the kind's revision instead, or knows that everything of that kind is built anew.
#[test]
fn fingerprints_are_pinned() {
    let stages = samples::all();
    let facts = facts(&stages);
    let pinned: Vec<String> = stages
        .iter()
        .map(|stage| {
            format!(
                "{} {}",
                stage.kind.name(),
                describe(stage, &facts).fingerprint()
            )
        })
        .collect();
    insta::assert_snapshot!(pinned.join("\n"), @r"
    command 78cc31d05fb100a5cf17e9d5cd8adcf9d53ca7eda3c3b7c858a55142103e3166
    iso-base acaceae8878b567b263bee64839d9a89673166800609b1731df0dfaaef7a4de6
    clone 3ec01d8cc85531388cd10ca2d990bac978fba955679de86ee5a0c11cb730dfd7
    provision 6ea3a4f7e540aa0709670b30f4d8d31ccee6f24f033ee702d3fbd3a524fc8d23
    export 75c5e4d545484bacbdd3be19ba386aa600222d14b30cffea3f78b53ba3f7e7e9
    pack-ova 69930f1db873a53dfecdeb8f24d283c34ca2b9b00a237683dcb7d88910db0fb5
    verify c5a0d4c46343a9d543b33fe9ee14fc2af83ead12e65a218ee600e0bffaa8ece1
    publish fe7b320fc9d5a003ae12e97eed3b63be7d2717a1d36d62d7234293184f959f25
    ");
}

#[test]
fn ingredients_read_well() {
    let stages = samples::all();
    let all = describe(&stages[3], &facts(&stages));
    let lines: Vec<String> = all
        .iter()
        .filter(|(name, _)| name.starts_with("step"))
        .map(|(name, value)| format!("{name} = {}", &value[..value.len().min(30)]))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    step 1 = upload
    step 1 file:scripts/k3s = 1d7b30856b2eda728784b242e85534
    step 1 pause before = 2s
    step 1 source = scripts/k3s/
    step 1 to = /root/scripts
    step 2 = shell
    step 2 dir = /root
    step 2 env REGISTRY = registry:5000
    step 2 expect disconnect = no
    step 2 file:scripts/install.sh = e076e43cb817ecc8b3c2ed18cd58ba
    step 2 inline script 2 = echo done
    step 2 interpreter = /bin/sh -eu
    step 2 script 1 = scripts/install.sh
    step 2 sudo = no
    step 2 valid exit codes = 0 3
    step 3 = local
    step 3 file:scripts/local.sh = bc066a1fc9448ed51fca5bf194e85c
    step 3 run = scripts/local.sh
    step 4 = reboot
    step 4 command = reboot
    step 5 = pause
    step 5 for = 1s
    step 6 = check
    step 6 check port tcp:22 = {"listening":true}
    step 6 checks see ip = "10.0.2.15"
    step 6 checks see scope common = {"a":1}
    step 6 file:checks.yaml = 6d97b802f8d9e2c6aa0824560b54ac
    "#);
}
