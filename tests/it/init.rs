//! `forge init`: what it writes is a project that works.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use insta::assert_snapshot;

use super::support::{Sandbox, vm};

#[test]
fn an_empty_project_runs() {
    let sandbox = Sandbox::empty();
    let output = sandbox.forge(&["init", "empty"]).exits(0);
    assert_snapshot!(output.all(), @r"
    exit 0
    --- stdout
    made a project of the template `empty`: 1 file

    next:
      forge plan    show what would run, and why
      forge run     do it
    --- stderr
    ");
    assert_eq!(sandbox.read(".gitignore"), ".forge/\noutput/\n");
    assert!(sandbox.read("builds.toml").contains("name = \"project\""));
    let _ = sandbox.forge(&["validate"]).exits(0);
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("output/hello.txt"), "built by forge\n");
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn templates_of_systems_validate_and_plan_a_whole_build() {
    for template in ["mini", "debian12"] {
        let sandbox = Sandbox::empty();
        let output = sandbox.forge(&["init", template, "my image"]).exits(0);
        for line in [
            format!("made a project of the template `{template}` in my image: "),
            "  cd my image\n  forge plan".to_owned(),
        ] {
            assert!(output.stdout.contains(&line), "{}", output.stdout);
        }
        let inside = |args: &[&str]| sandbox.forge(&[&["-C", "my image"], args].concat());
        let valid = inside(&["validate"]).exits(0);
        assert!(
            !valid.all().contains("warning"),
            "nothing to complain about: {}",
            valid.all()
        );
        let plan = inside(&["plan"]).exits(0);
        for stage in ["iso-base", "provision", "pack-ova", "verify"] {
            assert!(plan.stdout.contains(stage), "{}", plan.stdout);
        }
        assert!(
            plan.stdout.contains(&format!("{template}-iso")),
            "{}",
            plan.stdout
        );
    }
}

/// The files that are written are the repository's own: none is missing, none is old, programs can be run.
#[test]
fn the_files_are_those_of_the_repository() {
    let sandbox = Sandbox::empty();
    let _ = sandbox.forge(&["init", "debian12"]).exits(0);
    let mut seen = 0;
    for part in [
        "kickstart/debian12",
        "scripts/debian-iso",
        "scripts/mini-iso",
        "scripts/k3s",
        "scripts/goss",
        "scripts/install.sh",
        "vars/debian12.toml",
    ] {
        for entry in walkdir::WalkDir::new(vm::repository().join(part)) {
            let entry = entry.unwrap();
            if !entry.file_type().is_file() {
                continue;
            }
            let relative = entry.path().strip_prefix(vm::repository()).unwrap();
            let written = sandbox.path(relative.to_str().unwrap());
            let there = |path: &Path| {
                let mode = std::fs::metadata(path).unwrap().permissions().mode();
                (std::fs::read(path).unwrap(), mode & 0o111 != 0)
            };
            assert!(written.is_file(), "{} is missing", relative.display());
            assert_eq!(
                there(&written),
                there(entry.path()),
                "{}",
                relative.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen} files");
    assert!(!sandbox.exists("kickstart/mini") && !sandbox.exists("scripts/test"));
}

#[test]
fn what_is_there_is_left_alone_without_force() {
    let sandbox = Sandbox::new("version = 1\n");
    let output = sandbox.forge(&["init"]).exits(2);
    assert_snapshot!(output.all(), @r"
    exit 2
    --- stdout
    --- stderr
    error: there is a project in `.` already
      help: `--force` overwrites, or choose another directory
    ");
    assert_eq!(sandbox.read("builds.toml"), "version = 1\n");
    sandbox.write("x/scripts/install.sh", "mine\n");
    sandbox.write("x/vars/common.toml", "mine = 1\n");
    sandbox.write("x/.gitignore", "/output\nnotes");
    let output = sandbox.forge(&["init", "mini", "x"]).exits(2);
    assert_snapshot!(output.stderr, @r"
    error: `x/scripts/install.sh` and 1 more would be overwritten
      help: `--force` overwrites, or choose another directory
    ");
    assert!(!sandbox.exists("x/builds.toml"));
    let _ = sandbox.forge(&["init", "mini", "x", "--force"]).exits(0);
    assert!(sandbox.read("x/scripts/install.sh").starts_with("#!"));
    assert_eq!(sandbox.read("x/.gitignore"), "/output\nnotes\n.forge/\n");
}

#[test]
fn an_unknown_template_is_told_with_a_near_name() {
    let sandbox = Sandbox::empty();
    let output = sandbox.forge(&["init", "debian"]).exits(2);
    assert_snapshot!(output.stderr, @r"
    error: there is no template `debian`
      help: did you mean `debian12`?
    ");
    let output = sandbox.forge(&["init", "somewhere"]).exits(2);
    assert_snapshot!(output.stderr, @r"
    error: there is no template `somewhere`
      help: templates: mini, debian12, empty; a directory comes second: `forge init mini somewhere`
    ");
    assert!(!sandbox.exists("builds.toml"));
}

#[test]
fn a_place_that_cannot_be_written_is_the_environments_fault() {
    let sandbox = Sandbox::empty();
    sandbox.write("file", "");
    let output = sandbox.forge(&["init", "empty", "file"]).exits(2);
    assert!(
        output.stderr.contains("would be overwritten"),
        "{}",
        output.stderr
    );
    let output = sandbox
        .forge(&["init", "empty", "file", "--force"])
        .exits(3);
    assert!(
        output.stderr.contains("cannot write `file/builds.toml`"),
        "{}",
        output.stderr
    );
}
