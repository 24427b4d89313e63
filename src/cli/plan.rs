//! `forge plan`.

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, plan_error, run_facts};
use super::{CliError, Exit};
use crate::model::StageKey;
use crate::plan::{self, Plan};
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
    let refresh = args.refresh;
    let plan = make(&session, &stages, &args.force, refresh)?;
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
    print(global, &make(session, stages, force, false)?, false)?;
    Ok(Exit::Done)
}

/// The plan of `stages` as things are now.
pub(super) fn make(
    session: &Session,
    stages: &[StageKey],
    force: &[String],
    refresh: bool,
) -> Result<Plan, CliError> {
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let forced = super::run::forced(session, force)?;
    ask_servers(session, stages, &host, refresh)?;
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
