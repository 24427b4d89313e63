//! Real guests: the repository's own project, built, cached, verified, broken.

use std::io::{BufRead as _, BufReader};
use std::time::Instant;

use super::support::killing::files_left_over;
use super::support::{Sandbox, vm};

fn only(dir: &std::path::Path, extension: &str) -> std::path::PathBuf {
    let mut found: Vec<_> = walkdir::WalkDir::new(dir)
        .into_iter()
        .map(|e| e.unwrap().into_path())
        .filter(|p| p.to_string_lossy().ends_with(extension))
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn replace(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let text = sandbox.read(file);
    assert!(text.contains(from), "{file} has no `{from}`");
    sandbox.write(file, &text.replacen(from, to, 1));
}

#[test]
fn vm_run_ova_builds_a_verified_appliance_and_then_nothing() {
    let sandbox = vm::fork();
    let ova = only(&sandbox.path("output"), ".ova");
    let listed = std::fs::read_to_string(format!("{}.sha256", ova.display())).unwrap();
    let sum = std::process::Command::new("sha256sum")
        .arg(ova.file_name().unwrap())
        .current_dir(ova.parent().unwrap())
        .output();
    assert_eq!(
        listed,
        String::from_utf8(sum.unwrap().stdout).unwrap(),
        "the checksum file is what sha256sum writes"
    );
    let names = std::process::Command::new("tar")
        .args(["-tf"])
        .arg(&ova)
        .output()
        .unwrap();
    let names = String::from_utf8(names.stdout).unwrap();
    assert!(
        names.lines().next().unwrap().ends_with(".ovf"),
        "the descriptor comes first: {names}"
    );
    let info = std::process::Command::new("qemu-img")
        .args(["info", "--output=json"])
        .arg(only(&sandbox.path("output"), ".vmdk"))
        .output();
    let info: serde_json::Value = serde_json::from_slice(&info.unwrap().stdout).unwrap();
    assert_eq!(
        info["format-specific"]["data"]["create-type"],
        "streamOptimized"
    );
    // a disk can be trimmed, and was before the machine was turned off
    let log = only(&sandbox.path(".forge/logs"), "provision@os=mini.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("given back /\n"), "{log}");
    let junit = std::fs::read_to_string(only(&sandbox.path("output"), "junit.xml")).unwrap();
    assert!(
        junit.contains("failures=\"0\"") && junit.contains("testcase"),
        "{junit}"
    );

    let log = only(&sandbox.path(".forge/logs"), "provision@os=mini.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("going on from the running machine") && !log.contains("starting the machine"),
        "the installed machine was not booted again: {log}"
    );

    let _ = sandbox
        .forge(&["plan", "ova", "--detailed-exitcode"])
        .exits(0);
    let started = Instant::now();
    let _ = sandbox
        .forge(&["run", "ova"])
        .exits(0)
        .prints("nothing to do");
    assert!(started.elapsed().as_secs() < 20, "nothing was booted");
}

#[test]
fn vm_a_changed_script_reruns_from_provision_and_a_shell_sees_the_change() {
    let sandbox = vm::fork();
    let script = sandbox.read("scripts/cleanup.sh");
    sandbox.write(
        "scripts/cleanup.sh",
        &format!("{script}\necho changed-by-the-test > /root/mark\n"),
    );
    let plan = sandbox
        .forge(&["plan", "provision"])
        .exits(0)
        .prints("scripts/cleanup.sh changed");
    assert!(
        !plan.stdout.contains("iso-base[os=mini] will"),
        "{}",
        plan.stdout
    );
    let _ = sandbox.forge(&["run", "provision"]).exits(0);
    let _ = sandbox
        .forge(&["ssh", "provision", "--exec", "cat /root/mark; exit 0"])
        .exits(0)
        .prints("changed-by-the-test");
    let _ = sandbox
        .forge(&["ssh", "provision", "--exec", "exit 3"])
        .exits(3);
}

#[test]
fn vm_steps_upload_run_reboot_retry_and_check() {
    let sandbox = vm::fork();
    let text = sandbox.read("builds.toml");
    let steps = r#"
[stages.steps]
kind = "provision"
from = "clone"
scopes = ["common"]
[[stages.steps.steps]]
upload = { source = "tree", to = "/opt/tree" }
[[stages.steps.steps]]
shell = { inline = "set -e; test -x /opt/tree/run.sh; test \"$(cat '/opt/tree/sub/nämé.txt')\" = content; cat /proc/sys/kernel/random/boot_id > /root/first; echo \"greeting: $GREETING\"", env = { GREETING = "it's me" } }
[[stages.steps.steps]]
shell = { inline = "head -c 4000 /dev/urandom; echo; echo x >> /root/tries; test $(wc -l < /root/tries) -ge 2 || exit 9" }
retries = 1
[[stages.steps.steps]]
shell = { inline = "exit 42", valid_exit_codes = [0, 42] }
[[stages.steps.steps]]
reboot = true
[[stages.steps.steps]]
shell = { script = "tree/run.sh" }
[[stages.steps.steps]]
local = { run = "echo local sees $FORGE_SSH_USER@$FORGE_SSH_HOST:$FORGE_SSH_PORT" }
[[stages.steps.steps]]
shell = { inline = "echo not-for-mini" }
only = { os = "debian12" }
[[stages.steps.steps]]
check = { checks = { file = { "/root/second" = { exists = true } }, port = { "tcp:22" = { listening = true } } } }
"#;
    sandbox.write("builds.toml", &format!("{text}\n{steps}"));
    sandbox.write("tree/sub/nämé.txt", "content");
    sandbox.write("tree/run.sh", "#!/bin/sh\nset -e\ncat /proc/sys/kernel/random/boot_id > /root/second\n! cmp -s /root/first /root/second\necho rebooted for real\n");
    let status = std::process::Command::new("chmod")
        .args(["+x"])
        .arg(sandbox.path("tree/run.sh"))
        .status()
        .unwrap();
    assert!(status.success());
    let output = sandbox.forge(&["run", "steps"]).exits(0);
    for line in [
        "greeting: it's me",
        "rebooted for real",
        "local sees root@127.0.0.1:",
        "trying again (1 of 1)",
    ] {
        assert!(
            output.stdout.contains(line),
            "no `{line}` in\n{}",
            output.stdout
        );
    }
    assert!(
        !output.stdout.contains("not-for-mini"),
        "the step of another axis value ran"
    );
}

#[test]
fn vm_a_failing_script_is_shown_with_its_output_and_can_be_entered() {
    let sandbox = vm::fork();
    sandbox.write("scripts/install.sh", "#!/bin/sh\necho about to fail > /run/evidence\nfor i in $(seq 30); do echo step $i; done\nexit 5\n");
    let output = sandbox
        .forge(&["run", "provision", "--quiet", "--on-error", "keep"])
        .exits(1);
    let all = format!("{}{}", output.stdout, output.stderr);
    for part in [
        "scripts/install.sh",
        "exit code 5",
        "step 30",
        "step 11",
        "provision@os=mini.log",
        "`forge ssh provision` enters it",
    ] {
        assert!(all.contains(part), "no `{part}` in\n{all}");
    }
    // in memory: no disk has it
    for more in [&[][..], &["--failed"]] {
        let arguments = [&["ssh", "provision", "--exec", "cat /run/evidence"], more].concat();
        let _ = sandbox
            .forge(&arguments)
            .exits(0)
            .prints("about to fail")
            .complains("entering the machine of provision[os=mini] that was kept, as it runs");
    }
}

#[test]
fn vm_a_script_that_hangs_is_ended_at_its_timeout() {
    let sandbox = vm::fork();
    sandbox.write("scripts/install.sh", "#!/bin/sh\necho before\nsleep 600\n");
    replace(
        &sandbox,
        "builds.toml",
        "retries = 2\ntimeout = \"30m\"",
        "timeout = \"3s\"",
    );
    let output = sandbox.forge(&["run", "provision"]).exits(1);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains("took longer than"), "{all}");
}

#[test]
fn vm_a_guest_that_turns_itself_off_is_told() {
    let sandbox = vm::fork();
    sandbox.write(
        "scripts/install.sh",
        "#!/bin/sh\necho going\npoweroff -f\nsleep 60\n",
    );
    let output = sandbox.forge(&["run", "provision"]).exits(1);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains("connection"), "{all}");
    assert!(running_qemu(&sandbox).is_empty());
}

#[test]
fn vm_a_wrong_password_is_told_long_before_the_timeout() {
    let sandbox = vm::fork();
    let text = sandbox.read("builds.toml");
    let stage = "\n[stages.wrong]\nkind = \"provision\"\nfrom = \"clone\"\nscopes = [\"common\"]\nssh = { user = \"root\", password = \"not-the-password\", timeout = \"20m\" }\n[[stages.wrong.steps]]\nshell = { inline = \"true\" }\n";
    sandbox.write("builds.toml", &format!("{text}{stage}"));
    let output = sandbox.forge(&["run", "wrong"]).exits(1);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(all.contains("refuses the login of `root`"), "{all}");
    assert!(all.contains(".png"), "a screenshot: {all}");
    assert!(!all.contains("not-the-password"), "{all}");
}

#[test]
fn vm_killed_in_the_middle_of_a_build_the_next_run_finishes_it() {
    let sandbox = vm::fork();
    let script = sandbox.read("scripts/cleanup.sh");
    sandbox.write(
        "scripts/cleanup.sh",
        &format!("echo it has begun; sleep 2\n{script}"),
    );
    let mut child = sandbox.start(&["run", "provision", "--output", "plain"]);
    let reader = BufReader::new(child.stdout.take().unwrap());
    let met = reader
        .lines()
        .any(|line| line.unwrap().contains("it has begun"));
    assert!(met, "the steps began");
    child.kill().unwrap();
    child.wait().unwrap();
    let orphans = running_qemu(&sandbox);
    assert_eq!(orphans.len(), 1, "kill -9 leaves the machine");
    let output = sandbox.forge(&["run", "provision"]).exits(0);
    assert!(
        format!("{}{}", output.stdout, output.stderr).contains("cleaned up"),
        "{}",
        output.all()
    );
    assert!(running_qemu(&sandbox).is_empty());
    assert_eq!(files_left_over(&sandbox), Vec::<String>::new());
}

/// Machines whose run id stands in the project's history of journals: found by the environment of their processes.
fn running_qemu(sandbox: &Sandbox) -> Vec<u32> {
    let logs = sandbox.path(".forge/logs");
    let runs: Vec<String> = std::fs::read_dir(logs)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let env = String::from_utf8_lossy(&env).into_owned();
            String::from_utf8_lossy(&line).contains("qemu-system")
                && runs
                    .iter()
                    .any(|run| env.contains(&format!("FORGE_RUN_ID={run}\0")))
        })
        .collect()
}

#[test]
fn vm_an_installer_without_its_kickstart_is_told_with_what_stands_on_the_screen() {
    let sandbox = vm::fork();
    replace(
        &sandbox,
        "vars/mini.toml",
        "ks.cfg<enter>",
        "nothere.cfg<enter>",
    );
    let started = Instant::now();
    let output = sandbox.forge(&["run", "iso-base"]).exits(1);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(
        all.contains("stood still") && all.contains("screen: ") && all.contains(".png"),
        "{all}"
    );
    assert!(started.elapsed().as_secs() < 600, "within minutes");
}

#[test]
fn vm_verify_fails_when_a_check_does_not_hold() {
    let sandbox = vm::fork();
    let goss = sandbox.read("scripts/goss/goss.yaml");
    sandbox.write("scripts/goss/goss.yaml", &format!("{goss}\n"));
    let text = sandbox.read("builds.toml");
    let stage = "\n[stages.strict]\nkind = \"verify\"\nfrom = \"pack-ova\"\nscopes = [\"common\"]\n[stages.strict.checks.file.\"/no/such/file\"]\nexists = true\n";
    sandbox.write("builds.toml", &format!("{text}{stage}"));
    let output = sandbox.forge(&["run", "strict"]).exits(1);
    let all = format!("{}{}", output.stdout, output.stderr);
    assert!(
        all.contains("/no/such/file") && all.contains("1 of 1"),
        "{all}"
    );
}

#[test]
fn vm_a_generated_key_opens_the_guest_that_its_installer_put_it_into() {
    let sandbox = vm::fork();
    replace(
        &sandbox,
        "kickstart/mini/ks.cfg",
        "%post\n",
        "%post\nmkdir -m 700 -p /root/.ssh\necho \"{{ ssh.public_key }}\" >/root/.ssh/authorized_keys\n",
    );
    replace(
        &sandbox,
        "builds.toml",
        "password = \"{{ common.ssh_password }}\", timeout",
        "generate_key = true, timeout",
    );
    let _ = sandbox.forge(&["run", "iso-base"]).exits(0);
    let key = sandbox.read(".forge/ssh/id_ed25519.pub");
    let _ = sandbox
        .forge(&[
            "ssh",
            "iso-base",
            "--exec",
            "cat /root/.ssh/authorized_keys",
        ])
        .exits(0)
        .prints(key.trim());
    // the guest knows no other key
    std::fs::remove_dir_all(sandbox.path(".forge/ssh")).unwrap();
    let _ = sandbox
        .forge(&["plan", "iso-base"])
        .exits(0)
        .prints(".forge/ssh/id_ed25519.pub changed");
}

/// A stage of two steps, of which the second one is told apart by `word`.
fn layered(word: &str) -> String {
    format!(
        r#"
[stages.layered]
kind = "provision"
from = "clone"
checkpoint = "always"
[[stages.layered.steps]]
shell = {{ inline = "echo one >> /root/trace; date -s @86400" }}
[[stages.layered.steps]]
shell = {{ inline = "echo {word}; cat /root/trace; echo clock $(date +%s)" }}
"#
    )
}

#[test]
fn vm_only_the_changed_step_is_done_again_in_the_machine_as_it_was() {
    let sandbox = vm::fork();
    let text = sandbox.read("builds.toml");
    let build = |word: &str, more: &[&str]| {
        sandbox.write("builds.toml", &format!("{text}{}", layered(word)));
        let arguments = [&["run", "layered", "--output", "plain"], more].concat();
        let output = sandbox.forge(&arguments).exits(0);
        let clock = regex::Regex::new(r"clock (\d+)").unwrap();
        let clock: u64 = clock.captures(&output.stdout).unwrap()[1].parse().unwrap();
        let traces = output.stdout.matches("| one\n").count();
        (output, clock, traces)
    };
    let begun = std::time::SystemTime::now();
    let (_, clock, traces) = build("first", &[]);
    assert!(
        clock < 100_000 && traces == 1,
        "the first step set the clock back"
    );

    let changed = format!("{text}{}", layered("second"));
    sandbox.write("builds.toml", &changed);
    let _ = sandbox
        .forge(&["plan", "layered"])
        .exits(0)
        .prints("1 of 2 steps cached, from step 2: inline script 1 ");
    let (output, clock, traces) = build("second", &[]);
    let _ = output.prints("1 of 2 steps are as they were");
    assert_eq!(traces, 1, "the first step was not done again");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let off = now.unwrap().as_secs().abs_diff(clock);
    assert!(off < 60, "the resumed guest's clock is {off}s off");

    // what cannot be read only counts as missing
    let objects = walkdir::WalkDir::new(sandbox.cache().join("objects"));
    for file in objects.into_iter().map(Result::unwrap) {
        let path = file.path();
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let is_new = || file.metadata().unwrap().modified().unwrap() > begun;
        if path.is_file() && std::fs::read(path).unwrap().starts_with(&magic) && is_new() {
            std::fs::remove_file(path).unwrap();
        }
    }
    let (output, _, traces) = build("third", &[]);
    assert!(!output.stdout.contains("as they were"), "{}", output.stdout);
    assert_eq!(traces, 1, "started from the disks");
    let (output, ..) = build("third", &["--force", "layered"]);
    assert!(!output.stdout.contains("as they were"), "{}", output.stdout);

    let (output, ..) = build("fourth", &[]);
    let _ = output.prints("1 of 2 steps are as they were");
    let _ = sandbox
        .forge(&["clean", "layered", "--dry-run"])
        .exits(0)
        .prints("would remove the checkpoints of layered[os=mini]");
}
