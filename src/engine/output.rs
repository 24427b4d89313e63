//! A stage's voice: steps, progress and output, to the run's sink and to the stage's log file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Event, Sink};
use crate::model::StageKey;

/// How many lines a failure shows.
const TAIL: usize = 20;

/// Longest line that is kept whole; a program that prints megabytes without a line end is cut here.
const LONGEST_LINE: usize = 8 << 10;

/// Masks secrets in a line.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// What a stage says while it runs. Copies share the log.
#[derive(Clone)]
pub struct Output {
    stage: StageKey,
    sink: Arc<dyn Sink>,
    redact: Redact,
    started: Instant,
    path: PathBuf,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    log: Option<File>,
    tail: VecDeque<String>,
    step: Option<String>,
    partial: Vec<u8>,
}

impl Output {
    /// A voice for `stage` whose log is a new file at `path`.
    pub fn create(
        stage: &StageKey,
        path: &Path,
        sink: Arc<dyn Sink>,
        redact: Redact,
    ) -> std::io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        let log = match (options.open(path), path.parent()) {
            (Err(e), Some(dir)) if e.kind() == std::io::ErrorKind::NotFound => {
                std::fs::create_dir_all(dir)?;
                options.open(path)?
            }
            (opened, _) => opened?,
        };
        let inner = Inner {
            log: Some(log),
            tail: VecDeque::new(),
            step: None,
            partial: Vec::new(),
        };
        Ok(Self {
            stage: stage.clone(),
            sink,
            redact,
            started: Instant::now(),
            path: path.to_owned(),
            inner: Arc::new(Mutex::new(inner)),
        })
    }

    /// The log file.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.path
    }

    /// A new step begins: what the stage does now.
    pub fn step(&self, text: impl Into<String>) {
        let text = (self.redact)(&text.into());
        let mut inner = self.lock();
        flush(&mut inner, self);
        write_log(&mut inner, self.started, "==", &text);
        inner.step = Some(text.clone());
        inner.tail.clear();
        drop(inner);
        self.sink.event(Event::Step {
            stage: self.stage.clone(),
            text,
        });
    }

    /// Bytes done in this step, of how many.
    pub fn progress(&self, done: u64, total: Option<u64>) {
        self.sink.event(Event::Progress {
            stage: self.stage.clone(),
            done,
            total,
        });
    }

    /// A line of output.
    pub fn line(&self, line: &str) {
        let mut inner = self.lock();
        emit(&mut inner, self, line.as_bytes());
    }

    /// Raw output, cut into lines; what has no line end yet waits for it.
    pub fn bytes(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            inner.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || inner.partial.len() > LONGEST_LINE {
                flush(&mut inner, self);
            }
        }
    }

    /// Output that has no line end is a line now.
    pub fn flush(&self) {
        let mut inner = self.lock();
        flush(&mut inner, self);
    }

    /// A line for the log alone.
    pub fn note(&self, text: &str) {
        let text = (self.redact)(text);
        write_log(&mut self.lock(), self.started, "--", &text);
    }

    /// The guest has asked forge's server for a file; `text` says it for people.
    pub fn request(&self, path: &str, status: u16, after: Duration, text: &str) {
        let text = (self.redact)(text);
        write_log(&mut self.lock(), self.started, "<-", &text);
        self.sink.event(Event::Request {
            stage: self.stage.clone(),
            path: (self.redact)(path),
            status,
            after,
            text,
        });
    }

    /// The installer has called its report URL.
    pub fn report(&self, name: &str, message: &str, after: Duration) {
        let (name, message) = ((self.redact)(name), (self.redact)(message));
        let whole = super::reported(&name, &message);
        for line in whole.lines() {
            let line = format!("installer: {line}");
            write_log(&mut self.lock(), self.started, "<-", &line);
        }
        self.sink.event(Event::Report {
            stage: self.stage.clone(),
            name,
            message,
            after,
        });
    }

    /// Something users should know.
    pub fn warn(&self, message: impl Into<String>) {
        let message = (self.redact)(&message.into());
        write_log(&mut self.lock(), self.started, "!!", &message);
        self.sink.event(Event::Warning {
            stage: Some(self.stage.clone()),
            message,
        });
    }

    /// The current step, and the last lines since it began.
    #[must_use]
    pub fn tail(&self) -> (Option<String>, Vec<String>) {
        let mut inner = self.lock();
        flush(&mut inner, self);
        (inner.step.clone(), inner.tail.iter().cloned().collect())
    }

    /// Masks secrets.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        (self.redact)(text)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn flush(inner: &mut Inner, output: &Output) {
    if !inner.partial.is_empty() {
        let line = std::mem::take(&mut inner.partial);
        emit(inner, output, &line);
    }
}

fn emit(inner: &mut Inner, output: &Output, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    // a line that was redrawn with carriage returns counts as its last state
    let text = text
        .trim_end_matches(['\n', '\r'])
        .rsplit('\r')
        .next()
        .unwrap_or_default();
    let line = (output.redact)(text);
    write_log(inner, output.started, "  ", &line);
    if inner.tail.len() == TAIL {
        inner.tail.pop_front();
    }
    inner.tail.push_back(line.clone());
    output.sink.event(Event::Log {
        stage: output.stage.clone(),
        line,
    });
}

fn write_log(inner: &mut Inner, started: Instant, mark: &str, text: &str) {
    let elapsed = started.elapsed();
    let line = format!(
        "[{:>4}.{:03}] {mark} {text}\n",
        elapsed.as_secs(),
        elapsed.subsec_millis()
    );
    if let Some(log) = &mut inner.log {
        // a full disk must not stop the output; the stage itself will hit it
        if log.write_all(line.as_bytes()).is_err() {
            inner.log = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Name;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl Sink for Lines {
        fn event(&self, event: Event) {
            if let Event::Log { line, .. } = event {
                self.0.lock().unwrap().push(line);
            }
        }
    }

    #[test]
    fn bytes_become_masked_lines_in_log_and_tail() {
        let dir = tempfile::tempdir().unwrap();
        let key = StageKey {
            name: Name::parse("a").unwrap(),
            axes: Default::default(),
        };
        let sink = Arc::new(Lines::default());
        let redact: Redact = Arc::new(|line| line.replace("hunter2", "***"));
        let output =
            Output::create(&key, &dir.path().join("logs/a.log"), sink.clone(), redact).unwrap();
        output.step("first");
        output.bytes(b"one hun");
        output.bytes(b"ter2\n10%\r20%\r\nrest\xff");
        let (step, tail) = output.tail();
        assert_eq!(step.as_deref(), Some("first"));
        assert_eq!(tail, ["one ***", "20%", "rest\u{fffd}"]);
        assert_eq!(*sink.0.lock().unwrap(), tail);
        let log = std::fs::read_to_string(output.log_path()).unwrap();
        assert!(
            log.contains("== first") && log.contains("   one ***") && !log.contains("hunter2"),
            "{log}"
        );
        for n in 0..30 {
            output.line(&n.to_string());
        }
        assert_eq!(output.tail().1.len(), TAIL);
        output.step("second");
        assert_eq!(output.tail(), (Some("second".into()), vec![]));
    }
}
