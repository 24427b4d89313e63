//! Wrong input through the binary: what it says, and that it ends with 2 before anything runs.

#![allow(
    clippy::too_many_lines,
    reason = "what is long in these tests is what forge says"
)]

use super::support::{Output, Sandbox};

/// What `forge validate` says to a project that is this text.
fn validate(text: &str) -> String {
    Sandbox::new(text).forge(&["validate"]).exits(2).all()
}

/// A small project with an axis, a scope and two stages.
const SMALL: &str = r#"
version = 1
default = "all"

[axes]
os = ["mini", "centos7"]

[scopes.common]
file = "vars/common.toml"
values = { shade = "inline", weight = 1 }
env = { token = "FORGE_TEST_TOKEN" }
secret = ["token"]

[stages.colour]
kind = "command"
scopes = ["common"]
run = "echo {{ common.colour }} {{ common.shade }} > {{ outputs.o }}; echo ran >> colour.ran"
outputs = { o = "out/colour" }

[stages.system]
kind = "command"
run = "cat {{ stages.colour.outputs.o }} > {{ outputs.o }}; echo {{ axis.os }} >> {{ outputs.o }}; : {{ run.id }} {{ run.date }} {{ run.host }}"
outputs = { o = "out/{{ axis.os }}" }

[targets]
all = ["colour", "system"]
"#;

fn small() -> Sandbox {
    let sandbox = Sandbox::new(SMALL);
    sandbox.write("vars/common.toml", "colour = \"red\"\nweight = 2\n");
    sandbox
}

#[test]
fn broken_toml() {
    insta::assert_snapshot!(validate("version = 1\n[stages.a\nkind = \"command\"\n"), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unclosed table, expected `]`
     --> builds.toml:2:10
      |
    2 | [stages.a
      |          ^

    1 error in the project
    "#);
    insta::assert_snapshot!(validate("version = 1\nversion = 1\n"), @r#"
    exit 2
    --- stdout
    --- stderr
    error: duplicate key
     --> builds.toml:2:1
      |
    2 | version = 1
      | ^^^^^^^

    1 error in the project
    "#);
    insta::assert_snapshot!(validate("\u{feff}version = 1\nname = \"never closed\n"), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid basic string, expected `"`
     --> builds.toml:2:21
      |
    2 | name = "never closed
      |                     ^

    1 error in the project
    "#);
}

#[test]
fn all_faults_of_a_file_stand_in_one_report() {
    insta::assert_snapshot!(validate(r#"
version = 1
defualt = "a"
[stages.a]
kind = "command"
run = "x"
outptus = { a = "b" }
needs = ["bb"]
timeout = "5 parsecs"
[stages.b]
kind = "comand"
run = "x"
[stages.c]
kind = "command"
scopes = ["comon"]
run = "{{ nope }} {{ common.x }} {{ axis.os }}"
[scopes.common]
x = 1
[targets]
all = ["a", "d"]
"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unknown key `defualt` in builds.toml
     --> builds.toml:3:1
      |
    3 | defualt = "a"
      | ^^^^^^^
      |
      = help: did you mean `default`?

    error: unknown key `outptus` in a stage of kind `command`
     --> builds.toml:7:1
      |
    7 | outptus = { a = "b" }
      | ^^^^^^^
      |
      = help: did you mean `outputs`?

    error: unknown stage `bb`
     --> builds.toml:8:10
      |
    8 | needs = ["bb"]
      |          ^^^^

    error: unknown unit `parsecs`; known: ms, s, m, h, d
     --> builds.toml:9:11
      |
    9 | timeout = "5 parsecs"
      |           ^^^^^^^^^^^

    error: expected `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova`, `verify` or `publish`, found `comand`
      --> builds.toml:11:8
       |
    11 | kind = "comand"
       |        ^^^^^^^^
       |
       = help: did you mean `command`?

    error: unknown scope `comon`
      --> builds.toml:15:11
       |
    15 | scopes = ["comon"]
       |           ^^^^^^^
       |
       = help: did you mean `common`?

    error: `nope` is not defined
      --> builds.toml:16:11
       |
    16 | run = "{{ nope }} {{ common.x }} {{ axis.os }}"
       |           ^^^^
       |
       = help: stage `c` lists no scopes

    error: scope `common` is not in the scopes of stage `c`
      --> builds.toml:16:22
       |
    16 | run = "{{ nope }} {{ common.x }} {{ axis.os }}"
       |                      ^^^^^^^^
       |
       = help: list it: `scopes = ["common"]`

    error: `axis.os` is not defined
      --> builds.toml:16:37
       |
    16 | run = "{{ nope }} {{ common.x }} {{ axis.os }}"
       |                                     ^^^^^^^
       |
       = help: the project has no axes

    error: unknown key `x` in a scope
      --> builds.toml:18:1
       |
    18 | x = 1
       | ^
       |
       = help: known keys: file, values, env, secret, secret_in_fingerprint

    error: unknown stage `d`
      --> builds.toml:20:13
       |
    20 | all = ["a", "d"]
       |             ^^^

    11 errors in the project
    "#);
}

#[test]
fn a_cycle_is_shown_as_a_path() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.a]
kind = "command"
run = "cat {{ stages.c.outputs.o }}"
[stages.b]
kind = "command"
run = "true"
needs = ["a"]
[stages.c]
kind = "command"
run = "true"
needs = ["b"]
outputs = { o = "o" }
"#,
    );
    insta::assert_snapshot!(sandbox.forge(&["run", "b"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: stages depend on each other in a circle: `a → c → b → a`
      help: remove one of these dependencies
    "#);
    insta::assert_snapshot!(sandbox.forge(&["validate"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: stages depend on each other in a circle: `a → c → b → a`
      help: remove one of these dependencies
    "#);
}

#[test]
fn two_stages_that_write_one_output() {
    insta::assert_snapshot!(validate(r#"
version = 1
[stages.a]
kind = "command"
run = "x"
outputs = { o = "out/a" }
[stages.b]
kind = "command"
run = "x"
outputs = { o = "out/./a" }
"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `a` and `b` both write `out/a`
      --> builds.toml:10:11
       |
    10 | outputs = { o = "out/./a" }
       |           ^^^^^^^^^^^^^^^^^

    1 error in the project
    "#);
}

#[test]
fn an_output_inside_of_another_stages_output() {
    insta::assert_snapshot!(validate(r#"
version = 1
[stages.tree]
kind = "command"
run = "x"
outputs = { o = "out/tree" }
[stages.leaf]
kind = "command"
run = "x"
outputs = { o = "out/tree/leaf", beside = "out/tree2" }
"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `leaf` writes `out/tree/leaf`, and `tree` writes `out/tree`: one lies inside of the other
      --> builds.toml:10:11
       |
    10 | outputs = { o = "out/tree/leaf", beside = "out/tree2" }
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: give each stage a directory of its own

    1 error in the project
    "#);
}

#[test]
fn variables_outside_of_a_stages_scopes_and_undefined_ones() {
    insta::assert_snapshot!(validate(r#"
version = 1
[scopes.common]
values = { colour = "red" }
[scopes.lab]
values = { server = "x" }
[stages.a]
kind = "command"
scopes = ["common"]
run = "{{ lab.server }} {{ common.color }} {{ common.weight }} {{ nothing }}"
"#), @r#"
    exit 2
    --- stdout
    --- stderr
    error: scope `lab` is not in the scopes of stage `a`
      --> builds.toml:10:11
       |
    10 | run = "{{ lab.server }} {{ common.color }} {{ common.weight }} {{ nothing }}"
       |           ^^^^^^^^^^
       |
       = help: list it: `scopes = ["common", "lab"]`

    error: `common.color` is not defined
      --> builds.toml:10:35
       |
    10 | run = "{{ lab.server }} {{ common.color }} {{ common.weight }} {{ nothing }}"
       |                                   ^^^^^
       |
       = help: did you mean `common.colour`?

    error: `common.weight` is not defined
      --> builds.toml:10:54
       |
    10 | run = "{{ lab.server }} {{ common.color }} {{ common.weight }} {{ nothing }}"
       |                                                      ^^^^^^
       |
       = help: `common` has `colour`

    error: `nothing` is not defined
      --> builds.toml:10:67
       |
    10 | run = "{{ lab.server }} {{ common.color }} {{ common.weight }} {{ nothing }}"
       |                                                                   ^^^^^^^
       |
       = help: stage `a` sees the scopes `common`

    4 errors in the project
    "#);
}

#[test]
fn unknown_names_on_the_command_line() {
    let sandbox = small();
    let say = |args: &[&str]| -> String { sandbox.forge(args).exits(2).all() };
    insta::assert_snapshot!(say(&["run", "colur"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unknown target `colur`
      help: did you mean `colour`?
    "#);
    insta::assert_snapshot!(say(&["plan", "everything"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unknown target `everything`
      help: known: all, colour, system
    "#);
    insta::assert_snapshot!(say(&["explain", "all"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `all` is a target, not a stage
    "#);
    insta::assert_snapshot!(say(&["plan", "--set", "os=centos"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: axis `os` has no value `centos`
      help: did you mean `centos7`?
    "#);
    insta::assert_snapshot!(say(&["plan", "--set", "os=nope"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: axis `os` has no value `nope`
      help: known: mini, centos7
    "#);
    insta::assert_snapshot!(say(&["plan", "--set", "so=mini"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there is no axis `so`
      help: axes here: os
    "#);
    insta::assert_snapshot!(say(&["plan", "--set", "os"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `--set os` is not of the form AXIS=VALUE
    "#);
    insta::assert_snapshot!(say(&["plan", "--all", "arch"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there is no axis `arch`
      help: axes here: os
    "#);
    insta::assert_snapshot!(say(&["run", "--force", "color"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there is no stage `color` to force
      help: did you mean `colour`?
    "#);
    insta::assert_snapshot!(say(&["run", "--jobs", "0"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value '0' for '--jobs <N>': 0 is not in 1..=4294967295

    For more information, try '--help'.
    "#);
    assert!(!sandbox.exists("out"), "nothing ran");
}

#[test]
fn wrong_forms_of_variables() {
    let sandbox = small();
    let say = |args: &[&str]| -> String { sandbox.forge(args).exits(2).all() };
    insta::assert_snapshot!(say(&["vars", "--var", "common", "--var", "colour=red"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `common` is no setting of a variable
     --> --var:1:1
      |
    1 | common
      | ^^^^^^
      |
      = help: write it as `--var scope.name=value`

    error: `colour` is no setting of a variable
     --> --var:1:1
      |
    1 | colour
      | ^^^^^^
      |
      = help: write it as `--var scope.name=value`

    2 errors in the project
    "#);
    insta::assert_snapshot!(say(&["vars", "--var", "comon.colour=red"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unknown scope `comon`
     --> --var:1:1
      |
    1 | comon.colour
      | ^^^^^
      |
      = help: did you mean `common`?

    1 error in the project
    "#);
    insta::assert_snapshot!(say(&["vars", "--var-file", "none.toml"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: --var-file `none.toml` cannot be read: No such file or directory (os error 2)

    1 error in the project
    "#);
    sandbox.write("wrong.toml", "[comon]\ncolour = 1\n");
    insta::assert_snapshot!(say(&["vars", "--var-file", "wrong.toml"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unknown scope `comon`
     --> wrong.toml:1:2
      |
    1 | [comon]
      |  ^^^^^
      |
      = help: did you mean `common`?

    1 error in the project
    "#);
    sandbox.write("broken.toml", "[common\n");
    insta::assert_snapshot!(say(&["vars", "--var-file", "broken.toml"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unclosed table, expected `]`
     --> broken.toml:1:8
      |
    1 | [common
      |        ^

    1 error in the project
    "#);
}

#[test]
fn wrong_command_lines() {
    let sandbox = small();
    insta::assert_snapshot!(sandbox.forge(&["frobnicate"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'frobnicate'

    Usage: forge [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(sandbox.forge(&["rum"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unrecognized subcommand 'rum'

      tip: some similar subcommands exist: 'runs', 'run'

    Usage: forge [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(sandbox.forge(&["run", "--forse"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unexpected argument '--forse' found

      tip: a similar argument exists: '--force'

    Usage: forge run --force <STAGE> [TARGETS]...

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(sandbox.forge(&["plan", "--output", "xml"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'xml' for '--output <FORMAT>'
      [possible values: auto, plain, json]

    For more information, try '--help'.
    "#);
    let help = sandbox.forge(&["--help"]).exits(0);
    assert!(help.stderr.is_empty() && help.stdout.contains("forge init"));
    let _ = sandbox.forge(&["--version"]).exits(0).prints("forge 0.");
    let _ = sandbox.forge(&[]).exits(2);
}

#[test]
fn outside_of_a_project() {
    let sandbox = Sandbox::empty();
    insta::assert_snapshot!(sandbox.forge(&["plan"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there is no builds.toml in [ROOT] or above it
      help: `forge init` makes a project here, or use `-C DIR`
    "#);
    insta::assert_snapshot!(sandbox.forge(&["-C", "missing", "run"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot use missing: No such file or directory (os error 2)
    "#);
    assert!(!sandbox.exists(".forge"), "nothing was left");
}

#[test]
fn a_project_is_found_from_below_and_by_its_directory() {
    let sandbox = small();
    let down = sandbox.path("vars");
    let down = down.to_str().unwrap();
    let _ = sandbox.forge(&["-C", down, "validate"]).exits(0);
    let _ = sandbox.forge(&["-C", down, "run"]).exits(0);
    assert_eq!(sandbox.read("out/mini"), "red inline\nmini\n");
}

const INPUTS: &str = r#"
version = 1
[stages.compile]
kind = "command"
run = "cat src/* extra.txt"
inputs = ["src/*.c", "extra.txt"]
"#;

#[test]
fn missing_inputs() {
    let sandbox = Sandbox::new(INPUTS);
    insta::assert_snapshot!(sandbox.forge(&["plan", "compile"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: 2 inputs cannot be read:
      stage `compile` (builds.toml:3) needs `src/*.c`: matches no file
      stage `compile` (builds.toml:3) needs `extra.txt`: does not exist
    "#);
    // nothing has been started
    insta::assert_snapshot!(sandbox.forge(&["run", "compile"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: 2 inputs cannot be read:
      stage `compile` (builds.toml:3) needs `src/*.c`: matches no file
      stage `compile` (builds.toml:3) needs `extra.txt`: does not exist
    "#);
    sandbox.write("src/a.c", "a");
    insta::assert_snapshot!(sandbox.forge(&["explain", "compile"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: stage `compile` (builds.toml:3) needs `extra.txt`: does not exist
    "#);
    sandbox.write("extra.txt", "e");
    let _ = sandbox.forge(&["run", "compile"]).exits(0);
}

#[test]
fn an_unreadable_input() {
    let sandbox = Sandbox::new(INPUTS);
    sandbox.write("src/a.c", "a");
    // root reads everything, so it is a link that leads to itself
    std::os::unix::fs::symlink("extra.txt", sandbox.path("extra.txt")).unwrap();
    insta::assert_snapshot!(sandbox.forge(&["plan", "compile"]).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: stage `compile` (builds.toml:3) needs `extra.txt`: extra.txt: Too many levels of symbolic links (os error 40)
    "#);
}

#[test]
fn a_missing_script_a_missing_directory_and_a_missing_program() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.script]
kind = "command"
run = ["scripts/none.sh"]
[stages.dir]
kind = "command"
run = ["true"]
dir = "nowhere"
[stages.plain]
kind = "command"
run = ["./plain.txt"]
"#,
    );
    sandbox.write("plain.txt", "no program\n");
    insta::assert_snapshot!(sandbox.forge(&["run", "script"]).all(), @r#"
    exit 1
    --- stdout
    forge | -- run [RUN] of script: 1 stage
    script | -- started: never built
    script | -- scripts/none.sh
    script | -- failed after [TIME]: cannot start `scripts/none.sh`: there is no such file

    failed script: cannot start `scripts/none.sh`: there is no such file
      at          scripts/none.sh
      log         [ROOT]/.forge/logs/[RUN]/script.log
      help        paths are relative to the project, or to the stage's `dir`

    failed after [TIME]: 1 stage failed

      failed  script
    --- stderr
    "#);
    insta::assert_snapshot!(sandbox.forge(&["run", "dir"]).all(), @r#"
    exit 1
    --- stdout
    forge | -- run [RUN] of dir: 1 stage
    dir | -- started: never built
    dir | -- true
    dir | -- failed after [TIME]: cannot start `true`: there is no directory [ROOT]/nowhere

    failed dir: cannot start `true`: there is no directory [ROOT]/nowhere
      at          true
      log         [ROOT]/.forge/logs/[RUN]/dir.log

    failed after [TIME]: 1 stage failed

      failed  dir
    --- stderr
    "#);
    insta::assert_snapshot!(sandbox.forge(&["run", "plain"]).all(), @r#"
    exit 1
    --- stdout
    forge | -- run [RUN] of plain: 1 stage
    plain | -- started: never built
    plain | -- ./plain.txt
    plain | -- failed after [TIME]: cannot start `./plain.txt`: Permission denied (os error 13)

    failed plain: cannot start `./plain.txt`: Permission denied (os error 13)
      at          ./plain.txt
      log         [ROOT]/.forge/logs/[RUN]/plain.log
      help        make it executable: `chmod +x ./plain.txt`, and let its first line name its interpreter (`#!/bin/sh`)

    failed after [TIME]: 1 stage failed

      failed  plain
    --- stderr
    "#);
}

#[test]
fn a_missing_script_of_a_provisioning_step() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[machine]
cpus = 1
memory = "256MiB"
disks = [{ size = "1GiB" }]
[stages.iso-base]
iso = { url = "none.iso", checksum = "none" }
boot = { wait = "1s", keys = "<enter>" }
ssh = { user = "root", password = "x" }
[stages.provision]
from = "iso-base"
[[stages.provision.steps]]
shell = { script = "scripts/none.sh" }
[[stages.provision.steps]]
upload = { source = "files", to = "/root" }
"#,
    );
    insta::assert_snapshot!(sandbox.forge(&["plan", "provision"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:8:38
      |
    8 | iso = { url = "none.iso", checksum = "none" }
      |                                      ^^^^^^

    error: the script `scripts/none.sh` does not exist
      --> builds.toml:14:20
       |
    14 | shell = { script = "scripts/none.sh" }
       |                    ^^^^^^^^^^^^^^^^^

    error: the source `files` does not exist
      --> builds.toml:16:21
       |
    16 | upload = { source = "files", to = "/root" }
       |                     ^^^^^^^

    2 errors in the project
    "#);
}

#[test]
fn variables_come_from_where_precedence_says() {
    let sandbox = small().env("FORGE_TEST_TOKEN", "t0ps3cret");
    let say = |args: &[&str]| -> String { sandbox.forge(args).exits(0).stdout };
    insta::assert_snapshot!(say(&["vars"]), @r#"
    common.colour  red     vars/common.toml:1
    common.shade   inline  builds.toml:10
    common.token   ***     env FORGE_TEST_TOKEN
    common.weight  1       builds.toml:10
    "#);
    sandbox.write("my.toml", "[common]\ncolour = \"blue\"\nshade = \"dark\"\n");
    insta::assert_snapshot!(say(&["vars", "--var-file", "my.toml", "--var", "common.shade=light", "--var", "common.token=fr0m_cli"]), @r#"
    common.colour  blue   my.toml:2
    common.shade   light  --var
    common.token   ***    --var
    common.weight  1      builds.toml:10
    "#);
    insta::assert_snapshot!(say(&["vars", "system"]), @"no variables");
    insta::assert_snapshot!(say(&["vars", "colour", "--json", "--var", "common.colour=blue"]), @r#"
    [
      {
        "scope": "common",
        "name": "colour",
        "axes": {},
        "value": "blue",
        "source": "--var"
      },
      {
        "scope": "common",
        "name": "shade",
        "axes": {},
        "value": "inline",
        "source": "builds.toml:10"
      },
      {
        "scope": "common",
        "name": "token",
        "axes": {},
        "value": "***",
        "source": "env FORGE_TEST_TOKEN"
      },
      {
        "scope": "common",
        "name": "weight",
        "axes": {},
        "value": "1",
        "source": "builds.toml:10"
      }
    ]
    "#);
    let _ = sandbox
        .forge(&[
            "run",
            "--var-file",
            "my.toml",
            "--var",
            "common.shade=light",
        ])
        .exits(0);
    assert_eq!(sandbox.read("out/colour"), "blue light\n");
}

#[test]
fn volatile_facts_of_a_run_are_no_ingredients() {
    let sandbox = small();
    let _ = sandbox.forge(&["run"]).exits(0);
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(0);
    let explained = sandbox.forge(&["explain", "system"]).exits(0);
    let built = regex::Regex::new(r"last built   [-\d]+ [:\d]+").unwrap();
    insta::assert_snapshot!(built.replace(&explained.all(), "last built   [DATE]"), @r#"
    exit 0
    --- stdout
    system[os=mini]  command, builds.toml:20
    up to date

      kind             command/1
      output o         out/mini
      run              cat ${stages.colour.outputs.o} > ${outputs.o}; echo mini >> ${outputs.o…
      upstream:colour  270fad7a9453

    fingerprint  1b87ea76a1b242c89dc2dd191bd0fb3b8bd3171a108b4e3ea1c9c4b68c120b94
    last built   [DATE], run [RUN], in [TIME]
    --- stderr
    "#);
}

/// Every file below `dir`, whole.
fn bytes_below(dir: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    walkdir::WalkDir::new(dir)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let bytes = std::fs::read(entry.path()).unwrap();
            (entry.into_path(), bytes)
        })
        .collect()
}

fn has(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
}

#[test]
fn secrets_stay_out_of_outputs_logs_and_records() {
    const SECRET: &str = "hunter2-\"quoted\"";
    let sandbox = Sandbox::new(
        r#"
version = 1
[scopes.vault]
values = { written = "wr1tten-secret" }
env = { token = "FORGE_TEST_TOKEN" }
secret = ["token", "written"]
[stages.tell]
kind = "command"
scopes = ["vault"]
run = 'echo "token: $TOKEN"; echo "base64: $(printf %s "$TOKEN" | base64)"; printf %s "$TOKEN" | cut -c1-4 | tr -d "\n"; sleep 0.1; printf "%s\n" "$TOKEN" | cut -c5-; echo "{{ vault.written }}" >&2; test -e pass'
env = { TOKEN = "{{ vault.token }}" }
[stages.unset]
kind = "command"
scopes = ["vault"]
run = "echo $OTHER"
env = { OTHER = "{{ vault.token }}" }
"#,
    )
    .env("FORGE_TEST_TOKEN", SECRET);
    let clean = |output: Output| {
        for secret in [SECRET, "hunter2", "wr1tten"] {
            assert!(!output.all().contains(secret), "{}", output.all());
        }
        output
    };
    let failed = clean(sandbox.forge(&["run", "tell"])).exits(1);
    assert!(failed.stdout.contains("token: ***"), "{}", failed.all());
    let _ = clean(sandbox.forge(&["run", "tell", "--output", "json"])).exits(1);
    sandbox.write("pass", "");
    let _ = clean(sandbox.forge(&["run", "tell"])).exits(0);
    for args in [
        &["vars"][..],
        &["vars", "--json"],
        &["plan", "tell", "--json"],
        &["explain", "tell"],
        &["explain", "tell", "--json"],
        &["logs", "tell"],
        &["runs", "--stages"],
        &["graph", "tell"],
    ] {
        let _ = clean(sandbox.forge(args)).exits(0);
    }
    let _ = clean(sandbox.forge(&["vars"])).prints("***");
    for dir in [sandbox.path(".forge"), sandbox.cache().to_owned()] {
        for (path, bytes) in bytes_below(&dir) {
            for secret in ["hunter2", "wr1tten"] {
                assert!(!has(&bytes, secret), "{} has the secret", path.display());
            }
        }
    }
    // a secret of another value is no change
    let sandbox = sandbox.env("FORGE_TEST_TOKEN", "another-value");
    let _ = sandbox
        .forge(&["plan", "tell", "--detailed-exitcode"])
        .exits(0);
}

#[test]
fn a_secret_that_is_not_set_is_told_by_the_stage_that_needs_it() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[scopes.vault]
env = { token = "FORGE_TEST_TOKEN" }
secret = ["token"]
[stages.needs-it]
kind = "command"
scopes = ["vault"]
run = "echo $T"
env = { T = "{{ vault.token }}" }
[stages.other]
kind = "command"
run = "true"
"#,
    );
    let _ = sandbox.forge(&["run", "other"]).exits(0);
    insta::assert_snapshot!(sandbox.forge(&["run", "needs-it"]).all(), @r#"
    exit 3
    --- stdout
    forge | -- run [RUN] of needs-it: 1 stage
    needs-it | -- started: never built
    needs-it | -- echo $T
    needs-it | -- failed after [TIME]: `vault.token` is not set

    failed needs-it: `vault.token` is not set
      at          echo $T
      log         [ROOT]/.forge/logs/[RUN]/needs-it.log
      help        give it in the environment variable that scope `vault` names, or with `--var vault.token=…`

    failed after [TIME]: 1 stage failed

      failed  needs-it
    --- stderr
    "#);
}

#[test]
fn the_schema_is_the_repositorys_and_accepts_its_project() {
    let sandbox = Sandbox::empty();
    let printed = sandbox.forge(&["schema"]).exits(0).stdout;
    let root = super::support::vm::repository();
    let stored = std::fs::read_to_string(root.join("builds.schema.json")).unwrap();
    assert!(
        printed == stored,
        "builds.schema.json is old: `forge schema > builds.schema.json`"
    );
    let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let text = std::fs::read_to_string(root.join("builds.toml")).unwrap();
    let mut project: serde_json::Value = toml::from_str(&text).unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&project)
        .map(|e| format!("{}: {e}", e.instance_path))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    project["stages"]["clone"]["frum"] = "iso-base".into();
    assert!(
        !validator.is_valid(&project),
        "an unknown key is told by editors too"
    );
}

#[test]
fn a_projects_own_key_is_private_and_only_made_where_it_is_used() {
    let text = |ssh: &str| {
        format!(
            "version = 1\ndefault = \"iso-base\"\n[stages.iso-base]\niso = {{ url = \"x.iso\", checksum = \"none\" }}\nssh = {{ user = \"root\", {ssh} }}\n"
        )
    };
    let sandbox = Sandbox::new(&text("agent = true"));
    sandbox.write("x.iso", "no iso");
    let _ = sandbox.forge(&["plan"]).exits(0);
    assert!(!sandbox.path(".forge/ssh").exists());
    sandbox.write("builds.toml", &text("generate_key = true"));
    let _ = sandbox.forge(&["plan"]).exits(0);
    let public = sandbox.read(".forge/ssh/id_ed25519.pub");
    assert!(public.starts_with("ssh-ed25519 AAAA"), "{public}");
    let _ = sandbox.forge(&["plan"]).exits(0);
    assert_eq!(sandbox.read(".forge/ssh/id_ed25519.pub"), public);
    let mode = std::os::unix::fs::MetadataExt::mode(
        &std::fs::metadata(sandbox.path(".forge/ssh/id_ed25519")).unwrap(),
    );
    assert_eq!(mode & 0o777, 0o600);
}
