//! Faults while forge runs: killed, interrupted, beside another forge.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Child;

use super::support::Sandbox;
use super::support::killing::left_over;

const SLOW: &str = r#"
version = 1
[stages.first]
kind = "command"
run = "echo one > {{ outputs.o }}"
outputs = { o = "out/first" }
[stages.slow]
kind = "command"
needs = ["first"]
run = "echo $$ > slow.pid; echo in-the-'middle'; test -e go || { sleep 600 & wait; }; echo two > {{ outputs.o }}"
outputs = { o = "out/slow" }
[stages.last]
kind = "command"
run = "cat {{ stages.slow.outputs.o }} > {{ outputs.o }}"
outputs = { o = "out/last" }
"#;

/// Reads forge's output until a line has `what`.
fn wait_for(child: &mut Child, what: &str) -> BufReader<std::process::ChildStdout> {
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if line.contains(what) {
            return reader;
        }
        line.clear();
    }
    panic!("forge ended without `{what}`");
}

fn alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z"))
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_killed_run_is_finished_by_the_next_one_with_nothing_left_over() {
    let sandbox = Sandbox::new(SLOW);
    let mut child = sandbox.start(&["run", "last", "--output", "plain"]);
    let _reader = wait_for(&mut child, "in-the-middle");
    let orphan = sandbox.read("slow.pid");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        alive(&orphan),
        "kill -9 gives forge no chance to end its children"
    );
    sandbox.write("go", "");
    let output = sandbox.forge(&["run", "last"]).exits(0);
    assert!(
        format!("{}{}", output.stdout, output.stderr).contains("cleaned up"),
        "{}",
        output.all()
    );
    assert!(!alive(&orphan), "the orphan is gone");
    assert_eq!(sandbox.read("out/last"), "two\n");
    assert_eq!(left_over(&sandbox), Vec::<String>::new());
    let _ = sandbox.forge(&["cache", "verify"]).exits(0);
}

#[test]
fn ctrl_c_stops_cleans_up_and_exits_130() {
    let sandbox = Sandbox::new(SLOW);
    let mut child = sandbox.start(&["run", "last", "--output", "plain"]);
    let mut reader = wait_for(&mut child, "in-the-middle");
    let pid = sandbox.read("slow.pid");
    signal(&child, "INT");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    assert!(!alive(&pid));
    assert_eq!(left_over(&sandbox), Vec::<String>::new());
    sandbox.write("go", "");
    let _ = sandbox.forge(&["run", "last"]).exits(0);
}

#[test]
fn a_second_forge_waits_and_says_for_whom() {
    let sandbox = Sandbox::new(SLOW);
    let mut first = sandbox.start(&["run", "last", "--output", "plain"]);
    let mut first_reader = wait_for(&mut first, "in-the-middle");
    let mut second = sandbox.start(&["run", "first", "--output", "plain"]);
    let mut second_reader = wait_for(
        &mut second,
        &format!("waiting for `forge run last` (process {})", first.id()),
    );
    signal(&first, "INT");
    first_reader.read_to_string(&mut String::new()).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(130));
    second_reader.read_to_string(&mut String::new()).unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(0));
}

#[test]
fn kill_at_any_instant_leaves_a_state_that_the_next_run_finishes() {
    let stages: String = (0..12)
        .map(|i| {
            let needs = if i == 0 { String::new() } else { format!("needs = [\"s{}\"]\n", i - 1) };
            format!("[stages.s{i}]\nkind = \"command\"\n{needs}run = \"sleep 0.0{}; echo {i} > {{{{ outputs.o }}}}\"\noutputs = {{ o = \"out/{i}\" }}\n", i % 4)
        })
        .collect();
    let sandbox = Sandbox::new(&format!("version = 1\n{stages}"));
    for round in 0..12u64 {
        let mut child = sandbox.start(&["run", "s11", "--quiet"]);
        // spread over the whole run: the instants are the point of the test, not something to wait for
        std::thread::sleep(std::time::Duration::from_millis(3 + round * 29));
        let _ = child.kill();
        child.wait().unwrap();
    }
    let _ = sandbox.forge(&["run", "s11"]).exits(0);
    for i in 0..12 {
        assert_eq!(sandbox.read(&format!("out/{i}")), format!("{i}\n"));
    }
    let _ = sandbox
        .forge(&["run", "s11"])
        .exits(0)
        .prints("nothing to do");
    let _ = sandbox.forge(&["cache", "verify"]).exits(0);
}
