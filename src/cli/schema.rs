//! `forge schema`.

use clap::Args;

use super::common::Global;
use super::{CliError, Exit};

/// Print the JSON Schema of builds.toml, for editors
#[derive(Args, Debug)]
pub(super) struct SchemaArgs {}

pub(super) fn run(_global: &Global, _args: SchemaArgs) -> Result<Exit, CliError> {
    let text = serde_json::to_string_pretty(&crate::config::schema()).unwrap_or_default();
    super::common::print(format!("{text}\n").as_bytes())?;
    Ok(Exit::Done)
}
