//! `forge ssh`.

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;

use clap::Args;
use tokio::sync::mpsc;

use super::common::{Choice, Global};
use super::session::{Session, run_facts};
use super::{CliError, Exit, signals};
use crate::engine::{ExecError, StageFailure};
use crate::model::{Stage, StageKey};
use crate::plan::PlanStep;
use crate::stages::{Entrance, Host, NoEntrance, OnError, Place, Visit, visit};
use crate::sys::Cancel;

/// As much of standard input is read at one time.
const PIECE: usize = 64 << 10;

/// Open a shell in a throw-away machine started from what a stage has left
#[derive(Args, Debug)]
pub(super) struct SshArgs {
    /// The stage: one that leaves a machine. STAGE@STEP is the machine after a step (its number or title), STAGE@base the one
    /// before the first step
    #[arg(value_name = "STAGE[@STEP]")]
    stage: String,
    #[command(flatten)]
    choice: Choice,
    /// Run this command instead of a shell; it gets standard input unless that is a terminal, and its exit code is forge's
    #[arg(short, long = "exec", value_name = "COMMAND")]
    exec: Option<String>,
    /// Enter the machine that is kept: of a failure (`forge run --on-error keep`) or of an earlier visit (`--keep`)
    #[arg(long, visible_alias = "failed")]
    kept: bool,
    /// Keep the machine, as it is in the end, for the next visit
    #[arg(long)]
    keep: bool,
    /// Let the machine go that is kept
    #[arg(long, conflicts_with_all = ["exec", "kept", "keep"])]
    discard: bool,
}

pub(super) fn run(global: &Global, args: SshArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let wanted = args.stage.clone();
    let (name, step) = match wanted.split_once('@') {
        Some((name, step)) => (name, Some(step)),
        None => (wanted.as_str(), None),
    };
    if step.is_some() && (args.kept || args.discard) {
        return Err(CliError::input(
            "`@STEP` names another machine than the one that is kept",
        ));
    }
    let key = session.one_stage(&args.choice, name)?;
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let stage = session.project.stage(&key).cloned();
    let stage = stage.ok_or_else(|| CliError::input(format!("there is no stage `{key}`")))?;
    let runtime = super::common::runtime()?;
    let place = match step {
        Some(step) => Place::Step(step),
        None if args.kept => Place::Kept,
        None => Place::Newest {
            fresh: host.kept.get(&key).is_none() || is_fresh(&session, &host, &args.choice, &key)?,
        },
    };
    let result = runtime.block_on(async {
        super::clean::reclaim(&host).await;
        let done = match args.discard {
            true => discard(&host, &key).await,
            false => enter(&host, stage, place, args).await,
        };
        host.close().await;
        done
    });
    // a read from the terminal cannot be given up
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}

async fn enter(
    host: &Host,
    stage: Stage,
    place: Place<'_>,
    args: SshArgs,
) -> Result<Exit, CliError> {
    let entrance = crate::stages::entrance(host, &stage, place).await;
    let entrance = entrance.map_err(no_entrance)?;
    tell(&announced(host, &stage.key, &entrance, args.keep));
    let cancel = Cancel::new();
    if args.exec.is_some() {
        signals::watch(&cancel, super::common::warn);
    }
    let mut show = |stream: crate::guest::Stream, bytes: &[u8]| {
        let _ = match stream {
            crate::guest::Stream::Stdout => std::io::stdout().write_all(bytes),
            crate::guest::Stream::Stderr => std::io::stderr().write_all(bytes),
        };
    };
    let what = match args.exec {
        Some(line) => Visit::Command {
            line,
            input: input(),
            show: &mut show,
        },
        None => Visit::Shell,
    };
    let key = stage.key.clone();
    let stage = Arc::new(stage);
    let done = visit(
        host,
        stage,
        &entrance,
        (what, args.keep),
        Arc::new(tell),
        cancel,
    )
    .await;
    let _ = std::io::stdout().flush();
    if args.keep && done.is_ok() {
        let name = &key.name;
        tell(&format!(
            "the machine is kept: `forge ssh {name} --kept` enters it again, `forge ssh {name} --discard` lets it go"
        ));
    }
    match done {
        Ok(0) => Ok(Exit::Done),
        Ok(code) => Ok(Exit::Guest(u8::try_from(code).unwrap_or(1))),
        Err(ExecError::Cancelled) => Ok(Exit::Interrupted),
        Err(ExecError::Failed(failure)) => Err(failed(*failure)),
    }
}

/// What is entered, and what else could be.
fn announced(host: &Host, key: &StageKey, entrance: &Entrance, keep: bool) -> String {
    let how = match &entrance.running {
        Some(_) => "as it runs",
        None => "started from its disks",
    };
    let mut text = format!("entering {}, {how}", entrance.what);
    if !keep {
        text.push_str("; what you change is thrown away");
    }
    let name = &key.name;
    if host
        .kept
        .get(key)
        .is_some_and(|kept| kept != entrance.state)
    {
        text.push_str(&format!(
            "\na machine of {key} is kept, too: `forge ssh {name} --kept` enters it"
        ));
    }
    text
}

fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

async fn discard(host: &Host, key: &StageKey) -> Result<Exit, CliError> {
    match crate::stages::discard_kept(host, key).await {
        Ok(true) => tell(&format!("the kept machine of {key} is gone")),
        Ok(false) => tell(&format!("no machine of {key} is kept")),
        Err(failure) => return Err(failed(failure)),
    }
    Ok(Exit::Done)
}

/// Whether the stage is up to date; one whose inputs cannot be read is not.
fn is_fresh(
    session: &Session,
    host: &Host,
    choice: &Choice,
    key: &StageKey,
) -> Result<bool, CliError> {
    let stages = session.select(choice, &[key.name.to_string()])?;
    let plan = session.plan(host, &stages, &BTreeSet::new());
    let fresh = |step: &PlanStep| step.key == *key && step.is_fresh();
    Ok(plan.is_ok_and(|plan| plan.steps.iter().any(fresh)))
}

/// Standard input in pieces; none at a terminal, where one would wait for its end.
fn input() -> Option<mpsc::Receiver<std::io::Result<Vec<u8>>>> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return None;
    }
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut bytes = vec![0; PIECE];
        loop {
            let piece = match stdin.read(&mut bytes) {
                Ok(0) => return,
                Ok(read) => Ok(bytes[..read].to_vec()),
                Err(error) => Err(error),
            };
            let last = piece.is_err();
            if sender.blocking_send(piece).is_err() || last {
                return;
            }
        }
    });
    Some(receiver)
}

fn no_entrance(none: NoEntrance) -> CliError {
    let error = match none.environment {
        true => CliError::environment(none.message),
        false => CliError::input(none.message),
    };
    none.help.into_iter().fold(error, CliError::help)
}

fn failed(failure: StageFailure) -> CliError {
    let error = match failure.environment {
        true => CliError::environment(failure.message),
        false => CliError::failed(failure.message),
    };
    failure.help.into_iter().fold(error, CliError::help)
}
