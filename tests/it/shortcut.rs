//! Runs with a kept graph: what they do and say must be what a run without one does and says, whatever has changed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::support::Sandbox;

const PROJECT: &str = r#"
version = 1
default = "all"
include = ["more/*.toml"]
[scopes.common]
file = "vars/common.toml"
env = { word = "WORD" }
[targets]
all = ["top", "loose"]
[stages.copy]
kind = "command"
run = "cat a.txt common.txt > {{ outputs.o }}"
inputs = ["a.txt", "common.txt"]
outputs = { o = "out/copy" }
[stages.lines]
kind = "command"
run = "wc -l < {{ stages.copy.outputs.o }} > {{ outputs.o }}"
outputs = { o = "out/lines" }
[stages.tree]
kind = "command"
run = "mkdir -p {{ outputs.d }}/x && cp globbed/*.txt {{ outputs.d }}/x"
inputs = ["globbed/*.txt"]
outputs = { d = "out/tree" }
[stages.main]
kind = "command"
run = "sh ./cc main.c {{ outputs.o }} out/main.d"
inputs = ["cc", "main.c"]
depfile = "out/main.d"
outputs = { o = "out/main.o" }
[stages.said]
kind = "command"
scopes = ["common"]
run = "echo {{ common.word }} {{ common.other }} > {{ outputs.o }}"
outputs = { o = "out/said" }
[stages.loose]
kind = "command"
run = ["true"]
[stages.top]
kind = "command"
needs = ["main"]
run = "cat {{ stages.lines.outputs.o }} {{ stages.said.outputs.o }} {{ stages.tree.outputs.d }}/x/* > {{ outputs.o }}"
outputs = { o = "out/top" }
"#;

/// As a compiler: joins a source with what it includes, and writes a depfile.
const CC: &str = r#"headers=$(sed -n 's/^include //p' "$1")
cat "$1" $headers > "$2"
echo "$2: $1 $headers" > "$3"
"#;

fn project(env: &str) -> Sandbox {
    let sandbox = Sandbox::new(PROJECT).env("WORD", env);
    for (file, text) in [
        ("vars/common.toml", "other = \"x\"\n"),
        (
            "more/one.toml",
            "[stages.extra]\nkind = \"command\"\nrun = [\"true\"]\n",
        ),
        ("a.txt", "a\n"),
        ("common.txt", "0\n"),
        ("globbed/1.txt", "1\n"),
        ("main.c", "include a.txt\n"),
        ("cc", CC),
    ] {
        sandbox.write(file, text);
    }
    sandbox
}

/// What a run said, sorted: which of several commands is told of first is left to chance.
fn said(sandbox: &Sandbox, args: &[&str]) -> (i32, Vec<String>, String) {
    let done = sandbox.forge(args);
    let mut lines: Vec<String> = done.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    (done.code, lines, done.stderr)
}

/// Every file that was made.
fn made(sandbox: &Sandbox) -> BTreeMap<PathBuf, String> {
    let files = walkdir::WalkDir::new(sandbox.path("out"))
        .into_iter()
        .flatten();
    let files = files.filter(|entry| entry.file_type().is_file());
    let read = |entry: walkdir::DirEntry| {
        let path = entry
            .path()
            .strip_prefix(sandbox.root())
            .unwrap()
            .to_owned();
        (path, std::fs::read_to_string(entry.path()).unwrap())
    };
    files.map(read).collect()
}

fn graphs(sandbox: &Sandbox) -> Vec<(PathBuf, SystemTime)> {
    let entries = std::fs::read_dir(sandbox.path(".forge/graphs"));
    let entries = entries.into_iter().flatten().flatten();
    entries
        .map(|entry| (entry.path(), entry.metadata().unwrap().modified().unwrap()))
        .collect()
}

/// Runs until the kept graph needs no correction any more: then a run without changes has used it and left it as it was.
/// A run that loads the project always writes a new one.
fn settle(sandbox: &Sandbox) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let before = graphs(sandbox);
        let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
        if !before.is_empty() && graphs(sandbox) == before {
            return;
        }
        assert!(Instant::now() < end, "the kept graph is never used");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// What is done between two runs, by number.
fn edit(sandbox: &Sandbox, number: usize) {
    let flip = |file: &str, one: &str, other: &str| {
        let text = if sandbox.exists(file) && sandbox.read(file) == one {
            other
        } else {
            one
        };
        sandbox.write(file, text);
    };
    let object = |output: &str| {
        let digest = sha2_hex(&std::fs::read(sandbox.path(output)).unwrap_or_default());
        let path = sandbox
            .cache()
            .join("objects")
            .join(&digest[..2])
            .join(&digest);
        let _ = std::fs::remove_file(path);
    };
    match number % 20 {
        0 => flip("a.txt", "b\n", "b\nc\n"),
        1 => flip("a.txt", "b\n", "d\n"),
        2 => flip("common.txt", "1\n", "2\n"),
        3 if sandbox.exists("a.txt") => sandbox.write("a.txt", &sandbox.read("a.txt")),
        4 => flip("globbed/2.txt", "2\n", "22\n"),
        5 => drop(std::fs::remove_file(sandbox.path("globbed/2.txt"))),
        6 => flip("main.c", "include a.txt\n", "include common.txt\n"),
        7 => drop(std::fs::remove_file(sandbox.path("out/top"))),
        8 => flip("out/lines", "not made\n", "neither\n"),
        9 => drop(std::fs::remove_dir_all(sandbox.path("out/tree"))),
        10 => object("out/top"),
        11 => object("out/lines"),
        12 => flip("vars/common.toml", "other = \"x\"\n", "other = \"y\"\n"),
        13 => flip(
            "more/two.toml",
            "[stages.more]\nkind = \"command\"\nrun = [\"false\"]\n",
            "[stages.more]\nkind = \"command\"\nrun = [\"true\"]\n",
        ),
        14 => flip("cc", CC, &format!("{CC}echo more >> \"$2\"\n")),
        15 => drop(sandbox.forge(&["clean", "lines"]).exits(0)),
        16 => drop(sandbox.forge(&["run", "--force", "said"])),
        17 => drop(sandbox.forge(&["run", "lines"])),
        18 => drop(std::fs::remove_file(sandbox.path("a.txt"))),
        _ => sandbox.write("a.txt", "a\n"),
    }
}

fn sha2_hex(bytes: &[u8]) -> String {
    forge::model::Digest::of(bytes).hex()
}

#[test]
fn a_run_with_a_kept_graph_is_as_one_without() {
    let (with, without) = (project("w"), project("w"));
    // a sequence in which every edit follows many others
    let mut state = 7_usize;
    for round in 0..120 {
        state = (state.wrapping_mul(1_103_515_245) + 12_345) & 0x7fff_ffff;
        let number = (state >> 8) % 20;
        for sandbox in [&with, &without] {
            edit(sandbox, number);
        }
        let _ = std::fs::remove_dir_all(without.path(".forge/graphs"));
        let args: &[&str] = match round % 4 {
            0 => &["run", "--output", "plain", "-j1"],
            1 => &["run", "--output", "plain"],
            2 => &["run", "all", "--quiet"],
            _ => &["run"],
        };
        let (one, other) = (said(&with, args), said(&without, args));
        assert_eq!(one, other, "round {round}, edit {number}");
        assert_eq!(made(&with), made(&without), "round {round}, edit {number}");
    }
}

#[test]
fn nothing_is_loaded_where_nothing_has_changed() {
    let sandbox = project("w");
    let _ = sandbox.forge(&["run"]).exits(0);
    settle(&sandbox);
    let plain = sandbox.forge(&["run"]).exits(0);
    insta::assert_snapshot!(plain.all(), @r"
    exit 0
    --- stdout
    forge | -- run [RUN] of all: 7 stages
    copy | -- up to date
    lines | -- up to date
    tree | -- up to date
    main | -- up to date
    said | -- up to date
    loose | -- up to date
    top | -- up to date

    nothing to do: 7 stages are up to date ([TIME])

      out/copy    4B
      out/lines   2B
      out/tree    2.5KiB
      out/main.o  16B
      out/said    4B
      out/top     8B
    --- stderr
    ");
    // the history has every run
    let runs = sandbox.forge(&["runs", "--output", "json"]).exits(0);
    assert!(
        runs.stdout.matches("\"done\"").count() >= 3,
        "{}",
        runs.stdout
    );
    let _ = sandbox
        .forge(&["run", "--output", "json"])
        .exits(0)
        .prints("\"stage\":\"top\"");
}

#[test]
fn what_loading_asks_beside_files_counts() {
    let sandbox = project("w");
    let _ = sandbox.forge(&["run"]).exits(0);
    settle(&sandbox);
    let other = sandbox.env("WORD", "other");
    let _ = other.forge(&["run"]).exits(0).prints("2 stages ran");
    assert_eq!(other.read("out/said"), "other x\n");
    // asked another way, another graph
    let _ = other.forge(&["run", "--var", "common.other=z"]).exits(0);
    assert_eq!(other.read("out/said"), "other z\n");
    let _ = other.forge(&["run"]).exits(0);
    assert_eq!(other.read("out/said"), "other x\n");
}

#[test]
fn an_input_that_is_gone_is_told_as_ever() {
    let sandbox = project("w");
    let _ = sandbox.forge(&["run"]).exits(0);
    settle(&sandbox);
    std::fs::remove_file(sandbox.path("common.txt")).unwrap();
    let gone = sandbox.forge(&["run"]).exits(2);
    assert_eq!(
        gone.stderr,
        "error: stage `copy` (builds.toml:10) needs `common.txt`: does not exist\n"
    );
}

#[test]
fn what_changes_while_another_stage_runs_counts_for_all_that_read_it() {
    let sandbox = Sandbox::new(
        r#"
version = 1
default = "all"
[targets]
all = ["a", "c"]
[stages.a]
kind = "command"
run = "cat h > {{ outputs.o }}"
inputs = ["h"]
outputs = { o = "out/a" }
[stages.c]
kind = "command"
run = "cat c.txt h > {{ outputs.o }}; [ ! -e edit ] || echo other > h"
inputs = ["c.txt", "h"]
outputs = { o = "out/c" }
"#,
    );
    sandbox.write("h", "one\n");
    sandbox.write("c.txt", "1\n");
    let _ = sandbox.forge(&["run"]).exits(0);
    settle(&sandbox);
    sandbox.write("c.txt", "2\n");
    sandbox.write("edit", "");
    let _ = sandbox
        .forge(&["run"])
        .exits(0)
        .prints("h changed while it ran");
    std::fs::remove_file(sandbox.path("edit")).unwrap();
    let _ = sandbox.forge(&["run"]).exits(0).prints("2 stages ran");
    assert_eq!(sandbox.read("out/a"), "other\n");
    assert_eq!(sandbox.read("out/c"), "2\nother\n");
}

#[test]
fn a_project_that_was_moved_is_loaded() {
    let sandbox = Sandbox::empty();
    let text = "version = 1\ndefault = \"s\"\n[stages.s]\nkind = \"command\"\nrun = \"echo {{ project.name }} > {{ outputs.o }}\"\noutputs = { o = \"out\" }\n";
    sandbox.write("one/builds.toml", text);
    let _ = sandbox.forge(&["-C", "one", "run"]).exits(0);
    std::fs::rename(sandbox.path("one"), sandbox.path("two")).unwrap();
    let _ = sandbox
        .forge(&["-C", "two", "run"])
        .exits(0)
        .prints("1 stage ran");
    assert_eq!(sandbox.read("two/out"), "two\n");
}

#[test]
fn an_input_that_is_no_file_any_more_is_told_as_ever() {
    let (with, without) = (project("w"), project("w"));
    for sandbox in [&with, &without] {
        let _ = sandbox.forge(&["run"]).exits(0);
        std::fs::remove_file(sandbox.path("a.txt")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(sandbox.path("a.txt"))
            .status();
        assert!(made.unwrap().success());
    }
    std::fs::remove_dir_all(without.path(".forge/graphs")).unwrap();
    let (one, other) = (
        with.forge(&["run"]).exits(2),
        without.forge(&["run"]).exits(2),
    );
    assert_eq!(one.all(), other.all());
    assert!(
        one.stderr.contains("neither a file nor a directory"),
        "{}",
        one.stderr
    );
}

#[test]
fn a_damaged_graph_is_as_good_as_none() {
    let sandbox = project("w");
    let _ = sandbox.forge(&["run"]).exits(0);
    settle(&sandbox);
    let (graph, _) = graphs(&sandbox).remove(0);
    let bytes = std::fs::read(&graph).unwrap();
    for damaged in [
        Vec::new(),
        b"nonsense".to_vec(),
        bytes[..bytes.len() / 2].to_vec(),
        bytes[..bytes.len() - 1].to_vec(),
        [&bytes[..200], b"\xff\xff\xff\xff", &bytes[204..]].concat(),
    ] {
        std::fs::write(&graph, damaged).unwrap();
        let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
    }
}

#[test]
fn secrets_are_not_kept() {
    let sandbox = Sandbox::new(
        r#"
version = 1
default = "a"
[scopes.db]
secret = ["password"]
env = { password = "DB_PASSWORD" }
[targets]
a = ["s"]
[stages.s]
kind = "command"
scopes = ["db"]
run = ["true"]
env = { PASSWORD = "{{ db.password }}" }
"#,
    )
    .env("DB_PASSWORD", "hunter2");
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(graphs(&sandbox), []);
    let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
}

#[test]
fn of_very_many_stages_only_those_that_run_are_named() {
    let mut text = "version = 1\ndefault = \"all\"\n[targets]\nall = [".to_owned();
    let names: Vec<String> = (0..60).map(|n| format!("\"s{n}\"")).collect();
    text.push_str(&format!("{}]\n", names.join(", ")));
    for n in 0..60 {
        text.push_str(&format!(
            "[stages.s{n}]\nkind = \"command\"\nrun = \"cat in/{n} > {{{{ outputs.o }}}}\"\ninputs = [\"in/{n}\"]\noutputs = {{ o = \"out/{n}\" }}\n"
        ));
    }
    let sandbox = Sandbox::new(&text);
    for n in 0..60 {
        sandbox.write(&format!("in/{n}"), "x\n");
    }
    let _ = sandbox.forge(&["run"]).exits(0).prints("60 stages ran");
    sandbox.write("in/7", "y\n");
    let some = sandbox.forge(&["run", "--quiet"]).exits(0);
    insta::assert_snapshot!(some.stdout, @r"
    forge | -- run [RUN] of all: 60 stages
    s7 | -- started: in/7 changed (<[TIME])
    s7 | -- done in [TIME]

    done in [TIME]: 1 stage ran, 59 up to date

      ran  s7  [TIME]

      out/0   2B
      out/1   2B
      out/2   2B
      out/3   2B
      out/4   2B
      out/5   2B
      out/6   2B
      out/8   2B
      out/9   2B
      out/10  2B
      out/11  2B
      out/12  2B
      out/13  2B
      out/14  2B
      out/15  2B
      out/16  2B
      out/17  2B
      out/18  2B
      out/19  2B
      out/20  2B
      … and 40 more
    ");
    let none = sandbox.forge(&["run"]).exits(0);
    assert!(!none.stdout.contains("s7 |"), "{}", none.stdout);
}
