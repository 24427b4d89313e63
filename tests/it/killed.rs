//! `kill -9` at any instant: the next forge finishes what is left, and builds the same.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use super::support::Sandbox;
use super::support::killing::{
    Moment, alone, assert_whole, guest_files, kill_run, left_over, processes,
};

const fn at(stage: &'static str, step: &'static str, after: u64) -> Moment {
    Moment {
        stage,
        step,
        after: Duration::from_millis(after),
    }
}

/// Makes a stage out of date, without a difference in the guest; `round` makes it new each time.
fn make_stale(sandbox: &Sandbox, stage: &str, round: u64) {
    let replace = |file: &str, pattern: &str, with: String| {
        let text = sandbox.read(file);
        let pattern = regex::Regex::new(pattern).unwrap();
        assert!(pattern.is_match(&text), "{file} has no {pattern}");
        sandbox.write(file, &pattern.replace(&text, with));
    };
    let append = |file: &str| {
        let text = sandbox.read(file);
        sandbox.write(file, &format!("{text}\n# round {round}\n"));
    };
    match stage {
        "iso-base" => append("kickstart/mini/ks.cfg"),
        // its first step, or its second one
        "provision" if round.is_multiple_of(3) => append("scripts/install.sh"),
        "provision" => append("scripts/cleanup.sh"),
        "export" => {
            let level = 1 + round % 8;
            let with = format!("[stages.export]\nlevel = {level}\nfrom");
            replace(
                "builds.toml",
                r"\[stages\.export\]\n(level = \d\n)?from",
                with,
            );
        }
        "pack-ova" => replace(
            "builds.toml",
            "K3s node( \\d+)? on",
            format!("K3s node {round} on"),
        ),
        _ => replace(
            "scripts/goss/goss.yaml",
            r"timeout: \d+",
            format!("timeout: {}", 10_000 + round),
        ),
    }
}

/// Moments of a build that has everything from `provision` on to do, in order: each run goes on where the one before was
/// killed.
const MOMENTS: &[Moment] = &[
    at("provision", "keeping the running machine", 40),
    at("provision", "[3/3]", 0),
    at("provision", "keeping the disks", 5),
    at("export", "writing disk", 10),
    at("pack-ova", "packing", 5),
    at("verify", "unpacking", 5),
    at("verify", "waiting for ssh", 100),
];

#[test]
fn vm_killed_at_every_stage_the_next_forge_clears_up_and_the_build_is_the_same() {
    let alone = alone();
    let sandbox = &alone.sandbox;
    let before = guest_files(sandbox);
    for stage in ["provision", "export", "pack-ova", "verify"] {
        make_stale(sandbox, stage, 1);
    }
    // any command finishes what was left
    let nexts: [&[&str]; 4] = [
        &["plan", "ova"],
        &["cache", "ls"],
        &["clean", "--dry-run"],
        &["cache", "gc", "--dry-run"],
    ];
    for (moment, next) in MOMENTS.iter().zip(nexts.iter().cycle()) {
        assert!(kill_run(sandbox, "ova", *moment), "{moment:?}");
        let output = sandbox.forge(next).exits(0);
        assert_eq!(
            left_over(sandbox),
            Vec::<String>::new(),
            "{moment:?}\n{}",
            output.all()
        );
    }
    let _ = sandbox.forge(&["run", "ova"]).exits(0);
    same(&before, &guest_files(sandbox));
    assert_whole(sandbox);

    // a shell is no stage, but a machine
    let mut child = sandbox.start(&["ssh", "provision", "--exec", "echo inside; sleep 600"]);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "inside"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!processes(sandbox).is_empty(), "kill -9 leaves the machine");
    let _ = sandbox
        .forge(&["cache", "ls"])
        .exits(0)
        .complains("cleaned up");
    assert_whole(sandbox);
    appliances(sandbox);
}

/// `forge ova` outside of a build.
fn appliances(sandbox: &Sandbox) {
    let output = walkdir::WalkDir::new(sandbox.path("output")).into_iter();
    let output = output.map(|entry| entry.unwrap().into_path());
    let ova = output
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "ova"));
    let ova = ova.unwrap().display().to_string();
    for round in 0..4 {
        let dir = format!("unpacked-{round}");
        let whole = kill_after(sandbox, &["ova", "unpack", &ova, &dir], 3 + 7 * round);
        let _ = sandbox.forge(&["runs"]).exits(0);
        assert_eq!(left_over(sandbox), Vec::<String>::new(), "round {round}");
        if whole {
            break;
        }
    }
    let _ = sandbox.forge(&["ova", "unpack", &ova, "whole"]).exits(0);
    let ovf = std::fs::read_dir(sandbox.path("whole")).unwrap();
    let ovf = ovf.map(|entry| entry.unwrap().path());
    let ovf = ovf
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "ovf"));
    let ovf = ovf.unwrap().display().to_string();
    for round in 0..4 {
        kill_after(
            sandbox,
            &["ova", "pack", &ovf, "--out", "again.ova"],
            3 + 7 * round,
        );
        let _ = sandbox.forge(&["runs"]).exits(0);
        assert_eq!(left_over(sandbox), Vec::<String>::new(), "round {round}");
    }
}

/// Kills a command after some milliseconds; true: it had ended.
fn kill_after(sandbox: &Sandbox, args: &[&str], after: u64) -> bool {
    let mut child = sandbox.start(args);
    // the instants are the point of the test, not something to wait for
    std::thread::sleep(Duration::from_millis(after));
    let ended = matches!(child.try_wait(), Ok(Some(_)));
    let _ = child.kill();
    child.wait().unwrap();
    ended
}

fn same(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    assert_eq!(others(before, after), Vec::<&String>::new());
    assert_eq!(others(after, before), Vec::<&String>::new());
}

/// The files of `one` that `other` does not have, or has otherwise.
fn others<'f>(
    one: &'f BTreeMap<String, String>,
    other: &BTreeMap<String, String>,
) -> Vec<&'f String> {
    let differ = one
        .iter()
        .filter(|(name, content)| other.get(*name) != Some(content));
    differ.map(|(name, _)| name).collect()
}

#[test]
fn killed_while_it_converts_a_disk_nothing_is_left() {
    let sandbox = Sandbox::empty();
    let noise =
        (0_u64..1 << 19).flat_map(|i| *forge::model::Digest::of(&i.to_le_bytes()).as_bytes());
    std::fs::write(sandbox.path("disk.raw"), noise.collect::<Vec<u8>>()).unwrap();
    for round in 0..6 {
        let args = ["disk", "convert", "disk.raw", "a.vmdk", "--force"];
        kill_after(&sandbox, &args, 3 + 20 * round);
        // Where files have names at once, the next forge removes it.
        let _ = sandbox.forge(&["cache", "ls"]).exits(0);
        let left = std::fs::read_dir(sandbox.root()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.retain(|name| name != "disk.raw" && name != "a.vmdk");
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn killed_while_it_cleans_and_collects_nothing_is_lost() {
    let stages: String = (0..30)
        .map(|i| format!("[stages.s{i}]\nkind = \"command\"\nrun = \"echo {i} > {{{{ outputs.o }}}}\"\noutputs = {{ o = \"out/{i}\" }}\n"))
        .collect();
    let names: Vec<String> = (0..30).map(|i| format!("s{i}")).collect();
    let sandbox = Sandbox::new(&format!(
        "version = 1\ndefault = \"all\"\n{stages}[targets]\nall = {names:?}\n"
    ));
    for round in 0..10 {
        let _ = sandbox.forge(&["run", "--quiet"]).exits(0);
        kill_after(&sandbox, &["clean"], 4 + 3 * round);
        kill_after(
            &sandbox,
            &["cache", "gc", "--older-than", "0s", "--quota", "1B"],
            3 + 2 * round,
        );
        let _ = sandbox.forge(&["runs"]).exits(0);
        assert_whole(&sandbox);
    }
    let _ = sandbox.forge(&["run"]).exits(0);
    assert_eq!(sandbox.read("out/29"), "29\n");
    let _ = sandbox.forge(&["clean"]).exits(0);
    let _ = sandbox.forge(&["cache", "ls"]).exits(0).prints("0 objects");
}

/// Numbers that the seed alone decides (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The stages and how often each is chosen: what takes long has more instants.
const STAGES: &[(&str, u64)] = &[
    ("iso-base", 2),
    ("provision", 6),
    ("export", 4),
    ("pack-ova", 4),
    ("verify", 4),
];

/// `FORGE_KILLS` and `FORGE_KILL_SEED` say how often and when.
#[test]
#[ignore = "takes most of an hour: scripts/test --nightly"]
fn vm_nightly_killed_at_fifty_random_instants() {
    let (kills, seed) = (
        number("FORGE_KILLS", 50),
        number("FORGE_KILL_SEED", 20_261_127),
    );
    let mut random = Random(seed);
    let alone = alone();
    let sandbox = &alone.sandbox;
    let mut took: BTreeMap<&str, u64> = BTreeMap::new();
    let before = guest_files(sandbox);
    let (mut done, mut round) = (0, 0);
    while done < kills {
        round += 1;
        let mut ticket = random.below(STAGES.iter().map(|(_, weight)| weight).sum());
        let chosen = STAGES
            .iter()
            .find(|(_, weight)| match ticket.checked_sub(*weight) {
                Some(rest) => {
                    ticket = rest;
                    false
                }
                None => true,
            });
        let stage = chosen.unwrap().0;
        make_stale(sandbox, stage, round);
        // the first time tells how long the stage takes
        let range = *took
            .entry(stage)
            .or_insert_with(|| duration(sandbox, stage));
        let after = random.below(range.max(1));
        let begun = Instant::now();
        let killed = kill_run(sandbox, target(stage), at(stage, "", after));
        println!(
            "seed {seed} round {round}: {stage} killed {after} ms after its start of {range}: {killed}"
        );
        done += u64::from(killed);
        let output = sandbox.forge(&["cache", "ls"]).exits(0);
        assert_eq!(left_over(sandbox), Vec::<String>::new(), "{}", output.all());
        let _ = sandbox.forge(&["run", target(stage)]).exits(0);
        if target(stage) != "verify" || round % 4 == 0 {
            same(&before, &guest_files(sandbox));
        }
        assert_whole(sandbox);
        println!("  {} kills, {}s", done, begun.elapsed().as_secs());
    }
    let _ = sandbox.forge(&["run", "ova"]).exits(0);
    same(&before, &guest_files(sandbox));
    assert_whole(sandbox);
}

/// What is built again after a kill in `stage`: no more than shows whether it is the same.
fn target(stage: &str) -> &str {
    match stage {
        "iso-base" | "provision" => "export",
        stage => stage,
    }
}

/// How long the stage took last, in milliseconds.
fn duration(sandbox: &Sandbox, stage: &str) -> u64 {
    let runs = sandbox
        .forge(&["runs", "--json", "--limit", "100"])
        .exits(0);
    let runs: serde_json::Value = serde_json::from_str(&runs.stdout).unwrap();
    let stages = runs
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|run| run["stages"].as_array().unwrap());
    let name = format!("{stage}[os=mini]");
    let mut took = stages.filter(|ran| ran["stage"] == name.as_str() && ran["outcome"] == "done");
    took.next()
        .map_or(2000, |ran| ran["duration_ms"].as_u64().unwrap())
}
