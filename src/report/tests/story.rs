//! Runs, told as events.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Event, Outcome, RunSummary, StageFailure};
use crate::model::{Artifact, Digest, Name, Size, StoredFile};

use super::stage;

pub(super) fn seconds(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

pub(super) fn run_started(total: usize) -> Event {
    Event::RunStarted {
        run: "20261124-034136-7f3a".into(),
        targets: vec!["ova".into()],
        total,
        expected: None,
    }
}

pub(super) fn started(name: &str, reasons: &[&str], expected: Option<f64>, attempt: u32) -> Event {
    Event::StageStarted {
        stage: stage(name),
        kind: if name.starts_with("cmd") {
            "command"
        } else {
            "provision"
        },
        reasons: reasons.iter().map(|r| (*r).to_owned()).collect(),
        expected: expected.map(seconds),
        attempt,
    }
}

pub(super) fn step(name: &str, text: &str) -> Event {
    Event::Step {
        stage: stage(name),
        text: text.to_owned(),
    }
}

pub(super) fn log(name: &str, line: &str) -> Event {
    Event::Log {
        stage: stage(name),
        line: line.to_owned(),
    }
}

pub(super) fn progress(name: &str, done: u64, total: Option<u64>) -> Event {
    Event::Progress {
        stage: stage(name),
        done,
        total,
    }
}

fn request(name: &str) -> Event {
    Event::Request {
        stage: stage(name),
        path: "ks.cfg".into(),
        status: 200,
        after: seconds(14.2),
        text: "ks.cfg fetched after 14s".into(),
    }
}

fn report(name: &str) -> Event {
    Event::Report {
        stage: stage(name),
        name: "post".into(),
        message: "open-vm-tools did not install, attempt 2\ntrying again".into(),
        after: seconds(25.0),
    }
}

/// What `--watch` says between two runs.
pub(super) fn watched() -> Vec<Event> {
    vec![
        Event::Watching { places: 3 },
        Event::Changed {
            paths: vec!["scripts/install.sh".into(), "vars/mini.toml".into()],
        },
    ]
}

pub(super) fn finished(name: &str, outcome: Outcome, elapsed: f64) -> Event {
    Event::StageFinished {
        stage: stage(name),
        outcome,
        elapsed: seconds(elapsed),
    }
}

pub(super) fn done() -> Outcome {
    let file = StoredFile {
        digest: Digest::of(b"ova"),
        size: Size::from_mib(24),
        path: Some("output/x/x.ova".into()),
        executable: false,
        tree: false,
    };
    let files = [(Name::parse("ova").unwrap(), file)].into();
    Outcome::Done(Arc::new(Artifact {
        files,
        ..Artifact::default()
    }))
}

pub(super) fn failure() -> StageFailure {
    StageFailure {
        message: "`scripts/install.sh` exited with 3".into(),
        step: Some("[2/5] scripts/install.sh".into()),
        help: vec![
            "look around in the guest: `forge ssh clone`".into(),
            "keep the machine: `--on-error keep`".into(),
        ],
        tail: vec![
            "+ install k3s".into(),
            "\u{1b}[31mno space\u{1b}[0m left\u{7}".into(),
            String::new(),
        ],
        log: Some(".forge/logs/provision@os=mini.log".into()),
        screenshot: Some(".forge/logs/provision@os=mini.png".into()),
        environment: false,
    }
}

/// A run in which all goes well at the second try.
pub(super) fn good() -> Vec<Event> {
    let (base, provision) = ("iso-base[os=mini]", "provision[os=mini]");
    let mut failed = failure();
    failed.message = "the connection is lost\nwhile waiting for ssh".into();
    vec![
        run_started(4),
        Event::StageCached {
            stage: stage("test-iso"),
            early_cutoff: false,
        },
        started(base, &["never built"], None, 1),
        step(base, "fetching mini.iso"),
        progress(base, 1 << 20, Some(640 << 20)),
        progress(base, 65 << 20, Some(640 << 20)),
        progress(base, 66 << 20, Some(640 << 20)),
        progress(base, 640 << 20, Some(640 << 20)),
        step(base, "waiting for ssh"),
        request(base),
        report(base),
        finished(base, Outcome::Retrying(failed), 30.0),
        started(base, &[], None, 2),
        log(base, "installed"),
        finished(base, done(), 52.14),
        started(
            provision,
            &["scripts/install.sh changed", "memory 2GiB → 4GiB"],
            Some(34.6),
            1,
        ),
        step(provision, "[1/2] scripts/install.sh"),
        log(provision, "+ echo \u{1b}[32mhello\u{1b}[0m\tworld"),
        log(provision, ""),
        Event::Warning {
            stage: Some(stage(provision)),
            message: "the clock of the guest is 3h off".into(),
        },
        Event::Warning {
            stage: None,
            message: "two lines\nof warning".into(),
        },
        finished(provision, done(), 35.2),
        Event::StageCached {
            stage: stage("export[os=mini]"),
            early_cutoff: true,
        },
        Event::RunFinished(RunSummary {
            ran: vec![
                (stage(base), seconds(52.14)),
                (stage(provision), seconds(35.2)),
            ],
            cached: vec![stage("test-iso"), stage("export[os=mini]")],
            elapsed: seconds(88.0),
            artifacts: vec![
                ("output/k3s-mini-1.0/k3s-mini-1.0.ova".into(), 24 << 20),
                ("output/x/a.sha256".into(), 83),
            ],
            ..RunSummary::default()
        }),
    ]
}

/// A run that ends badly.
pub(super) fn bad() -> Vec<Event> {
    let provision = "provision[os=mini]";
    vec![
        run_started(3),
        started(provision, &["forced"], Some(90.0), 1),
        finished(provision, Outcome::Failed(failure()), 12.0),
        finished(
            "export[os=mini]",
            Outcome::Blocked {
                by: stage(provision),
            },
            0.0,
        ),
        started("other", &["never built"], None, 1),
        finished("other", Outcome::Cancelled, 1.0),
        Event::RunFinished(RunSummary {
            ran: vec![(stage("fine"), seconds(1.0))],
            failed: vec![(stage(provision), failure())],
            blocked: vec![stage("export[os=mini]")],
            interrupted: true,
            elapsed: seconds(13.0),
            ..RunSummary::default()
        }),
    ]
}
