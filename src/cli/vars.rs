//! `forge vars`.

use std::collections::BTreeMap;

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::Session;
use super::{CliError, Exit};
use crate::model::Name;
use crate::report::{self, Paint};

/// Show variables, their values and where these came from; secrets masked
#[derive(Args, Debug)]
pub(super) struct VarsArgs {
    /// Only what this stage sees
    stage: Option<String>,
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
pub(super) fn run(global: &Global, args: VarsArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let table = &session.loaded.variables;
    let axes = chosen(&session, &args.choice)?;
    let rows: Vec<_> = match &args.stage {
        Some(stage) => {
            let key = session.one_stage(&args.choice, stage)?;
            table.of_stage(&key.name, &axes)
        }
        None => table
            .rows
            .iter()
            .filter(|row| {
                row.axes
                    .iter()
                    .all(|(axis, value)| axes.get(axis).is_none_or(|v| v == value))
            })
            .collect(),
    };
    let text = if args.json || global.json() {
        format!("{:#}\n", report::vars_json(&rows))
    } else {
        report::vars_text(&rows, Paint::new(global.colour_stdout()))
    };
    common::print(text.as_bytes())?;
    Ok(Exit::Done)
}

/// One value for each axis: the chosen one, else the default.
fn chosen(session: &Session, choice: &Choice) -> Result<BTreeMap<Name, String>, CliError> {
    let selection = choice.selection(&session.project, &[])?;
    Ok(session
        .project
        .axes
        .iter()
        .filter_map(|axis| {
            let value = selection
                .axes
                .get(&axis.name)
                .unwrap_or(&axis.values)
                .first()?;
            Some((axis.name.clone(), value.clone()))
        })
        .collect())
}
