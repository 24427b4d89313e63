//! `forge validate`.

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, Warn};
use super::{CliError, Exit};

/// Check everything that can be checked without running anything
#[derive(Args, Debug)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    choice: Choice,
    /// Warnings are errors
    #[arg(long)]
    strict: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: ValidateArgs) -> Result<Exit, CliError> {
    // all instances are checked, so all are warned of
    let session = Session::load_with(global, &args.choice, Warn::OfAll)?;
    let project = &session.project;
    let warnings = session.loaded.warnings.counts().1;
    let names: std::collections::BTreeSet<_> = project.stages.iter().map(|s| &s.key.name).collect();
    let text = format!(
        "builds.toml is valid: {} ({} in all), {}{}\n",
        count(names.len(), "stage"),
        count(project.stages.len(), "instance"),
        count(project.targets.len(), "target"),
        if warnings > 0 {
            format!(", {}", count(warnings, "warning"))
        } else {
            String::new()
        },
    );
    common::print(text.as_bytes())?;
    Ok(if args.strict && warnings > 0 {
        Exit::Input
    } else {
        Exit::Done
    })
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
