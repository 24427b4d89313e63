//! Command stages through the binary: what runs, what is cached, what is said.

use super::support::Sandbox;

const TWO: &str = r#"
version = 1
default = "count"

[stages.words]
kind = "command"
run = "sort input.txt > {{ outputs.words }}; echo ran >> words.ran"
inputs = ["input.txt"]
outputs = { words = "out/words.txt" }

[stages.count]
kind = "command"
run = "wc -l < {{ stages.words.outputs.words }} > {{ outputs.n }}; echo ran >> count.ran"
outputs = { n = "out/n.txt" }
"#;

fn two() -> Sandbox {
    let sandbox = Sandbox::new(TWO);
    sandbox.write("input.txt", "b\na\n");
    sandbox
}

fn runs(sandbox: &Sandbox, stage: &str) -> usize {
    std::fs::read_to_string(sandbox.path(&format!("{stage}.ran")))
        .map_or(0, |text| text.lines().count())
}

#[test]
fn a_run_builds_once_and_then_has_nothing_to_do() {
    let sandbox = two();
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(
        (
            sandbox.read("out/words.txt").as_str(),
            sandbox.read("out/n.txt").trim()
        ),
        ("a\nb\n", "2")
    );
    let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
    assert_eq!((runs(&sandbox, "words"), runs(&sandbox, "count")), (1, 1));
}

#[test]
fn a_touched_file_of_the_same_content_runs_nothing() {
    let sandbox = two();
    let _ = sandbox.forge(&["run"]).exits(0);
    sandbox.write("input.txt", "b\na\n");
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!((runs(&sandbox, "words"), runs(&sandbox, "count")), (1, 1));
}

#[test]
fn an_upstream_that_yields_the_same_artifact_stops_the_wave() {
    let sandbox = two();
    let _ = sandbox.forge(&["run"]).exits(0);
    sandbox.write("input.txt", "a\nb\n");
    let _ = sandbox
        .forge(&["plan"])
        .exits(0)
        .prints("input.txt changed");
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!((runs(&sandbox, "words"), runs(&sandbox, "count")), (2, 1));
}

#[test]
fn a_changed_input_runs_what_depends_on_it() {
    let sandbox = two();
    let _ = sandbox.forge(&["run"]).exits(0);
    sandbox.write("input.txt", "a\nb\nc\n");
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(10);
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("out/n.txt").trim(), "3");
    let _ = sandbox.forge(&["plan", "--detailed-exitcode"]).exits(0);
    sandbox.write("input.txt", "b\na\n");
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(
        sandbox.read("out/words.txt"),
        "a\nb\n",
        "an earlier result comes back from the store"
    );
    assert_eq!((runs(&sandbox, "words"), runs(&sandbox, "count")), (2, 2));
}

#[test]
fn a_deleted_or_changed_output_is_restored_from_the_store() {
    let sandbox = two();
    let _ = sandbox.forge(&["run"]).exits(0);
    std::fs::remove_dir_all(sandbox.path("out")).unwrap();
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("out/n.txt").trim(), "2");
    sandbox.write("out/words.txt", "spoilt");
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("out/words.txt"), "a\nb\n");
    assert_eq!((runs(&sandbox, "words"), runs(&sandbox, "count")), (1, 1));
}

#[test]
fn force_runs_a_fresh_stage() {
    let sandbox = two();
    let _ = sandbox.forge(&["run"]).exits(0);
    let _ = sandbox.forge(&["run", "--force", "words"]).exits(0);
    assert_eq!((runs(&sandbox, "words"), runs(&sandbox, "count")), (2, 1));
    let _ = sandbox
        .forge(&["run", "--force", "word"])
        .exits(2)
        .complains("did you mean `words`");
}

#[test]
fn a_quota_without_a_unit_is_told() {
    let output = two()
        .env("FORGE_CACHE_QUOTA", "50")
        .forge(&["cache", "ls"])
        .exits(2);
    assert_eq!(
        output.stderr,
        "error: FORGE_CACHE_QUOTA=50: expected a size, such as `64GiB`\n  help: such as FORGE_CACHE_QUOTA=50GiB\n"
    );
}

#[test]
fn clean_forgets_and_removes() {
    let sandbox = two();
    let _ = sandbox.forge(&["run"]).exits(0);
    let _ = sandbox.forge(&["clean", "--dry-run"]).exits(0);
    assert!(sandbox.exists("out/n.txt"));
    let _ = sandbox.forge(&["clean"]).exits(0);
    assert!(!sandbox.exists("out/n.txt") && !sandbox.exists("out/words.txt"));
    let objects = walkdir::WalkDir::new(sandbox.cache().join("objects"));
    let left = objects
        .into_iter()
        .filter(|e| e.as_ref().unwrap().file_type().is_file())
        .count();
    assert_eq!(left, 0, "what only they needed is gone from the store");
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!((runs(&sandbox, "words"), runs(&sandbox, "count")), (2, 2));
}

#[test]
fn directories_are_outputs_too() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.tree]
kind = "command"
run = ["sh", "-c", "mkdir -p out/tree/sub && echo hi > out/tree/sub/a && ln -s sub/a out/tree/link && echo x > tree.ran"]
outputs = { tree = "out/tree" }
"#,
    );
    let _ = sandbox.forge(&["run", "tree"]).exits(0);
    std::fs::remove_dir_all(sandbox.path("out")).unwrap();
    std::fs::remove_file(sandbox.path("tree.ran")).unwrap();
    let _ = sandbox.forge(&["run", "tree"]).exits(0);
    assert_eq!(sandbox.read("out/tree/link"), "hi\n");
    assert!(!sandbox.exists("tree.ran"), "it was restored, not run");
}

#[test]
fn commands_see_only_the_declared_environment() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.env]
kind = "command"
run = "env | sort > {{ outputs.env }}"
env = { GREETING = "hello" }
pass_env = ["LISTED"]
outputs = { env = "env.txt" }
"#,
    )
    .env("LISTED", "yes")
    .env("UNLISTED", "no");
    let _ = sandbox.forge(&["run", "env"]).exits(0);
    let env = sandbox.read("env.txt");
    assert!(
        env.contains("GREETING=hello") && env.contains("LISTED=yes") && !env.contains("UNLISTED"),
        "{env}"
    );
}

#[test]
fn a_failure_shows_the_last_lines_and_blocks_only_what_depends_on_it() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.bad]
kind = "command"
run = "for i in $(seq 30); do echo line $i; done; exit 7"
[stages.after]
kind = "command"
needs = ["bad"]
run = "true"
[stages.good]
kind = "command"
run = "echo fine > {{ outputs.o }}"
outputs = { o = "good.txt" }
[targets]
all = ["after", "good"]
"#,
    );
    let output = sandbox.forge(&["run", "all", "--quiet"]).exits(1);
    assert!(sandbox.exists("good.txt"), "the other branch went on");
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(
        all.contains("exit code 7") && all.contains("line 30") && all.contains("line 11"),
        "{all}"
    );
    assert!(!all.contains("line 10\n"), "only the last twenty:\n{all}");
    assert!(all.contains("bad.log"), "{all}");
    let log = sandbox.forge(&["logs", "bad"]).exits(0);
    assert!(log.stdout.contains("line 1\n"), "{}", log.stdout);
}

#[test]
fn retries_and_timeouts() {
    let sandbox = Sandbox::new(
        r#"
version = 1
[stages.flaky]
kind = "command"
run = "echo x >> tries; test $(wc -l < tries) -ge 3"
retries = 2
[stages.slow]
kind = "command"
run = "sleep 600"
timeout = "300ms"
"#,
    );
    let _ = sandbox.forge(&["run", "flaky"]).exits(0);
    assert_eq!(sandbox.read("tries").lines().count(), 3);
    let output = sandbox.forge(&["run", "slow"]).exits(1);
    assert!(
        format!("{}{}", output.stdout, output.stderr).contains("timeout"),
        "{}",
        output.all()
    );
}

#[test]
fn a_missing_output_is_a_failure_with_a_hint() {
    let sandbox = Sandbox::new(
        "version = 1\n[stages.a]\nkind = \"command\"\nrun = \"true\"\noutputs = { x = \"x.txt\" }\n",
    );
    let output = sandbox.forge(&["run", "a"]).exits(1);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains("did not make its output `x` (x.txt)"), "{all}");
    assert!(all.contains("{{ outputs.x }}"), "{all}");
}

#[test]
fn binary_output_does_not_harm() {
    let sandbox = Sandbox::new(
        "version = 1\n[stages.a]\nkind = \"command\"\nrun = \"head -c 20000 /dev/urandom; printf '\\\\033[2J\\\\007'; echo end\"\n",
    );
    let output = sandbox.forge(&["run", "a"]).exits(0);
    assert!(
        !output.stdout.contains('\x1b') && !output.stdout.contains('\x07'),
        "control characters got through"
    );
}

#[test]
fn a_missing_program_is_the_environments_fault() {
    let sandbox = Sandbox::new(
        "version = 1\n[stages.a]\nkind = \"command\"\nrun = [\"no-such-program-x\"]\n",
    );
    let output = sandbox.forge(&["run", "a"]).exits(3);
    assert!(
        format!("{}{}", output.stdout, output.stderr).contains("cannot start `no-such-program-x`"),
        "{}",
        output.all()
    );
}
