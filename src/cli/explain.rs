//! `forge explain`.

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, run_facts};
use super::{CliError, Exit};
use crate::plan::{self, Records as _};
use crate::report::{self, Explanation, Paint};
use crate::stages::OnError;

/// Show what a stage is made from, and what of that changed since it was built
#[derive(Args, Debug)]
pub(super) struct ExplainArgs {
    /// The stage
    stage: String,
    #[command(flatten)]
    choice: Choice,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: ExplainArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let key = session.one_stage(&args.choice, &args.stage)?;
    let stages = session.select(&args.choice, std::slice::from_ref(&args.stage))?;
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let plan = super::plan::make(&session, &host, &stages, &[], false)?;
    let (Some(stage), Some(step)) = (
        session.project.stage(&key),
        plan.steps.iter().find(|step| step.key == key),
    ) else {
        return Err(CliError::input(format!("there is no stage `{key}`")));
    };
    let records = host.db.records(&host.store);
    let ingredients = match &step.decision {
        // what runs first may make what is not there yet
        plan::StepDecision::Pending { .. } => {
            let known = super::plan::ingredients(&session, &host, &plan, &key);
            known.ok().flatten().unwrap_or_default()
        }
        _ => super::plan::ingredients(&session, &host, &plan, &key)?.unwrap_or_default(),
    };
    let why = super::plan::why(&session, &host, &plan, &key);
    let last = records.last(&key);
    let explanation = Explanation {
        stage,
        decision: &step.decision,
        ingredients: &ingredients,
        last: last.as_ref(),
        why: &why,
    };
    let text = if args.json || global.json() {
        format!("{:#}\n", report::explain_json(&explanation))
    } else {
        let zone = jiff::tz::TimeZone::system();
        report::explain_text(&explanation, &zone, Paint::new(global.colour_stdout()))
    };
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}
