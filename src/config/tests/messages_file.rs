//! How faults of the file as a whole read: keys, types, names.

use insta::assert_snapshot;

use super::support::FakeWorld;
use super::support::axes_and_scopes as world;

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
      = help: known keys: run, inputs, gitignore, outputs, env, pass_env, dir, always, depfile, deps, deps_prefix, kind, template, params, foreach, from, needs, scopes, axes, timeout, retries, pool, overrides

    error: unknown key `quux` in builds.toml
     --> builds.toml:8:2
      |
    8 | [quux]
      |  ^^^^
      |
      = help: known keys: version, default, include, project, axes, providers, scopes, machine, stages, stage-templates, targets, resources, pools
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

    error: expected `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova`, `verify` or `publish`, found `iso-bas`
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
      = help: add `kind = "…"`: `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova`, `verify` or `publish`

    error: expected `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova`, `verify` or `publish`, found `comand`
     --> builds.toml:5:8
      |
    5 | kind = "comand"
      |        ^^^^^^^^
      |
      = help: did you mean `command`?
    "#);
}

#[test]
fn names_that_are_not_free() {
    let text = "[axes]\n\"a b\" = [\"x\", \"x\"]\nempty = []\n[scopes.run]\nvalues = { x = 1 }\n[scopes.\"-x\"]\n[stages.\"a/b\"]\nkind = \"command\"\n[targets]\n\"?\" = []\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: ` ` cannot stand in a name; letters, digits, `-`, `_` and `.` can
     --> builds.toml:2:1
      |
    2 | "a b" = ["x", "x"]
      | ^^^^^

    error: the axis `empty` has no values
     --> builds.toml:3:9
      |
    3 | empty = []
      |         ^^

    error: `run` is not free for a scope
     --> builds.toml:4:9
      |
    4 | [scopes.run]
      |         ^^^ templates have a variable of this name already

    error: a name starts with a letter or a digit
     --> builds.toml:6:9
      |
    6 | [scopes."-x"]
      |         ^^^^

    error: `/` cannot stand in a name; letters, digits, `-`, `_` and `.` can
     --> builds.toml:7:9
      |
    7 | [stages."a/b"]
      |         ^^^^^

    error: `?` cannot stand in a name; letters, digits, `-`, `_` and `.` can
      --> builds.toml:10:1
       |
    10 | "?" = []
       | ^^^
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
