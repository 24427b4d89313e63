//! `forge plan`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, plan_error, run_facts};
use super::{CliError, Exit};
use crate::engine::{Pools, Schedule};
use crate::model::{Stage, StageKey};
use crate::plan::{self, Ingredients, Plan, StepDecision, Why};
use crate::report::{self, Paint};
use crate::stages::{Host, OnError, server_of};

/// Show what would run and exactly why; changes nothing
#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// Targets or stages; none: the project's default
    targets: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// Plan as if this stage were out of date (may be repeated)
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
    /// Exit with 10 if anything would run
    #[arg(long)]
    detailed_exitcode: bool,
    /// Also ask the servers that machines would be made on: whether everything there is as the build needs it
    #[arg(long)]
    refresh: bool,
    /// Why this stage would run, back to the first causes; without targets, the plan is that of the stage
    #[arg(long, value_name = "STAGE")]
    why: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: PlanArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let targets = match (&args.why, args.targets.is_empty()) {
        (Some(stage), true) => std::slice::from_ref(stage),
        _ => &args.targets,
    };
    let stages = session.select(&args.choice, targets)?;
    let refresh = args.refresh;
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let plan = make(&session, &host, &stages, &args.force, refresh)?;
    match &args.why {
        Some(stage) => print_why(global, &session, &host, (&args, stage), &plan)?,
        None => print(global, &plan, args.json)?,
    }
    Ok(if args.detailed_exitcode && plan.has_work() {
        Exit::WouldRun
    } else {
        Exit::Done
    })
}

fn print_why(
    global: &Global,
    session: &Session,
    host: &Host,
    (args, stage): (&PlanArgs, &str),
    plan: &Plan,
) -> Result<(), CliError> {
    let key = session.one_stage(&args.choice, stage)?;
    let Some(step) = plan.steps.iter().find(|step| step.key == key) else {
        return Err(CliError::input(format!("`{key}` is not part of this plan"))
            .help("leave the targets out, or name one that needs it"));
    };
    let why = why(session, host, plan, &key);
    let text = if args.json || global.json() {
        format!("{:#}\n", report::why_json(step, &why))
    } else {
        let paint = Paint::new(global.colour_stdout());
        report::why_text(step, &why, paint)
    };
    common::print(text.as_bytes())
}

/// The causes of a stage's running.
pub(super) fn why(session: &Session, host: &Host, plan: &Plan, key: &StageKey) -> Why {
    let now = |key: &StageKey| ingredients(session, host, plan, key).ok().flatten();
    plan::why(plan, key, &host.db.records(&host.store), &now)
}

/// What a stage would be made from, as far as it is known before anything has run.
pub(super) fn ingredients(
    session: &Session,
    host: &Host,
    plan: &Plan,
    key: &StageKey,
) -> Result<Option<Ingredients>, CliError> {
    let Some(stage) = session.graph.stage(&session.project, key) else {
        return Ok(None);
    };
    let facts = session.survey(host, std::slice::from_ref(key));
    let fresh = |upstream: &StageKey| {
        let step = plan.steps.iter().find(|step| step.key == *upstream)?;
        match &step.decision {
            StepDecision::Fresh(record) => Some(record.artifact.digest()),
            _ => None,
        }
    };
    let ingredients = plan::ingredients(stage, &facts, &fresh);
    ingredients.map(Some).map_err(|e| plan_error(&e))
}

/// Shows the plan of `stages`: also `forge run --dry-run`.
pub(super) fn show(
    global: &Global,
    session: &Session,
    stages: &[StageKey],
    force: &[String],
) -> Result<Exit, CliError> {
    let host = session.host(run_facts(), OnError::Cleanup)?;
    print(global, &make(session, &host, stages, force, false)?, false)?;
    Ok(Exit::Done)
}

/// The plan of `stages` as things are now.
pub(super) fn make(
    session: &Session,
    host: &Host,
    stages: &[StageKey],
    force: &[String],
    refresh: bool,
) -> Result<Plan, CliError> {
    let forced = super::run::forced(session, force)?;
    ask_servers(session, stages, host, refresh)?;
    let plan = session.plan(host, stages, &forced);
    let mut plan = plan.map_err(|e| plan_error(&e))?;
    plan.expected = Some(expected(session, &plan));
    Ok(plan)
}

/// How long a run of this plan takes, if all that will or may run has run before.
pub(super) fn known_expected(session: &Session, plan: &Plan) -> Option<Duration> {
    let known = |step: &plan::PlanStep| step.is_fresh() || step.expected.is_some();
    let all = plan.has_work() && plan.steps.iter().all(known);
    all.then(|| expected(session, plan))
}

/// How long what will or may run takes together, by how long each stage took last.
fn expected(session: &Session, plan: &Plan) -> Duration {
    let steps = plan.steps.iter().filter(|step| !step.is_fresh());
    let (mut stages, mut cost) = (Vec::new(), Vec::new());
    for step in steps {
        if let Some(stage) = session.graph.stage(&session.project, &step.key) {
            stages.push(Arc::new(stage.clone()));
            let expected = step.expected.unwrap_or_default();
            cost.push(u64::try_from(expected.as_millis()).unwrap_or(u64::MAX / 4096));
        }
    }
    let numbers: BTreeMap<&StageKey, usize> = stages.iter().map(|s| &s.key).zip(0..).collect();
    let needs = |stage: &Arc<Stage>| {
        let needs = stage.needs.iter().filter_map(|key| numbers.get(key));
        needs.copied().collect()
    };
    let needs: Vec<Vec<usize>> = stages.iter().map(needs).collect();
    let demands = stages.iter().map(|stage| crate::stages::demand(stage));
    let limits = super::run::limits(session, None);
    let schedule = Schedule::new(&needs, demands.collect(), &cost, limits);
    let schedule = schedule.with_pools(Pools::of(&session.project.pools, &stages));
    Duration::from_millis(schedule.makespan(&cost))
}

/// Looks whether the machines on servers are as they were left; with `refresh`, also whether more could be made there. A
/// plan is made without a server that cannot be reached, unless that was asked for.
fn ask_servers(
    session: &Session,
    keys: &[StageKey],
    host: &Host,
    refresh: bool,
) -> Result<(), CliError> {
    let mut servers = session
        .stages(keys)
        .filter_map(|stage| server_of(host, stage));
    if !refresh && servers.next().is_none() {
        return Ok(());
    }
    let runtime = common::runtime()?;
    let errors = runtime.block_on(async {
        let unreachable = crate::stages::look_for_lost(host, session.stages(keys)).await;
        let errors = match refresh {
            true => crate::stages::preflight(host, session.stages(keys), true).await,
            false => Vec::new(),
        };
        host.close().await;
        if !refresh {
            for unreachable in unreachable {
                common::warn(&unreachable.to_string());
            }
        }
        errors
    });
    match super::error::unmet(errors) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn print(global: &Global, plan: &Plan, json: bool) -> Result<(), CliError> {
    let text = if json || global.json() {
        format!("{:#}\n", report::plan_json(plan))
    } else {
        report::plan_text(plan, Paint::new(global.colour_stdout()))
    };
    common::print(text.as_bytes())
}
