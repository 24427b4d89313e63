//! Commands as people use Make: what they read and tell of it, what they write, and where they wait.

use super::support::Sandbox;

/// A compiler in miniature: joins a source with what it includes, and writes a depfile.
const CC: &str = r#"#!/bin/sh
# cc SOURCE OBJECT DEPFILE
headers=$(sed -n 's/^include //p' "$1")
cat "$1" $headers > "$2"
[ -z "$3" ] || echo "$2: $1 $headers" | sed 's/ / \\\n  /g' > "$3"
echo ran >> "$2.ran"
"#;

fn cc() -> Sandbox {
    let sandbox = Sandbox::new(
        r#"
version = 1
default = "all"
[targets]
all = ["main"]
[stages.main]
kind = "command"
run = "sh ./cc main.c {{ outputs.o }} build/main.d"
inputs = ["cc", "main.c"]
depfile = "build/main.d"
outputs = { o = "build/main.o" }
"#,
    );
    sandbox.write("cc", CC);
    sandbox.write("main.c", "include a.h\n");
    sandbox.write("a.h", "one\n");
    sandbox.write("b.h", "two\n");
    sandbox
}

fn runs(sandbox: &Sandbox) -> usize {
    sandbox.read("build/main.o.ran").lines().count()
}

#[test]
fn what_a_depfile_names_is_an_input_from_then_on() {
    let sandbox = cc();
    let _ = sandbox.forge(&["run"]).exits(0);
    assert!(!sandbox.exists("build/main.d"), "it was read");
    let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
    sandbox.write("a.h", "one\n");
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(0);
    sandbox.write("a.h", "three\n");
    let plan = sandbox.forge(&["plan"]).exits(0);
    assert_eq!(
        plan.stdout,
        "run  main  a.h changed  <[TIME]\n\n1 stage will run; expected: <[TIME]\n"
    );
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("build/main.o"), "include a.h\nthree\n");
    // another header is found, and the one before no longer counts
    sandbox.write("main.c", "include b.h\n");
    let _ = sandbox.forge(&["run"]).exits(0);
    sandbox.write("a.h", "whatever\n");
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(0);
    // at a state like an earlier one, what was read then counts
    sandbox.write("main.c", "include a.h\n");
    sandbox.write("a.h", "one\n");
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(0);
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("build/main.o"), "include a.h\none\n");
    assert_eq!(runs(&sandbox), 3);
    std::fs::remove_file(sandbox.path("a.h")).unwrap();
    let _ = sandbox
        .forge(&["plan"])
        .exits(0)
        .prints("input a.h is gone");
}

#[test]
fn found_inputs_are_explained_as_the_others() {
    let sandbox = cc();
    let _ = sandbox.forge(&["run"]).exits(0);
    sandbox.write("a.h", "three\n");
    let explained = sandbox.forge(&["explain", "main"]).exits(0);
    assert!(
        explained.stdout.contains("~ found:a.h") && explained.stdout.contains("(was "),
        "{}",
        explained.stdout
    );
}

#[test]
fn a_depfile_that_is_missing_or_broken_is_told() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.a]
kind = "command"
run = "cp text a.d 2> /dev/null || true"
inputs = ["*.txt"]
depfile = "a.d"
"#,
    );
    sandbox.write("x.txt", "");
    let output = sandbox.forge(&["run", "a", "--quiet"]).exits(1);
    assert!(
        output.stdout.contains("did not write its depfile a.d")
            && output
                .stdout
                .contains("compilers write it with `-MD -MF a.d`"),
        "{}",
        output.all()
    );
    sandbox.write("text", "a.o: a.c\nwhat is this\n");
    let output = sandbox.forge(&["run", "a", "--quiet"]).exits(1);
    assert!(
        output
            .stdout
            .contains("the depfile a.d cannot be read: line 2: a rule needs a `:`"),
        "{}",
        output.all()
    );
}

#[test]
fn show_includes_lines_are_taken_out_of_the_output() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.a]
kind = "command"
run = "echo hello; echo 'Note: including file:  sub/a.h'; printf 'Note: including file: ../b.h'"
dir = "sub"
deps = "msvc"
"#,
    );
    sandbox.write("sub/sub/a.h", "one\n");
    sandbox.write("b.h", "one\n");
    let output = sandbox.forge(&["run", "a"]).exits(0);
    assert!(
        output.stdout.contains("a | hello\n") && output.stdout.matches("including").count() == 2,
        "{}",
        output.all()
    );
    sandbox.write("sub/sub/a.h", "two\n");
    let _ = sandbox
        .forge(&["plan", "a"])
        .exits(0)
        .prints("sub/sub/a.h changed");
    let _ = sandbox.forge(&["run", "a"]).exits(0);
    sandbox.write("b.h", "two\n");
    let _ = sandbox.forge(&["plan", "a"]).exits(0).prints("b.h changed");
}

#[test]
fn an_input_that_changes_while_the_command_runs_is_told_and_runs_it_again() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.a]
kind = "command"
run = "cat in.txt > {{ outputs.o }}; test -e once || { touch once; echo new > in.txt; }"
inputs = ["in.txt"]
outputs = { o = "out/a.txt" }
"#,
    );
    sandbox.write("in.txt", "old\n");
    let _ = sandbox
        .forge(&["run", "a"])
        .exits(0)
        .prints("warning: in.txt changed while it ran: the next run does it again");
    assert_eq!(sandbox.read("out/a.txt"), "old\n");
    let _ = sandbox
        .forge(&["plan", "a"])
        .exits(0)
        .prints("in.txt changed");
    let output = sandbox.forge(&["run", "a"]).exits(0);
    assert!(!output.stdout.contains("warning"), "{}", output.all());
    assert_eq!(sandbox.read("out/a.txt"), "new\n");
    // a result that nobody can vouch for is not found again
    sandbox.write("in.txt", "old\n");
    let _ = sandbox
        .forge(&["plan", "--detailed-exitcode", "a"])
        .exits(10);
}

#[test]
fn an_input_that_goes_while_the_command_runs_is_told() {
    let sandbox = Sandbox::new(
        "version = 1\n[stages.a]\nkind = \"command\"\nrun = \"rm in.txt\"\ninputs = [\"in.txt\"]\n",
    );
    sandbox.write("in.txt", "");
    let output = sandbox.forge(&["run", "a"]).exits(0);
    assert!(
        output.stdout.contains("in.txt")
            && output
                .stdout
                .contains("now that it has run: the next run does it again"),
        "{}",
        output.all()
    );
    sandbox.write("in.txt", "");
    let _ = sandbox
        .forge(&["plan", "--detailed-exitcode", "a"])
        .exits(10);
}

#[test]
fn files_that_are_no_output_are_told_once() {
    let sandbox = Sandbox::new(
        r#"
version = 1
default = ["a", "b"]
[stages.a]
kind = "command"
run = "echo x > {{ outputs.o }}; touch out/a.log out/sub.tmp"
inputs = ["in.txt"]
outputs = { o = "out/a.txt" }
[stages.b]
kind = "command"
needs = ["a"]
run = "echo x > {{ outputs.o }}"
outputs = { o = "out/b/b.txt" }
"#,
    );
    sandbox.write("in.txt", "");
    let output = sandbox.forge(&["run"]).exits(0);
    let warnings: Vec<&str> = output
        .stdout
        .lines()
        .filter(|line| line.contains("warning"))
        .collect();
    assert_eq!(
        warnings,
        [
            "a | -- warning: out/a.log, out/sub.tmp appeared while it ran and are no outputs: declare in `outputs` what others need"
        ]
    );
    sandbox.write("in.txt", "again");
    let output = sandbox.forge(&["run"]).exits(0);
    assert!(!output.stdout.contains("warning"), "{}", output.all());
}

#[test]
fn what_gitignore_leaves_out_is_no_input_on_request() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.all]
kind = "command"
run = "true"
inputs = ["src"]
[stages.some]
kind = "command"
run = "true"
inputs = ["src", "*.txt", ".hidden"]
gitignore = true
[stages.none]
kind = "command"
run = "true"
inputs = ["src/deep/x.log", "src/no*.log"]
gitignore = true
"#,
    );
    sandbox.write(".gitignore", "*.log\n/b.txt\n");
    sandbox.write("src/deep/.gitignore", "local\n!keep.log\n");
    for file in [
        "src/a",
        "src/a.log",
        "src/deep/x.log",
        "src/deep/keep.log",
        "src/deep/local",
        "a.txt",
        "b.txt",
        ".hidden",
    ] {
        sandbox.write(file, "");
    }
    let files = |stage: &str| -> Vec<String> {
        let explained = sandbox.forge(&["explain", stage, "--json"]).exits(0);
        let value: serde_json::Value = serde_json::from_str(&explained.stdout).unwrap();
        let names = value["ingredients"].as_array().unwrap().iter();
        let names = names.filter_map(|i| i["name"].as_str()?.strip_prefix("file:"));
        names.map(str::to_owned).collect()
    };
    assert_eq!(
        files("some"),
        [
            ".hidden",
            "a.txt",
            "src/a",
            "src/deep/.gitignore",
            "src/deep/keep.log"
        ]
    );
    assert_eq!(files("all").len(), 6);
    let _ = sandbox
        .forge(&["plan", "none"])
        .exits(2)
        .complains("needs `src/no*.log`: matches no file that `.gitignore` keeps");
}

#[test]
fn a_pool_is_shared() {
    // each stage fails if another one of its pool runs at the same time
    let stage = |name: &str| {
        format!(
            "[stages.{name}]\nkind = \"command\"\npool = \"one\"\nrun = \"mkdir lock && sleep 0.1 && rmdir lock\"\n"
        )
    };
    let sandbox = Sandbox::new(&format!(
        "version = 1\ndefault = [\"a\", \"b\", \"c\"]\n[pools]\none = 1\n{}{}{}",
        stage("a"),
        stage("b"),
        stage("c")
    ));
    let _ = sandbox.forge(&["run", "-j3"]).exits(0).prints("3 stages");
}

#[test]
fn what_runs_at_one_time_is_not_mixed() {
    // both have begun to print before either goes on
    let stage = |name: &str, other: &str| {
        format!(
            "[stages.{name}]\nkind = \"command\"\nrun = \"echo {name} 1; touch {name}.up; while ! test -e {other}.up; do sleep 0.01; done; echo {name} 2\"\n"
        )
    };
    let sandbox = Sandbox::new(&format!(
        "version = 1\ndefault = [\"a\", \"b\"]\n{}{}",
        stage("a", "b"),
        stage("b", "a")
    ));
    let output = sandbox.forge(&["run", "-j2"]).exits(0);
    let lines = output.stdout.lines();
    let lines: Vec<&str> = lines
        .filter(|line| {
            ["a | a", "b | b"]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .collect();
    let (first, then) = match lines[0] {
        "a | a 1" => ("a", "b"),
        _ => ("b", "a"),
    };
    let expected: Vec<String> = [(first, 1), (first, 2), (then, 1), (then, 2)]
        .iter()
        .map(|(name, n)| format!("{name} | {name} {n}"))
        .collect();
    assert_eq!(lines, expected, "{}", output.all());
}

/// `gen` → `a`, `b` → `link`.
fn tree() -> Sandbox {
    let sandbox = Sandbox::new(
        r#"
version = 1
default = "link"
[stages.gen]
kind = "command"
run = "cat proto.txt > {{ outputs.h }}"
inputs = ["proto.txt"]
outputs = { h = "gen/gen.h" }
[stage-templates.compile]
kind = "command"
run = "cat {{ params.src }} {{ stages.gen.outputs.h }} > {{ outputs.o }}"
inputs = ["{{ params.src }}"]
outputs = { o = "build/{{ params.src }}.o" }
[stages.compile]
foreach = "*.c"
template = "compile"
params = { src = "{{ each.path }}" }
[stages.link]
kind = "command"
needs = ["compile"]
inputs = ["build/*.o"]
run = "cat build/*.o > {{ outputs.app }}"
outputs = { app = "bin/app" }
"#,
    );
    sandbox.write("proto.txt", "one\n");
    sandbox.write("a.c", "a\n");
    sandbox.write("b.c", "b\n");
    sandbox
}

#[test]
fn a_new_file_is_a_new_stage() {
    let sandbox = tree();
    let _ = sandbox.forge(&["run"]).exits(0).prints("4 stages ran");
    assert_eq!(sandbox.read("bin/app"), "a\none\nb\none\n");
    let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
    sandbox.write("c.c", "c\n");
    let _ = sandbox.forge(&["run"]).exits(0).prints("2 stages ran");
    assert_eq!(sandbox.read("bin/app"), "a\none\nb\none\nc\none\n");
    let _ = sandbox
        .forge(&["run", "compile"])
        .exits(0)
        .prints("nothing to do");
    let _ = sandbox
        .forge(&["run", "compil"])
        .exits(2)
        .complains("did you mean `compile`");
}

#[test]
fn why_leads_back_to_the_first_cause() {
    let sandbox = tree();
    let _ = sandbox.forge(&["run"]).exits(0);
    let fresh = sandbox.forge(&["plan", "--why", "link"]).exits(0);
    assert_eq!(fresh.stdout, "link  up to date\n");
    sandbox.write("proto.txt", "two\n");
    let why = sandbox.forge(&["plan", "--why", "link"]).exits(0);
    assert_eq!(
        why.stdout,
        "link  may run: upstream compile-a, compile-b will run\n\
         because of gen (link ← compile-a ← gen):\n  proto.txt changed\n    \
         file:proto.txt  2c8b08da5ce6 → 27dd8ed44a83\n"
    );
    let explained = sandbox.forge(&["explain", "link"]).exits(0);
    assert!(
        explained
            .stdout
            .contains("because of gen (link ← compile-a ← gen):")
            && explained
                .stdout
                .contains("~ upstream:compile-a  pending  (was "),
        "{}",
        explained.stdout
    );
    // built on its own, it is still the cause: of that run
    let _ = sandbox.forge(&["run", "gen"]).exits(0);
    let why = sandbox.forge(&["plan", "--why", "link"]).exits(0);
    assert_eq!(
        why.stdout,
        "link  may run: upstream compile-a, compile-b will run\n\
         because of gen (link ← compile-a ← gen), built by run [RUN]:\n  proto.txt changed\n    \
         file:proto.txt  2c8b08da5ce6 → 27dd8ed44a83\n"
    );
    let json = sandbox.forge(&["plan", "--why", "link", "--json"]).exits(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["causes"][0]["stage"], "gen");
    let other = sandbox.forge(&["plan", "gen", "--why", "link"]).exits(2);
    assert_eq!(
        other.stderr,
        "error: `link` is not part of this plan\n  help: leave the targets out, or name one that needs it\n"
    );
}

#[test]
fn a_run_can_be_traced() {
    let sandbox = tree();
    let _ = sandbox.forge(&["run", "--trace", "run.json"]).exits(0);
    let trace: serde_json::Value = serde_json::from_str(&sandbox.read("run.json")).unwrap();
    let slices: Vec<&str> = trace
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["ph"] == "B" && event["cat"] == "command")
        .filter_map(|event| event["name"].as_str())
        .collect();
    assert_eq!((slices.len(), slices[0], slices[3]), (4, "gen", "link"));
    let output = sandbox
        .forge(&["run", "--trace", "no/such/dir.json"])
        .exits(3);
    assert!(
        output
            .stderr
            .starts_with("error: cannot write the trace no/such/dir.json: "),
        "{}",
        output.stderr
    );
}

#[test]
fn a_graph_is_drawn() {
    let sandbox = tree();
    let svg = sandbox.forge(&["graph", "--format", "svg"]).exits(0).stdout;
    assert!(
        svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
        "{svg}"
    );
    assert_eq!(
        (
            svg.matches("class=\"command\"").count(),
            svg.matches("marker-end").count()
        ),
        (4, 4)
    );
}

#[test]
fn a_plan_counts_on_outputs_that_a_run_puts_back() {
    let sandbox = tree();
    let _ = sandbox.forge(&["run"]).exits(0);
    std::fs::remove_dir_all(sandbox.path("build")).unwrap();
    sandbox.write("gen/gen.h", "spoilt");
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(0);
    let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
    assert_eq!(sandbox.read("build/a.c.o"), "a\none\n");
    assert_eq!(sandbox.read("gen/gen.h"), "one\n");
}

#[test]
fn what_is_gone_from_an_output_directory_is_put_back() {
    let sandbox = Sandbox::new(
        "version = 1\n[stages.a]\nkind = \"command\"\nrun = \"mkdir -p out/d/e && touch out/d/e/x && echo 1 > out/d/y && ln -s y out/d/z\"\noutputs = { d = \"out/d\" }\n",
    );
    let _ = sandbox.forge(&["run", "a"]).exits(0);
    for gone in ["out/d/y", "out/d/z", "out/d/e/x"] {
        std::fs::remove_file(sandbox.path(gone)).unwrap();
        let _ = sandbox
            .forge(&["run", "a"])
            .exits(0)
            .prints("nothing to do");
        assert!(sandbox.exists(gone), "{gone}");
    }
    sandbox.write("out/d/y", "longer");
    let _ = sandbox
        .forge(&["run", "a"])
        .exits(0)
        .prints("nothing to do");
    assert_eq!(sandbox.read("out/d/y"), "1\n");
}
