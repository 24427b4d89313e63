//! Included files, templates of stages, and stages for each file.

use insta::assert_snapshot;

use super::support::{FakeWorld, stage};
use crate::model::{Command, CommandLine, StageKind};

fn command<'l>(loaded: &'l crate::config::Loaded, key: &str) -> &'l Command {
    match &stage(loaded, key).kind {
        StageKind::Command(command) => command,
        other => panic!("{key} is of kind {}", other.name()),
    }
}

fn line(command: &Command) -> String {
    match &command.run {
        CommandLine::Shell(line) => line.to_string(),
        CommandLine::Argv(words) => {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            words.join(" ")
        }
    }
}

#[test]
fn sections_of_other_files_count_as_if_they_stood_here() {
    let loaded = FakeWorld::new("include = [\"teams/*.toml\", \"./base.toml\"]\n[stages.a]\nkind = \"command\"\nrun = \"a {{ c.x }}\"\nscopes = [\"c\"]\n[targets]\nmine = [\"a\", \"b\"]\n")
        .file("teams/one.toml", "version = 1\ninclude = \"teams/deep/x.toml\"\n[stages.b]\nkind = \"command\"\nrun = \"b\"\n")
        .file("teams/deep/x.toml", "include = \"base.toml\"\n[targets]\nall = [\"a\", \"b\"]\n")
        .file("base.toml", "[scopes.c]\nvalues = { x = 1 }\n")
        .loaded();
    assert_eq!(line(command(&loaded, "a")), "a 1");
    assert_eq!(stage(&loaded, "b").origin.file, "teams/one.toml");
    assert_eq!(stage(&loaded, "b").origin.line, 3);
    let targets: Vec<&str> = loaded
        .project
        .targets
        .keys()
        .map(crate::model::Name::as_str)
        .collect();
    assert_eq!(targets, ["all", "mine"]);
}

#[test]
fn faults_point_into_the_included_file() {
    let text = "include = [\"a.toml\", \"none.toml\", \"/etc/x.toml\", \"[\"]\n[stages.x]\nkind = \"command\"\nrun = \"true\"\n";
    let world = FakeWorld::new(text).file(
        "a.toml",
        "default = \"x\"\n[stages.x]\nkind = \"command\"\n[stages.y]\nkind = \"comand\"\nrun = \"{{ nope.x }}\"\n[stages.z]\nkind = \"command\"\nrun = \"{{ nope.x }}\"\n",
    );
    assert_snapshot!(world.faults(), @r#"
    error: the included file `none.toml` does not exist
     --> builds.toml:1:22
      |
    1 | include = ["a.toml", "none.toml", "/etc/x.toml", "["]
      |                      ^^^^^^^^^^^

    error: `/etc/x.toml` leads out of the project
     --> builds.toml:1:35
      |
    1 | include = ["a.toml", "none.toml", "/etc/x.toml", "["]
      |                                   ^^^^^^^^^^^^^

    error: not a glob: unclosed character class; missing ']'
     --> builds.toml:1:50
      |
    1 | include = ["a.toml", "none.toml", "/etc/x.toml", "["]
      |                                                  ^^^

    error: an included file has no `default`
     --> a.toml:1:1
      |
    1 | default = "x"
      | ^^^^^^^
      |
      = help: it has `axes`, `pools`, `providers`, `scopes`, `stage-templates`, `stages` or `targets`; the rest stands in builds.toml

    error: `stages.x` stands in two files
     --> a.toml:2:9
      |
    2 | [stages.x]
      |         ^
      |
     ::: builds.toml:2:9
      |
    2 | [stages.x]
      |         - it is here as well

    error: expected `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova`, `verify` or `publish`, found `comand`
     --> a.toml:5:8
      |
    5 | kind = "comand"
      |        ^^^^^^^^
      |
      = help: did you mean `command`?

    error: `nope.x` is not defined
     --> a.toml:9:11
      |
    9 | run = "{{ nope.x }}"
      |           ^^^^^^
      |
      = help: stage `z` lists no scopes
    "#);
}

#[test]
fn a_broken_included_file_gives_its_own_faults() {
    let world = FakeWorld::new("include = \"a.toml\"\n[targets]\nall = [\"x\"]\n")
        .file("a.toml", "[stages.x\n");
    assert_snapshot!(world.faults(), @r#"
    error: unknown stage `x`
     --> builds.toml:3:8
      |
    3 | all = ["x"]
      |        ^^^

    error: the stage `x` needs a `kind`
     --> a.toml:1:9
      |
    1 | [stages.x
      |         ^
      |
      = help: add `kind = "…"`: `command`, `iso-base`, `clone`, `provision`, `export`, `pack-ova`, `verify` or `publish`

    error: unclosed table, expected `]`
     --> a.toml:1:10
      |
    1 | [stages.x
      |          ^
    "#);
}

const COMPILE: &str = "[stage-templates.base]\nkind = \"command\"\nenv = { LANG = \"C\", A = \"base\" }\n[stage-templates.compile]\ntemplate = \"base\"\nrun = [\"cc\", \"{{ params.opt }}\", \"{{ params.name }}.c\"]\noutputs = { o = \"{{ params.name }}.o\" }\nretries = \"{{ params.tries }}\"\nparams = { opt = \"-O2\", tries = 2 }\nenv = { A = \"compile\" }\n";

#[test]
fn a_stage_has_the_settings_of_its_template_but_for_its_own() {
    let text = format!(
        "{COMPILE}[stages.main]\ntemplate = \"compile\"\nparams = {{ name = \"main\" }}\n[stages.util]\ntemplate = \"compile\"\nretries = 0\nenv = {{ B = \"{{{{ params.name | upper }}}}\" }}\nparams = {{ name = \"util\", opt = \"-O0 {{{{ project.name }}}}\" }}\n"
    );
    let loaded = FakeWorld::new(&text).loaded();
    let main = command(&loaded, "main");
    assert_eq!(line(main), "cc -O2 main.c");
    assert_eq!(stage(&loaded, "main").retries, 2);
    let env = |c: &Command| -> String { c.env.iter().map(|(k, v)| format!("{k}={v} ")).collect() };
    assert_eq!(env(main), "A=compile LANG=C ");
    let util = command(&loaded, "util");
    assert_eq!(line(util), "cc -O0 project util.c");
    assert_eq!(stage(&loaded, "util").retries, 0);
    assert_eq!(env(util), "A=compile B=UTIL LANG=C ");
}

#[test]
fn faults_of_templates() {
    let text = format!(
        "{COMPILE}[stage-templates.loop]\ntemplate = \"pool\"\n[stage-templates.pool]\ntemplate = \"loop\"\n[stages.a]\ntemplate = \"compil\"\nkind = \"command\"\nrun = \"true\"\n[stages.b]\ntemplate = \"compile\"\nparams = {{ nam = \"b\" }}\n[stages.c]\ntemplate = \"loop\"\nkind = \"command\"\nrun = \"true\"\n[stages.d]\ntemplate = \"compile\"\nparams = {{ name = \"d\" }}\nrun = \"x {{{{ params.name }}}} {{{{ nope.x }}}}\"\n[stages.e]\ntemplate = 1\nkind = \"command\"\nrun = \"{{{{ params.x | upper }}}}\"\nparams = {{ x = \"{{{{ project.name }}}}\" }}\n[stages.f]\nkind = \"command\"\nrun = \"true\"\nparams = 1\n"
    );
    let faults = FakeWorld::new(&text).faults();
    for expected in [
        "unknown template `compil`",
        "did you mean `compile`?",
        "the stage `b` has no `params.name`",
        "did you mean `params.nam`?",
        "templates use each other in a circle: loop → pool → loop",
        "`nope.x` is not defined",
        "expected a string, found an integer",
        "`params.x` is a template, `{{ project.name }}`, and cannot be part of an expression",
        "write `{{ params.x }}` by itself",
        "expected a table, found an integer",
    ] {
        assert!(faults.contains(expected), "no `{expected}` in\n{faults}");
    }
}

#[test]
fn a_stage_for_each_file() {
    let text = "default = \"image\"\n[targets]\nnightly = [\"check\", \"image\"]\n[stages.image]\nforeach = [\"images/**/*.toml\", \"lone.txt\"]\nkind = \"command\"\nrun = \"make {{ each.path }} {{ each.dir }} {{ each.file }} {{ each.stem }}\"\ninputs = [\"{{ each.path }}\"]\noutputs = { i = \"out/{{ each.id }}.img\" }\n[stages.check]\nforeach = \"images/*.toml\"\nkind = \"command\"\nneeds = [\"image-{{ each.id }}\"]\nrun = \"check {{ each.values.size * 2 }}\"\nretries = \"{{ each.values.size }}\"\n[stages.all]\nkind = \"command\"\nneeds = [\"image\", \"check\"]\nrun = \"true\"\n";
    let loaded = FakeWorld::new(text)
        .file("images/a.toml", "size = 1\n")
        .file("images/b.toml", "size = 2\n")
        .file("images/eu/c.toml", "")
        .file("images/README", "")
        .file("lone.txt", "")
        .loaded();
    let keys: Vec<String> = loaded
        .project
        .stages
        .iter()
        .map(|s| s.key.to_string())
        .collect();
    assert_eq!(
        keys,
        [
            "image-a",
            "image-b",
            "image-eu-c",
            "image-lone",
            "check-a",
            "check-b",
            "all"
        ]
    );
    assert_eq!(
        line(command(&loaded, "image-eu-c")),
        "make images/eu/c.toml images/eu c.toml c"
    );
    assert_eq!(line(command(&loaded, "check-b")), "check 4");
    assert_eq!(stage(&loaded, "check-b").retries, 2);
    let needs = |key: &str| -> Vec<String> {
        stage(&loaded, key)
            .needs
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(needs("check-a"), ["image-a"]);
    assert_eq!(needs("all").len(), 6);
    let target = |name: &str| -> usize {
        let targets = loaded.project.targets.iter();
        targets
            .filter(|(t, _)| t.as_str() == name)
            .map(|(_, stages)| stages.len())
            .sum()
    };
    assert_eq!((target("image"), target("nightly")), (4, 6));
}

#[test]
fn a_stage_for_each_file_may_be_named_after_its_kind() {
    let loaded =
        FakeWorld::new("[stages.command]\nforeach = \"*.txt\"\nrun = \"cat {{ each.path }}\"\n")
            .file("x.txt", "")
            .loaded();
    assert_eq!(line(command(&loaded, "command-x")), "cat x.txt");
}

#[test]
fn faults_of_stages_for_each_file() {
    let text = "[stages.a]\nforeach = \"images/*\"\nkind = \"command\"\nrun = \"{{ each.values.sise }}\"\n[stages.b]\nforeach = \"bad name.txt\"\nkind = \"command\"\nrun = \"true\"\n[stages.c]\nforeach = \"../x\"\nkind = \"command\"\nrun = \"true\"\n[stages.d]\nforeach = 1\nkind = \"command\"\nrun = \"true\"\n[stages.e]\nforeach = [\"x.c\", \"x.h\"]\nkind = \"command\"\nrun = \"true\"\n[stages.f]\nkind = \"command\"\nrun = \"{{ each.path }}\"\nneeds = [\"g\"]\n";
    let world = FakeWorld::new(text)
        .file("images/a.toml", "size = 1\n")
        .file("images/broken.toml", "size =\n")
        .file("images/bin.toml", [0xff, 0xfe])
        .file("x.c", "")
        .file("x.h", "");
    assert_snapshot!(world.faults(), @r#"
    error: `images/bin.toml` is not UTF-8 text
     --> builds.toml:2:11
      |
    2 | foreach = "images/*"
      |           ^^^^^^^^^^

    error: the file `images/a.toml` has no `each.values.sise`
     --> builds.toml:4:11
      |
    4 | run = "{{ each.values.sise }}"
      |           ^^^^^^^^^^^^^^^^
      |
      = help: did you mean `each.values.size`?

    error: `bad name.txt` gives no name for a stage, `b-bad name`: ` ` cannot stand in a name; letters, digits, `-`, `_` and `.` can
     --> builds.toml:6:11
      |
    6 | foreach = "bad name.txt"
      |           ^^^^^^^^^^^^^^

    error: `../x` leads out of the project
      --> builds.toml:10:11
       |
    10 | foreach = "../x"
       |           ^^^^^^

    error: expected a string or an array, found an integer
      --> builds.toml:14:11
       |
    14 | foreach = 1
       |           ^

    error: two files of `foreach` give the stage `e-x`
      --> builds.toml:17:9
       |
    17 | [stages.e]
       |         ^
       |
       = help: rename one of them

    error: `each.path` is not defined
      --> builds.toml:23:11
       |
    23 | run = "{{ each.path }}"
       |           ^^^^^^^^^
       |
       = help: stage `f` lists no scopes

    error: unknown stage `g`
      --> builds.toml:24:10
       |
    24 | needs = ["g"]
       |          ^^^

    error: string values must be quoted, expected literal string
     --> images/broken.toml:1:7
      |
    1 | size =
      |       ^
    "#);
}

#[test]
fn a_glob_that_matches_nothing_is_told() {
    let loaded = FakeWorld::new("[stages.a]\nforeach = \"images/*.toml\"\nkind = \"command\"\nrun = \"true\"\n[stages.b]\nkind = \"command\"\nrun = \"true\"\nneeds = [\"a\"]\n").loaded();
    assert_snapshot!(crate::diag::render(&loaded.warnings, false), @r#"
    warning: no file matches `images/*.toml`: there is no stage `a`
     --> builds.toml:2:11
      |
    2 | foreach = "images/*.toml"
      |           ^^^^^^^^^^^^^^^
    "#);
}
