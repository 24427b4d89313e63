//! Commands that only read, and how runs are shown and chosen.

#![allow(
    clippy::too_many_lines,
    reason = "what is long in these tests is what forge says"
)]

use super::support::killing::left_over;
use super::support::{Output, Sandbox};

const CHAIN: &str = r#"
version = 1
default = "all"

[axes]
os = ["mini", "centos7"]

[stages.base]
kind = "command"
run = "echo base > {{ outputs.o }}; echo {{ stages.words.outputs.o }} > /dev/null"
outputs = { o = "out/base" }

[stages.words]
kind = "command"
run = "cat words.txt > {{ outputs.o }}"
inputs = ["words.txt"]
outputs = { o = "out/words" }

[stages.system]
kind = "command"
run = "cat {{ stages.base.outputs.o }} > {{ outputs.o }}; echo {{ axis.os }} >> {{ outputs.o }}"
outputs = { o = "out/{{ axis.os }}" }

[stages.pack]
kind = "command"
run = "echo packing; cat {{ stages.system.outputs.o }} > {{ outputs.o }}"
outputs = { o = "out/{{ axis.os }}.pack" }

[targets]
all = ["pack"]
"#;

fn chain() -> Sandbox {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.write("words.txt", "one two\n");
    sandbox
}

/// Dates, which change, and padding that depends on them.
fn dates(text: &str) -> String {
    let date = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").unwrap();
    let used = regex::Regex::new(r"used .* ago").unwrap();
    let text = date.replace_all(text, "[DATE]");
    used.replace_all(&text, "used [AGO]").into_owned()
}

/// [`dates`], and runs of blanks as one: columns are as wide as times and run ids are.
fn squeezed(output: &Output) -> String {
    let blanks = regex::Regex::new(r"(\S) {2,}").unwrap();
    blanks
        .replace_all(&dates(&output.all()), "$1 ")
        .into_owned()
}

#[test]
fn plans() {
    let sandbox = chain();
    insta::assert_snapshot!(sandbox.forge(&["plan"]).exits(0).all(), @r#"
    exit 0
    --- stdout
    run  words            never built
    run  base             never built
                          upstream words will run
    run  system[os=mini]  never built
                          upstream base will run
    run  pack[os=mini]    never built
                          upstream system[os=mini] will run

    4 stages will run
    --- stderr
    "#);
    assert!(!sandbox.exists("out"), "a plan changes nothing");
    let _ = sandbox.forge(&["run"]).exits(0);
    insta::assert_snapshot!(sandbox.forge(&["plan"]).exits(0).all(), @r#"
    exit 0
    --- stdout
    fresh  words
    fresh  base
    fresh  system[os=mini]
    fresh  pack[os=mini]

    nothing to do: 4 stages are up to date
    --- stderr
    "#);
    sandbox.write("words.txt", "three\n");
    let output = sandbox.forge(&["plan", "--json"]).exits(0);
    let plan: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(plan["work"], true);
    let stages = plan["stages"].as_array().unwrap();
    let decisions: Vec<_> = stages
        .iter()
        .map(|stage| {
            (
                stage["stage"].as_str().unwrap(),
                stage["decision"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        decisions,
        [
            ("words", "run"),
            ("base", "pending"),
            ("system[os=mini]", "pending"),
            ("pack[os=mini]", "pending")
        ]
    );
    assert_eq!(stages[0]["reasons"][0], "words.txt changed");
    let same = sandbox.forge(&["plan", "--output", "json"]).exits(0);
    assert_eq!(same.stdout, output.stdout);
    let dry = sandbox.forge(&["run", "--dry-run"]).exits(0);
    assert_eq!(dry.stdout, sandbox.forge(&["plan"]).exits(0).stdout);
    assert_eq!(sandbox.read("out/words"), "one two\n", "nothing ran");
}

#[test]
fn axes_go_through_command_stages() {
    let sandbox = chain();
    let _ = sandbox.forge(&["run", "--set", "os=centos7"]).exits(0);
    assert_eq!(sandbox.read("out/centos7.pack"), "base\ncentos7\n");
    assert!(!sandbox.exists("out/mini"));
    let both = ["plan", "--set", "os=mini", "--set", "os=centos7"];
    insta::assert_snapshot!(sandbox.forge(&both).exits(0).all(), @r#"
    exit 0
    --- stdout
    fresh  words
    fresh  base
    run    system[os=mini]     never built
    fresh  system[os=centos7]
    run    pack[os=mini]       never built
                               upstream system[os=mini] will run
    fresh  pack[os=centos7]

    2 stages will run, 4 up to date
    --- stderr
    "#);
    let all = sandbox.forge(&["run", "--all", "os"]).exits(0);
    assert_eq!(sandbox.read("out/mini.pack"), "base\nmini\n");
    assert!(
        all.stdout.contains("2 stages ran, 4 up to date"),
        "{}",
        all.all()
    );
    let _ = sandbox
        .forge(&["run", "--all", "os"])
        .exits(0)
        .prints("nothing to do: 6 stages are up to date");
}

#[test]
fn graphs() {
    let sandbox = chain();
    let draw =
        |args: &[&str]| -> String { sandbox.forge(&[&["graph"], args].concat()).exits(0).stdout };
    insta::assert_snapshot!(draw(&["--all", "os"]), @r#"
    pack[os=centos7]  command
    └─ system[os=centos7]  command
       └─ base  command
          └─ words  command
    pack[os=mini]  command
    └─ system[os=mini]  command
       └─ base  command …
    "#);
    insta::assert_snapshot!(draw(&["--format", "dot", "--all", "os"]), @r#"
    digraph forge {
      rankdir=LR;
      node [shape=box, fontname="sans-serif"];
      "words" [tooltip="command"];
      "base" [tooltip="command"];
      "system[os=mini]" [tooltip="command"];
      "system[os=centos7]" [tooltip="command"];
      "pack[os=mini]" [tooltip="command"];
      "pack[os=centos7]" [tooltip="command"];
      "words" -> "base";
      "base" -> "system[os=mini]";
      "base" -> "system[os=centos7]";
      "system[os=mini]" -> "pack[os=mini]";
      "system[os=centos7]" -> "pack[os=centos7]";
    }
    "#);
    insta::assert_snapshot!(draw(&["system", "--format", "mermaid"]), @r#"
    graph LR
      s0["words"]
      s1["base"]
      s2["system[os=mini]"]
      s0 --> s1
      s1 --> s2
    "#);
}

#[test]
fn explanations() {
    let sandbox = chain();
    insta::assert_snapshot!(sandbox.forge(&["explain", "words"]).exits(0).all(), @r#"
    exit 0
    --- stdout
    words  command, builds.toml:13
    will run: 1 reason
      never built

      file:words.txt  2dbb4a503f15
      kind            command/1
      output o        out/words
      run             cat words.txt > ${outputs.o}

    fingerprint  29128bd0fc11ccad63b2982239dc1da8405a6674a3392d840b9de7ff1e613d86
    last built   never
    --- stderr
    "#);
    insta::assert_snapshot!(sandbox.forge(&["explain", "pack"]).exits(0).all(), @r#"
    exit 0
    --- stdout
    pack[os=mini]  command, builds.toml:24
    will run: upstream system[os=mini] will run
      never built

      kind                      command/1
      output o                  out/mini.pack
      run                       echo packing; cat ${stages.system[os=mini].outputs.o} > ${outputs.o}
      upstream:system[os=mini]  pending

    last built   never
    --- stderr
    "#);
    let _ = sandbox.forge(&["run"]).exits(0);
    sandbox.write("words.txt", "three\n");
    insta::assert_snapshot!(squeezed(&sandbox.forge(&["explain", "words"]).exits(0)), @r#"
    exit 0
    --- stdout
    words command, builds.toml:13
    will run: 1 reason
      words.txt changed

    ~ file:words.txt f69369121844 (was 2dbb4a503f15)
      kind command/1
      output o out/words
      run cat words.txt > ${outputs.o}

    fingerprint 6bb1b372e9e827f48dd6bd0cb5e1147c88265a7a0f37c5851a18354dedfb28e6
    last built [DATE], run [RUN], in [TIME]
    --- stderr
    "#);
    let json = sandbox.forge(&["explain", "words", "--json"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["decision"], "run");
    assert_eq!(json["reasons"][0], "words.txt changed");
}

#[test]
fn validate_counts() {
    let _ = chain()
        .forge(&["validate"])
        .exits(0)
        .prints("builds.toml is valid: 4 stages (6 instances in all), 1 target\n");
}

#[test]
fn history_and_logs() {
    let sandbox = chain();
    insta::assert_snapshot!(sandbox.forge(&["runs"]).exits(0).all(), @r#"
    exit 0
    --- stdout
    no runs yet
    --- stderr
    "#);
    insta::assert_snapshot!(sandbox.forge(&["logs"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there is no log of this project
      help: `forge runs` lists what ran; a stage that was up to date writes none
    "#);
    let _ = sandbox.forge(&["run"]).exits(0);
    insta::assert_snapshot!(squeezed(&sandbox.forge(&["runs", "--stages"]).exits(0)), @r#"
    exit 0
    --- stdout
    [RUN] [DATE] done [TIME] all 4 stages ran
      words [DATE] done [TIME] never built
      base [DATE] done [TIME] never built
      system[os=mini] [DATE] done [TIME] never built
      pack[os=mini] [DATE] done [TIME] never built
    --- stderr
    "#);
    let runs = sandbox.command(&["runs", "--json"]).output().unwrap();
    let runs: serde_json::Value = serde_json::from_slice(&runs.stdout).unwrap();
    let id = runs[0]["run"].as_str().unwrap();
    assert_eq!(runs[0]["stages"].as_array().unwrap().len(), 4);
    let log = sandbox.forge(&["logs", "pack"]).exits(0);
    assert!(log.stdout.contains("packing"), "{}", log.all());
    let same = sandbox.forge(&["logs", "pack", "--run", id]).exits(0);
    assert_eq!(log.stdout, same.stdout);
    insta::assert_snapshot!(sandbox.forge(&["logs", "pack", "--path"]).exits(0).stdout, @"[ROOT]/.forge/logs/[RUN]/pack@os=mini.log");
    insta::assert_snapshot!(sandbox.forge(&["logs", "--run", "none"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: there is no log of a run `none`
      help: `forge runs` lists what ran
    "#);
    insta::assert_snapshot!(sandbox.forge(&["logs", "pakc"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: unknown target `pakc`
      help: did you mean `pack`?
    "#);
    let whole = sandbox.forge(&["logs"]).exits(0).stdout;
    assert_eq!(whole.matches("==> ").count(), 4, "{whole}");
}

#[test]
fn the_cache_is_listed_verified_and_collected() {
    let sandbox = chain();
    insta::assert_snapshot!(sandbox.forge(&["cache", "ls"]).exits(0).all(), @r#"
    exit 0
    --- stdout
    0 objects, 0B; 0B of it can be removed
    --- stderr
    "#);
    let _ = sandbox.forge(&["run"]).exits(0);
    insta::assert_snapshot!(squeezed(&sandbox.forge(&["cache", "verify"]).exits(0)), @r#"
    exit 0
    --- stdout
    3 objects, 23B: all intact
    --- stderr
    "#);
    let dir = sandbox.forge(&["cache", "dir"]).exits(0);
    assert_eq!(dir.stdout, "[CACHE]\n");
    insta::assert_snapshot!(sandbox.forge(&["cache", "gc", "--dry-run", "--older-than", "0s"]).exits(0).all(), @r#"
    exit 0
    --- stdout
    would remove 0 objects, 0B; 3 objects stay, 23B
    --- stderr
    "#);
    insta::assert_snapshot!(sandbox.forge(&["cache", "gc", "--older-than", "soon"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `--older-than soon`: expected a duration, such as `[TIME]`
    "#);
    insta::assert_snapshot!(sandbox.forge(&["cache", "gc", "--quota", "much"]).exits(2).all(), @r#"
    exit 2
    --- stdout
    --- stderr
    error: `--quota much`: expected a size, such as `64GiB`
    "#);
    insta::assert_snapshot!(squeezed(&sandbox.forge(&["cache", "ls", "--sort", "name"]).exits(0)), @r#"
    exit 0
    --- stdout
    files
    f34848ca9266 5B used [AGO] base o
    c898db3ec4f8 10B used [AGO] pack[os=mini] o, system[os=mini] o
    2dbb4a503f15 8B used [AGO] words o

    3 objects, 23B; 0B of it can be removed
    --- stderr
    "#);
    sandbox.write("words.txt", "other words\n");
    let _ = sandbox.forge(&["run"]).exits(0);
    insta::assert_snapshot!(squeezed(&sandbox.forge(&["cache", "gc", "-n", "--older-than", "0s"]).exits(0)), @r#"
    exit 0
    --- stdout
    would remove 2dbb4a503f15 8B an earlier result of words, not used for [TIME]
    would remove 1 object, 8B; 3 objects stay, 27B
    --- stderr
    "#);
    insta::assert_snapshot!(squeezed(&sandbox.forge(&["cache", "gc", "--quota", "1B"]).exits(0)), @r#"
    exit 0
    --- stdout
    removed 2dbb4a503f15 8B an earlier result of words, over the quota
    removed 1 object, 8B; 3 objects stay, 27B
    that is more than the quota of 1B, but stages' last results and machines need it: `forge clean` gives them up
    --- stderr
    "#);
    let _ = sandbox.forge(&["clean", "pack"]).exits(0);
    let _ = sandbox
        .forge(&["run", "base"])
        .exits(0)
        .prints("nothing to do");
}

#[test]
fn damaged_content_is_found_set_aside_and_made_anew() {
    let sandbox = chain();
    let _ = sandbox.forge(&["run", "words"]).exits(0);
    let digest = "one two\n";
    let object = walkdir::WalkDir::new(sandbox.cache())
        .into_iter()
        .map(|e| e.unwrap().into_path())
        .find(|path| std::fs::read(path).is_ok_and(|bytes| bytes == digest.as_bytes()))
        .expect("the output is in the store");
    // of the same size, as a failing disk would leave it
    let mut permissions = std::fs::metadata(&object).unwrap().permissions();
    #[expect(
        clippy::permissions_set_readonly_false,
        reason = "a throw-away directory"
    )]
    permissions.set_readonly(false);
    std::fs::set_permissions(&object, permissions).unwrap();
    std::fs::write(&object, "one tvo\n").unwrap();
    let report = sandbox.forge(&["cache", "verify"]).exits(1);
    insta::assert_snapshot!(report.all(), @r#"
    exit 1
    --- stdout
    damaged 2dbb4a503f15: its content is 35ff947e0040; moved to [CACHE]/quarantine/2dbb4a503f1515636b6a54e7f5b1a8ccfddcb62f0571c8b57a2879c360d00346
    1 object, 8B: 1 damaged
    --- stderr
    "#);
    let _ = sandbox
        .forge(&["run", "words"])
        .exits(0)
        .prints("1 stage ran");
    let _ = sandbox.forge(&["cache", "verify"]).exits(0);
}

#[test]
fn doctor_without_qemu() {
    let sandbox = Sandbox::empty().env("PATH", "/nowhere");
    let output = sandbox.forge(&["doctor"]).exits(3);
    let space = regex::Regex::new(r"\S+ free for").unwrap();
    insta::assert_snapshot!(space.replace(&output.all(), "[SIZE] free for"), @r#"
    exit 3
    --- stdout
    missing  qemu        `qemu-system-x86_64` is not on the search path
                         fix: install it: `apt install qemu-system-x86 qemu-utils ovmf` (Debian, Ubuntu), `dnf install qemu-kvm qemu-img edk2-ovmf` (Fedora, RHEL), `brew install qemu` (macOS)
    missing  qemu        `qemu-img` is not on the search path
                         fix: install it: `apt install qemu-system-x86 qemu-utils ovmf` (Debian, Ubuntu), `dnf install qemu-kvm qemu-img edk2-ovmf` (Fedora, RHEL), `brew install qemu` (macOS)
    warning  ssh         not on the search path; `forge ssh` needs it
                         fix: install openssh-client
    warning  ssh-keygen  not on the search path; `forge ssh` needs it
                         fix: install openssh-client
    ok       disk space  [SIZE] free for [CACHE]

    2 things missing
    --- stderr
    "#);
    let json = sandbox.forge(&["doctor", "--json"]).exits(3);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json[0]["health"], "missing");
}

#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Sandbox::empty().forge(&["completions", shell]).exits(0);
        assert!(output.stdout.contains("explain") && output.stdout.contains("fail-fast"));
    }
    let sandbox = Sandbox::empty();
    let script = sandbox.forge(&["completions", "bash"]).exits(0).stdout;
    sandbox.write("forge.bash", &script);
    let status = std::process::Command::new("bash")
        .args(["-n", "forge.bash"])
        .current_dir(sandbox.root())
        .status();
    assert!(status.unwrap().success(), "bash can read it");
}

#[test]
fn appliances_that_are_none() {
    let sandbox = Sandbox::empty();
    sandbox.write("text.ova", "this is no tar file");
    sandbox.write("empty.ova", "");
    sandbox.write("broken.ovf", "<Envelope>");
    let say = |args: &[&str]| -> String { sandbox.forge(args).exits(2).all() };
    insta::assert_snapshot!(say(&["ova", "inspect", "none.ova"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot read none.ova: No such file or directory (os error 2)
    "#);
    insta::assert_snapshot!(say(&["ova", "verify", "text.ova"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: text.ova is not an appliance that can be read: the ova is damaged at byte 0: the file ends within a header
      help: give an `.ova`, or an `.ovf` with its files beside it
    "#);
    insta::assert_snapshot!(say(&["ova", "unpack", "empty.ova"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: empty.ova is not an appliance that can be read: the ova is damaged at byte 0: the file is empty
      help: give an `.ova`, or an `.ovf` with its files beside it
    "#);
    insta::assert_snapshot!(say(&["ova", "inspect", "broken.ovf"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: broken.ovf is not an appliance that can be read: the ovf is no well-formed xml (byte 10): `Envelope` is not closed
      help: give an `.ova`, or an `.ovf` with its files beside it
    "#);
    insta::assert_snapshot!(say(&["ova", "pack", "broken.ovf"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: broken.ovf is not an appliance that can be read: the ovf is no well-formed xml (byte 10): `Envelope` is not closed
      help: give an `.ova`, or an `.ovf` with its files beside it
    "#);
    insta::assert_snapshot!(say(&["ova", "pack", "text.ova"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: text.ova is no descriptor: its name does not end with `.ovf`
      help: `forge ova pack` takes an OVF and the files that it names
    "#);
    insta::assert_snapshot!(say(&["ova", "pack", "none.ovf"]), @r#"
    exit 2
    --- stdout
    --- stderr
    error: cannot read none.ovf: No such file or directory (os error 2)
    "#);
    assert!(
        !sandbox.exists("empty") && !sandbox.exists("broken.ova"),
        "nothing was left"
    );
}

#[test]
fn a_runs_events_are_json_lines() {
    let sandbox = chain();
    let output = sandbox.forge(&["run", "--output", "json"]).exits(0);
    assert!(output.stderr.is_empty(), "{}", output.stderr);
    let events: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|e| e["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        (names[0], names[names.len() - 1]),
        ("run_started", "run_finished")
    );
    let count = |name: &str| names.iter().filter(|n| **n == name).count();
    assert_eq!((count("stage_started"), count("stage_finished")), (4, 4));
    let last = &events[events.len() - 1];
    assert_eq!(
        (&last["outcome"], last["ran"].as_array().unwrap().len()),
        (&"done".into(), 4)
    );
    let log: Vec<_> = events.iter().filter(|e| e["event"] == "log").collect();
    assert_eq!(log.len(), 1, "{}", output.stdout);
    assert_eq!(
        (&log[0]["stage"], &log[0]["line"]),
        (&"pack[os=mini]".into(), &"packing".into())
    );
    assert!(!output.stdout.contains('\x1b'));
}

#[test]
fn colours_are_a_choice() {
    let sandbox = chain();
    let coloured = |args: &[&str]| {
        let output = sandbox.forge(args);
        output.all().contains('\x1b')
    };
    assert!(!coloured(&["plan"]), "no terminal");
    assert!(coloured(&["plan", "--color", "always"]));
    assert!(
        coloured(&["plan", "nope", "--color", "always"]),
        "errors too"
    );
    assert!(!coloured(&["plan", "--color", "never"]));
    let sandbox = chain().env("NO_COLOR", "1");
    assert!(!sandbox.forge(&["plan"]).all().contains('\x1b'));
    assert!(
        sandbox
            .forge(&["plan", "--color", "always"])
            .all()
            .contains('\x1b'),
        "who asks for colours gets them"
    );
}

/// Stages that note when they begin and end.
fn side_by_side(count: usize) -> Sandbox {
    let stages: String = (0..count)
        .map(|i| format!("[stages.s{i}]\nkind = \"command\"\nrun = \"echo begin >> notes; sleep 0.2; echo end >> notes\"\n"))
        .collect();
    let names: Vec<String> = (0..count).map(|i| format!("s{i}")).collect();
    Sandbox::new(&format!(
        "version = 1\n{stages}[targets]\nall = {names:?}\n"
    ))
}

/// The most stages that ran at one time.
fn most(sandbox: &Sandbox) -> i32 {
    let (mut now, mut most) = (0, 0);
    for line in sandbox.read("notes").lines() {
        now += if line == "begin" { 1 } else { -1 };
        most = most.max(now);
    }
    most
}

#[test]
fn jobs_are_a_limit() {
    let sandbox = side_by_side(4);
    let _ = sandbox.forge(&["run", "all", "--jobs", "1"]).exits(0);
    assert_eq!(most(&sandbox), 1);
    let sandbox = side_by_side(4);
    let _ = sandbox.forge(&["run", "all", "-j", "4"]).exits(0);
    assert_eq!(most(&sandbox), 4);
}

#[test]
fn fail_fast_stops_the_others() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.bad]
kind = "command"
run = "while ! test -e going; do sleep 0.02; done; exit 3"
[stages.long]
kind = "command"
run = "touch going; sleep 600; touch finished"
[targets]
all = ["bad", "long"]
"#,
    );
    let output = sandbox
        .forge(&["run", "all", "--fail-fast", "-j", "2"])
        .exits(1);
    assert!(output.stdout.contains("exit code 3"), "{}", output.all());
    assert!(!sandbox.exists("finished"));
    assert_eq!(left_over(&sandbox), Vec::<String>::new());
}
