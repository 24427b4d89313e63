//! Killing forge in the middle, and looking at what is left.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use forge::model::Digest;

use super::{Sandbox, vm};

/// When forge is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The stage.
    pub(crate) stage: &'static str,
    /// Part of the line of a step of it; empty: its start.
    pub(crate) step: &'static str,
    /// How long after it. Instants are the point of these tests, so that is no wait for anything.
    pub(crate) after: Duration,
}

/// A project with a cache of its own.
pub(crate) struct Alone {
    pub(crate) sandbox: Sandbox,
    _cache: tempfile::TempDir,
}

/// A copy of the built project that shares nothing with other tests; its machines are kept after every step.
pub(crate) fn alone() -> Alone {
    let built = vm::built();
    // objects are linked, which takes the same file system
    let beside = vm::shared_cache();
    let cache = tempfile::Builder::new()
        .prefix("test-alone-")
        .tempdir_in(beside.parent().unwrap())
        .unwrap();
    // others clear up meanwhile: what matters is looked at below
    let _ = Command::new("cp")
        .args(["-al", "--"])
        .arg(beside.join("objects"))
        .arg(cache.path())
        .stderr(Stdio::null())
        .status();
    let sandbox = Sandbox::empty().with_cache(cache.path());
    vm::copy_tree(&built.root(), &sandbox.root());
    let _ = sandbox
        .forge(&["plan", "ova", "--detailed-exitcode"])
        .exits(0);
    let _ = sandbox
        .forge(&["cache", "gc", "--older-than", "0s"])
        .exits(0);
    let text = sandbox.read("builds.toml");
    let text = text
        .replace(
            "[stages.provision]\n",
            "[stages.provision]\ncheckpoint = \"always\"\n",
        )
        // a machine that does much beside may be too slow for a login
        .replace("[stages.verify]\n", "[stages.verify]\nretries = 2\n");
    sandbox.write("builds.toml", &text);
    Alone {
        sandbox,
        _cache: cache,
    }
}

/// Starts `forge run TARGET` and kills it; false: it ended before that.
pub(crate) fn kill_run(sandbox: &Sandbox, target: &str, moment: Moment) -> bool {
    let mut child = sandbox
        .command(&["run", target, "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reader = BufReader::new(child.stdout.take().unwrap());
    let met = reader.lines().map_while(Result::ok).any(|line| {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        let of_stage = event["name"] == moment.stage;
        of_stage
            && match moment.step {
                "" => event["event"] == "stage_started",
                step => event["text"]
                    .as_str()
                    .is_some_and(|text| text.contains(step)),
            }
    });
    if met {
        std::thread::sleep(moment.after);
    }
    // one that has ended can be killed still: until it is waited for
    let running = matches!(child.try_wait(), Ok(None));
    child.kill().unwrap();
    child.wait().unwrap();
    met && running
}

/// [`files_left_over`], and processes: for a cache that no other test uses at the time.
pub(crate) fn left_over(sandbox: &Sandbox) -> Vec<String> {
    let mut left = files_left_over(sandbox);
    left.extend(
        processes(sandbox)
            .iter()
            .map(|pid| format!("process {pid}")),
    );
    left
}

/// What stands in the cache's journal and staging area, and temporary files in the project, of nobody who lives.
pub(crate) fn files_left_over(sandbox: &Sandbox) -> Vec<String> {
    let mut left = Vec::new();
    for dir in ["running", "staging"] {
        let entries = std::fs::read_dir(sandbox.cache().join(dir)).unwrap();
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let id = match dir {
                "running" => name.split('.').next().unwrap(),
                _ => name.rsplit_once('-').unwrap().0,
            };
            if !is_locked(&sandbox.cache().join("running").join(id)) {
                left.push(format!("{dir}/{name}"));
            }
        }
    }
    let files = walkdir::WalkDir::new(sandbox.root()).into_iter();
    let files = files.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    left.extend(files.filter(|name| name.starts_with(".forge-") || name.ends_with(".part")));
    left
}

fn is_locked(path: &Path) -> bool {
    // "-E 9": the lock is held, and not: there is no such program
    let status = Command::new("flock")
        .args(["-n", "-s", "-E", "9"])
        .arg(path)
        .arg("true")
        .status()
        .unwrap();
    path.exists() && status.code() == Some(9)
}

/// The processes that forge has started with this cache; those of a command whose environment is bare are not among them.
pub(crate) fn processes(sandbox: &Sandbox) -> Vec<u32> {
    let mark = format!("FORGE_CACHE_DIR={}", sandbox.cache().display());
    let pids = std::fs::read_dir("/proc").unwrap();
    let pids = pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        env.split(|b| *b == 0).any(|var| var == mark.as_bytes())
    })
    .collect()
}

/// Everything is accounted for: nothing of a killed forge is left, and all that is in the store is somebody's.
pub(crate) fn assert_whole(sandbox: &Sandbox) {
    assert_eq!(left_over(sandbox), Vec::<String>::new());
    let _ = sandbox.forge(&["cache", "verify"]).exits(0);
    for object in objects(sandbox) {
        let owned = object["kind"] != "other" || !object["origin"].is_null();
        assert!(owned, "nothing leads to {object}");
    }
}

fn objects(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let listed = sandbox.forge(&["cache", "ls", "--json"]).exits(0);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    listed["objects"].as_array().unwrap().clone()
}

/// The files of the guest whose disk was exported last, with what they hold: a digest, or where a link leads.
pub(crate) fn guest_files(sandbox: &Sandbox) -> BTreeMap<String, String> {
    let disk = objects(sandbox)
        .into_iter()
        .find(|object| {
            let owners = object["owners"].as_array().unwrap();
            owners.iter().any(|owner| {
                owner["stage"].as_str().unwrap().starts_with("export")
                    && owner["part"] == "disk-1"
                    && owner["last"] == true
            })
        })
        .unwrap();
    let hex = disk["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    let disk = sandbox.cache().join("objects").join(&hex[..2]).join(&hex);
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    run(Command::new("qemu-img")
        .args(["convert", "-f", "vmdk", "-O", "raw"])
        .args([&disk, &raw]));
    let out = dir.path().join("files");
    std::fs::create_dir(&out).unwrap();
    let place = format!("{}?offset={}", raw.display(), first_partition(&raw));
    // for those who are not root it lies beside their search path; owners cannot be restored without root, which is told and fine
    let path = std::env::var("PATH").unwrap() + ":/usr/sbin:/sbin";
    run(Command::new("debugfs")
        .env("PATH", path)
        .args(["-R", &format!("rdump / {}", out.display()), &place])
        .stderr(Stdio::null()));
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&out).min_depth(1) {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(&out).unwrap();
        let name = format!("/{}", name.display());
        let content = if entry.file_type().is_symlink() {
            format!("-> {}", std::fs::read_link(entry.path()).unwrap().display())
        } else if entry.file_type().is_file() {
            Digest::of(&std::fs::read(entry.path()).unwrap()).short()
        } else {
            continue;
        };
        if !DIFFERENT_EACH_TIME
            .iter()
            .any(|start| name.starts_with(start))
        {
            files.insert(name, content);
        }
    }
    assert!(files.len() > 100, "{files:?}");
    files
}

/// Times, keys and seeds, which no two builds share.
const DIFFERENT_EACH_TIME: &[&str] = &[
    "/var/log/",
    "/var/run/",
    "/run/",
    "/tmp/",
    "/etc/dropbear/",
    "/etc/ssh/ssh_host",
    "/etc/shadow",
    "/boot/extlinux/ldlinux",
    "/boot/ldlinux",
    "/lost+found",
];

fn first_partition(raw: &PathBuf) -> u64 {
    let mut sector = [0; 512];
    std::io::Read::read_exact(&mut std::fs::File::open(raw).unwrap(), &mut sector).unwrap();
    let start = <[u8; 4]>::try_from(&sector[454..458]).unwrap();
    u64::from(u32::from_le_bytes(start)) * 512
}

fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}
