//! A throw-away machine from what a stage has left, to look around in: what `forge ssh` opens.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Host;
use super::checkpoints;
use super::entrance::Entrance;
use super::failure::{failure, io};
use super::machine::Session;
use super::provision::{self, RESUMED};
use super::resolve::Resolver;
use super::start::Start;
use crate::engine::{Event, ExecError, Output, Sink, StageContext, StageFailure};
use crate::guest::{Exec, Guest, Stream};
use crate::model::{self, MachineState, Ssh, Stage, StageKind};
use crate::sys::{Cancel, process};

/// What to do inside.
pub enum Visit<'a> {
    /// A shell on the terminal.
    Shell,
    /// A command; its output goes to `show`.
    Command {
        /// A shell line.
        line: String,
        /// What it reads; none: nothing.
        input: Option<mpsc::Receiver<std::io::Result<Vec<u8>>>>,
        /// Takes the output.
        show: &'a mut (dyn FnMut(Stream, &[u8]) + Send),
    },
}

/// Hears what is done now.
type Tell = Arc<dyn Fn(&str) + Send + Sync>;

struct Quiet(Tell);

impl Sink for Quiet {
    fn event(&self, event: Event) {
        if let Event::Step { text, .. } = event {
            (self.0)(&text);
        }
    }
}

/// Starts a machine over what is entered, or has it go on from there, does what is asked, and throws it away, or keeps it
/// for the next visit; returns the exit code.
pub async fn visit(
    host: &Host,
    stage: Arc<Stage>,
    entrance: &Entrance,
    (visit, keep): (Visit<'_>, bool),
    tell: Tell,
    cancel: Cancel,
) -> Result<i32, ExecError> {
    let ssh = login_of(&stage)?;
    let scratch = host.store.staging()?;
    // what a failure points to must outlive the visit
    let logs = host.root.join(".forge/logs").join(&host.run.id);
    let context = visitor(&stage, &logs, Arc::clone(&tell), cancel)?;
    let (session, guest, state) = enter(host, &context, ssh, entrance, &tell).await?;
    let code = match visit {
        Visit::Command { line, input, show } => match input {
            Some(input) => guest.run_fed(&line, input, show, &context.cancel).await?,
            None => guest.run(&Exec::new(line), show, &context.cancel).await?,
        },
        Visit::Shell => {
            let user = Resolver::new(host, &context).text(&ssh.user)?;
            open_shell(host, &guest, &user, scratch.path(), &context.cancel).await?
        }
    };
    if keep {
        provision::flush(&guest, &context.cancel).await;
        drop(guest);
        session.keep_for_later(host, &stage.key, &state).await?;
    } else {
        drop(guest);
        session.destroy();
    }
    // it went well: nobody will look for its log
    let _ = crate::sys::fs::remove(&logs);
    Ok(code)
}

/// How the machines of a stage are logged in to, if it leaves any.
pub(super) fn login_of(stage: &Stage) -> Result<&Ssh, StageFailure> {
    let leaves_machine = !matches!(stage.kind, StageKind::Verify(_));
    stage.ssh().filter(|_| leaves_machine).ok_or_else(|| {
        failure(format!(
            "stage `{}` leaves no machine; `iso-base`, `clone` and `provision` do",
            stage.key.name
        ))
    })
}

/// Goes on from the checkpoint if there is one that works, else from the disks. Returns what the machine is laid over, too.
async fn enter(
    host: &Host,
    context: &StageContext,
    ssh: &Ssh,
    entrance: &Entrance,
    tell: &Tell,
) -> Result<(Session, Guest, MachineState), ExecError> {
    let state = &entrance.state;
    if let Some(checkpoint) = &entrance.running
        && let Some(memory) = &checkpoint.memory
    {
        let kept = MachineState {
            hardware: state.hardware.clone(),
            ..checkpoint.machine.clone()
        };
        let mut start = Start::over(host, &kept, &state.hardware, ssh)?;
        start.memory = Some((host.store.path(memory), checkpoint.drives));
        let limit = ssh.timeout.min(RESUMED);
        match open(host, context, (start, ssh), limit).await {
            Ok((session, guest)) => {
                checkpoints::wake(&guest, context).await?;
                return Ok((session, guest, kept));
            }
            Err(ExecError::Cancelled) => return Err(ExecError::Cancelled),
            Err(ExecError::Failed(failure)) => tell(&format!(
                "the machine could not go on from where it was kept ({}); starting it from its disks",
                failure.message
            )),
        }
    }
    let start = Start::over(host, state, &state.hardware, ssh)?;
    let (session, guest) = open(host, context, (start, ssh), ssh.timeout).await?;
    Ok((session, guest, state.clone()))
}

async fn open(
    host: &Host,
    context: &StageContext,
    (start, ssh): (Start<'_>, &Ssh),
    limit: model::Duration,
) -> Result<(Session, Guest), ExecError> {
    let mut session = Session::launch(host, context, start).await?;
    let guest = provision::login(&mut session, host, context, ssh, limit).await?;
    Ok((session, guest))
}

/// A stage's context for what is no part of a run; its log goes to `logs`.
fn visitor(
    stage: &Arc<Stage>,
    logs: &Path,
    tell: Tell,
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
        found: Default::default(),
    })
}

/// A shell on the terminal; returns its exit code. `dir` takes the files that it needs. The guest has no trace of it
/// afterwards but for what was done in it.
pub(super) async fn open_shell(
    host: &Host,
    guest: &Guest,
    user: &str,
    dir: &Path,
    cancel: &Cancel,
) -> Result<i32, ExecError> {
    let key = temporary_key(host, guest, dir, cancel).await?;
    let code = shell(guest, user, &key, host.journal.run_id()).await;
    let forget = Exec {
        timeout: Some(Duration::from_secs(60)),
        ..Exec::new(format!(
            "cd ~/.ssh && grep -v '{}$' authorized_keys >.forge; cat .forge >authorized_keys; rm -f .forge",
            comment(host)
        ))
    };
    // a guest that was turned off in the shell remembers it until it is thrown away
    let _ = guest.run(&forget, &mut |_, _| {}, cancel).await;
    code
}

/// What tells the temporary key of this visit from all others.
fn comment(host: &Host) -> String {
    format!("forge-visit-{}", host.run.id)
}

/// A key pair for this visit: the user's `ssh` gets in with it, so that no password passes through a process.
async fn temporary_key(
    host: &Host,
    guest: &Guest,
    dir: &Path,
    cancel: &Cancel,
) -> Result<std::path::PathBuf, ExecError> {
    let key = dir.join("key");
    let _ = crate::sys::fs::remove(&key);
    let status = process::command("ssh-keygen", host.journal.run_id())
        .args(["-q", "-t", "ed25519", "-N", "", "-C", &comment(host), "-f"])
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

async fn shell(guest: &Guest, user: &str, key: &Path, mark: &str) -> Result<i32, ExecError> {
    let address = guest.target().addr;
    let mut command = tokio::process::Command::new("ssh");
    // it stays in the terminal's own group; the mark is what it is found by
    command
        .env(process::RUN_VARIABLE, mark)
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
