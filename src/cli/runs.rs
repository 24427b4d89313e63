//! `forge runs`.

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, run_facts, store_error};
use super::{CliError, Exit};
use crate::report::{self, Detail, Paint};

/// List what ran when, for how long and how it ended
#[derive(Args, Debug)]
pub(super) struct RunsArgs {
    /// How many, the newest first
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Show the stages of each run
    #[arg(short, long)]
    stages: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: RunsArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &Choice::default())?;
    let (_store, db) = session.open(&run_facts().id, &|text| common::warn(&text))?;
    let runs = db.runs(args.limit).map_err(|e| store_error(&e))?;
    let text = if args.json || global.json() {
        format!("{:#}\n", report::runs_json(&runs))
    } else {
        let detail = if args.stages {
            Detail::Stages
        } else {
            Detail::Run
        };
        let zone = jiff::tz::TimeZone::system();
        report::runs_text(&runs, detail, &zone, Paint::new(global.colour_stdout()))
    };
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}
