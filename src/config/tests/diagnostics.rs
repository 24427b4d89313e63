//! How faults read, one test a message.

use insta::assert_snapshot;

use super::support::FakeWorld;

const BASE: &str = r#"
version = 1
[axes]
os = ["mini", "big"]
[scopes.common]
values = { password = "x", cpus = 2, net = { name = "lab" } }
[scopes.os]
file = "vars/{{ axis.os }}.toml"
[scopes.vcenter]
env = { server = "VCENTER_SERVER", password = "VCENTER_PASSWORD" }
secret = ["password"]
[stages.build-iso]
kind = "command"
run = "make {{ outputs.iso }}"
outputs = { iso = "output/a.iso" }
"#;

fn world(stages: &str) -> FakeWorld {
    FakeWorld::new(&format!("{BASE}{stages}"))
        .file("vars/mini.toml", "url = \"http://mini\"\n")
        .file("vars/big.toml", "url = \"http://big\"\n")
}

/// The drawn faults of a command stage with this setting.
#[track_caller]
fn of_env(scopes: &str, template: &str) -> String {
    world(&format!(
        "[stages.x]\nkind = \"command\"\nscopes = {scopes}\nrun = \"true\"\nenv = {{ A = \"{template}\" }}\n"
    ))
    .faults()
}

#[test]
fn unknown_keys() {
    let text = "version = 1\n[machine]\nmemroy = \"4GiB\"\n[stages.x]\nkind = \"command\"\nrun = \"true\"\nspeed = 3\n[quux]\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: unknown key `memroy` in a machine
     --> builds.toml:3:1
      |
    3 | memroy = "4GiB"
      | ^^^^^^
      |
      = help: did you mean `memory`?

    error: unknown key `speed` in a stage of kind `command`
     --> builds.toml:7:1
      |
    7 | speed = 3
      | ^^^^^
      |
      = help: known keys: run, inputs, outputs, env, pass_env, dir, always, kind, from, needs, scopes, axes, timeout, retries, overrides

    error: unknown key `quux` in builds.toml
     --> builds.toml:8:2
      |
    8 | [quux]
      |  ^^^^
      |
      = help: known keys: version, default, project, axes, providers, scopes, machine, stages, targets, resources
    "#);
}

#[test]
fn wrong_types() {
    let text = "version = \"1\"\ndefault = true\n[machine]\ncpus = \"four\"\nmemory = 4\nfirmware = \"uefi\"\ndisks = [{ size = \"4 GX\" }]\n[stages.export]\nfrom = \"x\"\nlevel = 13\n[stages.x]\nkind = \"iso-bas\"\ntimeout = 30\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: expected an integer, found a string
     --> builds.toml:1:11
      |
    1 | version = "1"
      |           ^^^
      |
      = help: write it without quotes: `1`

    error: expected a string or an array, found a boolean
     --> builds.toml:2:11
      |
    2 | default = true
      |           ^^^^

    error: expected an integer, found a string
     --> builds.toml:4:8
      |
    4 | cpus = "four"
      |        ^^^^^^

    error: expected a size such as `4GiB`, found an integer
     --> builds.toml:5:10
      |
    5 | memory = 4
      |          ^
      |
      = help: add a unit: `"4GiB"`, `"4MiB"`

    error: expected `bios`, `efi` or `efi-secure`, found `uefi`
     --> builds.toml:6:12
      |
    6 | firmware = "uefi"
      |            ^^^^^^
      |
      = help: did you mean `efi`?

    error: unknown unit `GX`; known: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB
     --> builds.toml:7:19
      |
    7 | disks = [{ size = "4 GX" }]
      |                   ^^^^^^

    error: unknown stage `x`
     --> builds.toml:9:8
      |
    9 | from = "x"
      |        ^^^

    error: expected 1 to 12, found 13
      --> builds.toml:10:9
       |
    10 | level = 13
       |         ^^

    error: expected `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova` or `verify`, found `iso-bas`
      --> builds.toml:12:8
       |
    12 | kind = "iso-bas"
       |        ^^^^^^^^^
       |
       = help: did you mean `iso-base`?
    "#);
}

#[test]
fn broken_toml_gives_all_its_faults() {
    assert_snapshot!(FakeWorld::new("version = 1\n[stages.x\nkind = \"command\"\nrun = \n").faults(), @r#"
    error: unclosed table, expected `]`
     --> builds.toml:2:10
      |
    2 | [stages.x
      |          ^
    "#);
}

#[test]
fn no_project() {
    assert_snapshot!(FakeWorld::default().faults(), @r#"
    error: there is no `builds.toml` here
     |
     = help: `forge init` makes one; `--project DIR` uses another directory
    "#);
    assert_snapshot!(FakeWorld::default().file("builds.toml", b"\xff").faults(), @"error: `builds.toml` is not UTF-8 text");
}

#[test]
fn undefined_variables() {
    assert_snapshot!(of_env("[\"common\"]", "a {{ common.pasword }} {{ common.net.nam }} {{ common.zzz }}"), @r#"
    error: `common.pasword` is not defined
      --> builds.toml:20:26
       |
    20 | env = { A = "a {{ common.pasword }} {{ common.net.nam }} {{ common.zzz }}" }
       |                          ^^^^^^^
       |
       = help: did you mean `common.password`?

    error: `common.net.nam` is not defined
      --> builds.toml:20:51
       |
    20 | env = { A = "a {{ common.pasword }} {{ common.net.nam }} {{ common.zzz }}" }
       |                                                   ^^^
       |
       = help: did you mean `common.net.name`?

    error: `common.zzz` is not defined
      --> builds.toml:20:68
       |
    20 | env = { A = "a {{ common.pasword }} {{ common.net.nam }} {{ common.zzz }}" }
       |                                                                    ^^^
       |
       = help: `common` has `cpus`, `net.name`, `password`
    "#);
}

#[test]
fn scopes_that_are_not_listed() {
    assert_snapshot!(of_env("[\"common\"]", "{{ vcenter.server }}"), @r#"
    error: scope `vcenter` is not in the scopes of stage `x`
      --> builds.toml:20:17
       |
    20 | env = { A = "{{ vcenter.server }}" }
       |                 ^^^^^^^^^^^^^^
       |
       = help: list it: `scopes = ["common", "vcenter"]`
    "#);
}

#[test]
fn roots_that_do_not_exist() {
    assert_snapshot!(of_env("[\"common\"]", "{{ comon.cpus }} {{ password }} {{ http.ip }} {{ whatever.x }}"), @r#"
    error: `comon.cpus` is not defined
      --> builds.toml:20:17
       |
    20 | env = { A = "{{ comon.cpus }} {{ password }} {{ http.ip }} {{ whatever.x }}" }
       |                 ^^^^^^^^^^
       |
       = help: did you mean `common.cpus`?

    error: `password` is not defined
      --> builds.toml:20:34
       |
    20 | env = { A = "{{ comon.cpus }} {{ password }} {{ http.ip }} {{ whatever.x }}" }
       |                                  ^^^^^^^^
       |
       = help: did you mean `common.password`?

    error: `http.ip` is not defined
      --> builds.toml:20:49
       |
    20 | env = { A = "{{ comon.cpus }} {{ password }} {{ http.ip }} {{ whatever.x }}" }
       |                                                 ^^^^^^^
       |
       = help: `http.ip` and `http.port` are known in stages of kind `iso-base`

    error: `whatever.x` is not defined
      --> builds.toml:20:63
       |
    20 | env = { A = "{{ comon.cpus }} {{ password }} {{ http.ip }} {{ whatever.x }}" }
       |                                                               ^^^^^^^^^^
       |
       = help: stage `x` sees the scopes `common`
    "#);
}

#[test]
fn environment_that_is_not_set() {
    assert_snapshot!(of_env("[\"vcenter\"]", "{{ vcenter.server }}"), @r#"
    error: `vcenter.server` is not defined: the environment has no `VCENTER_SERVER`
      --> builds.toml:20:25
       |
    20 | env = { A = "{{ vcenter.server }}" }
       |                         ^^^^^^
       |
       = help: set the environment variable `VCENTER_SERVER`
    "#);
}

#[test]
fn stages_and_outputs_in_templates() {
    assert_snapshot!(of_env("[]", "{{ stages.build-ios.outputs.iso }} {{ stages.build-iso.outputs.img }} {{ stages.build-iso.iso }}"), @r#"
    error: unknown stage `build-ios`
      --> builds.toml:20:24
       |
    20 | env = { A = "{{ stages.build-ios.outputs.iso }} {{ stages.build-iso.outputs.img }} {{ stages.build-iso.iso }}" }
       |                        ^^^^^^^^^
       |
       = help: did you mean `build-iso`?

    error: the stage `build-iso` has no output `img`
      --> builds.toml:20:77
       |
    20 | env = { A = "{{ stages.build-ios.outputs.iso }} {{ stages.build-iso.outputs.img }} {{ stages.build-iso.iso }}" }
       |                                                                             ^^^
       |
       = help: its outputs are `iso`

    error: `stages.build-iso.iso` is not defined
      --> builds.toml:20:87
       |
    20 | env = { A = "{{ stages.build-ios.outputs.iso }} {{ stages.build-iso.outputs.img }} {{ stages.build-iso.iso }}" }
       |                                                                                       ^^^^^^^^^^^^^^^^^^^^
       |
       = help: of a stage there is only `stages.build-iso.outputs.NAME`
    "#);
}

#[test]
fn axes_in_templates() {
    assert_snapshot!(of_env("[]", "{{ axis.oss }}"), @r#"
    error: `axis.oss` is not defined
      --> builds.toml:20:17
       |
    20 | env = { A = "{{ axis.oss }}" }
       |                 ^^^^^^^^
       |
       = help: did you mean `axis.os`?
    "#);
}

#[test]
fn late_values_used_too_early() {
    let stage = "[stages.x]\nkind = \"command\"\nrun = \"true\"\ndir = \"{{ run.id }}\"\nenv = { A = \"{{ run.date | upper }}\" }\n";
    assert_snapshot!(world(stage).faults(), @r#"
    error: `run.id` is known only when the stage runs, this setting is needed before
      --> builds.toml:19:7
       |
    19 | dir = "{{ run.id }}"
       |       ^^^^^^^^^^^^^^

    error: `run.date` is known only when the stage runs
      --> builds.toml:20:17
       |
    20 | env = { A = "{{ run.date | upper }}" }
       |                 ^^^^^^^^
       |
       = help: it can be passed on as it is, but not be changed or compared
    "#);
}

#[test]
fn broken_templates() {
    assert_snapshot!(of_env("[]", "{{ 'a' | uper }}"), @r#"
    error: unknown filter `uper`
      --> builds.toml:20:23
       |
    20 | env = { A = "{{ 'a' | uper }}" }
       |                       ^^^^
       |
       = help: did you mean `upper`?
    "#);
    assert_snapshot!(of_env("[]", "x {{ y"), @r#"
    error: `{{` without its `}}`
      --> builds.toml:20:16
       |
    20 | env = { A = "x {{ y" }
       |                ^^
       |
       = help: for the text `{{` itself write `{{ '{{' }}`
    "#);
    assert_snapshot!(of_env("[]", "{{ 1 + }}"), @r#"
    error: syntax error: unexpected end of input, expected expression
      --> builds.toml:20:17
       |
    20 | env = { A = "{{ 1 + }}" }
       |                 ^^^
    "#);
}

#[test]
fn a_rendered_value_of_the_wrong_type_names_its_variable() {
    let text = "[scopes.common]\nfile = \"vars/c.toml\"\n[machine]\ncpus = \"{{ common.cpus }}\"\nmemory = \"{{ common.memory }}\"\n[stages.iso-base]\nscopes = [\"common\"]\niso = { url = \"x.iso\", checksum = \"none\" }\nssh = { user = \"root\", agent = true }\n";
    let world = FakeWorld::new(text).file("vars/c.toml", "cpus = \"many\"\nmemory = \"4 gigs\"\n");
    assert_snapshot!(world.faults(), @r#"
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:8:35
      |
    8 | iso = { url = "x.iso", checksum = "none" }
      |                                   ^^^^^^

    error: expected an integer, found the string `many`
     --> builds.toml:4:8
      |
    4 | cpus = "{{ common.cpus }}"
      |        ^^^^^^^^^^^^^^^^^^^
      |
     ::: vars/c.toml:1:1
      |
    1 | cpus = "many"
      | ---- set here

    error: unknown unit `gigs`; known: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB
     --> builds.toml:5:10
      |
    5 | memory = "{{ common.memory }}"
      |          ^^^^^^^^^^^^^^^^^^^^^
      |
     ::: vars/c.toml:2:1
      |
    2 | memory = "4 gigs"
      | ------ set here
    "#);
}

#[test]
fn names_that_nobody_has() {
    let text = "default = \"oav\"\n[axes]\nos = [\"a\", \"b\"]\n[stages.one]\nkind = \"command\"\nrun = \"true\"\nneeds = [\"tow\"]\nscopes = [\"nope\"]\naxes = [\"so\"]\n[[stages.one.overrides]]\nwhen = { os = \"c\" }\nrun = \"false\"\n[stages.two]\nkind = \"command\"\nrun = \"true\"\n[targets]\nova = [\"one\", \"tree\"]\ntwo = [\"one\"]\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: unknown target `oav`
     --> builds.toml:1:11
      |
    1 | default = "oav"
      |           ^^^^^
      |
      = help: did you mean `ova`?

    error: unknown stage `tow`
     --> builds.toml:7:10
      |
    7 | needs = ["tow"]
      |          ^^^^^
      |
      = help: did you mean `two`?

    error: unknown scope `nope`
     --> builds.toml:8:11
      |
    8 | scopes = ["nope"]
      |           ^^^^^^

    error: unknown axis `so`
     --> builds.toml:9:9
      |
    9 | axes = ["so"]
      |         ^^^^
      |
      = help: the axes are `os`

    error: the axis `os` has no value `c`
      --> builds.toml:11:15
       |
    11 | when = { os = "c" }
       |               ^^^
       |
       = help: its values are `a` or `b`

    error: unknown stage `tree`
      --> builds.toml:17:15
       |
    17 | ova = ["one", "tree"]
       |               ^^^^^^

    error: `two` is a stage already
      --> builds.toml:18:1
       |
    18 | two = ["one"]
       | ^^^
       |
       = help: every stage is a target by its own name
    "#);
}

#[test]
fn a_stage_without_a_kind() {
    let text =
        "[stages.iso-bas]\nrun = \"true\"\n[stages.other]\n[stages.third]\nkind = \"comand\"\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: the stage `iso-bas` needs a `kind`
     --> builds.toml:1:9
      |
    1 | [stages.iso-bas]
      |         ^^^^^^^
      |
      = help: name the stage `iso-base`, or add `kind = "iso-base"`

    error: the stage `other` needs a `kind`
     --> builds.toml:3:9
      |
    3 | [stages.other]
      |         ^^^^^
      |
      = help: add `kind = "…"`: `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova` or `verify`

    error: expected `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova` or `verify`, found `comand`
     --> builds.toml:5:8
      |
    5 | kind = "comand"
      |        ^^^^^^^^
      |
      = help: did you mean `command`?
    "#);
}

#[test]
fn from_the_wrong_kind() {
    let text = "[stages.c]\nkind = \"command\"\nrun = \"true\"\nfrom = \"c\"\n[stages.clone]\nfrom = \"c\"\n[stages.export]\n[stages.pack-ova]\nfrom = \"clone\"\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: a stage of kind `command` comes from nothing
     --> builds.toml:4:8
      |
    4 | from = "c"
      |        ^^^
      |
      = help: to wait for another stage, list it in `needs`

    error: a stage of kind `clone` cannot come from `c`, of kind `command`
     --> builds.toml:6:8
      |
    6 | from = "c"
      |        ^^^
      |
      = help: it comes from a stage of kind `iso-base`, `clone` or `provision`

    error: the stage `export` needs `from`
     --> builds.toml:7:9
      |
    7 | [stages.export]
      |         ^^^^^^
      |
      = help: a stage of kind `export` comes from one of kind `iso-base`, `clone` or `provision`

    error: a stage of kind `pack-ova` cannot come from `clone`, of kind `clone`
     --> builds.toml:9:8
      |
    9 | from = "clone"
      |        ^^^^^^^
      |
      = help: it comes from a stage of kind `export`
    "#);
}

#[test]
fn outputs_written_twice() {
    let text = "[axes]\nos = [\"a\", \"b\"]\n[stages.x]\nkind = \"command\"\nrun = \"true {{ axis.os }}\"\noutputs = { o = \"out/x\" }\n[stages.y]\nkind = \"command\"\nrun = \"true\"\noutputs = { o = \"./out//y\" }\n[stages.z]\nkind = \"command\"\nrun = \"true\"\noutputs = { o = \"out/y\", p = \"../z\", q = \"/etc\" }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: `x[os=a]` and `x[os=b]` both write `out/x`
     --> builds.toml:6:11
      |
    6 | outputs = { o = "out/x" }
      |           ^^^^^^^^^^^^^^^
      |
      = help: put `{{ axis.os }}` into it

    error: `y` and `z` both write `out/y`
      --> builds.toml:14:11
       |
    14 | outputs = { o = "out/y", p = "../z", q = "/etc" }
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: `../z` leads out of the project
      --> builds.toml:14:30
       |
    14 | outputs = { o = "out/y", p = "../z", q = "/etc" }
       |                              ^^^^^^

    error: `/etc` is not relative to the project
      --> builds.toml:14:42
       |
    14 | outputs = { o = "out/y", p = "../z", q = "/etc" }
       |                                          ^^^^^^
    "#);
}

#[test]
fn missing_files() {
    let text = r#"
[scopes.gone]
file = "vars/gone.toml"
[stages.iso-base]
iso = { url = "x.iso" }
kickstart = { dir = "ks" }
ssh = { user = "root" }
[stages.provision]
from = "iso-base"
steps = [{ upload = { source = "nope", to = "/x" } }, { shell = { script = "a.sh" } }, { shell = {} }, {}, { pause = "1s", reboot = true }, { check = { gossfile = "g.yaml" } }]
"#;
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: the variables file `vars/gone.toml` does not exist
     --> builds.toml:3:8
      |
    3 | file = "vars/gone.toml"
      |        ^^^^^^^^^^^^^^^^

    error: `iso` needs `checksum`
     --> builds.toml:5:1
      |
    5 | iso = { url = "x.iso" }
      | ^^^
      |
      = help: `sha256:…`, `file:URL` of a list of checksums, or `none`; only the output of a stage needs none

    error: the directory `ks` does not exist
     --> builds.toml:6:21
      |
    6 | kickstart = { dir = "ks" }
      |                     ^^^^

    error: `ssh` needs a way to log in
     --> builds.toml:7:1
      |
    7 | ssh = { user = "root" }
      | ^^^
      |
      = help: one of `password`, `key_file`, `agent = true`

    error: the source `nope` does not exist
      --> builds.toml:10:32
       |
    10 | steps = [{ upload = { source = "nope", to = "/x" } }, { shell = { script = "a.sh" } }, { shell = {} }, {}, { pause = "1s", reboot = ...
       |                                ^^^^^^

    error: the script `a.sh` does not exist
      --> builds.toml:10:76
       |
    10 | steps = [{ upload = { source = "nope", to = "/x" } }, { shell = { script = "a.sh" } }, { shell = {} }, {}, { pause = "1s", reboot = ...
       |                                                                            ^^^^^^

    error: `shell` needs `inline`, `script` or `scripts`
      --> builds.toml:10:98
       |
    10 | steps = [{ upload = { source = "nope", to = "/x" } }, { shell = { script = "a.sh" } }, { shell = {} }, {}, { pause = "1s", reboot = ...
       |                                                                                                  ^^

    error: a step needs one of `upload`, `shell`, `local`, `reboot`, `pause` or `check`
      --> builds.toml:10:104
       |
    10 | steps = [{ upload = { source = "nope", to = "/x" } }, { shell = { script = "a.sh" } }, { shell = {} }, {}, { pause = "1s", reboot = ...
       |                                                                                                        ^^

    error: a step does one thing: `pause` or `reboot`
      --> builds.toml:10:124
       |
    10 | steps = [{ upload = { source = "nope", to = "/x" } }, { shell = { script = "a.sh" } }, { shell = {} }, {}, { pause = "1s", reboot = ...
       |                                                                                                              -----         ^^^^^^
       |                                                                                                              |
       |                                                                                                              the first one
       |
       = help: make two steps of it

    error: the gossfile `g.yaml` does not exist
      --> builds.toml:10:164
       |
    10 | ...{}, { pause = "1s", reboot = true }, { check = { gossfile = "g.yaml" } }]
       |                                                                ^^^^^^^^
    "#);
}

#[test]
fn boot_keys_and_patterns() {
    let text = "[scopes.os]\nvalues = { keys = \"<tabb>\" }\n[stages.iso-base]\nscopes = [\"os\"]\niso = { url = \"x.iso\", checksum = \"sha256:abc\" }\nboot = { wait_text = \"a(\", keys = \"<tab> ks=http://{{ http.ip }}:{{ http.port }}/ks<entre>\" }\nssh = { user = \"root\", agent = true }\n[stages.second]\nkind = \"iso-base\"\nscopes = [\"os\"]\niso = { checksum = \"none\" }\nboot = { keys = \"{{ os.keys }}\" }\nssh = { agent = true }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    warning: the ISO is not verified (`second`)
      --> builds.toml:11:20
       |
    11 | iso = { checksum = "none" }
       |                    ^^^^^^

    error: sha256 has 64 hexadecimal digits, here are 3
     --> builds.toml:5:35
      |
    5 | iso = { url = "x.iso", checksum = "sha256:abc" }
      |                                   ^^^^^^^^^^^^

    error: not a regular expression: unclosed group
     --> builds.toml:6:22
      |
    6 | boot = { wait_text = "a(", keys = "<tab> ks=http://{{ http.ip }}:{{ http.port }}/ks<entre>" }
      |                      ^^^^
      |
      = help: characters such as `[`, `(` and `.` stand for themselves after a backslash; write it in single quotes

    error: unknown key `<entre>`
     --> builds.toml:6:84
      |
    6 | boot = { wait_text = "a(", keys = "<tab> ks=http://{{ http.ip }}:{{ http.port }}/ks<entre>" }
      |                                                                                    ^^^^^^^
      |
      = help: did you mean `<enter>`?

    error: `iso` needs `url` or `urls`
      --> builds.toml:11:1
       |
    11 | iso = { checksum = "none" }
       | ^^^

    error: unknown key `<tabb>`
      --> builds.toml:12:17
       |
    12 | boot = { keys = "{{ os.keys }}" }
       |                 ^^^^^^^^^^^^^^^
       |
       = help: did you mean `<tab>`?

    error: `ssh` needs `user`
      --> builds.toml:13:1
       |
    13 | ssh = { agent = true }
       | ^^^
    "#);
}

#[test]
fn kickstart_files_are_templates() {
    let stage = "[stages.iso-base]\nscopes = [\"common\"]\niso = { url = \"x.iso\", checksum = \"none\" }\nkickstart = { dir = \"ks\" }\nssh = { user = \"root\", agent = true }\n";
    let world = world(stage)
        .file("ks/ks.cfg", "lang en\nrootpw {{ common.pasword }}\n")
        .file("ks/logo.png", b"\x89PNG\xff");
    assert_snapshot!(world.faults(), @r#"
    warning: the ISO is not verified (`iso-base`)
      --> builds.toml:18:35
       |
    18 | iso = { url = "x.iso", checksum = "none" }
       |                                   ^^^^^^

    error: `common.pasword` is not defined
      --> ks/ks.cfg:2:18
       |
     2 | rootpw {{ common.pasword }}
       |                  ^^^^^^^
       |
      ::: builds.toml:19:21
       |
    19 | kickstart = { dir = "ks" }
       |                     ---- read for this
       |
       = help: did you mean `common.password`?
    "#);
}

#[test]
fn variables_from_the_command_line() {
    let world = world("")
        .var("common")
        .var("comon.x=1")
        .var_file("vars/extra.toml")
        .var_file("nope.toml");
    let world = world.file("vars/extra.toml", "x = 1\n[commn]\ny = 1\n");
    assert_snapshot!(world.faults(), @r#"
    error: --var-file `/project/nope.toml` cannot be read: entity not found

    error: `x` stands in no scope
     --> /project/vars/extra.toml:1:1
      |
    1 | x = 1
      | ^
      |
      = help: a file for --var-file has a table for each scope: `[common]`

    error: unknown scope `commn`
     --> /project/vars/extra.toml:2:2
      |
    2 | [commn]
      |  ^^^^^
      |
      = help: did you mean `common`?

    error: `common` is no setting of a variable
     --> --var:1:1
      |
    1 | common
      | ^^^^^^
      |
      = help: write it as `--var scope.name=value`

    error: unknown scope `comon`
     --> --var:1:1
      |
    1 | comon.x
      | ^^^^^
      |
      = help: did you mean `common`?
    "#);
}

#[test]
fn providers_and_hardware() {
    let text = "[providers.a]\ntype = \"qemu\"\naccell = \"kvm\"\naccel = \"fast\"\n[providers.b]\n[providers.c]\ntype = \"quemu\"\n[machine]\ncpus = 3\ncores_per_socket = 2\nmemory = \"1000\"\ndisks = []\nnics = [{ adapter = \"rtl8139\" }]\n[stages.iso-base]\nprovider = \"aa\"\niso = { url = \"x\", checksum = \"none\" }\nssh = { user = \"root\", agent = true }\n[stages.clone]\nfrom = \"iso-base\"\nmachine = { disks = [{ size = \"1MiB\" }] }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    warning: the ISO is not verified (`iso-base`)
      --> builds.toml:16:31
       |
    16 | iso = { url = "x", checksum = "none" }
       |                               ^^^^^^

    error: unknown key `accell` in a provider of type `qemu`
     --> builds.toml:3:1
      |
    3 | accell = "kvm"
      | ^^^^^^
      |
      = help: did you mean `accel`?

    error: expected `auto`, `kvm`, `hvf`, `whpx` or `tcg`, found `fast`
     --> builds.toml:4:9
      |
    4 | accel = "fast"
      |         ^^^^^^

    error: the provider `b` needs a `type`
     --> builds.toml:5:12
      |
    5 | [providers.b]
      |            ^
      |
      = help: `type = "qemu"` or `type = "vsphere"`

    error: expected `qemu` or `vsphere`, found `quemu`
     --> builds.toml:7:8
      |
    7 | type = "quemu"
      |        ^^^^^^^
      |
      = help: did you mean `qemu`?

    error: 3 CPUs cannot stand on sockets of 2 cores
      --> builds.toml:10:20
       |
    10 | cores_per_socket = 2
       |                    ^
       |
       = help: `cores_per_socket` divides `cpus`

    error: expected a size, such as `64GiB`
      --> builds.toml:11:10
       |
    11 | memory = "1000"
       |          ^^^^^^

    error: a machine needs a disk
      --> builds.toml:12:9
       |
    12 | disks = []
       |         ^^

    error: expected `e1000`, `e1000e`, `vmxnet3` or `virtio`, found `rtl8139`
      --> builds.toml:13:21
       |
    13 | nics = [{ adapter = "rtl8139" }]
       |                     ^^^^^^^^^

    error: unknown provider `aa`
      --> builds.toml:15:12
       |
    15 | provider = "aa"
       |            ^^^^
    "#);
}
