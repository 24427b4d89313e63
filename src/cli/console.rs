//! `forge console`.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use clap::Args;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::common::{self, Choice, Global};
use super::screenshot::Found;
use super::{CliError, Exit};

/// As much of what came before is shown.
const BEFORE: usize = 4 << 10;
/// Ctrl-], which ends the console.
const LEAVE: u8 = 0x1d;

/// Sit at the serial console of a machine that runs now, or tell where its screen is seen
#[derive(Args, Debug)]
pub(super) struct ConsoleArgs {
    /// The stage whose machine it is
    stage: String,
    #[command(flatten)]
    choice: Choice,
    /// Have the machine show its screen over VNC, and tell where
    #[arg(long)]
    vnc: bool,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "every command takes its arguments whole"
)]
pub(super) fn run(global: &Global, args: ConsoleArgs) -> Result<Exit, CliError> {
    let found = Found::new(global, &args.choice, &args.stage)?;
    let sight = found.seen.sight.clone();
    if args.vnc {
        let place = found.ask(async |provider| provider.vnc(&sight).await)?;
        common::print(format!("{place}\n").as_bytes())?;
        return Ok(Exit::Done);
    }
    let Some(line) = &sight.serial else {
        let Some(link) = &sight.console else {
            return Err(
                CliError::failed("this machine has no console").help(format!(
                    "`forge screenshot {}` shows its screen",
                    args.stage
                )),
            );
        };
        // people log in there themselves
        common::print(format!("{link}\n").as_bytes())?;
        return Ok(Exit::Done);
    };
    let before = sight.serial_log.as_deref().map(tail).unwrap_or_default();
    sit(line, &before)
}

/// The end of what came over the line so far.
fn tail(log: &Path) -> Vec<u8> {
    let text = std::fs::read(log).unwrap_or_default();
    text[text.len().saturating_sub(BEFORE)..].to_vec()
}

/// Connects the terminal with the line until either ends.
fn sit(line: &Path, before: &[u8]) -> Result<Exit, CliError> {
    let gone =
        |_| CliError::failed("the machine has ended meanwhile, or somebody else is at its console");
    let mut stream = UnixStream::connect(line).map_err(gone)?;
    let stdin = std::io::stdin();
    let terminal = stdin.is_terminal();
    if terminal {
        let _ = writeln!(std::io::stderr(), "at the serial console; Ctrl-] leaves it");
    }
    let raw = terminal.then(Raw::new).flatten();
    show(before);
    let input = stream.try_clone().map_err(gone)?;
    std::thread::spawn(move || feed(input, terminal));
    let mut bytes = [0; 4096];
    while let Ok(read) = stream.read(&mut bytes) {
        if read == 0 {
            break;
        }
        show(&bytes[..read]);
    }
    drop(raw);
    if terminal {
        let _ = writeln!(std::io::stderr(), "\nthe console has ended");
    }
    Ok(Exit::Done)
}

fn show(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // a reader that has gone away ends the process by itself
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Sends what is typed; at a terminal until Ctrl-]. The end of a pipe leaves the line open: what the machine says is still
/// shown.
fn feed(mut line: UnixStream, terminal: bool) {
    let mut bytes = [0; 1024];
    while let Ok(read) = std::io::stdin().read(&mut bytes) {
        let typed = &bytes[..read];
        let leaves = terminal && typed.contains(&LEAVE);
        let sent = typed.split(|byte| terminal && *byte == LEAVE).next();
        if line.write_all(sent.unwrap_or_default()).is_err() {
            return;
        }
        if leaves || (terminal && read == 0) {
            let _ = line.shutdown(std::net::Shutdown::Both);
            return;
        }
        if read == 0 {
            return;
        }
    }
}

/// The terminal without echo, lines and signals; as it was again when this is dropped.
struct Raw(Termios);

impl Raw {
    fn new() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
