//! Seeing what a machine does while it runs, going into one that was kept, and running again when something changes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::support::terminal::Terminal;
use super::support::{Sandbox, vm};

/// A kickstart whose `%pre` does this in a guest that has its network up.
fn kickstart(sandbox: &Sandbox, pre: &str) {
    let kickstart = sandbox.read("kickstart/mini/ks.cfg");
    let kickstart = kickstart.replacen(
        "%packages\n",
        &format!("%pre\n{pre}\n%end\n\n%packages\n"),
        1,
    );
    sandbox.write("kickstart/mini/ks.cfg", &kickstart);
}

#[test]
fn vm_an_installer_is_heard_and_ends_its_stage_when_it_says_that_it_has_failed() {
    let sandbox = vm::fork();
    kickstart(
        &sandbox,
        "wget -q -O- http://{{ http.ip }}:{{ http.port }}/ks.cgf\n\
         wget -q -O- '{{ forge.report }}/pre-started'\n\
         printf 'did not install,\\n\\033[1mattempt 2: {{ common.ssh_password }}' >/run/said\n\
         wget -q -O- --post-data \"$(cat /run/said)\" '{{ forge.report }}/tools'\n\
         wget -q -O- '{{ forge.report }}/fail?message=no+disk+is+large+enough'\n\
         sleep 600",
    );
    let text = sandbox.read("builds.toml");
    let (iso, common) = (
        "iso = { url = \"{{ stages.mini-iso.outputs.iso }}\" }\n",
        "[scopes.common]\n",
    );
    assert!(text.contains(iso) && text.contains(common));
    let http = "kickstart = { dir = \"kickstart/mini\", via = \"http\" }\n\
         boot = { wait_text = \"{{ os.boot_wait_text | regex_escape }}\", keys = \"<tab> ks=http://{{ http.ip }}:{{ http.port }}/ks.cfg<enter>\" }\n";
    let text = text.replacen(iso, &format!("{iso}{http}"), 1).replacen(
        common,
        &format!("{common}secret = [\"ssh_password\"]\n"),
        1,
    );
    sandbox.write("builds.toml", &text);
    failing(&sandbox);
}

/// Runs a stage whose installer reports that it has failed.
fn failing(sandbox: &Sandbox) {
    let started = std::time::Instant::now();
    let output = sandbox
        .forge(&["run", "iso-base", "--output", "json"])
        .exits(1);
    assert!(
        started.elapsed().as_secs() < 300,
        "it did not wait for the end"
    );
    let events: Vec<serde_json::Value> = output
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &str, fields: &[&str]| -> Vec<String> {
        let events = events.iter().filter(|event| event["event"] == name);
        let told = events.map(|event| {
            assert!(event["after_ms"].as_u64().unwrap() > 0, "{event}");
            let fields = fields.iter().map(|field| event[field].to_string());
            fields.collect::<Vec<_>>().join(" ")
        });
        told.collect()
    };
    assert_eq!(
        of("request", &["path", "status"]),
        [r#""ks.cfg" 200"#, r#""ks.cgf" 404"#]
    );
    assert_eq!(
        of("report", &["report", "message"]),
        [
            r#""pre-started" """#,
            r#""tools" "did not install,\n[1mattempt 2: ***""#,
            r#""fail" "no disk is large enough""#,
        ]
    );
    told(&events.last().unwrap()["failed"][0]["failure"]);
    let log = sandbox
        .forge(&["logs", "iso-base"])
        .exits(0)
        .prints("ks.cfg fetched after");
    assert!(
        log.stdout.contains("installer: pre-started"),
        "{}",
        log.stdout
    );
}

/// What the failure tells.
fn told(failure: &serde_json::Value) {
    assert_eq!(
        failure["message"],
        "the installer reports that it has failed: no disk is large enough"
    );
    let help = failure["help"].to_string();
    for part in [
        "the installer has also asked for what is not there: /ks.cgf; there are: /ks.cfg",
        "the last that the installer has reported: tools: did not install",
    ] {
        assert!(help.contains(part), "no `{part}` in {help}");
    }
    let screenshot = failure["screenshot"].as_str().unwrap();
    assert!(screenshot.ends_with("iso-base@os=mini.png"), "{screenshot}");
}

/// A stage whose second step fails until somebody helps.
const ATTENDED: &str = r#"
[stages.attended]
kind = "provision"
from = "clone"
checkpoint = "always"
[[stages.attended.steps]]
name = "first"
shell = { inline = "echo one >/root/one" }
[[stages.attended.steps]]
name = "needs help"
shell = { inline = "test -e /root/helped" }
"#;

#[test]
fn vm_somebody_at_the_terminal_looks_helps_and_comes_back() {
    let sandbox = vm::fork();
    let text = sandbox.read("builds.toml");
    sandbox.write("builds.toml", &format!("{text}{ATTENDED}"));
    let _ = sandbox
        .forge(&["ssh", "attended@first", "--exec", "true"])
        .exits(2)
        .complains("after step 1 of 2 (first) is not kept");
    let arguments = ["run", "attended", "--on-error", "ask", "--debug"];
    let mut terminal = Terminal::start(&sandbox, &arguments);
    terminal.wait_for("next is [1/2] first");
    look_at(&sandbox);
    let mut console = sandbox
        .command(&["console", "attended"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    terminal.send("s\n");
    terminal.wait_for("# ");
    terminal.send("echo said-on-the-line >/dev/ttyS0; exit\n");
    let line = BufReader::new(console.stdout.take().unwrap()).lines();
    let heard = line
        .map_while(Result::ok)
        .any(|line| line.contains("said-on-the-line"));
    assert!(heard, "the console shows what is said on the serial line");
    terminal.wait_for("next is [1/2] first");
    terminal.send("\n");
    terminal.wait_for("next is [2/2] needs help");
    terminal.send("\n");
    terminal.wait_for("needs help failed: ");
    terminal.send("s\n");
    terminal.wait_for("# ");
    terminal.send("touch /root/helped; exit\n");
    terminal.wait_for("needs help failed: ");
    terminal.send("r\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("a shell is open in the machine"), "{shown}");
    assert!(console.wait().unwrap().success());
    come_back(&sandbox);
}

/// Looks at the machine of `attended`, which runs.
fn look_at(sandbox: &Sandbox) {
    let _ = sandbox
        .forge(&["screenshot", "attended"])
        .exits(0)
        .prints("attended@os=mini.png\n");
    let picture = std::fs::read(sandbox.path("attended@os=mini.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    let _ = sandbox
        .forge(&["screenshot", "attended", "--text"])
        .exits(0)
        .prints("login:");
    let _ = sandbox
        .forge(&["screenshot", "provision"])
        .exits(2)
        .complains("machines that run: attended[os=mini]");
    let _ = sandbox
        .forge(&["console", "attended", "--vnc"])
        .exits(0)
        .prints("vnc.sock\n");
}

/// Enters what `attended` has left, what it was, and what somebody has made of it.
fn come_back(sandbox: &Sandbox) {
    let _ = sandbox
        .forge(&["screenshot", "attended"])
        .exits(2)
        .complains("no machine of attended[os=mini] runs now");
    let keys = "test -e /root/helped && ! grep forge-visit /root/.ssh/authorized_keys";
    let _ = sandbox
        .forge(&["ssh", "attended", "--exec", keys])
        .exits(0)
        .complains("entering what attended[os=mini] has left");
    let _ = sandbox
        .forge(&[
            "ssh",
            "attended@1",
            "--exec",
            "cat /root/one; test ! -e /root/helped; exit 7",
        ])
        .exits(7)
        .prints("one")
        .complains("after step 1 of 2 (first), as it runs; what you change is thrown away");
    let _ = sandbox
        .forge(&["ssh", "attended@base", "--exec", "test ! -e /root/one"])
        .exits(0);
    let _ = sandbox
        .forge(&["ssh", "attended@needs hlp", "--exec", "true"])
        .exits(2)
        .complains("did you mean `needs help`?")
        .complains("running machines are kept at `attended@");
    // memory as well: /run is no disk
    let _ = sandbox
        .forge(&[
            "ssh",
            "attended",
            "--keep",
            "--exec",
            "echo back >/run/mark",
        ])
        .exits(0)
        .complains("`forge ssh attended --kept` enters it again");
    let mut again = sandbox
        .command(&["ssh", "attended", "--kept", "--exec", "cat /run/mark -"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = again.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"piped in\n").unwrap();
    drop(input);
    let again = sandbox.output(&again.wait_with_output().unwrap());
    let again = again.exits(0).complains("that was kept, as it runs");
    assert_eq!(again.stdout, "back\npiped in\n");
    let discard = ["ssh", "attended", "--discard"];
    let _ = sandbox.forge(&discard).exits(0).complains("is gone");
    let _ = sandbox
        .forge(&["ssh", "attended", "--kept"])
        .exits(2)
        .complains("no machine of attended[os=mini] is kept");
}

const SORTED: &str = r#"
default = "words"
[stages.words]
kind = "command"
run = "sort input.txt > {{ outputs.words }}; echo ran >> words.ran"
inputs = ["input.txt"]
outputs = { words = "out/words.txt" }
"#;

#[test]
fn a_watched_project_runs_again_with_each_change_and_waits_for_a_faulty_file_to_be_mended() {
    let sandbox = Sandbox::new(SORTED);
    sandbox.write("input.txt", "b\na\n");
    let mut forge = sandbox.start(&["run", "--watch", "--output", "json"]);
    let mut lines = BufReader::new(forge.stdout.take().unwrap()).lines();
    let mut until = |name: &str| -> serde_json::Value {
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("no {name}")).unwrap();
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    };
    assert_eq!(until("watching")["places"], 2);
    // the same content is no change: of these two only the second one is seen
    sandbox.write("input.txt", "b\na\n");
    sandbox.write("input.txt", "c\nb\na\n");
    let changed = until("changed");
    assert_eq!(changed["paths"][0], "input.txt");
    assert_eq!(until("run_finished")["ran"].as_array().unwrap().len(), 1);
    let _ = until("watching");
    assert_eq!(sandbox.read("out/words.txt"), "a\nb\nc\n");

    sandbox.write("builds.toml", "[stages.words]\nkind = \"comand\"\n");
    let _ = until("changed");
    let _ = until("watching");
    sandbox.write(
        "builds.toml",
        &SORTED.replace("sort input", "sort -r input"),
    );
    let _ = until("changed");
    assert_eq!(until("run_finished")["outcome"], "done");
    let _ = until("watching");
    assert_eq!(sandbox.read("out/words.txt"), "c\nb\na\n");
    assert_eq!(sandbox.read("words.ran").lines().count(), 3);

    let pid = rustix::process::Pid::from_child(&forge);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = sandbox.output(&forge.wait_with_output().unwrap());
    let _ = output.exits(0).complains("did you mean `command`?");
}

#[test]
fn what_asks_needs_a_terminal_and_what_looks_a_machine() {
    let sandbox = Sandbox::new(SORTED);
    sandbox.write("input.txt", "b\na\n");
    for arguments in [&["run", "--on-error", "ask"][..], &["run", "--debug"]] {
        let output = sandbox.forge(arguments).exits(2);
        let _ = output.complains("asks at the terminal, and there is none");
    }
    let _ = sandbox
        .forge(&["run", "--watch", "--dry-run"])
        .exits(2)
        .complains("cannot be used with");
    for command in ["screenshot", "console"] {
        let _ = sandbox
            .forge(&[command, "words"])
            .exits(2)
            .complains("no machine of words runs now");
    }
    let _ = sandbox
        .forge(&["ssh", "words@1"])
        .exits(2)
        .complains("stage `words` leaves no machine");
    let _ = sandbox
        .forge(&["ssh", "words@1", "--kept"])
        .exits(2)
        .complains("`@STEP` names another machine");
}
