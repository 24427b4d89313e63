//! `forge plan`.

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, plan_error, run_facts};
use super::{CliError, Exit};
use crate::model::StageKey;
use crate::plan::{self, Plan};
use crate::report::{self, Paint};
use crate::stages::OnError;

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
    let stages = session.select(&args.choice, &args.targets)?;
    let plan = make(&session, &stages, &args.force)?;
    print(global, &plan, args.json)?;
    Ok(if args.detailed_exitcode && plan.has_work() {
        Exit::WouldRun
    } else {
        Exit::Done
    })
}

/// Shows the plan of `stages`: also `forge run --dry-run`.
pub(super) fn show(
    global: &Global,
    session: &Session,
    stages: &[StageKey],
    force: &[String],
) -> Result<Exit, CliError> {
    print(global, &make(session, stages, force)?, false)?;
    Ok(Exit::Done)
}

/// The plan of `stages` as things are now.
pub(super) fn make(
    session: &Session,
    stages: &[StageKey],
    force: &[String],
) -> Result<Plan, CliError> {
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let forced = super::run::forced(session, force)?;
    let facts = session.survey(&host, stages);
    let records = host.db.records(&host.store);
    plan::make(
        &session.project,
        &session.graph,
        stages,
        &facts,
        &records,
        &forced,
    )
    .map_err(|e| plan_error(&e))
}

fn print(global: &Global, plan: &Plan, json: bool) -> Result<(), CliError> {
    let text = if json || global.json() {
        format!("{:#}\n", report::plan_json(plan))
    } else {
        report::plan_text(plan, Paint::new(global.colour_stdout()))
    };
    common::print(text.as_bytes())
}
