//! `forge screenshot`, and how it and `forge console` find a machine that runs now.

use std::path::{Path, PathBuf};

use clap::Args;

use super::common::{self, Choice, Global};
use super::session::{Session, run_facts};
use super::{CliError, Exit};
use crate::provider::{Provider, ProviderError};
use crate::stages::{OnError, Running, Seen};

/// Take a picture of the screen of a machine that runs now
#[derive(Args, Debug)]
pub(super) struct ScreenshotArgs {
    /// The stage whose machine it is
    stage: String,
    #[command(flatten)]
    choice: Choice,
    /// Where the picture goes; else STAGE.png in the working directory
    #[arg(short, long = "out", value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Print the text on the screen instead, where it is text
    #[arg(long, conflicts_with = "out")]
    text: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: ScreenshotArgs) -> Result<Exit, CliError> {
    let found = Found::new(global, &args.choice, &args.stage)?;
    let scratch = tempfile::tempdir()
        .map_err(|e| CliError::environment(format!("no temporary directory: {e}")))?;
    let target = match &args.out {
        Some(out) => out.clone(),
        None => PathBuf::from(format!("{}.png", found.slug)),
    };
    let png = match args.text {
        true => scratch.path().join("screen.png"),
        // the one who writes it may work elsewhere
        false => std::path::absolute(&target)
            .map_err(|e| CliError::input(format!("cannot use {}: {e}", target.display())))?,
    };
    let writable = Path::new(&png).parent().is_some_and(Path::is_dir);
    if !writable {
        let message = format!("the directory of {} is not there", target.display());
        return Err(CliError::input(message));
    }
    let sight = found.seen.sight.clone();
    let screen = found.ask(async |provider| provider.look(&sight, &png).await)?;
    if !args.text {
        common::print(format!("{}\n", target.display()).as_bytes())?;
        return Ok(Exit::Done);
    }
    let text = screen.text.ok_or_else(|| {
        CliError::failed("the screen is in a graphics mode, which is no text")
            .help(format!("`forge screenshot {}` takes a picture", args.stage))
    })?;
    common::print(format!("{text}\n").as_bytes())?;
    Ok(Exit::Done)
}

/// A machine that another forge runs now.
pub(super) struct Found {
    session: Session,
    /// The stage as a file name.
    pub(super) slug: String,
    pub(super) seen: Seen,
}

impl Found {
    /// The machine of `stage` that was started last.
    pub(super) fn new(global: &Global, choice: &Choice, stage: &str) -> Result<Self, CliError> {
        let session = Session::load(global, choice)?;
        let key = session.one_stage(choice, stage)?;
        let shown = key.to_string();
        let all = Running::new(&session.state_dir()).all();
        let Some(seen) = all.iter().find(|seen| seen.stage == shown).cloned() else {
            let error = CliError::input(format!("no machine of {shown} runs now"));
            let others: Vec<String> = all.iter().map(|seen| seen.stage.clone()).collect();
            return Err(match others.is_empty() {
                true => error.help(
                    "a machine can be looked at while `forge run` or `forge ssh` works with it, from another terminal; a failed stage names its screenshot",
                ),
                false => error.help(format!("machines that run: {}", others.join(", "))),
            });
        };
        Ok(Self {
            session,
            slug: key.slug(),
            seen,
        })
    }

    /// Asks the machine's provider.
    pub(super) fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&dyn Provider) -> Result<T, ProviderError>,
    ) -> Result<T, CliError> {
        let host = self.session.host(run_facts(), OnError::Cleanup)?;
        let name = self.seen.provider.as_str();
        let known = host
            .providers
            .iter()
            .find(|(known, _)| known.as_str() == name);
        let Some((name, provider)) = known else {
            return Err(CliError::environment(format!(
                "builds.toml has no provider `{name}`"
            )));
        };
        let runtime = common::runtime()?;
        let answer = runtime.block_on(async {
            let answer = question(provider.as_ref()).await;
            host.close().await;
            answer
        });
        answer.map_err(|error| {
            let unmet = super::error::unmet(vec![(name.clone(), error)]);
            unmet.unwrap_or_else(|| CliError::failed("the machine cannot be looked at"))
        })
    }
}
