//! Fresh, stale or pending: comparing what a stage is made from with what was recorded.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kept::kept;
use super::restored::restored;
use super::{Facts, Graph, Ingredients, InputFault, KeptSteps, PlanError, Reason, ingredients};
use crate::model::{Artifact, Digest, Name, Project, Stage, StageKey, StageKind};

/// What a finished stage has left, and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The stage.
    pub stage: StageKey,
    /// The fingerprint of its ingredients.
    pub fingerprint: Digest,
    /// What it was made from.
    pub ingredients: Ingredients,
    /// What it left.
    pub artifact: Artifact,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// The run that made it.
    pub run: String,
    /// Its log, relative to the project.
    pub log: Option<String>,
}

/// What was built before.
pub trait Records {
    /// The newest record with this fingerprint.
    fn find(&self, fingerprint: &Digest) -> Option<Record>;

    /// The record of this stage that was made or used last.
    fn last(&self, stage: &StageKey) -> Option<Record>;

    /// Records of this stage, the newest first; as many as are of interest.
    fn all(&self, stage: &StageKey) -> Vec<Record> {
        self.last(stage).into_iter().collect()
    }

    /// What a machine was kept under that stands in this state and that `stage` could go on from.
    fn kept_under(&self, stage: &StageKey, state: &Digest) -> Option<String> {
        let _ = (stage, state);
        None
    }

    /// The state of the machine before the step at which the stage failed when it ran last.
    fn failed_after(&self, stage: &StageKey) -> Option<Digest> {
        let _ = stage;
        None
    }

    /// Whether all that the artifact consists of is there, or what is not.
    fn intact(&self, artifact: &Artifact) -> Result<(), String>;
}

/// Whether a stage has to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// What it would make is there.
    Fresh(Box<Record>),
    /// It has to run; never without a reason.
    Stale(Vec<Reason>),
}

/// What will be done, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The stages; what is needed stands before what needs it.
    pub steps: Vec<PlanStep>,
    /// How long all that will or may run takes together, with as much at one time as there is room for; none: as if one
    /// ran after the other.
    pub expected: Option<Duration>,
}

/// A stage in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// The stage.
    pub key: StageKey,
    /// What becomes of it.
    pub decision: StepDecision,
    /// How long it took last time.
    pub expected: Option<Duration>,
    /// Of a `provision` stage that will run: the steps that need not be done again.
    pub kept: Option<KeptSteps>,
}

/// What becomes of a stage, as far as it is known before anything has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepDecision {
    /// Nothing is to do.
    Fresh(Box<Record>),
    /// It will run.
    Stale {
        /// Why.
        reasons: Vec<Reason>,
    },
    /// It depends on stages that will or may run, and is decided again, with facts taken again, when they have finished.
    Pending {
        /// The ones among those it needs itself.
        upstreams: Vec<StageKey>,
        /// Why it will run whatever they leave; empty: it may turn out to be fresh.
        reasons: Vec<Reason>,
    },
}

impl Plan {
    /// Whether anything will or may run.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.steps.iter().any(|step| !step.is_fresh())
    }

    /// How many stages are up to date.
    #[must_use]
    pub fn fresh(&self) -> usize {
        self.steps.iter().filter(|step| step.is_fresh()).count()
    }
}

impl PlanStep {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        matches!(self.decision, StepDecision::Fresh(_))
    }
}

/// Decides about one stage whose ingredients are all known. What a command has found before may be one of several sets of
/// files, whichever it was that it read at a state like this one.
#[must_use]
pub fn decide(
    stage: &Stage,
    ingredients: &Ingredients,
    facts: &Facts,
    records: &dyn Records,
    forced: bool,
) -> Decision {
    let mut reasons = own_reasons(stage, forced);
    if !reasons.is_empty() {
        return Decision::Stale(reasons);
    }
    let newest = records.find(&ingredients.fingerprint());
    let found = newest.or_else(|| {
        let mut older = facts.found(&stage.key).iter().skip(1);
        older.find_map(|paths| {
            let mut ingredients = ingredients.clone();
            ingredients.set_found(paths.iter(), facts);
            records.find(&ingredients.fingerprint())
        })
    });
    if let Some(record) = found {
        return match records.intact(&record.artifact) {
            Ok(()) => Decision::Fresh(Box::new(record)),
            Err(what) => Decision::Stale(vec![Reason::ArtifactMissing(what)]),
        };
    }
    match records.last(&stage.key) {
        None => reasons.push(Reason::NeverBuilt),
        Some(last) => reasons = ingredients.diff(&last.ingredients),
    }
    if reasons.is_empty() {
        // the same ingredients, another fingerprint: its format is another one
        reasons.push(Reason::Revision);
    }
    Decision::Stale(reasons)
}

/// Why a stage runs whatever its ingredients are.
fn own_reasons(stage: &Stage, forced: bool) -> Vec<Reason> {
    let always = matches!(&stage.kind, StageKind::Command(command) if command.always);
    let mut reasons = Vec::new();
    if forced {
        reasons.push(Reason::Forced);
    }
    if always {
        reasons.push(Reason::Always);
    }
    reasons
}

/// Decides about `keys` and everything that they need.
pub fn make(
    project: &Project,
    graph: &Graph,
    keys: &[StageKey],
    facts: &Facts,
    records: &dyn Records,
    forced: &BTreeSet<Name>,
) -> Result<Plan, PlanError> {
    make_part(project, graph, (keys, &[]), facts, records, forced)
}

/// As [`make`], for some stages of a project; the stages `given` are known to be as they were recorded last.
pub fn make_part(
    project: &Project,
    graph: &Graph,
    (keys, given): (&[StageKey], &[StageKey]),
    facts: &Facts,
    records: &dyn Records,
    forced: &BTreeSet<Name>,
) -> Result<Plan, PlanError> {
    let mut maker = Maker {
        outputs: Outputs::of(project),
        facts,
        records,
        fresh: given
            .iter()
            .filter_map(|key| Some((key.clone(), Box::new(records.last(key)?))))
            .collect(),
        faults: Vec::new(),
    };
    let mut plan = Plan::default();
    for key in graph.closure(keys) {
        let Some(stage) = graph.stage(project, &key) else {
            continue;
        };
        let forced = forced.contains(&key.name);
        plan.steps.push(maker.step(stage, forced));
    }
    if maker.faults.is_empty() {
        Ok(plan)
    } else {
        Err(PlanError::Inputs(maker.faults))
    }
}

struct Maker<'a> {
    outputs: Outputs<'a>,
    facts: &'a Facts,
    records: &'a dyn Records,
    /// The records of fresh stages.
    fresh: HashMap<StageKey, Box<Record>>,
    faults: Vec<InputFault>,
}

impl Maker<'_> {
    fn step(&mut self, stage: &Stage, forced: bool) -> PlanStep {
        let upstreams: Vec<StageKey> = stage
            .from
            .iter()
            .filter(|from| !stage.needs.contains(from))
            .chain(&stage.needs)
            .filter(|key| !self.fresh.contains_key(key))
            .cloned()
            .collect();
        let needs = stage.from.iter().chain(&stage.needs);
        let records: Vec<&Record> = needs
            .filter_map(|key| self.fresh.get(key).map(Box::as_ref))
            .collect();
        let facts = restored(stage, self.facts, &records);
        let facts = facts.as_ref().unwrap_or(self.facts);
        let upstream =
            |key: &StageKey| -> Option<Digest> { Some(self.fresh.get(key)?.artifact.digest()) };
        let ingredients = ingredients(stage, facts, &upstream);
        let (decision, kept) = if upstreams.is_empty() {
            self.decided(stage, facts, ingredients, forced)
        } else {
            (self.pending(stage, ingredients, upstreams, forced), None)
        };
        let expected = match &decision {
            StepDecision::Fresh(record) => Some(record.duration_ms),
            _ => self.records.last(&stage.key).map(|r| r.duration_ms),
        };
        PlanStep {
            key: stage.key.clone(),
            expected: expected.map(Duration::from_millis),
            kept,
            decision,
        }
    }

    /// What of a stale stage's steps need not be done again.
    fn kept(&self, stage: &Stage, ingredients: &Ingredients, forced: bool) -> Option<KeptSteps> {
        let StageKind::Provision(provision) = &stage.kind else {
            return None;
        };
        if forced {
            return None;
        }
        let from = stage.from.as_ref().and_then(|from| self.fresh.get(from));
        let below = from.and_then(|record| Some(record.artifact.machine.as_ref()?.lineage()));
        let what = (&stage.key, provision);
        kept(what, ingredients, below, self.facts, self.records)
    }

    fn decided(
        &mut self,
        stage: &Stage,
        facts: &Facts,
        ingredients: Result<Ingredients, PlanError>,
        forced: bool,
    ) -> (StepDecision, Option<KeptSteps>) {
        let ingredients = match ingredients {
            Ok(ingredients) => ingredients,
            Err(error) => {
                self.fault(error, |_| true);
                let reasons = Vec::new();
                return (StepDecision::Stale { reasons }, None);
            }
        };
        match decide(stage, &ingredients, facts, self.records, forced) {
            Decision::Fresh(record) => {
                self.fresh.insert(stage.key.clone(), record.clone());
                (StepDecision::Fresh(record), None)
            }
            Decision::Stale(reasons) => {
                let kept = self.kept(stage, &ingredients, forced);
                (StepDecision::Stale { reasons }, kept)
            }
        }
    }

    fn pending(
        &mut self,
        stage: &Stage,
        ingredients: Result<Ingredients, PlanError>,
        upstreams: Vec<StageKey>,
        forced: bool,
    ) -> StepDecision {
        let mut reasons = own_reasons(stage, forced);
        match (ingredients, self.records.last(&stage.key)) {
            (Err(error), _) => {
                let outputs = &self.outputs;
                // what a stage before this one will write need not be there yet
                let expected: BTreeSet<String> = match &error {
                    PlanError::Inputs(faults) => faults
                        .iter()
                        .filter(|fault| outputs.write(&fault.input))
                        .map(|fault| fault.input.clone())
                        .collect(),
                    _ => BTreeSet::new(),
                };
                self.fault(error, |fault| !expected.contains(&fault.input));
            }
            (Ok(_), None) if reasons.is_empty() => reasons.push(Reason::NeverBuilt),
            (Ok(ingredients), Some(last)) if reasons.is_empty() => {
                reasons = ingredients.own_diff(&last.ingredients);
            }
            _ => {}
        }
        StepDecision::Pending { upstreams, reasons }
    }

    fn fault(&mut self, error: PlanError, counts: impl Fn(&InputFault) -> bool) {
        if let PlanError::Inputs(faults) = error {
            self.faults.extend(faults.into_iter().filter(|f| counts(f)));
        }
    }
}

/// The files that the project's commands write.
struct Outputs<'a>(Vec<&'a str>);

impl<'a> Outputs<'a> {
    fn of(project: &'a Project) -> Self {
        let mut paths: Vec<&str> = Vec::new();
        for stage in &project.stages {
            if let StageKind::Command(command) = &stage.kind {
                paths.extend(command.outputs.values().map(|p| p.trim_end_matches('/')));
            }
        }
        Self(paths)
    }

    /// Whether `input`, a path or a glob, may lead to something that a command writes.
    fn write(&self, input: &str) -> bool {
        let glob = globset::Glob::new(input).map(|g| g.compile_matcher());
        self.0.iter().any(|output| {
            let within = |a: &str, b: &str| {
                a.strip_prefix(b)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            within(input, output)
                || within(output, input)
                || glob.as_ref().is_ok_and(|glob| glob.is_match(output))
        })
    }
}
