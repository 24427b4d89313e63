//! `kind = "command"`: any program as a stage.
//!
//! The program sees a small, fixed set of environment variables beside the declared ones, so that what it does depends
//! on what the stage says. Declared outputs are removed before it starts: what is there afterwards, it made.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::PoisonError;

use tokio::io::AsyncReadExt as _;

use super::failure::{failure, io};
use super::resolve::Resolver;
use super::{Host, depfile, outputs, undeclared};
use crate::engine::{ExecError, Output, StageContext, StageFailure};
use crate::model::{Artifact, Command, CommandLine, Discovery};
use crate::sys::{Cancel, Running, process};

/// Variables of forge's own environment that every command sees. They say where things are for this user, not what
/// the result is.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSH_AUTH_SOCK",
    "SOURCE_DATE_EPOCH",
];

/// How long a command may take to end after SIGTERM.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) async fn execute(
    host: &Host,
    context: &StageContext,
    kind: &Command,
) -> Result<Artifact, ExecError> {
    let written = kind.outputs.values().chain(kind.depfile());
    for path in written {
        let path = host.root.join(path);
        crate::sys::fs::remove(&path).map_err(|e| io("remove the old output", &path, &e))?;
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| io("create", dir, &e))?;
        }
    }
    context.output.step(title(kind));
    let around = undeclared::Around::look(host, kind);
    let status = run(host, context, kind, &BTreeMap::new()).await?;
    if !status.success() {
        return Err(failure(describe(status)).into());
    }
    if let Some(path) = kind.depfile() {
        read_depfile(host, context, kind, path)?;
    }
    around.tell(host, context);
    outputs::collect(host, context, &kind.outputs).await
}

/// Takes what the command has written into its depfile, which is no longer needed then.
fn read_depfile(
    host: &Host,
    context: &StageContext,
    kind: &Command,
    path: &str,
) -> Result<(), StageFailure> {
    let full = host.root.join(path);
    let bytes = std::fs::read(&full).map_err(|e| {
        if e.kind() != std::io::ErrorKind::NotFound {
            return io("read the depfile", &full, &e);
        }
        let mut failed = failure(format!(
            "the command ended well but did not write its depfile {path}"
        ));
        failed.help.push(format!(
            "compilers write it with `-MD -MF {path}`; without one, list what it reads in `inputs`"
        ));
        failed
    })?;
    let broken = |why: String| {
        let mut failed = failure(format!("the depfile {path} cannot be read: {why}"));
        failed
            .help
            .push("it has rules as Make has them: `main.o: main.c util.h`".into());
        failed
    };
    let text = String::from_utf8(bytes).map_err(|_| broken("it is not UTF-8".into()))?;
    let files = depfile::parse(&text).map_err(broken)?;
    note_found(host, context, kind, files);
    if !kind.outputs.values().any(|output| output == path) {
        crate::sys::fs::remove(&full).map_err(|e| io("remove the depfile", &full, &e))?;
    }
    Ok(())
}

/// Notes files that the command says it has read, its own outputs left out.
fn note_found(
    host: &Host,
    context: &StageContext,
    kind: &Command,
    files: impl IntoIterator<Item = String>,
) {
    let dir = working_dir(host, kind);
    let own = |path: &String| kind.outputs.values().any(|output| lies_in(path, output));
    let files = files.into_iter();
    let files = files.map(|file| depfile::place(&host.root, &dir, &file));
    let mut found = context.found.lock().unwrap_or_else(PoisonError::into_inner);
    found.extend(files.filter(|path| !path.is_empty() && !own(path)));
}

/// Whether `path` is `dir`, or lies below it.
pub(super) fn lies_in(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn working_dir(host: &Host, kind: &Command) -> PathBuf {
    kind.dir
        .as_ref()
        .map_or_else(|| host.root.clone(), |dir| host.root.join(dir))
}

/// Runs the command line to its end; `extra` are variables beside the declared ones.
pub(super) async fn run(
    host: &Host,
    context: &StageContext,
    kind: &Command,
    extra: &BTreeMap<String, String>,
) -> Result<ExitStatus, ExecError> {
    let resolver = Resolver::new(host, context);
    let argv: Vec<String> = match &kind.run {
        CommandLine::Shell(line) => vec!["sh".into(), "-c".into(), resolver.text(line)?],
        CommandLine::Argv(argv) => argv
            .iter()
            .map(|word| resolver.text(word))
            .collect::<Result<_, _>>()?,
    };
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| failure("`run` is empty"))?;
    let env = resolver.map(&kind.env)?;
    // a program that is found here is started without a copy of this process, which searching in the child would take
    let path = env.iter().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, path)| OsString::from(path));
    let found = path.or_else(|| std::env::var_os("PATH"));
    let found = found.and_then(|path| process::find_binary(&path, program));
    let start = found.as_deref().unwrap_or(Path::new(program));
    let mut command = process::command(start, host.journal.run_id());
    let dir = working_dir(host, kind);
    command.arg0(program).args(arguments).current_dir(&dir);
    command
        .env_clear()
        .env(process::RUN_VARIABLE, host.journal.run_id());
    for name in PASSED
        .iter()
        .copied()
        .chain(kind.pass_env.iter().map(String::as_str))
    {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("FORGE_CACHE_DIR", &host.cache)
        .env("FORGE_STAGE", context.stage.key.to_string());
    command.envs(env).envs(extra);
    let mut listener = Listener {
        output: &context.output,
        lines: match &kind.discovers {
            Some(Discovery::Lines(prefix)) => Some(depfile::Lines::new(prefix)),
            _ => None,
        },
    };
    let cancel = &context.cancel;
    let running = |pid| {
        let what = format!("command of {}", context.stage.key);
        // without it only those are found that keep their mark
        host.journal.command(what, pid).ok().flatten()
    };
    let status = drive(command, (program, &dir), &mut listener, cancel, &running).await?;
    if let Some(mut lines) = listener.lines {
        lines.end(&context.output);
        note_found(host, context, kind, lines.found);
    }
    Ok(status)
}

/// Takes what a command prints.
struct Listener<'a> {
    output: &'a Output,
    lines: Option<depfile::Lines>,
}

impl Listener<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        match &mut self.lines {
            Some(lines) => lines.bytes(bytes, self.output),
            None => self.output.bytes(bytes),
        }
    }
}

async fn drive(
    mut command: tokio::process::Command,
    (program, dir): (&str, &Path),
    output: &mut Listener<'_>,
    cancel: &Cancel,
    note: &(dyn Fn(u32) -> Option<Running> + Sync),
) -> Result<ExitStatus, ExecError> {
    // one pipe for both streams keeps their order
    let pipe = || -> std::io::Result<_> {
        let (reader, writer) = std::io::pipe()?;
        let receiver = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into())?;
        Ok((receiver, writer.try_clone()?, writer))
    };
    let (mut reader, stdout, stderr) =
        pipe().map_err(|e| failure(format!("cannot make a pipe: {e}")))?;
    command.stdout(stdout).stderr(stderr);
    let spawned = process::Group::spawn(&mut command);
    // the parent's ends of the pipe live in the command
    drop(command);
    let mut group = spawned.map_err(|e| not_started(program, dir, &e))?;
    let noted = group.pid().and_then(note);
    let mut buffer = vec![0; 16 << 10];
    let status = loop {
        tokio::select! {
            read = reader.read(&mut buffer) => match read {
                Ok(count) if count > 0 => output.bytes(&buffer[..count]),
                _ => break tokio::select! {
                    status = group.wait() => status,
                    () = cancel.cancelled() => { let _ = group.stop(GRACE).await; return Err(ExecError::Cancelled) }
                },
            },
            status = group.wait() => break status,
            () = cancel.cancelled() => {
                let _ = group.stop(GRACE).await;
                return Err(ExecError::Cancelled);
            }
        }
    };
    // what the command has left running would hold the pipe open, and outlive the stage
    drop(group);
    drop(noted);
    while let Ok(count) = reader.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        output.bytes(&buffer[..count]);
    }
    status.map_err(|e| failure(format!("cannot wait for `{program}`: {e}")).into())
}

fn not_started(program: &str, dir: &Path, error: &std::io::Error) -> ExecError {
    let mut failure = failure(format!("cannot start `{program}`: {error}"));
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        failure.help.push(format!(
            "make it executable: `chmod +x {program}`, and let its first line name its interpreter (`#!/bin/sh`)"
        ));
    }
    if error.kind() == std::io::ErrorKind::NotFound {
        if dir.join(program).exists() {
            failure.message = format!(
                "cannot start `{program}`: the interpreter in its first line does not exist"
            );
            failure.environment = true;
        } else if dir.is_dir() && program.contains('/') {
            failure.message = format!("cannot start `{program}`: there is no such file");
            failure
                .help
                .push("paths are relative to the project, or to the stage's `dir`".into());
        } else if dir.is_dir() {
            failure.help.push(format!(
                "install `{program}`, or write its path relative to the project"
            ));
            failure.environment = true;
        } else {
            failure.message = format!(
                "cannot start `{program}`: there is no directory {}",
                dir.display()
            );
        }
    }
    failure.into()
}

/// What a command does, for the live line.
pub(super) fn title(kind: &Command) -> String {
    let text = match &kind.run {
        CommandLine::Shell(line) => line.to_string(),
        CommandLine::Argv(argv) => argv
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    };
    let first = text.trim().lines().next().unwrap_or_default().to_owned();
    if text.trim().lines().count() > 1 {
        format!("{first} …")
    } else {
        first
    }
}

/// An exit status in words.
pub(super) fn describe(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        if let Some(signal) = status.signal() {
            return format!("the command was ended by signal {signal}");
        }
    }
    match status.code() {
        Some(126) => "the command cannot be executed (exit code 126)".into(),
        Some(127) => "the command was not found (exit code 127)".into(),
        Some(code) => format!("the command failed with exit code {code}"),
        None => "the command failed".into(),
    }
}

/// A failure of a command on this machine, as a step of something else.
pub(super) fn check(status: ExitStatus) -> Result<(), StageFailure> {
    if status.success() {
        Ok(())
    } else {
        Err(failure(describe(status)))
    }
}
