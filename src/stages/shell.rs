//! `shell` steps: scripts that run in the guest.
//!
//! A script is uploaded to a fresh file under `/tmp` (or the guest's `TMPDIR`), run by its own `#!` line or by the step's
//! interpreter, and removed. Environment variables travel inside the uploaded wrapper, never in a process's arguments.

use super::Host;
use super::failure::failure;
use super::resolve::Resolver;
use super::step::{lost, optional, unreadable};
use crate::engine::{ExecError, StageContext, StageFailure};
use crate::guest::{Exec, Guest, GuestError, quote};
use crate::model::{Duration, Provision, Shell, ShellSource};

pub(super) async fn run(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    (shell, timeout): (&Shell, Option<Duration>),
    guest: &Guest,
) -> Result<(), ExecError> {
    for script in &shell.scripts {
        one(host, context, kind, (shell, timeout, script), guest).await?;
    }
    Ok(())
}

async fn one(
    host: &Host,
    context: &StageContext,
    kind: &Provision,
    (shell, timeout, script): (&Shell, Option<Duration>, &ShellSource),
    guest: &Guest,
) -> Result<(), ExecError> {
    let resolver = Resolver::new(host, context);
    let body = match script {
        ShellSource::Inline(text) => resolver.text(text)?.into_bytes(),
        ShellSource::File(path) => {
            let path = host.root.join(path);
            std::fs::read(&path).map_err(|e| unreadable(&path, &e))?
        }
    };
    let password = optional(&resolver, kind.ssh.login.password.as_ref())?;
    let dir = optional(&resolver, shell.dir.as_ref())?;
    let env = resolver.map(&shell.env)?;
    let wrapper = wrapper(&unix_lines(body), shell, &env, dir.as_deref());
    let number =
        std::sync::atomic::AtomicU64::fetch_add(&COUNTER, 1, std::sync::atomic::Ordering::Relaxed);
    let path = format!("/tmp/forge-{}-{number}", host.journal.run_id());
    guest
        .upload_bytes(wrapper, &path, 0o700, &context.cancel)
        .await?;
    let (command, stdin) = match (shell.sudo, &password) {
        (false, _) => (format!("{path}; s=$?; rm -f {path}; exit $s"), None),
        (true, Some(password)) => (
            format!("sudo -S -p '' {path}; s=$?; rm -f {path}; exit $s"),
            Some(format!("{password}\n").into_bytes()),
        ),
        (true, None) => (format!("sudo -n {path}; s=$?; rm -f {path}; exit $s"), None),
    };
    let output = context.output.clone();
    let mut show = move |_: crate::guest::Stream, bytes: &[u8]| output.bytes(bytes);
    let exec = Exec {
        command,
        stdin,
        timeout: timeout.map(Duration::std),
    };
    let status = match guest.run(&exec, &mut show, &context.cancel).await {
        Err(GuestError::Lost(_)) if shell.expect_disconnect => {
            let deadline = std::time::Instant::now() + kind.ssh.timeout.std();
            let output = context.output.clone();
            let note = move |text: &str| output.note(text);
            return Ok(guest.reconnect(deadline, &context.cancel, &note).await?);
        }
        other => other.map_err(lost)?,
    };
    context.output.flush();
    judge(status, shell).map_err(ExecError::from)
}

static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn judge(status: i32, shell: &Shell) -> Result<(), StageFailure> {
    if shell.valid_exit_codes.contains(&status) {
        return Ok(());
    }
    let mut failed = failure(format!("the script failed with exit code {status}"));
    match status {
        126 => failed.help.push(
            "it cannot be executed: is its interpreter there, and `/tmp` not mounted noexec?"
                .into(),
        ),
        127 => failed
            .help
            .push("a command or the script's interpreter was not found in the guest".into()),
        _ => {}
    }
    Err(failed)
}

/// The script with its environment, as one file: a POSIX shell sets the variables and runs the body from a here-document.
fn wrapper(body: &[u8], shell: &Shell, env: &[(String, String)], dir: Option<&str>) -> Vec<u8> {
    let mut text = b"#!/bin/sh\n".to_vec();
    for (name, value) in env {
        text.extend_from_slice(format!("export {name}={}\n", quote(value)).as_bytes());
    }
    if let Some(dir) = dir {
        text.extend_from_slice(format!("cd {} || exit 1\n", quote(dir)).as_bytes());
    }
    let mark = end_mark(body);
    let run = if body.starts_with(b"#!") {
        "chmod 700 \"$f\" && \"$f\"".to_owned()
    } else {
        format!("{} \"$f\"", shell.interpreter)
    };
    text.extend_from_slice(
        format!("f=\"$0.body\"\ncat > \"$f\" <<'{mark}' || exit 1\n").as_bytes(),
    );
    text.extend_from_slice(body);
    if !body.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend_from_slice(format!("{mark}\n{run}\ns=$?\nrm -f \"$f\"\nexit $s\n").as_bytes());
    text
}

/// A line that ends a here-document and does not occur in `body`.
fn end_mark(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut mark = "FORGE_END".to_owned();
    while text.contains(&mark) {
        mark.push('_');
    }
    mark
}

/// Scripts written on Windows run as well; what is not text stays as it is.
fn unix_lines(body: Vec<u8>) -> Vec<u8> {
    if body.contains(&0) || !body.windows(2).any(|pair| pair == b"\r\n") {
        return body;
    }
    let mut lines = Vec::with_capacity(body.len());
    for (index, byte) in body.iter().enumerate() {
        if !(*byte == b'\r' && body.get(index + 1) == Some(&b'\n')) {
            lines.push(*byte);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(interpreter: &str) -> Shell {
        Shell {
            scripts: vec![],
            env: Default::default(),
            sudo: false,
            valid_exit_codes: vec![0],
            interpreter: interpreter.into(),
            dir: None,
            expect_disconnect: false,
        }
    }

    fn run_wrapper(
        body: &[u8],
        env: &[(String, String)],
        dir: Option<&str>,
    ) -> (String, Option<i32>) {
        use std::os::unix::fs::PermissionsExt as _;
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("script");
        std::fs::write(
            &path,
            wrapper(&unix_lines(body.to_vec()), &shell("/bin/sh -eu"), env, dir),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let output = std::process::Command::new("sh")
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(
            std::fs::read_dir(temporary.path()).unwrap().count(),
            1,
            "the body is removed"
        );
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            output.status.code(),
        )
    }

    #[test]
    fn the_wrapper_gives_environment_directory_interpreter_and_exit_code() {
        let env = vec![(
            "GREETING".to_owned(),
            "it's $HOME \"quoted\"\nline two".to_owned(),
        )];
        let (out, code) = run_wrapper(b"echo \"$GREETING\"; pwd; exit 7", &env, Some("/usr"));
        assert_eq!(
            (out.as_str(), code),
            ("it's $HOME \"quoted\"\nline two\n/usr\n", Some(7))
        );
        assert_eq!(
            run_wrapper(b"false\necho not reached\n", &[], None),
            (String::new(), Some(1)),
            "-e holds"
        );
        assert_eq!(
            run_wrapper(b"#!/bin/cat\nx\n", &[], None).0,
            "#!/bin/cat\nx\n",
            "its own interpreter"
        );
        assert_eq!(
            run_wrapper(b"echo one\r\necho two\r\n", &[], None).0,
            "one\ntwo\n"
        );
        assert_eq!(run_wrapper(b"echo FORGE_END", &[], None).0, "FORGE_END\n");
    }

    #[test]
    fn exit_codes_are_judged() {
        assert!(judge(0, &shell("sh")).is_ok());
        assert_eq!(
            judge(3, &shell("sh")).unwrap_err().message,
            "the script failed with exit code 3"
        );
        assert_eq!(judge(127, &shell("sh")).unwrap_err().help.len(), 1);
        assert!(
            judge(
                3,
                &Shell {
                    valid_exit_codes: vec![0, 3],
                    ..shell("sh")
                }
            )
            .is_ok()
        );
    }
}
