//! The store under pressure: a full disk, and two forges at one time.

use std::path::Path;
use std::process::Command;

use super::support::{Output, Sandbox, vm};

const BIG: &str = r#"
version = 1
default = "big"
[stages.small]
kind = "command"
run = "echo small > {{ outputs.o }}"
outputs = { o = "out/small" }
[stages.big]
kind = "command"
needs = ["small"]
run = "head -c 5000000 /dev/zero | tr '\\0' x > {{ outputs.o }}"
outputs = { o = "out/big" }
"#;

/// Runs a shell script with `$forge` and a cache of one mebibyte that vanishes with it.
fn in_a_small_cache(sandbox: &Sandbox, script: &str) -> Output {
    on_a_small_disk(sandbox, sandbox.cache(), "1m", script)
}

/// Runs a shell script with `$forge`, for which `dir` is a file system of this size that vanishes with it.
fn on_a_small_disk(sandbox: &Sandbox, dir: &Path, size: &str, script: &str) -> Output {
    let user = Command::new("id").arg("-u").output().unwrap().stdout;
    // without root a user namespace gives the right to mount
    let flags: &[&str] = if user == b"0\n" { &["-m"] } else { &["-rm"] };
    let script = format!(
        "mkdir -p '{dir}' && mount -t tmpfs -o size={size} forge-test '{dir}' || exit 99\nforge='{forge}'\n{script}",
        dir = dir.display(),
        forge = env!("CARGO_BIN_EXE_forge"),
    );
    // the environment and the directory of a forge command, with another program
    let template = sandbox.command(&[]);
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "-c", &script]);
    command.current_dir(sandbox.root()).env_clear();
    command.envs(template.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let output = sandbox.output(&command.output().expect("unshare (util-linux) is needed"));
    assert_ne!(
        output.code,
        99,
        "a file system cannot be mounted here; run the tests as root or allow user namespaces:\n{}",
        output.all()
    );
    output
}

#[test]
fn a_full_disk_is_told_and_nothing_is_damaged() {
    let sandbox = Sandbox::new(BIG);
    let output = in_a_small_cache(
        &sandbox,
        "\"$forge\" run; echo \"run: $?\"; \"$forge\" cache verify; echo \"verify: $?\"; ls \"$FORGE_CACHE_DIR\"/staging 2>/dev/null\nexit 0",
    );
    insta::assert_snapshot!(output.all(), @r#"
    exit 0
    --- stdout
    forge | -- run [RUN] of big: 2 stages
    small | -- started: never built
    small | -- echo small > ${outputs.o}
    small | -- keeping out/small
    small | -- done in [TIME]
    big | -- started: never built
    big | -- head -c 5000000 /dev/zero | tr '\0' x > ${outputs.o}
    big | -- keeping out/big
    big | -- failed after [TIME]: [CACHE]: the disk is full

    failed big: [CACHE]: the disk is full
      at          keeping out/big
      log         [ROOT]/.forge/logs/[RUN]/big.log
      help        make room, for example with `forge cache gc`, or set FORGE_CACHE_DIR to a place with more

    failed after [TIME]: 1 stage failed, 1 stage ran

      ran     small  [TIME]
      failed  big

      out/small  6B
    run: 3
    1 object, 6B: all intact
    verify: 0
    --- stderr
    "#);
    // with room for it, it goes through
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("out/big").len(), 5_000_000);
    let _ = sandbox.forge(&["cache", "verify"]).exits(0);
}

#[test]
fn two_projects_put_the_same_content_into_one_cache_at_one_time() {
    let stages: String = (0..8)
        .map(|i| format!("[stages.s{i}]\nkind = \"command\"\nrun = \"echo {i} > {{{{ outputs.o }}}}; head -c 300000 /dev/zero >> {{{{ outputs.o }}}}\"\noutputs = {{ o = \"out/{i}\" }}\n"))
        .collect();
    let names: Vec<String> = (0..8).map(|i| format!("s{i}")).collect();
    let text = format!("version = 1\ndefault = \"all\"\n{stages}[targets]\nall = {names:?}\n");
    let one = Sandbox::new(&text);
    let two = Sandbox::new(&text).with_cache(one.cache());
    let children = [&one, &two].map(|sandbox| sandbox.start(&["run", "--jobs", "4"]));
    for (sandbox, child) in [&one, &two].into_iter().zip(children) {
        let output = sandbox.output(&child.wait_with_output().unwrap());
        let _ = output.exits(0).prints("8 stages ran");
    }
    let _ = one.forge(&["cache", "verify"]).exits(0).prints("8 objects");
    for sandbox in [&one, &two] {
        let _ = sandbox.forge(&["run"]).exits(0).prints("nothing to do");
    }
    // what the other project needs stays
    let _ = one.forge(&["clean"]).exits(0);
    std::fs::remove_dir_all(two.path("out")).unwrap();
    let _ = two.forge(&["run"]).exits(0).prints("nothing to do");
    assert!(two.exists("out/7"));
}

#[test]
fn vm_a_disk_that_a_guest_fills_is_told_and_nothing_is_left() {
    let sandbox = vm::fork();
    let stage = "\n[stages.filler]\nkind = \"provision\"\nfrom = \"clone\"\nscopes = [\"common\"]\ncheckpoint = \"never\"\n[[stages.filler.steps]]\nshell = { inline = \"head -c 200000000 /dev/urandom > /root/big; sync\" }\n";
    let text = sandbox.read("builds.toml");
    sandbox.write("builds.toml", &format!("{text}{stage}"));
    // machines' files are made there
    let staging = sandbox.cache().join("staging");
    let script =
        "\"$forge\" run filler; echo \"run: $?\"; ls \"$FORGE_CACHE_DIR\"/staging | wc -l; exit 0";
    let output = on_a_small_disk(&sandbox, &staging, "64m", script).exits(0);
    for part in [
        "qemu stopped the guest, whose disks lie in ",
        ": No space left on device",
        "help        make room, for example with `forge cache gc`",
        "run: 3\n0\n",
    ] {
        assert!(
            output.stdout.contains(part),
            "no `{part}` in\n{}",
            output.all()
        );
    }
}
