//! What QEMU says of itself, remembered by the program's size and time: neither a plan nor each start of a machine has to ask.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use super::accel::stamp;
use super::output;
use crate::provider::ProviderError;
use crate::sys::{fs, process};

/// Where the answers are kept, in the cache directory.
const FILE: &str = "qemu-answers.json";

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Its version, in full: `QEMU emulator version 7.2.22 (Debian …)`.
    Version,
    /// The devices that it knows: lines with `name "pvscsi"`. More of them may be installed without another QEMU.
    Devices,
}

impl Question {
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Version => &["--version"],
            Self::Devices => &["-device", "help"],
        }
    }

    fn key(self) -> String {
        self.arguments().join(" ")
    }

    /// What counts of an answer.
    fn answer(self, text: &str) -> String {
        match self {
            Self::Version => text.lines().next().unwrap_or_default().to_owned(),
            Self::Devices => text.to_owned(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    program: String,
    answers: BTreeMap<String, String>,
}

fn program(binary: &Path) -> Option<String> {
    Some(format!("{} {:?}", binary.display(), stamp(binary)?))
}

fn of(binary: &Path, cache: &Path) -> Option<Remembered> {
    let bytes = std::fs::read(cache.join(FILE)).ok()?;
    let known: Remembered = serde_json::from_slice(&bytes).ok()?;
    (known.program == program(binary)?).then_some(known)
}

/// What this program has answered before, if it is still the same program.
pub(super) fn remembered(binary: &Path, cache: &Path, question: Question) -> Option<String> {
    of(binary, cache)?.answers.remove(&question.key())
}

/// Takes the answer out of what the program has printed, and remembers it.
fn remember(binary: &Path, cache: &Path, question: Question, text: &str) -> String {
    let answer = question.answer(text);
    let known = of(binary, cache).or_else(|| {
        Some(Remembered {
            program: program(binary)?,
            answers: BTreeMap::new(),
        })
    });
    if let Some(mut known) = known.filter(|_| !answer.is_empty()) {
        known.answers.insert(question.key(), answer.clone());
        let bytes = serde_json::to_vec(&known).unwrap_or_default();
        // what is not remembered is asked again
        let _ = fs::write_atomic(&cache.join(FILE), &bytes);
    }
    answer
}

/// Asks the program.
pub(super) async fn ask(
    binary: &Path,
    cache: &Path,
    question: Question,
    run_id: &str,
) -> Result<String, ProviderError> {
    let text = output(binary, question.arguments(), run_id).await?;
    Ok(remember(binary, cache, question, &text))
}

/// As [`ask`], for who cannot wait: blocking.
pub(super) fn ask_now(
    binary: &Path,
    cache: &Path,
    question: Question,
    run_id: &str,
) -> Option<String> {
    let mut command = process::command(binary, run_id).into_std();
    command.args(question.arguments()).stderr(Stdio::null());
    let said = command.output().ok()?;
    let text = String::from_utf8_lossy(&said.stdout);
    let answer = remember(binary, cache, question, &text);
    (!answer.is_empty()).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_asked_once_and_again_when_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let (binary, cache) = (dir.path().join("qemu"), dir.path().join("cache"));
        let install = |version: &str| {
            let log = dir.path().join("asked");
            let script = format!(
                "#!/bin/sh\necho x >>{}\necho QEMU emulator version {version}\necho more",
                log.display()
            );
            // by a process of its own: a file that this one has open for writing cannot be run
            let status = std::process::Command::new("sh")
                .args(["-c", "echo \"$1\" >\"$0\" && chmod 755 \"$0\""])
                .arg(&binary)
                .arg(script)
                .status();
            assert!(status.unwrap().success());
        };
        let said = |question| {
            remembered(&binary, &cache, question)
                .or_else(|| ask_now(&binary, &cache, question, "test"))
        };
        let version = || said(Question::Version);
        let asked = || {
            std::fs::read_to_string(dir.path().join("asked"))
                .unwrap()
                .len()
                / 2
        };
        assert_eq!(version(), None, "there is none");
        install("7.2.22");
        assert_eq!(version().as_deref(), Some("QEMU emulator version 7.2.22"));
        assert_eq!(version().as_deref(), Some("QEMU emulator version 7.2.22"));
        assert_eq!(asked(), 1);
        let devices = said(Question::Devices);
        assert!(devices.unwrap().ends_with("more\n"));
        assert!(version().is_some() && said(Question::Devices).is_some());
        assert_eq!(asked(), 2);
        install("10.0.0");
        assert_eq!(version().as_deref(), Some("QEMU emulator version 10.0.0"));
        assert_eq!(asked(), 3);
    }
}
