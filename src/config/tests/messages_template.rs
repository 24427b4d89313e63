//! How faults in templates and scopes read.

use insta::assert_snapshot;

use super::support::FakeWorld;
use super::support::axes_and_scopes as world;

/// The drawn faults of a command stage with this setting.
#[track_caller]
fn of_env(scopes: &str, template: &str) -> String {
    world(&format!(
        "[stages.x]\nkind = \"command\"\nscopes = {scopes}\nrun = \"true\"\nenv = {{ A = \"{template}\" }}\n"
    ))
    .faults()
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
fn the_report_url_is_for_installers() {
    assert_snapshot!(of_env("[\"common\"]", "{{ forge.report }}"), @r#"
    error: `forge.report` is not defined
      --> builds.toml:20:17
       |
    20 | env = { A = "{{ forge.report }}" }
       |                 ^^^^^^^^^^^^
       |
       = help: `forge.report` is known in stages of kind `iso-base`
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
fn secrets_that_are_misspelt_or_differ() {
    let text = "[axes]\nos = [\"a\", \"b\"]\n[scopes.s]\nvalues = { password = \"{{ axis.os }}\", user = \"u\" }\nsecret = [\"pasword\", \"password\"]\n[stages.x]\nkind = \"command\"\nscopes = [\"s\"]\nrun = \"true {{ s.password }}\"\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    warning: the scope `s` has no variable `pasword`
     --> builds.toml:5:11
      |
    5 | secret = ["pasword", "password"]
      |           ^^^^^^^^^
      |
      = help: did you mean `password`?

    error: the secret `s.password` depends on an axis
     --> builds.toml:3:9
      |
    3 | [scopes.s]
      |         ^
      |
      = help: put it into a scope whose file does not depend on an axis
    "#);
}

#[test]
fn what_a_scope_itself_sees() {
    let text = "[axes]\nos = [\"a\"]\n[scopes.s]\nfile = \"vars/{{ axis.so }}.toml\"\nvalues = { x = \"{{ common.y }}\" }\n[scopes.t]\nfile = \"t.toml\"\n";
    let world = FakeWorld::new(text).file("t.toml", "a = \n");
    assert_snapshot!(world.faults(), @r#"
    error: `axis.so` is not defined: a scope sees only the axes and the project
     --> builds.toml:4:17
      |
    4 | file = "vars/{{ axis.so }}.toml"
      |                 ^^^^^^^
      |
      = help: did you mean `axis.os`?

    error: `common.y` is not defined: a scope sees only the axes and the project
     --> builds.toml:5:20
      |
    5 | values = { x = "{{ common.y }}" }
      |                    ^^^^^^^^

    error: string values must be quoted, expected literal string
     --> t.toml:1:5
      |
    1 | a = 
      |     ^
    "#);
}
