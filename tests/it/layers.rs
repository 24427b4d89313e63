//! Running machines as layers, with real guests: what is kept, what goes on from it, and what a plan says of that.

use super::support::{Sandbox, vm};

/// The repository's built project with more stages.
struct Layers {
    sandbox: Sandbox,
    text: String,
}

impl Layers {
    fn new() -> Self {
        let sandbox = vm::fork();
        let text = sandbox.read("builds.toml");
        Self { sandbox, text }
    }

    /// Writes `builds.toml` anew with these stages; axes are multiplied where the file names them.
    fn with(&self, stages: &str) {
        self.sandbox
            .write("builds.toml", &format!("{}\n{stages}", self.text));
    }

    /// The plan of the stage `developed`, which has to say this.
    fn plan(&self, says: &str) -> String {
        let plan = self
            .sandbox
            .forge(&["plan", "developed"])
            .exits(0)
            .prints(says);
        plan.stdout
    }

    fn database(&self, change: &str) {
        let db = rusqlite::Connection::open(self.sandbox.path(".forge/forge.db")).unwrap();
        assert!(db.execute(change, []).unwrap() > 0);
    }

    /// What the records say of the disks that a stage has left: the layers of the first one.
    fn layers(&self, stage: &str) -> Vec<String> {
        let db = rusqlite::Connection::open(self.sandbox.path(".forge/forge.db")).unwrap();
        let artifact: String = db
            .query_row(
                "SELECT artifact FROM records WHERE stage LIKE ?1 ORDER BY number DESC LIMIT 1",
                [format!("%{stage}%")],
                |row| row.get(0),
            )
            .unwrap();
        let artifact: serde_json::Value = serde_json::from_str(&artifact).unwrap();
        serde_json::from_value(artifact["machine"]["disks"][0]["layers"].clone()).unwrap()
    }
}

/// A stage whose second step is `last`.
fn developed(last: &str) -> String {
    format!(
        r#"
[stages.developed]
kind = "provision"
from = "clone"
[[stages.developed.steps]]
shell = {{ inline = "echo one >>/root/trace" }}
[[stages.developed.steps]]
shell = {{ inline = "{last}" }}
"#
    )
}

#[test]
fn vm_the_machine_is_kept_before_a_step_that_failed_and_the_plan_tells_from_where_it_goes_on() {
    let layers = Layers::new();
    layers.with(&developed("exit 3"));
    let _ = layers.sandbox.forge(&["run", "developed"]).exits(1);
    // it failed, and does so again: it is kept before that step
    let _ = layers.sandbox.forge(&["run", "developed"]).exits(1);
    layers.plan("1 of 2 steps cached, from step 2: failed last time");
    layers.with(&developed("cat /root/trace"));
    let _ = layers
        .sandbox
        .forge(&["run", "developed"])
        .exits(0)
        .prints("1 of 2 steps are as they were, going on from there")
        .prints("one");

    the_cause_is_told(&layers);
    what_does_not_fit_is_told(&layers);
}

/// The cause is that of the first step that changed.
fn the_cause_is_told(layers: &Layers) {
    layers.with(&developed("cat /root/trace; echo more"));
    layers.plan(
        "1 of 2 steps cached, from step 2: inline script 1 cat /root/trace → cat /root/trace; echo more",
    );
    let json = layers
        .sandbox
        .forge(&["plan", "developed", "--json"])
        .exits(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let stages = json["stages"].as_array().unwrap();
    let stage = stages.iter().find(|s| s["name"] == "developed").unwrap();
    assert_eq!(
        (&stage["steps_cached"], &stage["step_changed"]),
        (&1.into(), &2.into())
    );
    assert_eq!(stage["checkpoint_unfit"], serde_json::Value::Null);
}

/// What was kept under another QEMU: the plan knows. And what the quota allows.
fn what_does_not_fit_is_told(layers: &Layers) {
    layers.database(
        "UPDATE checkpoints SET state = json_replace(state, '$.identity',
            'QEMU 1.0' || substr(json_extract(state, '$.identity'), instr(json_extract(state, '$.identity'), ', ')))",
    );
    let says = layers.plan("the machine after step 1 was kept under QEMU 1.0, here is QEMU ");
    assert!(!says.contains("cached"), "{says}");
    // not even where it says so is more kept than the quota allows
    let text = developed("cat /root/trace; echo more").replace(
        "[[stages.developed.steps]]",
        "[[stages.developed.steps]]\ncheckpoint = \"always\"",
    );
    layers.with(&text);
    let mut limited = layers
        .sandbox
        .command(&["run", "developed", "--output", "plain"]);
    limited.env("FORGE_CACHE_QUOTA", "1MiB");
    let output = layers.sandbox.output(&limited.output().unwrap()).exits(0);
    let _ = output.prints("starting it from its disks");
    layers.with(&text.replace("echo more", "echo again"));
    let says = layers.plan("the machine after step 1 was kept under QEMU 1.0");
    assert!(!says.contains("cached"), "{says}");
}

/// Two stages that come from one, and only end when both have begun.
fn branches(meet: &str) -> String {
    format!(
        r#"
[stages.trunk]
kind = "provision"
from = "clone"
[[stages.trunk.steps]]
shell = {{ inline = "head -c 3000000 /dev/urandom >/root/trunk" }}

[stages.branch]
kind = "provision"
from = "trunk"
[[stages.branch.steps]]
checkpoint = "never"
shell = {{ inline = "echo {{{{ axis.side }}}} >>/root/side; echo booted $(cat /proc/sys/kernel/random/boot_id)" }}
[[stages.branch.steps]]
local = {{ run = "touch {meet}/{{{{ axis.side }}}}; until [ -e {meet}/left ] && [ -e {meet}/right ]; do sleep 0.2; done" }}
timeout = "2m"
checkpoint = "never"
[[stages.branch.steps]]
shell = {{ inline = "echo side: $(cat /root/side), trunk: $(wc -c </root/trunk)" }}
"#
    )
}

#[test]
fn vm_stages_branch_from_one_running_machine_and_are_built_at_the_same_time() {
    let mut layers = Layers::new();
    layers.text = layers
        .text
        .replacen("[axes]\n", "[axes]\nside = [\"left\", \"right\"]\n", 1)
        .replacen(
            "\n[stages.mini-iso]",
            "\n[resources]\nmachines = 2\nmemory = \"2GiB\"\njobs = 2\n\n[stages.mini-iso]",
            1,
        );
    let meet = layers.sandbox.path("meet");
    std::fs::create_dir(&meet).unwrap();
    layers.with(&branches(
        &layers.sandbox.path("meet").display().to_string(),
    ));
    let output = layers
        .sandbox
        .forge(&["run", "branch", "--all", "side", "--output", "plain"])
        .exits(0);
    for line in ["side: left, trunk: 3000000", "side: right, trunk: 3000000"] {
        assert!(
            output.stdout.contains(line),
            "no `{line}` in\n{}",
            output.stdout
        );
    }
    // neither was booted: it is the boot of the installed machine, three stages before
    let resumed = output.stdout.matches("going on from the running machine");
    assert_eq!(resumed.count(), 3, "{}", output.stdout);
    let boots = regex::Regex::new(r"booted (\S+)").unwrap();
    let boots: Vec<String> = boots
        .captures_iter(&output.stdout)
        .map(|found| found[1].to_owned())
        .filter(|id| id.len() == 36)
        .collect();
    assert_eq!(
        (boots.len(), &boots[0]),
        (2, &boots[1]),
        "{}",
        output.stdout
    );

    what_they_share_is_there_once(&layers);
}

fn what_they_share_is_there_once(layers: &Layers) {
    let (left, right) = (layers.layers("left"), layers.layers("right"));
    let shared = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
    assert_eq!((shared + 1, shared + 1), (left.len(), right.len()));
    let kept = layers.layers("trunk");
    let before = kept.iter().zip(&left).take_while(|(a, b)| a == b).count();
    assert_eq!(before, shared, "all that trunk had when it was kept");
    let size = |layer: &String| {
        let path = layers
            .sandbox
            .cache()
            .join("objects")
            .join(&layer[..2])
            .join(layer);
        std::fs::metadata(path).unwrap().len()
    };
    assert!(size(&left[shared]) < 3_000_000, "only what is its own");
}
