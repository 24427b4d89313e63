//! `forge check` as users meet it.

use insta::assert_snapshot;

use crate::support::Sandbox;
use crate::support::sshd::Sshd;

const GOOD: &str = "command:\n  echo hi:\n    exit-status: 0\n    stdout: [hi, '!ho']\nkernel-param:\n  kernel.ostype: {value: Linux}\nfile:\n  /none: {exists: false}\n";
const BAD: &str = "file:\n  /none: {exists: true, mode: \"0644\"}\n";

fn sandbox(gossfile: &str) -> Sandbox {
    let sandbox = Sandbox::empty();
    sandbox.write("goss.yaml", gossfile);
    sandbox
}

fn seconds(text: &str) -> String {
    regex::Regex::new(r"\d+\.\d+s")
        .unwrap()
        .replace_all(text, "N")
        .into_owned()
}

#[test]
fn what_holds_and_what_does_not() {
    let good = sandbox(GOOD)
        .forge(&["check", "--local", "-f", "tap", "-o", "sort"])
        .exits(0);
    assert_snapshot!(good.stdout, @r#"
    1..4
    ok 1 - Command: echo hi: exit-status: matches expectation: 0
    ok 2 - Command: echo hi: stdout: matches expectation: ["hi","!ho"]
    ok 3 - File: /none: exists: matches expectation: false
    ok 4 - KernelParam: kernel.ostype: value: matches expectation: "Linux"
    "#);
    assert_eq!(good.stderr, "");
    let bad = sandbox(BAD).forge(&["check", "--local"]).exits(1);
    assert!(
        bad.stdout.contains("Count: 2, Failed: 1, Skipped: 1"),
        "{}",
        bad.stdout
    );
    let _ = sandbox(BAD)
        .forge(&["check", "--local", "-f", "nagios"])
        .exits(2);
    let _ = sandbox(BAD)
        .forge(&["check", "--local", "-f", "structured"])
        .exits(0);
    let stats = sandbox(GOOD)
        .forge(&["check", "--local", "-f", "silent", "--stats"])
        .exits(0);
    assert!(
        stats.stderr.starts_with("3 questions, 1 round trips, "),
        "{}",
        stats.stderr
    );
}

#[test]
fn checks_are_asked_again_until_they_hold_or_the_time_is_over() {
    let sandbox = sandbox(
        "command:\n  'echo x >>count; wc -l <count':\n    exit-status: 0\n    stdout: ['3']\n",
    );
    let output = sandbox
        .forge(&["check", "--local", "-r", "20s", "-s", "10ms", "-f", "tap"])
        .exits(0);
    assert!(output.stdout.contains("Attempt #3:"), "{}", output.stdout);
    let late = self::sandbox(BAD)
        .forge(&[
            "check", "--local", "-r", "100ms", "-s", "60ms", "-f", "silent",
        ])
        .exits(3);
    assert_snapshot!(late.stderr, @"error: timeout of [TIME] reached before tests entered a passing state");
    assert_snapshot!(seconds(&late.stdout), @r"
    Retrying in [TIME] (elapsed/timeout time: [TIME]/[TIME])


    Attempt #2:
    ");
}

#[test]
fn templates_see_variables_and_the_machine() {
    let sandbox = sandbox(
        "command:\n  echo {{ .Vars.word }}:\n    exit-status: 0\n    stdout: ['{{ .Vars.word }}']\nfile:\n  {{ getEnv \"HOME\" }}: {exists: true}\n  /none-{{ readFile \"/proc/sys/kernel/ostype\" }}: {exists: false}\n",
    );
    sandbox.write("vars.yaml", "word: one\n");
    let all = [
        "check",
        "--local",
        "-f",
        "tap",
        "-o",
        "sort",
        "--vars",
        "vars.yaml",
    ];
    let output = sandbox.forge(&all).exits(0);
    assert!(
        output.stdout.contains("Command: echo one:")
            && output.stdout.contains("File: /none-Linux:"),
        "{}",
        output.stdout
    );
    let inline = sandbox
        .forge(&[all.as_slice(), &["--vars-inline", "{word: two}"]].concat())
        .exits(0);
    assert!(
        inline.stdout.contains("Command: echo two:"),
        "{}",
        inline.stdout
    );
}

#[test]
fn wrong_input_is_told_with_its_place_and_a_hint() {
    let sandbox =
        sandbox("prot:\n  tcp:22: {listening: true}\nport:\n  tcp:22: {listning: true}\n");
    let told = |arguments: &[&str], code| {
        sandbox
            .forge(&[&["check"], arguments].concat())
            .exits(code)
            .stderr
    };
    assert!(told(&["--local"], 2).contains("goss.yaml:4:"));
    assert!(
        told(&["--local", "-g", "none.yaml"], 2)
            .contains("`none.yaml` cannot be read: it does not exist")
    );
    assert_snapshot!(told(&["--local", "-f", "xml"], 2), @r"
    error: there is no format `xml`
      help: formats: documentation, json, json_oneline, junit, nagios, prometheus, rspecish, silent, structured, tap
    ");
    assert_snapshot!(told(&["--local", "-o", "nice"], 2), @r"
    error: there is no format option `nice`
      help: options: exclude_raw, perfdata, pretty, sort, verbose
    ");
    assert_snapshot!(told(&["--local", "-r", "5"], 2), @r"
    error: `5` is no span of time, in `--retry-timeout`
      help: write it like `[TIME]`, `[TIME]` or `[TIME]`
    ");
    assert_snapshot!(told(&["--ssh", "root@"], 2), @r"
    error: `root@` does not say where the machine is
      help: write `user@host`, `user@host:port` or `user@[2001:db8::1]:port`
    ");
    assert_snapshot!(told(&["--ssh", "a@b", "--password-env", "NO_SUCH_VARIABLE"], 2), @r"
    error: the environment has no `NO_SUCH_VARIABLE`
      help: `--password-env` names the variable that holds the password
    ");
    assert_snapshot!(told(&["--local", "--add", "sevice", "x"], 2), @r"
    error: there is no kind of check `sevice`
      help: did you mean `service`?
    ");
    let neither = told(&[], 2);
    assert!(
        neither.contains("--ssh") && neither.contains("required"),
        "{neither}"
    );
}

#[test]
fn a_machine_behind_ssh_is_trusted_as_ssh_trusts_it() {
    let sshd = Sshd::start();
    let sandbox = sandbox(GOOD);
    let home = sandbox.path("home");
    std::fs::create_dir_all(&home).unwrap();
    let sandbox = sandbox.env("HOME", home.to_str().unwrap());
    let (address, key) = (sshd.address(), sshd.key());
    let reach = [
        "check",
        "-f",
        "tap",
        "-o",
        "sort",
        "--ssh",
        &address,
        "-i",
        key.to_str().unwrap(),
    ];
    let new = sandbox.forge(&reach).exits(3);
    assert!(
        new.stderr
            .contains("it is not known there, and shows the key SHA256:")
            && new.stderr.contains("help: "),
        "{}",
        new.stderr
    );
    let learnt = sandbox
        .forge(&[reach.as_slice(), &["--host-key", "accept-new"]].concat())
        .exits(0);
    let local = sandbox
        .forge(&["check", "--local", "-f", "tap", "-o", "sort"])
        .exits(0);
    assert_eq!(learnt.stdout, local.stdout);
    let _ = sandbox.forge(&reach).exits(0);
    let known = std::fs::read_to_string(home.join(".ssh/known_hosts")).unwrap();
    let other = known.replace("AAAA", "AAAB");
    std::fs::write(home.join(".ssh/known_hosts"), other).unwrap();
    let changed = sandbox
        .forge(&[reach.as_slice(), &["--host-key", "accept-new"]].concat())
        .exits(3);
    assert!(
        changed
            .stderr
            .contains("another key than the one that is known"),
        "{}",
        changed.stderr
    );
    let _ = sandbox
        .forge(&[reach.as_slice(), &["--host-key", "off"]].concat())
        .exits(0);
}

#[test]
fn proposals_are_a_gossfile_that_holds() {
    let sandbox = sandbox("# mine\nuser:\n  nobody: {exists: true}\n");
    let args = ["check", "--local", "--write", "--add"];
    let shown = sandbox
        .forge(&["check", "--local", "--add", "kernel-param", "kernel.ostype"])
        .exits(0);
    assert_snapshot!(shown.stdout, @r#"
    kernel-param:
      kernel.ostype:
        value: "Linux"
    "#);
    for more in [
        &["user", "root", "nobody"][..],
        &["file", "/etc/passwd"],
        &["package", "bash"],
        &["mount", "/proc"],
        &["port", "1"],
        &["command", "echo hi"],
    ] {
        let _ = sandbox.forge(&[&args[..], more].concat()).exits(0);
    }
    assert!(sandbox.read("goss.yaml").starts_with(
        "# mine\nuser:\n  nobody: {exists: true}\n  root:\n    exists: true\n    uid: 0\n"
    ));
    let output = sandbox.forge(&["check", "--local"]).exits(0);
    assert!(output.stdout.contains("Failed: 0"), "{}", output.stdout);
    let root = sandbox
        .forge(&["check", "--local", "--autoadd", "root"])
        .exits(0);
    assert!(
        root.stdout
            .starts_with("group:\n  root:\n    exists: true\n    gid: 0\nuser:\n  root:\n"),
        "{}",
        root.stdout
    );
    let none = sandbox
        .forge(&["check", "--local", "--autoadd", "no-such-thing"])
        .exits(1);
    assert_snapshot!(none.stderr, @r"
    error: nothing of these names was found
      help: `--add KIND NAME` proposes a check of what is not there, too
    ");
}

#[test]
fn proposals_ask_what_the_check_will_ask() {
    let sandbox = Sandbox::empty();
    let address = ["check", "--local", "--add", "addr", "udp4://127.0.0.1:9"];
    let proposed = sandbox.forge(&address).exits(0);
    assert_snapshot!(proposed.stdout, @r#"
    addr:
      "udp4://127.0.0.1:9":
        reachable: true
    "#);
    let name = ["check", "--local", "--add", "dns", "A:localhost"];
    let proposed = sandbox.forge(&name).exits(0);
    assert!(
        proposed.stdout.contains("resolvable: true"),
        "{}",
        proposed.stdout
    );
}
