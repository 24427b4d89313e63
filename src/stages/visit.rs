//! A throw-away machine from a stage's artifact, to look around in: what `forge ssh` opens.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use super::Host;
use super::failure::{failure, io};
use super::login;
use super::machine::Session;
use super::resolve::Resolver;
use super::start::Start;
use crate::engine::{Event, ExecError, Output, Sink, StageContext, StageFailure};
use crate::guest::{Exec, Guest, Stream};
use crate::model::{Artifact, Stage, StageKind};
use crate::sys::{Cancel, process};

/// What to do inside.
pub enum Visit<'a> {
    /// A shell on the terminal.
    Shell,
    /// A command; its output goes to `show`.
    Command {
        /// A shell line.
        line: String,
        /// Takes the output.
        show: &'a mut (dyn FnMut(Stream, &[u8]) + Send),
    },
}

struct Quiet(Arc<dyn Fn(&str) + Send + Sync>);

impl Sink for Quiet {
    fn event(&self, event: Event) {
        if let Event::Step { text, .. } = event {
            (self.0)(&text);
        }
    }
}

/// Starts a machine over the artifact's layers, does what is asked, and throws it away; returns the exit code.
pub async fn visit(
    host: &Host,
    stage: Arc<Stage>,
    artifact: &Artifact,
    visit: Visit<'_>,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
    cancel: Cancel,
) -> Result<i32, ExecError> {
    let leaves_machine = !matches!(stage.kind, StageKind::Verify(_));
    let ssh = stage.ssh().filter(|_| leaves_machine).ok_or_else(|| {
        failure(format!(
            "stage `{}` leaves no machine; `iso-base`, `clone` and `provision` do",
            stage.key.name
        ))
    })?;
    let state = artifact
        .machine
        .as_ref()
        .ok_or_else(|| failure("its artifact has no machine"))?;
    let scratch = host.store.staging()?;
    // what a failure points to must outlive the visit
    let logs = host.root.join(".forge/logs").join(&host.run.id);
    let context = visitor(&stage, &logs, tell, cancel)?;
    let start = Start::over(host, state, &state.hardware, ssh)?;
    let mut session = Session::launch(host, &context, start).await?;
    let resolver = Resolver::new(host, &context);
    let mut watch = |_: Duration| None;
    let guest = session
        .login(
            &|address| login::target(&resolver, host, ssh, address),
            ssh.timeout,
            &mut watch,
        )
        .await?;
    let code = match visit {
        Visit::Command { line, show } => {
            let exec = Exec {
                command: line,
                stdin: None,
                timeout: None,
            };
            guest.run(&exec, show, &context.cancel).await?
        }
        Visit::Shell => {
            let user = resolver.text(&ssh.user)?;
            let key = temporary_key(host, &guest, scratch.path(), &context.cancel).await?;
            shell(&guest, &user, &key).await?
        }
    };
    drop(guest);
    session.destroy();
    // it went well: nobody will look for its log
    let _ = crate::sys::fs::remove(&logs);
    Ok(code)
}

/// A stage's context for what is no part of a run; its log goes to `logs`.
fn visitor(
    stage: &Arc<Stage>,
    logs: &Path,
    tell: Arc<dyn Fn(&str) + Send + Sync>,
    cancel: Cancel,
) -> Result<StageContext, StageFailure> {
    let log = logs.join(format!("visit-{}.log", stage.key.slug()));
    let sink = Arc::new(Quiet(tell));
    let output = Output::create(&stage.key, &log, sink, Arc::new(str::to_owned))
        .map_err(|e| io("write", &log, &e))?;
    Ok(StageContext {
        stage: Arc::clone(stage),
        upstream: Default::default(),
        ingredients: Arc::default(),
        from_scratch: false,
        output,
        cancel,
    })
}

/// A key pair for this visit: the user's `ssh` gets in with it, so that no password passes through a process.
async fn temporary_key(
    host: &Host,
    guest: &Guest,
    dir: &Path,
    cancel: &Cancel,
) -> Result<std::path::PathBuf, ExecError> {
    let key = dir.join("key");
    let status = process::command("ssh-keygen", host.journal.run_id())
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "forge", "-f"])
        .arg(&key)
        .status()
        .await
        .map_err(|e| StageFailure {
            message: format!("cannot start `ssh-keygen`: {e}"),
            help: vec![
                "install the OpenSSH client (Debian: openssh-client), or use `--exec`".into(),
            ],
            environment: true,
            ..StageFailure::default()
        })?;
    super::command::check(status)?;
    let public = key.with_extension("pub");
    let public = std::fs::read_to_string(&public).map_err(|e| io("read", &public, &e))?;
    let exec = Exec {
        command: "umask 077; mkdir -p ~/.ssh && cat >> ~/.ssh/authorized_keys".into(),
        stdin: Some(public.into_bytes()),
        timeout: Some(Duration::from_secs(60)),
    };
    match guest.run(&exec, &mut |_, _| {}, cancel).await? {
        0 => Ok(key),
        code => Err(failure(format!(
            "the guest did not take a temporary key (exit code {code})"
        ))
        .into()),
    }
}

async fn shell(guest: &Guest, user: &str, key: &Path) -> Result<i32, ExecError> {
    let address = guest.target().addr;
    let mut command = tokio::process::Command::new("ssh");
    command
        .args([
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
        ])
        .args(["-o", "IdentitiesOnly=yes", "-i"])
        .arg(key)
        .args([
            "-p",
            &address.port().to_string(),
            &format!("{user}@{}", address.ip()),
        ])
        .stdin(Stdio::inherit());
    let status = command
        .status()
        .await
        .map_err(|e| failure(format!("cannot start `ssh`: {e}")))?;
    Ok(status.code().unwrap_or(1))
}
