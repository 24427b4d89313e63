//! Which machine `forge ssh` goes into: what a stage has left, what it stood at after one of its steps, or a machine that
//! was kept.

use super::Host;
use super::visit::login_of;
use crate::diag::closest;
use crate::engine::StageFailure;
use crate::model::{MachineState, Provision, Stage, StageKey, StageKind, Step};
use crate::plan::Records as _;
use crate::store::StepCheckpoint;

/// What is gone into.
#[derive(Clone, Debug, PartialEq)]
pub struct Entrance {
    /// The machine at rest; a throw-away one is laid over it.
    pub state: MachineState,
    /// It as it runs, which it can go on from at once.
    pub running: Option<StepCheckpoint>,
    /// It in words: `what provision[os=mini] has left`.
    pub what: String,
}

/// A wish for an entrance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The machine that is kept if there is one and the stage is not up to date, else what the stage has left.
    Newest {
        /// Whether the stage is up to date.
        fresh: bool,
    },
    /// The machine that is kept: of a failure, or of an earlier visit.
    Kept,
    /// The machine after a step: its number, its title or a part of it; `0` or `base` is before the first one.
    Step(&'a str),
}

/// There is no such entrance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoEntrance {
    /// What is missing.
    pub message: String,
    /// What to do.
    pub help: Vec<String>,
    /// Something that was there is gone: exit code 3 instead of 2.
    pub environment: bool,
}

impl NoEntrance {
    fn new(message: impl Into<String>, help: impl IntoIterator<Item = String>) -> Self {
        Self {
            message: message.into(),
            help: help.into_iter().collect(),
            environment: false,
        }
    }
}

impl From<StageFailure> for NoEntrance {
    fn from(failure: StageFailure) -> Self {
        Self::new(failure.message, failure.help)
    }
}

/// Finds the machine that is to be entered.
pub async fn entrance(
    host: &Host,
    stage: &Stage,
    place: Place<'_>,
) -> Result<Entrance, NoEntrance> {
    login_of(stage)?;
    let (key, name) = (&stage.key, &stage.key.name);
    match place {
        Place::Newest { fresh: false } if host.kept.get(key).is_some() => kept(host, stage).await,
        Place::Newest { .. } => recorded(host, stage).await,
        Place::Kept if host.kept.get(key).is_some() => kept(host, stage).await,
        Place::Kept => Err(NoEntrance::new(
            format!("no machine of {key} is kept"),
            [format!(
                "`forge run --on-error keep {name}` keeps it when the stage fails, `forge ssh {name} --keep` when you leave it"
            )],
        )),
        Place::Step(word) => match &stage.kind {
            StageKind::Provision(kind) => at_step(host, stage, kind, word).await,
            _ => Err(NoEntrance::new(
                format!("{key} has no steps: only `provision` stages do"),
                [format!("`forge ssh {name}` enters what it has left")],
            )),
        },
    }
}

async fn kept(host: &Host, stage: &Stage) -> Result<Entrance, NoEntrance> {
    let state = host.kept.get(&stage.key);
    let state = state.ok_or_else(|| NoEntrance::new("no machine is kept", []))?;
    let what = format!("the machine of {} that was kept", stage.key);
    Ok(with_checkpoint(host, &stage.key, state, what).await)
}

/// The machine of the stage's last record.
async fn recorded(host: &Host, stage: &Stage) -> Result<Entrance, NoEntrance> {
    let (key, name) = (&stage.key, &stage.key.name);
    let records = host.db.records(&host.store);
    let Some(record) = records.last(key) else {
        let mut help = vec![format!("build it with `forge run {name}`")];
        if let StageKind::Provision(kind) = &stage.kind {
            help.extend(kept_steps(host, stage, kind));
        }
        return Err(NoEntrance::new(format!("{key} has not been built"), help));
    };
    records
        .intact(&record.artifact)
        .map_err(|what| NoEntrance {
            environment: true,
            ..NoEntrance::new(
                format!("the artifact of {key} is not whole: {what}"),
                [format!("build it anew with `forge run {name}`")],
            )
        })?;
    // only how long it is kept depends on that
    let _ = host.db.touch([&record]);
    let state = record.artifact.machine;
    let state = state.ok_or_else(|| NoEntrance::new("its artifact has no machine", []))?;
    Ok(with_checkpoint(host, key, state, format!("what {key} has left")).await)
}

async fn with_checkpoint(
    host: &Host,
    stage: &StageKey,
    state: MachineState,
    what: String,
) -> Entrance {
    let checkpoint = host.db.checkpoint(stage, &state.lineage());
    let running = match checkpoint {
        Some(checkpoint) => usable(host, checkpoint, &state).await,
        None => None,
    };
    Entrance {
        state,
        running,
        what,
    }
}

/// The checkpoint, if the machine of `state`'s hardware can go on from it here.
async fn usable(
    host: &Host,
    checkpoint: StepCheckpoint,
    state: &MachineState,
) -> Option<StepCheckpoint> {
    let provider = host.provider(&state.provider).ok()?;
    // a machine on a server would have to go on itself; a clone of it boots
    checkpoint.memory.filter(|_| !provider.on_server())?;
    let identity = provider.checkpoint_identity(&state.hardware).await?;
    let fits = identity == checkpoint.identity && host.store.use_all(checkpoint.digests()).is_ok();
    fits.then_some(checkpoint)
}

/// The machine after one of the steps.
async fn at_step(
    host: &Host,
    stage: &Stage,
    kind: &Provision,
    word: &str,
) -> Result<Entrance, NoEntrance> {
    let number = number(&kind.steps, word).map_err(|message| {
        let mut help = near(&kind.steps, word).into_iter().collect::<Vec<_>>();
        help.extend(listed(&kind.steps));
        help.extend(kept_steps(host, stage, kind));
        NoEntrance::new(format!("{}: {message}", stage.key), help)
    })?;
    let (all, key) = (kind.steps.len(), &stage.key);
    let what = match number.checked_sub(1) {
        None => format!("the machine of {key} before its first step"),
        Some(index) => format!(
            "the machine of {key} after step {number} of {all} ({})",
            kind.steps[index].title
        ),
    };
    let of_step = checkpoints(host, stage);
    if let Some(checkpoint) = of_step.into_iter().rfind(|known| known.step == number) {
        let state = MachineState {
            hardware: kind.hardware.clone(),
            ..checkpoint.machine.clone()
        };
        let running = usable(host, checkpoint, &state).await;
        return Ok(Entrance {
            state,
            running,
            what,
        });
    }
    if number == all && all > 0 {
        return Ok(Entrance {
            what,
            ..recorded(host, stage).await?
        });
    }
    match below(host, stage, kind).filter(|_| number == 0) {
        Some(state) => {
            let from = stage.from.as_ref().unwrap_or(key);
            Ok(with_checkpoint(host, from, state, what).await)
        }
        None => {
            let name = &key.name;
            let mut help: Vec<String> = kept_steps(host, stage, kind).into_iter().collect();
            help.push(format!(
                "`checkpoint = \"always\"` in the stage keeps one after each step of the next run; `forge ssh {name}@base` is before the first one"
            ));
            Err(NoEntrance::new(format!("{what} is not kept"), help))
        }
    }
}

/// The machine that the first step starts from.
fn below(host: &Host, stage: &Stage, kind: &Provision) -> Option<MachineState> {
    let records = host.db.records(&host.store);
    let record = records.last(stage.from.as_ref()?)?;
    records.intact(&record.artifact).ok()?;
    Some(MachineState {
        hardware: kind.hardware.clone(),
        ..record.artifact.machine?
    })
}

/// The checkpoints of a stage's steps whose disks are there.
fn checkpoints(host: &Host, stage: &Stage) -> Vec<StepCheckpoint> {
    let known = host.db.checkpoints_of(&stage.key, None).unwrap_or_default();
    let whole = |known: &StepCheckpoint| host.store.use_all(known.machine.digests()).is_ok();
    known.into_iter().filter(whole).collect()
}

/// How many steps `word` has behind it.
fn number(steps: &[Step], word: &str) -> Result<usize, String> {
    if word == "base" {
        return Ok(0);
    }
    if let Ok(number) = word.parse::<usize>() {
        let all = steps.len();
        let there = (number <= all).then_some(number);
        return there.ok_or_else(|| format!("there is no step {number}; it has {all}"));
    }
    let exact = steps.iter().position(|step| step.title == word);
    let lower = word.to_lowercase();
    let mut parts = steps
        .iter()
        .enumerate()
        .filter(|(_, step)| !word.is_empty() && step.title.to_lowercase().contains(&lower));
    match (exact, parts.next(), parts.next()) {
        (Some(index), ..) | (None, Some((index, _)), None) => Ok(index + 1),
        (None, Some(_), Some(_)) => Err(format!("`{word}` stands for several steps")),
        (None, None, _) => Err(format!("there is no step `{word}`")),
    }
}

fn near(steps: &[Step], word: &str) -> Option<String> {
    let near = closest(word, steps.iter().map(|step| step.title.as_str()))?;
    Some(format!("did you mean `{near}`?"))
}

fn listed(steps: &[Step]) -> Option<String> {
    let steps = steps.iter().enumerate();
    let steps: Vec<String> = steps
        .map(|(index, step)| format!("{} {}", index + 1, step.title))
        .collect();
    (!steps.is_empty()).then(|| format!("its steps: {}", steps.join(", ")))
}

/// After which steps a machine is kept.
fn kept_steps(host: &Host, stage: &Stage, kind: &Provision) -> Option<String> {
    let all = kind.steps.len();
    let mut kept: Vec<usize> = checkpoints(host, stage)
        .into_iter()
        .map(|known| known.step)
        .filter(|step| *step <= all)
        .collect();
    kept.sort_unstable();
    kept.dedup();
    let places: Vec<String> = kept
        .iter()
        .map(|step| format!("`{}@{step}`", stage.key.name))
        .collect();
    (!places.is_empty()).then(|| format!("running machines are kept at {}", places.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Duration, StepAction};

    fn steps(titles: &[&str]) -> Vec<Step> {
        let step = |title: &&str| Step {
            checkpoint: None,
            title: (*title).to_owned(),
            action: StepAction::Pause(Duration::from_secs(1)),
            retries: 0,
            timeout: None,
            pause_before: None,
        };
        titles.iter().map(step).collect()
    }

    #[test]
    fn steps_are_named_by_number_title_or_a_part_of_it() {
        let steps = steps(&["upload tree", "scripts/install.sh", "scripts/install.sh x"]);
        for (word, expected) in [
            ("0", 0),
            ("base", 0),
            ("3", 3),
            ("upload", 1),
            ("TREE", 1),
            ("scripts/install.sh", 2),
            ("sh x", 3),
        ] {
            assert_eq!(number(&steps, word), Ok(expected), "{word}");
        }
        for (word, expected) in [
            ("4", "there is no step 4; it has 3"),
            ("install", "`install` stands for several steps"),
            ("other", "there is no step `other`"),
            ("", "there is no step ``"),
        ] {
            assert_eq!(number(&steps, word), Err(expected.to_owned()));
        }
        let near = near(&steps, "scripts/instal.sh").unwrap();
        assert_eq!(near, "did you mean `scripts/install.sh`?");
        assert_eq!(
            listed(&steps[..1]).as_deref(),
            Some("its steps: 1 upload tree")
        );
    }
}
