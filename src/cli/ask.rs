//! Questions at the terminal while a run goes on.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use async_trait::async_trait;

use super::CliError;
use super::common::Global;
use crate::stages::{Answer, Attendant};
use crate::sys::Cancel;

/// Has the live display leave the terminal alone (true), or come back.
pub(super) type Lend = Arc<dyn Fn(bool) + Send + Sync>;

/// The user at the terminal.
pub(super) struct Asker {
    stops: bool,
    lend: Lend,
    /// One question at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Asker {
    /// One who is asked after failures, and before each step if `stops`.
    pub(super) fn new(stops: bool, lend: Lend) -> Self {
        Self {
            stops,
            lend,
            turn: tokio::sync::Mutex::default(),
        }
    }
}

/// Makes sure that there is somebody who can be asked; `option` is what wants that.
pub(super) fn need_terminal(global: &Global, option: &str) -> Result<(), CliError> {
    let error = |why: &str| {
        CliError::input(format!("{option} asks at the terminal, and {why}")).help(
            "`--on-error keep` keeps a failed machine without asking; `forge ssh STAGE` enters it",
        )
    };
    if global.json() {
        return Err(error("`--output json` is for programs"));
    }
    match std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        true => Ok(()),
        false => Err(error("there is none")),
    }
}

const fn words(answer: Answer) -> (char, &'static str) {
    match answer {
        Answer::CleanUp => ('c', "[c]lean up"),
        Answer::Keep => ('k', "[k]eep the machine"),
        Answer::Retry => ('r', "[r]etry the step"),
        Answer::Shell => ('s', "[s]hell in the machine"),
        Answer::GoOn => ('\n', "[Enter] go on"),
        Answer::Abort => ('a', "[a]bort"),
    }
}

/// The answer that a line is, if it is one.
fn understood(line: &str, answers: &[Answer]) -> Option<Answer> {
    let word = line.trim().to_lowercase();
    let first = word.chars().next().unwrap_or('\n');
    let mut known = answers.iter().copied();
    known.find(|answer| {
        let (key, text) = words(*answer);
        let plain = text.replace(['[', ']'], "");
        first == key && (word.len() <= 1 || plain.starts_with(&word))
    })
}

#[async_trait]
impl Attendant for Asker {
    fn stops(&self) -> bool {
        self.stops
    }

    async fn ask(&self, question: &str, answers: &[Answer], cancel: &Cancel) -> Option<Answer> {
        let _turn = self.turn.lock().await;
        if cancel.is_cancelled() {
            return None;
        }
        (self.lend)(true);
        let choice: Vec<&str> = answers.iter().map(|answer| words(*answer).1).collect();
        let prompt = format!("{question}\n  {}: ", choice.join(", "));
        let answer = loop {
            let _ = write!(std::io::stderr(), "{prompt}");
            let _ = std::io::stderr().flush();
            // a thread of its own: reading from a terminal cannot be given up
            let line = cancel.run(tokio::task::spawn_blocking(read_line)).await;
            let Some(Ok(Some(line))) = line else {
                let _ = writeln!(std::io::stderr());
                break None;
            };
            if let Some(answer) = understood(&line, answers) {
                break Some(answer);
            }
        };
        (self.lend)(false);
        answer
    }

    fn lend_terminal(&self, lent: bool) {
        (self.lend)(lent);
    }
}

/// A line from standard input; none at its end.
fn read_line() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok_and(|read| read > 0).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_letters_or_words() {
        let failed = [Answer::CleanUp, Answer::Keep, Answer::Retry, Answer::Shell];
        for (line, expected) in [
            ("c\n", Some(Answer::CleanUp)),
            ("K\n", Some(Answer::Keep)),
            ("retry\n", Some(Answer::Retry)),
            (" s \n", Some(Answer::Shell)),
            ("\n", None),
            ("rest\n", None),
            ("yes\n", None),
        ] {
            assert_eq!(understood(line, &failed), expected, "{line:?}");
        }
        let next = [Answer::GoOn, Answer::Shell, Answer::Abort];
        assert_eq!(understood("\n", &next), Some(Answer::GoOn));
        assert_eq!(understood("abort\n", &next), Some(Answer::Abort));
        assert_eq!(understood("k\n", &next), None);
    }
}
