//! Suites of checks against a system: loaded, asked, judged, and asked again until all of them hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use super::GuestError;
use super::facts::{AT_ONCE, System, gather};
use crate::diag::Diagnostics;
use crate::goss::{
    self, Answer, Counts, FileWants, Files, Question, Resource, Spec, Suite, TestResult, Truth,
    Vars,
};
use crate::sys::Cancel;

/// How to ask.
#[derive(Clone, Debug)]
pub struct Asking {
    /// How many questions may be under way at once.
    pub at_once: usize,
    /// The package manager, where it is not the system's own.
    pub manager: Option<String>,
    /// Ask again until all holds.
    pub retry: Option<Retry>,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            at_once: AT_ONCE,
            manager: None,
            retry: None,
        }
    }
}

/// How long to ask again until all checks hold.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Give up when this time would be over.
    pub timeout: Duration,
    /// Between two attempts.
    pub sleep: Duration,
}

/// Gossfiles below a directory of this machine.
#[derive(Clone, Debug)]
pub struct DirFiles {
    /// What relative paths start from.
    pub dir: std::path::PathBuf,
}

impl Files for DirFiles {
    fn read(&self, path: &str) -> Result<String, String> {
        let bytes = std::fs::read(self.dir.join(path)).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
            _ => e.to_string(),
        })?;
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        crate::sys::fs::glob(&self.dir, pattern).map_err(|e| e.to_string())
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// One group for each resource.
    pub groups: Vec<Vec<TestResult>>,
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// How often the system was waited for.
    pub round_trips: u32,
}

impl Attempt {
    /// Whether nothing failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        Counts::of(&self.groups).failed == 0
    }
}

/// Why a suite could not be loaded.
#[derive(Debug)]
pub enum LoadError {
    /// Faults in gossfiles.
    Faults(Box<Diagnostics>),
    /// The system, which templates ask.
    System(GuestError),
}

/// Loads a suite; what its templates want to know of the system (`.Env`, `readFile`) is asked. The second value is how often the
/// system was waited for.
pub async fn load(
    system: &System<'_>,
    spec: &Spec<'_>,
    files: &(dyn Files + Sync),
    vars: &Vars,
    cancel: &Cancel,
) -> Result<(Suite, u32), LoadError> {
    informed(system, cancel, |target| {
        goss::load(spec, files, vars, target)
    })
    .await
}

/// A gossfile with all that it includes, as its templates have made it.
pub async fn render(
    system: &System<'_>,
    spec: &Spec<'_>,
    files: &(dyn Files + Sync),
    vars: &Vars,
    cancel: &Cancel,
) -> Result<String, LoadError> {
    let rendered = informed(system, cancel, |target| {
        goss::render(spec, files, vars, target)
    })
    .await?;
    Ok(rendered.0)
}

/// Does `work` until it knows of the system what it asks for.
async fn informed<T>(
    system: &System<'_>,
    cancel: &Cancel,
    work: impl Fn(&Target) -> Result<T, Diagnostics>,
) -> Result<(T, u32), LoadError> {
    let mut target = Target {
        now: SystemTime::now(),
        ..Target::new()
    };
    let mut round_trips = 0;
    loop {
        let done = work(&target);
        let questions = target.questions();
        if questions.is_empty() {
            let done = done.map_err(|faults| LoadError::Faults(Box::new(faults)))?;
            return Ok((done, round_trips));
        }
        let told = gather(system, &questions, AT_ONCE, cancel)
            .await
            .map_err(LoadError::System)?;
        round_trips += told.round_trips;
        target.learn(&questions, told.answers);
    }
}

/// What templates want to know.
#[derive(Default)]
struct Asks {
    environment: bool,
    files: BTreeSet<String>,
}

/// What templates know of the system. What they ask and it does not know yet is noted: it is fetched, and the file rendered again.
struct Target {
    now: SystemTime,
    environment: Option<BTreeMap<String, String>>,
    files: BTreeMap<String, Result<Vec<u8>, String>>,
    asks: Mutex<Asks>,
}

impl Target {
    fn new() -> Self {
        Self {
            now: SystemTime::UNIX_EPOCH,
            environment: None,
            files: BTreeMap::new(),
            asks: Mutex::default(),
        }
    }

    /// Notes something that must be asked before the next try.
    fn note(&self, note: impl FnOnce(&mut Asks)) {
        if let Ok(mut asks) = self.asks.lock() {
            note(&mut asks);
        }
    }

    /// What must be asked before the next try.
    fn questions(&self) -> Vec<Question> {
        let asks = self
            .asks
            .lock()
            .map(|mut asks| std::mem::take(&mut *asks))
            .unwrap_or_default();
        let wants = FileWants {
            contents: true,
            ..FileWants::default()
        };
        let files = asks
            .files
            .into_iter()
            .map(|path| Question::File { path, wants });
        // the values may have line ends in them; the kernel separates them by zeros
        let environment = Question::Command {
            exec: "cat /proc/self/environ".to_owned(),
            timeout: Duration::from_secs(10),
        };
        files
            .chain(asks.environment.then_some(environment))
            .collect()
    }

    fn learn(&mut self, questions: &[Question], answers: Vec<Answer>) {
        for (question, mut answer) in questions.iter().zip(answers) {
            let mut bytes = |name: &str| match answer.values.remove(name) {
                Some(Ok(Truth::Bytes(bytes))) => Ok(bytes),
                Some(Err(reason)) => Err(reason),
                _ => Err("no such file or directory".to_owned()),
            };
            match question {
                Question::File { path, .. } => {
                    self.files.insert(path.clone(), bytes("contents"));
                }
                _ => {
                    let text = bytes("stdout").unwrap_or_default();
                    let pair = |entry: &[u8]| {
                        let text = String::from_utf8_lossy(entry);
                        text.split_once('=')
                            .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    };
                    self.environment = Some(text.split(|b| *b == 0).filter_map(pair).collect());
                }
            }
        }
    }
}

impl goss::World for Target {
    fn env(&self, name: &str) -> Option<String> {
        goss::World::environment(self).remove(name)
    }

    fn environment(&self) -> BTreeMap<String, String> {
        self.environment.clone().unwrap_or_else(|| {
            self.note(|asks| asks.environment = true);
            BTreeMap::new()
        })
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>, String> {
        self.files.get(path).cloned().unwrap_or_else(|| {
            self.note(|asks| {
                asks.files.insert(path.to_owned());
            });
            Err("it is not read yet".to_owned())
        })
    }

    fn now(&self) -> SystemTime {
        self.now
    }
}

/// Asks all once. An error means that the system could not be asked at all.
pub async fn ask(
    system: &System<'_>,
    resources: &[Resource],
    asking: &Asking,
    cancel: &Cancel,
) -> Result<Attempt, GuestError> {
    let started = SystemTime::now();
    let asked = resources
        .iter()
        .map(|resource| resource.question().map(|q| managed(q, asking)));
    let asked: Vec<Option<Question>> = asked.collect();
    let questions: Vec<Question> = asked.iter().flatten().cloned().collect();
    let told = gather(system, &questions, asking.at_once, cancel).await?;
    let mut answers = told.answers.into_iter();
    let groups = resources.iter().zip(&asked).map(|(resource, question)| {
        let answer = question.as_ref().and_then(|_| answers.next());
        goss::judge(resource, &answer.unwrap_or_default())
    });
    Ok(Attempt {
        groups: groups.collect(),
        started,
        took: told.took,
        round_trips: told.round_trips,
    })
}

fn managed(mut question: Question, asking: &Asking) -> Question {
    if let Question::Package { manager, .. } = &mut question {
        manager.clone_from(&asking.manager);
    }
    question
}

/// How asking again and again has ended.
#[derive(Debug)]
pub struct Ended {
    /// The last attempt.
    pub attempt: Attempt,
    /// How many there were.
    pub attempts: u32,
    /// Whether there was a limit, and it was reached.
    pub expired: bool,
}

/// Asks again and again until all checks hold or there is no time for one more attempt. `tell` is told of each attempt after which
/// there will be another one, and how long it has taken up to there.
pub async fn ask_until(
    system: &System<'_>,
    resources: &[Resource],
    asking: &Asking,
    cancel: &Cancel,
    tell: &mut (dyn FnMut(&Attempt, Duration) + Send),
) -> Result<Ended, GuestError> {
    let start = Instant::now();
    let mut attempts = 0;
    loop {
        let attempt = ask(system, resources, asking, cancel).await?;
        attempts += 1;
        let retry = asking
            .retry
            .filter(|retry| !retry.timeout.is_zero() && !attempt.passed());
        let Some(Retry { timeout, sleep }) = retry else {
            return Ok(Ended {
                attempt,
                attempts,
                expired: false,
            });
        };
        if start.elapsed() + sleep > timeout {
            return Ok(Ended {
                attempt,
                attempts,
                expired: true,
            });
        }
        tell(&attempt, start.elapsed());
        cancel
            .run(tokio::time::sleep(sleep))
            .await
            .ok_or(GuestError::Cancelled)?;
    }
}
