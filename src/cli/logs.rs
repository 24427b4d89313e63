//! `forge logs`.

use std::path::PathBuf;

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::Session;
use super::{CliError, Exit};
use crate::model::StageKey;

/// Show the log of a stage's last run
#[derive(Args, Debug)]
pub(super) struct LogsArgs {
    /// The stage; none: all logs of the run
    stage: Option<String>,
    #[command(flatten)]
    choice: Choice,
    /// The run, as `forge runs` lists it; none: the newest one that has such a log
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Print where the log lies instead
    #[arg(long)]
    path: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: LogsArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let slugs: Option<Vec<String>> = match &args.stage {
        None => None,
        Some(name) => {
            let keys = session.select(&args.choice, std::slice::from_ref(name))?;
            let own = keys.into_iter().filter(|key| key.name.as_str() == name);
            Some(own.map(|key: StageKey| key.slug()).collect())
        }
    };
    let logs = session.state_dir().join("logs");
    let files = match &args.run {
        Some(run) => files(&logs.join(run), slugs.as_deref()),
        None => runs(&logs)
            .iter()
            .rev()
            .map(|run| files(run, slugs.as_deref()))
            .find(|f| !f.is_empty())
            .unwrap_or_default(),
    };
    if let Some(run) = args.run.as_deref().filter(|run| !logs.join(run).is_dir()) {
        return Err(CliError::input(format!("there is no log of a run `{run}`"))
            .help("`forge runs` lists what ran"));
    }
    if files.is_empty() {
        let what = args
            .stage
            .as_deref()
            .map_or_else(|| "this project".to_owned(), |s| format!("stage `{s}`"));
        return Err(CliError::input(format!("there is no log of {what}"))
            .help("`forge runs` lists what ran; a stage that was up to date writes none"));
    }
    let mut text = Vec::new();
    for file in &files {
        if args.path {
            text.extend_from_slice(format!("{}\n", file.display()).as_bytes());
            continue;
        }
        if files.len() > 1 {
            text.extend_from_slice(format!("==> {}\n", file.display()).as_bytes());
        }
        let content = std::fs::read(file)
            .map_err(|e| CliError::environment(format!("cannot read {}: {e}", file.display())))?;
        text.extend_from_slice(&content);
    }
    common::print(&text)?;
    Ok(Exit::Done)
}

/// The runs' directories, oldest first: their names begin with the time.
fn runs(logs: &std::path::Path) -> Vec<PathBuf> {
    let mut runs: Vec<PathBuf> = std::fs::read_dir(logs)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    runs.sort();
    runs
}

fn files(run: &std::path::Path, slugs: Option<&[String]>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(run)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .filter(|path| {
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            let stage = name.trim_end_matches(".log").trim_end_matches(".serial");
            slugs.is_none_or(|slugs| slugs.iter().any(|slug| slug == stage))
        })
        .collect();
    files.sort();
    files
}
