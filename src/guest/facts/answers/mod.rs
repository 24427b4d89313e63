//! From the script's records to answers, kind by kind, with goss's words where it has some.

mod accounts;
mod files;
mod mounts;
mod packages;
mod sockets;

use std::time::Duration;

use super::records::{Ended, Records};
use super::script::{is_unit, part};
use crate::goss::{Answer, Question, Truth};
use crate::guest::facts::too_long;

pub(super) use sockets::{local_addresses, routes_to};

/// The value of an attribute, or why there is none.
type Value = Result<Truth, String>;

/// What the script has told, ready to be asked for each question.
pub(super) struct Told<'a> {
    records: &'a Records,
    status: files::Status<'a>,
    installed: packages::Installed,
}

impl<'a> Told<'a> {
    /// Takes apart what belongs to several questions.
    pub(super) fn new(records: &'a Records, questions: &[Question]) -> Self {
        Self {
            records,
            status: files::Status::new(records, questions),
            installed: packages::Installed::new(records),
        }
    }

    /// The answer to a question, as far as the script gives it.
    pub(super) fn answer(&self, number: usize, question: &Question) -> Answer {
        let mut answer = Answer::default();
        let mut set = |name: &'static str, value: Value| drop(answer.values.insert(name, value));
        let records = self.records;
        match question {
            Question::Command { timeout, .. } => self.command(number, *timeout, &mut set),
            Question::File { wants, .. } => self.file(number, *wants, &mut set),
            Question::Group { name } => accounts::group(records, name, &mut set),
            Question::User { name } => accounts::user(records, name, &mut set),
            Question::Interface { name } => sockets::interface(records, name, &mut set),
            Question::KernelParam { .. } => {
                let value = records.text(&format!("{number}.value"), "lists");
                set(
                    "value",
                    value.map(|text| Truth::Text(text.trim().to_owned())),
                );
            }
            Question::Mount { point, timeout } => {
                mounts::mount(records, number, point, *timeout, &mut set);
            }
            Question::Package { name, manager } => {
                self.package(number, name, manager.as_deref(), &mut set);
            }
            Question::Port { protocol, port } => sockets::port(records, protocol, port, &mut set),
            Question::Process { comm } => {
                let all = records.get("comm", "lists");
                let running = |all: &[u8]| {
                    all.split(|b| *b == b'\n')
                        .any(|line| line == comm.as_bytes())
                };
                set("running", all.map(|all| Truth::Bool(running(all))));
            }
            Question::Service { name } => self.service(number, name, &mut set),
            Question::Addr { .. } | Question::Dns { .. } | Question::Http { .. } => {}
        }
        answer.took = records.took(&part(number)).unwrap_or_default();
        answer
    }

    fn command(&self, number: usize, timeout: Duration, set: &mut dyn FnMut(&'static str, Value)) {
        let part = part(number);
        let status = match self.records.ended(&part) {
            Some(Ended { late: true, .. }) => {
                Err(format!("Command execution timed out ({})", span(timeout)))
            }
            Some(Ended {
                status: Some(status),
                ..
            }) => Ok(status),
            _ => Err("the system did not run it".to_owned()),
        };
        let streams = [
            ("stdout", part.clone(), format!("{part}.o")),
            ("stderr", format!("{part}.e"), format!("{part}.e")),
        ];
        for (name, key, complaint) in streams {
            let bytes = status
                .clone()
                .and_then(|_| match self.records.look(&complaint) {
                    Err(_) => Err(too_long()),
                    Ok(_) => Ok(self.records.look(&key)?.unwrap_or_default().to_vec()),
                });
            set(name, bytes.map(Truth::Bytes));
        }
        set("exit-status", status.map(Truth::Int));
    }

    fn service(&self, number: usize, name: &str, set: &mut dyn FnMut(&'static str, Value)) {
        let records = self.records;
        for attribute in ["enabled", "running"] {
            let value = match is_unit(name) {
                true => records.flag(&format!("{number}.{attribute}"), "services"),
                false => Ok(false),
            };
            set(attribute, value.map(Truth::Bool));
        }
        let levels = records.look(&format!("{number}.runlevels"));
        set(
            "runlevels",
            levels.map(|levels| Truth::List(lines(levels.unwrap_or_default()))),
        );
    }
}

/// The lines that are not empty, trimmed.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// A span of time as Go writes it: `600ms`, `1.5s`, `1m0s`.
pub(crate) fn span(time: Duration) -> String {
    let millis = time.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = format!("{}.{:03}", millis / 1000 % 60, millis % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
