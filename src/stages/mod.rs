//! One file per stage kind; the one place where provider, guest, image, net and store meet.
//!
//! What all kinds share: [`Host`] is what surrounds a stage, `machine` takes one from power-on to a login and back to
//! rest, `resolve` fills in late values, `outputs` puts files where users look for them.

mod again;
mod attended;
mod checkpoints;
mod command;
mod depfile;
mod entrance;
mod export;
mod failure;
mod iso_base;
mod keeping;
mod login;
mod machine;
mod media;
mod outputs;
mod pack_ova;
mod project_key;
mod provision;
mod publish;
mod remote;
mod resolve;
mod running;
mod shell;
mod shutdown;
mod start;
mod step;
mod taking;
mod trim;
mod undeclared;
mod verify;
mod visit;
mod watch;
mod worth;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use async_trait::async_trait;

pub use attended::{Answer, Attendant};
pub use entrance::{Entrance, NoEntrance, Place, entrance};
pub use keeping::discard_kept;
pub use login::login_target;
pub use machine::Session;
pub use pack_ova::{EPOCH, mtime};
pub use project_key::ensure_key;
pub use remote::{Unreachable, look_for_lost, preflight, reclaim, remove_machines, server_of};
pub use resolve::RunFacts;
pub use running::{Running, Seen};
pub use taking::continued;
pub use visit::{Visit, visit};
pub use worth::Overhead;

use crate::config::Secrets;
use crate::engine::{Demand, ExecError, Executor, StageContext, StageFailure};
use crate::model::{
    Artifact, Hardware, Input, MachineState, Name, Project, Stage, StageKey, StageKind,
};
use crate::plan::{self, Facts};
use crate::provider::Provider;
use crate::store::{Db, Kept, Store};
use crate::sys::{self, Guard, Journal};

/// What becomes of a machine whose stage has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It is thrown away.
    #[default]
    Cleanup,
    /// It is kept, as it runs where that can be.
    Keep,
    /// Somebody at the terminal is asked.
    Ask,
}

/// What surrounds the stages of a project on this machine.
pub struct Host {
    /// The project's name.
    pub project: String,
    /// All of it.
    pub whole: Arc<Project>,
    /// The project's directory, absolute.
    pub root: PathBuf,
    /// The cache directory: store, downloads, probes.
    pub cache: PathBuf,
    /// Content.
    pub store: Arc<Store>,
    /// Records and the stat cache.
    pub db: Arc<Db>,
    /// What must not outlive the run.
    pub journal: Arc<Journal>,
    /// For the temporary files in the project.
    pub temporaries: Guard,
    /// The providers by name.
    pub providers: BTreeMap<Name, Arc<dyn Provider>>,
    /// Values of secret variables.
    pub secrets: Arc<Secrets>,
    /// The run's volatile facts.
    pub run: RunFacts,
    /// What becomes of machines whose stage fails.
    pub on_error: OnError,
    /// Where those that are kept are written down.
    pub kept: Kept,
    /// The stages whose machine another `provision` goes on from; see [`continued`].
    pub continued: BTreeSet<StageKey>,
    /// What the run has spent on keeping machines.
    pub overhead: Overhead,
    /// Where those that run are written down.
    pub running: Running,
    /// Somebody at the terminal, if there is anybody who wants to be asked.
    pub attendant: OnceLock<Arc<dyn Attendant>>,
}

impl Host {
    /// Waits for the clean-up on servers, and ends the sessions there.
    pub async fn close(&self) {
        for provider in self.providers.values() {
            provider.close().await;
        }
    }

    /// Somebody at the terminal.
    pub(crate) fn attendant(&self) -> Option<&dyn Attendant> {
        self.attendant.get().map(AsRef::as_ref)
    }

    /// The provider `name`, or a failure that says why there is none.
    pub(crate) fn provider(&self, name: &str) -> Result<&Arc<dyn Provider>, StageFailure> {
        self.providers
            .iter()
            .find(|(known, _)| known.as_str() == name)
            .map(|(_, provider)| provider)
            .ok_or_else(|| StageFailure {
                message: format!("builds.toml has no provider `{name}`"),
                help: vec!["the machine was made with one that it had before: `forge run --force` makes it anew".into()],
                environment: true,
                ..StageFailure::default()
            })
    }
}

/// Surveys what stages read: file digests and provider identities. Blocking.
pub fn survey(host: &Host, stage: &Stage) -> Facts {
    survey_all(host, std::iter::once(stage))
}

fn facts(
    host: &Host,
    mut inputs: Vec<Input>,
    found: BTreeMap<StageKey, Vec<Vec<String>>>,
) -> Facts {
    inputs.extend(found.values().flatten().flatten().cloned().map(Input::Path));
    inputs.sort();
    inputs.dedup();
    let files = crate::store::facts(&host.root, &inputs, &host.db.stat_cache());
    let identities = host
        .providers
        .iter()
        .map(|(name, provider)| (name.clone(), provider.identity()))
        .collect();
    Facts {
        files,
        identities,
        found,
        ..Facts::default()
    }
}

/// [`survey`] for a plan of several stages: with those that they come from, as far as those are there.
pub fn survey_all<'s>(host: &Host, stages: impl Iterator<Item = &'s Stage>) -> Facts {
    let stages: Vec<&Stage> = stages.collect();
    let (mut inputs, mut found) = (Vec::new(), BTreeMap::new());
    for stage in stages.iter().copied() {
        inputs.extend(plan::inputs_of(stage));
        if discovers(stage) {
            found.insert(stage.key.clone(), host.db.found(&stage.key));
        }
    }
    Facts {
        checkpoints: what_checkpoints_must_fit(host, &stages),
        ..facts(host, inputs, found)
    }
}

/// Whether the stage tells what it reads.
fn discovers(stage: &Stage) -> bool {
    matches!(&stage.kind, StageKind::Command(command) if command.discovers.is_some())
}

/// What kept machines must fit to be gone on from, where that is known without asking.
fn what_checkpoints_must_fit(host: &Host, stages: &[&Stage]) -> BTreeMap<StageKey, String> {
    let known = stages.iter().filter_map(|stage| {
        let StageKind::Provision(kind) = &stage.kind else {
            return None;
        };
        let provider = host.providers.get(remote::provider_below(stages, stage)?)?;
        let identity = provider.known_checkpoint_identity(&kind.hardware)?;
        Some((stage.key.clone(), identity))
    });
    known.collect()
}

/// The hardware that runs while `stage` runs, if a machine does.
pub(crate) fn running_hardware(stage: &Stage) -> Option<&Hardware> {
    match &stage.kind {
        StageKind::IsoBase(kind) => Some(&kind.hardware),
        StageKind::Provision(kind) => Some(&kind.hardware),
        StageKind::Command(_)
        | StageKind::Clone(_)
        | StageKind::Export(_)
        | StageKind::PackOva(_)
        | StageKind::Verify(_)
        | StageKind::Publish(_) => None,
    }
}

/// What a stage uses while it runs.
#[must_use]
pub fn demand(stage: &Stage) -> Demand {
    match (&stage.kind, running_hardware(stage)) {
        (_, Some(hardware)) => Demand {
            machines: 1,
            memory: hardware.memory.bytes(),
        },
        // its hardware is known only once the appliance is read
        (StageKind::Verify(_), None) => Demand {
            machines: 1,
            memory: 0,
        },
        _ => Demand::default(),
    }
}

/// Does stages of all kinds.
pub struct Executors {
    /// What surrounds them.
    pub host: Arc<Host>,
}

#[async_trait]
impl Executor for Executors {
    fn facts(&self, stage: &Stage) -> Result<Facts, String> {
        Ok(survey(&self.host, stage))
    }

    fn facts_after(
        &self,
        stage: &Stage,
        found: &BTreeSet<String>,
        started: SystemTime,
    ) -> Result<(Facts, BTreeSet<String>), String> {
        let host = self.host.as_ref();
        let mut sets = BTreeMap::new();
        if discovers(stage) {
            let paths = found.iter().cloned().collect();
            sets.insert(stage.key.clone(), vec![paths]);
        }
        let facts = facts(host, plan::inputs_of(stage), sets);
        let touched = |path: &&String| {
            let meta = std::fs::metadata(host.root.join(path));
            meta.is_ok_and(|meta| sys::fs::changed(&meta) >= started)
        };
        Ok((facts, found.iter().filter(touched).cloned().collect()))
    }

    fn demand(&self, stage: &Stage) -> Demand {
        demand(stage)
    }

    async fn execute(&self, context: StageContext) -> Result<Artifact, ExecError> {
        let stage = Arc::clone(&context.stage);
        let host = self.host.as_ref();
        match &stage.kind {
            StageKind::Command(kind) => command::execute(host, &context, kind).await,
            StageKind::IsoBase(kind) => iso_base::execute(host, &context, kind).await,
            StageKind::Clone(kind) => clone_machine(host, &context, kind).await,
            StageKind::Provision(kind) => provision::execute(host, &context, kind).await,
            StageKind::Export(kind) => export::execute(host, &context, kind).await,
            StageKind::PackOva(kind) => pack_ova::execute(host, &context, kind).await,
            StageKind::Verify(kind) => verify::execute(host, &context, kind).await,
            StageKind::Publish(kind) => publish::execute(host, &context, kind).await,
        }
    }

    async fn restore(&self, stage: &Stage, artifact: &Artifact) -> Result<(), StageFailure> {
        outputs::restore(&self.host, stage, artifact).await
    }

    async fn publish(&self, stage: &Stage, artifact: &Artifact) -> Result<(), StageFailure> {
        if stage.kind.hands_on_machine() {
            return Ok(());
        }
        remote::publish(&self.host, stage, artifact).await
    }
}

/// A linked clone at rest is the same layers under its own hardware: nothing is copied, nothing is started.
async fn clone_machine(
    host: &Host,
    context: &StageContext,
    kind: &crate::model::Clone,
) -> Result<Artifact, ExecError> {
    let machine = match &kind.source {
        Some(source) => remote::locate(host, source, &kind.hardware).await?,
        None => MachineState {
            hardware: kind.hardware.clone(),
            ..upstream_machine(context)?.clone()
        },
    };
    Ok(Artifact {
        machine: Some(machine),
        ..Artifact::default()
    })
}

/// The artifact of the stage that `from` names.
pub(crate) fn upstream(context: &StageContext) -> Result<&Artifact, StageFailure> {
    let from = context.stage.from.as_ref();
    from.and_then(|key| context.upstream.get(key))
        .map(AsRef::as_ref)
        .ok_or_else(|| StageFailure {
            message: "there is no artifact of the stage that `from` names".into(),
            ..StageFailure::default()
        })
}

/// The machine that the stage starts from.
pub(crate) fn upstream_machine(context: &StageContext) -> Result<&MachineState, StageFailure> {
    upstream(context)?
        .machine
        .as_ref()
        .ok_or_else(|| StageFailure {
            message: "the stage that `from` names has left no machine".into(),
            ..StageFailure::default()
        })
}
