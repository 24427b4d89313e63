//! `forge ssh`.

use std::io::Write as _;
use std::sync::Arc;

use clap::Args;

use super::common::{Choice, Global};
use super::session::{Session, run_facts, store_error};
use super::{CliError, Exit, signals};
use crate::engine::ExecError;
use crate::model::{Artifact, StageKey};
use crate::plan::Records as _;
use crate::stages::{Host, OnError, Visit, visit};
use crate::sys::Cancel;

/// Open a shell in a throw-away machine started from what a stage has left
#[derive(Args, Debug)]
pub(super) struct SshArgs {
    /// The stage: one that leaves a machine
    stage: String,
    #[command(flatten)]
    choice: Choice,
    /// Run this command instead of a shell
    #[arg(short, long = "exec", value_name = "COMMAND")]
    exec: Option<String>,
    /// The machine that the stage's last failure has left (`forge run --on-error keep`)
    #[arg(long)]
    failed: bool,
}

pub(super) fn run(global: &Global, args: SshArgs) -> Result<Exit, CliError> {
    let session = Session::load(global, &args.choice)?;
    let key = session.one_stage(&args.choice, &args.stage)?;
    let host = session.host(run_facts(), OnError::Cleanup)?;
    let artifact = if args.failed {
        failed(&host, &key)?
    } else {
        recorded(&host, &key)?
    };
    let stage = session
        .project
        .stage(&key)
        .cloned()
        .ok_or_else(|| CliError::input(format!("there is no stage `{key}`")))?;
    let runtime = super::common::runtime()?;
    let result = runtime.block_on(async {
        if let Err(error) = host.journal.recover() {
            super::common::warn(&format!("cannot clean up after an earlier run: {error}"));
        }
        let cancel = Cancel::new();
        if args.exec.is_some() {
            signals::watch(&cancel, super::common::warn);
        }
        let tell = Arc::new(|text: &str| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
        let mut show = |stream: crate::guest::Stream, bytes: &[u8]| {
            let _ = match stream {
                crate::guest::Stream::Stdout => std::io::stdout().write_all(bytes),
                crate::guest::Stream::Stderr => std::io::stderr().write_all(bytes),
            };
        };
        let what = match args.exec {
            Some(line) => Visit::Command {
                line,
                show: &mut show,
            },
            None => Visit::Shell,
        };
        let result = visit(&host, Arc::new(stage), &artifact, what, tell, cancel).await;
        host.close().await;
        result
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended(result)
}

fn ended(result: Result<i32, ExecError>) -> Result<Exit, CliError> {
    match result {
        Ok(0) => Ok(Exit::Done),
        Ok(code) => Err(CliError::failed(format!(
            "the command in the guest ended with exit code {code}"
        ))),
        Err(ExecError::Cancelled) => Ok(Exit::Interrupted),
        Err(ExecError::Failed(failure)) => {
            let error = if failure.environment {
                CliError::environment(failure.message)
            } else {
                CliError::failed(failure.message)
            };
            Err(failure.help.into_iter().fold(error, CliError::help))
        }
    }
}

fn recorded(host: &Host, key: &StageKey) -> Result<Artifact, CliError> {
    let records = host.db.records(&host.store);
    let Some(record) = records.last(key) else {
        return Err(CliError::input(format!("{key} has not been built"))
            .help(format!("build it with `forge run {}`", key.name)));
    };
    records.intact(&record.artifact).map_err(|what| {
        CliError::environment(format!("the artifact of {key} is not whole: {what}"))
            .help(format!("build it anew with `forge run {}`", key.name))
    })?;
    host.db.touch([&record]).map_err(|e| store_error(&e))?;
    Ok(record.artifact)
}

fn failed(host: &Host, key: &StageKey) -> Result<Artifact, CliError> {
    let machine = host.kept.get(key).ok_or_else(|| {
        CliError::input(format!("no failed machine of {key} is kept")).help(format!(
            "`forge run --on-error keep {}` keeps it when the stage fails",
            key.name
        ))
    })?;
    Ok(Artifact {
        machine: Some(machine),
        ..Artifact::default()
    })
}
