//! What a good file means.

use super::support::{FakeWorld, stage};
use crate::model::{
    Algorithm, CommandLine, Input, Late, Login, MediaFile, MediaVia, Name, OvfVersion,
    ProviderKind, ShellSource, StageKind, StepAction, Variant,
};

const PROJECT: &str = r#"
version = 1
default = "ova"
[project]
name = "k3s"
version = "1.0"
[axes]
os = ["mini", "big"]
arch = ["amd64", "arm64"]
[scopes.common]
file = "vars/common.toml"
values = { memory = "2GiB", extra = { deep = "{{ axis.arch }}" } }
[scopes.os]
file = "vars/{{ axis.os }}.toml"
[scopes.vcenter]
env = { server = "VCENTER_SERVER", password = "VCENTER_PASSWORD" }
secret = ["password"]
[machine]
cpus = "{{ plain.cpus }}"
memory = "{{ plain.memory }}"
[scopes.plain]
values = { cpus = 4, memory = "2GiB", codes = [0, 3], user = "root" }
[stages.iso-base]
scopes = ["os", "plain", "vcenter"]
iso = { urls = "{{ os.urls }}", checksum = "sha256:07b94e6b1a0b0260b94c83d6bb76b26bf7a310dc78d7a9c7432809fb9bc6194a" }
kickstart = { dir = "ks", via = "http" }
boot = { wait = "2s", keys = "<esc> ks=http://{{ http.ip }}:{{ http.port }}/ks.cfg<enter>", layout = "de" }
ssh = { user = "{{ plain.user }}", password = "{{ vcenter.password }}", timeout = "20m" }
shutdown = "poweroff"
[stages.clone]
from = "iso-base"
machine = { cpus = 8 }
ssh = { user = "admin" }
[stages.provision]
from = "clone"
scopes = ["plain"]
timeout = "1h"
retries = 1
[[stages.provision.steps]]
name = "tools"
upload = { source = "scripts", to = "/root" }
only = { os = "mini" }
[[stages.provision.steps]]
shell = { inline = ["set -x", "echo {{ run.date }}"], sudo = true, valid_exit_codes = "{{ plain.codes }}", env = { A = "{{ axis.os }}" } }
except = { os = ["mini"] }
pause_before = "1s"
[[stages.provision.steps]]
reboot = true
[[stages.provision.steps]]
local = { run = ["echo", "{{ stages.tool.outputs.bin }}"] }
[[stages.provision.steps]]
pause = "250ms"
[stages.tool]
kind = "command"
run = "make {{ outputs.bin }}"
inputs = ["src/**", "Makefile"]
outputs = { bin = "out/tool" }
always = true
[stages.export]
from = "provision"
[stages.pack-ova]
from = "export"
properties = { A = "b", C = { value = "d", user_configurable = false } }
[stages.verify]
from = "pack-ova"
needs = ["tool"]
checks = { gossfile = { "checks/*.yaml" = {} }, command = { ok = { exec = "true", exit-status = 0 } } }
[targets]
ova = ["pack-ova", "verify"]
"#;

fn project() -> FakeWorld {
    FakeWorld::new(PROJECT)
        .file(
            "vars/common.toml",
            "memory = \"1GiB\"\nname = \"c\"\n[extra]\nother = 1\n",
        )
        .file(
            "vars/mini.toml",
            "urls = [\"http://a/mini.iso\", \"http://b/mini.iso\"]\n",
        )
        .file("checks/more.yaml", "file: {/etc/x: {exists: true}}\n")
        .file("checks/below/none.yaml", "no gossfile")
        .file("vars/big.toml", "urls = [\"http://a/big.iso\"]\n")
        .file(
            "ks/ks.cfg",
            "rootpw {{ vcenter.password }}\nhost {{ axis.os }}-{{ project.name }}\n",
        )
        .file("ks/logo.bin", b"\xff\x00")
        .file("scripts/a.sh", "true")
        .with_env("VCENTER_PASSWORD", "hunter2")
}

fn needs(world: &FakeWorld, key: &str) -> Vec<String> {
    stage(&world.loaded(), key)
        .needs
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn stages_take_part_in_the_axes_that_they_or_their_upstream_use() {
    let loaded = project().loaded();
    let keys: Vec<String> = loaded
        .project
        .stages
        .iter()
        .map(|s| s.key.to_string())
        .collect();
    assert_eq!(keys.len(), 6 * 2 + 1);
    assert!(
        keys.contains(&"tool".to_owned()) && keys.contains(&"verify[os=big]".to_owned()),
        "{keys:?}"
    );
    assert_eq!(
        needs(&project(), "verify[os=big]"),
        ["pack-ova[os=big]", "tool"]
    );
    assert_eq!(
        needs(&project(), "provision[os=mini]"),
        ["clone[os=mini]", "tool"]
    );
}

#[test]
fn a_base_has_its_media_login_and_hardware() {
    let loaded = project().loaded();
    let StageKind::IsoBase(base) = &stage(&loaded, "iso-base[os=mini]").kind else {
        panic!()
    };
    assert_eq!(
        (base.hardware.cpus, base.hardware.memory.to_string()),
        (4, "2GiB".into())
    );
    let urls: Vec<String> = base.iso.urls.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["http://a/mini.iso", "http://b/mini.iso"]);
    assert_eq!(base.provider.as_str(), "local");
    assert_eq!(
        base.boot.keys.to_string(),
        "<esc> ks=http://${http.ip}:${http.port}/ks.cfg<enter>"
    );
    let kickstart = base.kickstart.as_ref().unwrap();
    assert_eq!(kickstart.via, MediaVia::Http);
    let [
        MediaFile::Text { path, content },
        MediaFile::Copy { source, .. },
    ] = kickstart.files.as_slice()
    else {
        panic!("{kickstart:?}")
    };
    assert_eq!((path.as_str(), source.as_str()), ("ks.cfg", "ks/logo.bin"));
    assert_eq!(
        content.to_string(),
        "rootpw ${vcenter.password}\nhost mini-k3s\n"
    );
    assert_eq!(
        base.ssh
            .login
            .password
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("${vcenter.password}")
    );
    assert_eq!(base.ssh.timeout.to_string(), "20m");
}

#[test]
fn hardware_login_and_shutdown_are_inherited_and_overridden() {
    let loaded = project().loaded();
    let StageKind::Provision(provision) = &stage(&loaded, "provision[os=big]").kind else {
        panic!()
    };
    assert_eq!(
        (
            provision.hardware.cpus,
            provision.hardware.memory.to_string()
        ),
        (8, "2GiB".into())
    );
    assert_eq!(provision.ssh.user.to_string(), "admin");
    assert_ne!(provision.ssh.login, Login::default());
    assert_eq!(
        provision
            .shutdown
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("poweroff")
    );
    let StageKind::Verify(verify) = &stage(&loaded, "verify[os=big]").kind else {
        panic!()
    };
    assert_eq!(verify.ssh.user.to_string(), "admin");
    assert_eq!(
        verify.checks.inline.as_deref(),
        Some(
            r#"{"gossfile":{"checks/*.yaml":{}},"command":{"ok":{"exec":"true","exit-status":0}}}"#
        )
    );
    // what they include makes them stale, too
    assert_eq!(verify.checks.includes, ["checks/more.yaml"]);
    let stage = stage(&loaded, "provision[os=big]");
    assert_eq!(
        (
            stage.retries,
            stage.timeout.map(|t| t.to_string()).as_deref()
        ),
        (1, Some("1h00m"))
    );
    assert_eq!(
        (stage.origin.file.as_str(), stage.origin.line > 10),
        ("builds.toml", true)
    );
}

#[test]
fn steps_are_chosen_by_axis_values() {
    let loaded = project().loaded();
    let steps = |key: &str| match &stage(&loaded, key).kind {
        StageKind::Provision(provision) => provision.steps.clone(),
        other => panic!("{other:?}"),
    };
    let titles =
        |key: &str| -> Vec<String> { steps(key).into_iter().map(|step| step.title).collect() };
    let local = "local: echo ${stages.tool.outputs.bin}";
    assert_eq!(
        titles("provision[os=mini]"),
        ["tools", "reboot", local, "pause 250ms"]
    );
    assert_eq!(
        titles("provision[os=big]"),
        ["set -x", "reboot", local, "pause 250ms"]
    );
    let StepAction::Shell(shell) = &steps("provision[os=big]")[0].action else {
        panic!()
    };
    assert_eq!(shell.valid_exit_codes, [0, 3]);
    assert!(shell.sudo && shell.interpreter == "/bin/sh -eu");
    assert!(
        matches!(&shell.scripts[..], [ShellSource::Inline(text)] if text.to_string() == "set -x\necho ${run.date}")
    );
    assert_eq!(shell.env["A"].to_string(), "big");
}

#[test]
fn an_appliance_with_everything() {
    let text = "version = 1\n[project]\nname = \"p\"\n[stages.iso-base]\niso = { urls = [\"https://x/a.iso\"], checksum = \"none\" }\nssh = { user = \"root\", password = \"x\" }\nshutdown = \"off\"\n[stages.export]\nfrom = \"iso-base\"\n[stages.pack-ova]\nfrom = \"export\"\nvendor = \"v\"\nfull_version = \"1.0-g1\"\nproduct_url = \"https://p\"\nvendor_url = \"https://v\"\napp_url = \"https://a\"\nclass = \"c\"\ninstance = \"i\"\neula = [\"one\", \"two\"]\ntransport = \"iso\"\nhardware_versions = [14, 15]\ntpm = true\ndigest = \"sha512\"\nvariant = \"virtualbox\"\novf = \"2.0\"\nsign = { key_file = \"k.pem\", certificate = \"c.pem\" }\novf_template = \"a.ovf.j2\"\n[stages.pack-ova.properties]\nplain = \"x\"\nfull = { value = \"80\", type = \"uint16\", password = true, qualifiers = \"MaxLen(5)\", category = \"Web\", label = \"Port\", description = \"Of the server\" }\nopen = {}\n";
    let world = FakeWorld::new(text).file("a.ovf.j2", "").file("c.pem", "");
    let loaded = world.loaded();
    let StageKind::PackOva(pack) = &stage(&loaded, "pack-ova").kind else {
        panic!()
    };
    let text = |text: &Option<crate::model::Text>| text.as_ref().map(ToString::to_string);
    assert_eq!(text(&pack.full_version).as_deref(), Some("1.0-g1"));
    assert_eq!(text(&pack.app_url).as_deref(), Some("https://a"));
    assert_eq!(
        (text(&pack.class), text(&pack.instance)),
        (Some("c".into()), Some("i".into()))
    );
    assert_eq!(pack.eulas.len(), 2);
    assert_eq!(pack.transports, ["iso"]);
    assert_eq!(pack.hardware_versions, [14, 15]);
    assert!(pack.tpm);
    assert_eq!(
        (pack.digest, pack.variant, pack.ovf),
        (Algorithm::Sha512, Variant::Virtualbox, OvfVersion::Second)
    );
    assert_eq!(pack.sign.as_ref().unwrap().certificate.to_string(), "c.pem");
    assert_eq!(pack.template.as_deref(), Some("a.ovf.j2"));
    let [plain, full, open] = &pack.properties[..] else {
        panic!()
    };
    assert_eq!(
        (plain.kind.as_str(), plain.user_configurable),
        ("string", true)
    );
    assert_eq!((full.kind.as_str(), full.password), ("uint16", true));
    assert_eq!(full.qualifiers.as_deref(), Some("MaxLen(5)"));
    assert_eq!(text(&full.category).as_deref(), Some("Web"));
    assert_eq!(open.value.to_string(), "");
}

#[test]
fn commands_packs_and_exports_have_their_defaults() {
    let loaded = project().loaded();
    let StageKind::Command(tool) = &stage(&loaded, "tool").kind else {
        panic!()
    };
    assert!(
        matches!(&tool.run, CommandLine::Shell(line) if line.to_string() == "make ${outputs.bin}")
    );
    assert_eq!(
        tool.inputs,
        [Input::Glob("src/**".into()), Input::Path("Makefile".into())]
    );
    assert!(tool.always);
    let StageKind::Export(export) = &stage(&loaded, "export[os=mini]").kind else {
        panic!()
    };
    assert_eq!(
        (export.name.to_string(), export.level),
        ("k3s-mini".into(), 6)
    );
    let StageKind::PackOva(pack) = &stage(&loaded, "pack-ova[os=mini]").kind else {
        panic!()
    };
    assert_eq!(
        (pack.name.to_string(), pack.version.to_string()),
        ("k3s-mini-1.0".into(), "1.0".into())
    );
    let flags: Vec<bool> = pack
        .properties
        .iter()
        .map(|p| p.user_configurable)
        .collect();
    assert_eq!(flags, [true, false]);
    assert_eq!(loaded.project.default, [Name::parse("ova").unwrap()]);
    assert_eq!(
        loaded.project.targets[&Name::parse("ova").unwrap()].len(),
        2
    );
}

fn shown(world: &FakeWorld, name: &str) -> (String, String) {
    let loaded = world.loaded();
    let row = loaded
        .variables
        .rows
        .iter()
        .find(|row| format!("{}.{}", row.scope, row.name) == name);
    let row = row.unwrap_or_else(|| panic!("{name}: {:?}", loaded.variables.rows));
    (row.value.clone(), row.source.clone())
}

#[test]
fn later_sources_of_variables_go_before_earlier_ones() {
    let text = "[scopes.s]\nfile = \"s.toml\"\nvalues = { b = 2, c = 2, d = 2, e = 2 }\nenv = { c = \"C\", d = \"D\", e = \"E\" }\n";
    let world = FakeWorld::new(text)
        .file("s.toml", "a = 1\nb = 1\n[t]\nx = 1\ny = 2\n")
        .with_env("C", "3")
        .with_env("D", "3")
        .with_env("E", "three")
        .file("more.toml", "[s]\nd = 4\ne = 4\n[s.t]\ny = 5\n")
        .var_file("more.toml")
        .var("s.e=5")
        .var("s.new=1.10");
    let row = |name: &str| {
        let (value, source) = shown(&world, name);
        format!("{value} {source}")
    };
    assert_eq!(row("s.a"), "1 s.toml:1");
    assert_eq!(row("s.b"), "2 builds.toml:3");
    assert_eq!(row("s.c"), "3 env C");
    assert_eq!(row("s.d"), "4 /project/more.toml:2");
    assert_eq!(row("s.e"), "5 --var");
    assert_eq!(row("s.new"), "1.10 --var");
    assert_eq!(
        (row("s.t.x"), row("s.t.y")),
        ("1 s.toml:4".into(), "5 /project/more.toml:5".into())
    );
}

#[test]
fn a_variable_keeps_the_type_of_the_one_it_replaces() {
    let text = "[scopes.s]\nvalues = { cpus = 1, version = \"1.0\" }\n[machine]\ncpus = \"{{ s.cpus }}\"\nguest_id = \"{{ s.version }}\"\n[stages.iso-base]\nscopes = [\"s\"]\niso = { url = \"x\", checksum = \"none\" }\nssh = { user = \"u\", agent = true }\n";
    let loaded = FakeWorld::new(text)
        .var("s.cpus=6")
        .var("s.version=1.10")
        .loaded();
    let StageKind::IsoBase(base) = &stage(&loaded, "iso-base").kind else {
        panic!()
    };
    assert_eq!(
        (base.hardware.cpus, base.hardware.guest_id.as_deref()),
        (6, Some("1.10"))
    );
}

#[test]
fn secrets_are_late_masked_and_resolved() {
    let loaded = project().loaded();
    let vcenter = Name::parse("vcenter").unwrap();
    let secret = loaded.secrets.resolve(&vcenter, "password").unwrap();
    assert_eq!(secret.reveal(), "hunter2");
    assert_eq!(loaded.secrets.values().count(), 1);
    assert_eq!(
        shown(&project(), "vcenter.password"),
        ("***".into(), "env VCENTER_PASSWORD".into())
    );
    assert_eq!(
        shown(&project(), "vcenter.server"),
        (String::new(), "env VCENTER_SERVER (not set)".into())
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert!(loaded.secrets.resolve(&vcenter, "other").is_none());
}

#[test]
fn a_secret_nobody_gave_stays_late() {
    let text = "[scopes.v]\nenv = { p = \"P\" }\nsecret = [\"p\"]\n[stages.x]\nkind = \"command\"\nscopes = [\"v\"]\nrun = \"true\"\nenv = { P = \"{{ v.p }}\" }\n";
    let loaded = FakeWorld::new(text).loaded();
    let StageKind::Command(command) = &stage(&loaded, "x").kind else {
        panic!()
    };
    assert_eq!(command.env["P"].to_string(), "${v.p}");
    assert!(loaded.secrets.values().next().is_none());
}

#[test]
fn a_secret_enters_fingerprints_only_when_its_scope_says_so() {
    let text = |flag: bool| {
        format!(
            "[project]\nname = \"p\"\n[scopes.v]\nenv = {{ p = \"P\" }}\nsecret = [\"p\"]\nsecret_in_fingerprint = {flag}\n[stages.x]\nkind = \"command\"\nscopes = [\"v\"]\nrun = \"{{{{ v.p }}}}\"\n"
        )
    };
    let late = |flag, value| {
        let loaded = FakeWorld::new(&text(flag)).with_env("P", value).loaded();
        let StageKind::Command(command) = &stage(&loaded, "x").kind else {
            panic!()
        };
        let CommandLine::Shell(line) = &command.run else {
            panic!()
        };
        let digest = line.late().any(|late| {
            matches!(
                late,
                Late::Secret {
                    digest: Some(_),
                    ..
                }
            )
        });
        (line.to_string(), digest)
    };
    assert_eq!(late(false, "a"), ("${v.p}".to_owned(), false));
    let (first, digested) = late(true, "a");
    assert!(digested && !first.contains("\"a\""), "{first}");
    assert_ne!(first, late(true, "b").0);
    assert_eq!(first, late(true, "a").0);
}

#[test]
fn overrides_replace_settings_at_axis_values() {
    let text = "[axes]\nos = [\"a\", \"b\", \"c\"]\n[stages.x]\nkind = \"command\"\nrun = \"one\"\nenv = { A = \"1\", B = \"2\" }\n[[stages.x.overrides]]\nwhen = { os = [\"b\", \"c\"] }\nenv = { A = \"3\" }\n[[stages.x.overrides]]\nwhen = { os = \"c\" }\nneeds = \"y\"\nrun = \"two {{ stages.y.outputs.o }}\"\n[stages.y]\nkind = \"command\"\nrun = \"true\"\noutputs = { o = \"o\" }\n";
    let loaded = FakeWorld::new(text).loaded();
    let of = |key: &str| match &stage(&loaded, key).kind {
        StageKind::Command(command) => {
            let CommandLine::Shell(line) = &command.run else {
                panic!()
            };
            format!(
                "{line} {:?} {}",
                command.env.keys().collect::<Vec<_>>(),
                stage(&loaded, key).needs.len()
            )
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(of("x[os=a]"), "one [\"A\", \"B\"] 0");
    assert_eq!(of("x[os=b]"), "one [\"A\"] 0");
    assert_eq!(of("x[os=c]"), "two ${stages.y.outputs.o} [\"A\"] 1");
}

#[test]
fn a_version_comes_from_a_command_or_is_unknown() {
    let text = "[project]\nversion = { command = \"git describe\" }\n";
    let loaded = FakeWorld::new(text).with_command(Ok("v1-dirty\n")).loaded();
    assert_eq!(
        (
            loaded.project.version.as_str(),
            loaded.project.name.as_str()
        ),
        ("v1-dirty", "project")
    );
    let loaded = FakeWorld::new(text)
        .with_command(Err("not a repository"))
        .loaded();
    assert_eq!(loaded.project.version, "0.0.0-unknown");
    insta::assert_snapshot!(crate::diag::render(&loaded.warnings, false), @r#"
    warning: the version's command failed: not a repository
     --> builds.toml:2:23
      |
    2 | version = { command = "git describe" }
      |                       ^^^^^^^^^^^^^^
      |
      = help: the version is `0.0.0-unknown` until it works
    "#);
}

#[test]
fn without_providers_there_is_a_local_one() {
    let loaded = FakeWorld::new("").loaded();
    let [(name, config)] = &Vec::from_iter(loaded.project.providers)[..] else {
        panic!()
    };
    assert_eq!((name.as_str(), config.kind), ("local", ProviderKind::Qemu));
    let text = "[scopes.v]\nvalues = { server = \"vc\" }\n[providers.lab]\ntype = \"vsphere\"\nscopes = [\"v\"]\nserver = \"{{ v.server }}\"\ninsecure = true\n[providers.local]\ntype = \"qemu\"\ncpu = \"max\"\n[stages.iso-base]\niso = { url = \"x\", checksum = \"none\" }\nssh = { user = \"u\", agent = true }\n";
    let loaded = FakeWorld::new(text).loaded();
    let lab = &loaded.project.providers[&Name::parse("lab").unwrap()];
    assert_eq!(
        (lab.kind, lab.settings["server"].to_string()),
        (ProviderKind::Vsphere, "vc".into())
    );
    assert_eq!(lab.settings["insecure"].to_string(), "true");
    let local = &loaded.project.providers[&Name::parse("local").unwrap()];
    assert_eq!(local.settings["cpu"].to_string(), "max");
    let StageKind::IsoBase(base) = &stage(&loaded, "iso-base").kind else {
        panic!()
    };
    assert_eq!(base.provider.as_str(), "lab", "the first one in the file");
}

#[test]
fn a_server_that_the_environment_does_not_name_is_no_fault() {
    let text = |kind: &str, key: &str| {
        format!(
            "[scopes.v]\nenv = {{ there = \"LAB\" }}\n[providers.lab]\ntype = \"{kind}\"\nscopes = [\"v\"]\n{key} = \"{{{{ v.there }}}}\"\n"
        )
    };
    let loaded = FakeWorld::new(&text("vsphere", "server")).loaded();
    let lab = &loaded.project.providers[&Name::parse("lab").unwrap()];
    assert!(lab.settings.is_empty());
    assert_eq!(
        lab.unset["server"],
        "`v.there` is not defined: the environment has no `LAB`"
    );
    // QEMU is always there
    assert!(
        FakeWorld::new(&text("qemu", "cpu"))
            .faults()
            .contains("the environment has no `LAB`")
    );
}

#[test]
fn a_cycle_loads_and_is_left_to_the_graph() {
    let text = "[stages.a]\nkind = \"clone\"\nfrom = \"b\"\nssh = { user = \"u\", agent = true }\n[stages.b]\nkind = \"clone\"\nfrom = \"a\"\nssh = { user = \"u\", agent = true }\n";
    let loaded = FakeWorld::new(text).loaded();
    assert_eq!(
        stage(&loaded, "a").needs,
        std::slice::from_ref(&stage(&loaded, "b").key)
    );
}

#[test]
fn a_stage_sees_the_variables_of_its_scopes() {
    let loaded = project().loaded();
    let name = |text: &str| Name::parse(text).unwrap();
    let mini = [(name("os"), "mini".to_owned())].into();
    let rows = loaded.variables.of_stage(&name("iso-base"), &mini);
    let names: Vec<String> = rows
        .iter()
        .map(|row| format!("{}.{}", row.scope, row.name))
        .collect();
    assert_eq!(
        names,
        [
            "os.urls",
            "plain.codes",
            "plain.cpus",
            "plain.memory",
            "plain.user",
            "vcenter.password",
            "vcenter.server"
        ]
    );
    assert!(loaded.variables.of_stage(&name("clone"), &mini).is_empty());
}

#[test]
fn an_installer_is_told_where_to_report_in_any_kickstart_and_the_fingerprint_does_not_see_the_address()
 {
    let text = "[stages.iso-base]\niso = { url = 'x.iso', checksum = 'none' }\nkickstart = { dir = 'ks' }\n\
                boot = { keys = '<tab> report={{ forge.report }}<enter>' }\nssh = { user = 'root', agent = true }\n";
    let world = FakeWorld::new(text).file("ks/ks.cfg", "wget {{ forge.report }}/post");
    let loaded = world.loaded();
    let StageKind::IsoBase(base) = &stage(&loaded, "iso-base").kind else {
        panic!("it is no iso-base")
    };
    assert_eq!(
        base.boot.keys.to_string(),
        "<tab> report=${forge.report}<enter>"
    );
    let MediaFile::Text { content, .. } = &base.kickstart.as_ref().unwrap().files[0] else {
        panic!("{base:?}")
    };
    assert_eq!(content.to_string(), "wget ${forge.report}/post");
}
