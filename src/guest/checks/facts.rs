//! Facts about files, ports, processes, services, kernel parameters, accounts and packages: one POSIX script asks for all
//! of them at once. It gets by with busybox; there is no need of bash, ss, curl or python in the guest.
//!
//! Each fact is a record in the script's output: a line with a mark that nothing else contains and the fact's key, then
//! the value. A fact that could not be got has `!` behind its key and the reason as its value; one that is missing was
//! not got either. So nothing that the guest cannot answer is ever taken for an answer.

use std::collections::BTreeMap;

use crate::guest::{Exec, Guest, GuestError, quote};
use crate::model::{Check, Digest, Resource};
use crate::sys::Cancel;

/// How long the script may run.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(120);

/// What the guest has told, by key.
#[derive(Debug, Default)]
pub(super) struct Facts(BTreeMap<String, Vec<u8>>);

impl Facts {
    /// Asks for the facts of these checks (by number; those that need no script are ignored).
    pub(super) async fn gather(
        guest: &Guest,
        checks: &[(usize, &Check)],
        cancel: &Cancel,
    ) -> Result<Self, GuestError> {
        let Some(body) = script(checks) else {
            return Ok(Self::default());
        };
        let mark = format!("forge-{}", Digest::of(body.as_bytes()).short());
        let script = format!("N={mark}\n{PRELUDE}{body}p end\n");
        let exec = Exec {
            command: "exec /bin/sh -s".to_owned(),
            stdin: Some(script.into_bytes()),
            timeout: Some(LIMIT),
        };
        let captured = guest.capture(&exec, cancel).await?;
        let facts = Self::parse(&captured.stdout, &mark);
        if facts.0.contains_key("end") {
            return Ok(facts);
        }
        Err(GuestError::Failed(format!(
            "the guest's shell cannot run the script for checks: {}",
            captured.complaint()
        )))
    }

    fn parse(output: &[u8], mark: &str) -> Self {
        let head = format!("\n{mark} ").into_bytes();
        let mut facts = Self::default();
        let mut rest = output;
        while let Some(start) = rest.windows(head.len()).position(|w| w == head) {
            let record = &rest[start + head.len()..];
            let next = record.windows(head.len()).position(|w| w == head);
            let end = next.unwrap_or(record.len());
            let line = record[..end].iter().position(|b| *b == b'\n');
            let line = line.unwrap_or(end);
            let key = String::from_utf8_lossy(&record[..line]).into_owned();
            let value = record[..end].get(line + 1..).unwrap_or_default();
            facts.0.insert(key, value.to_vec());
            rest = &record[end..];
        }
        facts
    }

    /// A fact as it came.
    pub(super) fn get(&self, key: &str) -> Result<String, String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if let Some(reason) = self.0.get(&format!("{key}!")) {
            let reason = text(reason);
            return Err(match reason.trim() {
                "" => "the guest could not tell".to_owned(),
                reason => reason.to_owned(),
            });
        }
        let value = self.0.get(key).map(|bytes| text(bytes));
        value.ok_or_else(|| "the guest did not tell".to_owned())
    }

    /// A fact of one line, trimmed.
    pub(super) fn line(&self, key: &str) -> Result<String, String> {
        self.get(key).map(|text| text.trim().to_owned())
    }

    /// A fact that is yes or no.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        match self.line(key)?.as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(other.to_owned()),
        }
    }
}

/// What a check is about: its name, unless a setting says otherwise.
pub(super) fn subject<'a>(check: &'a Check, setting: &str) -> &'a str {
    let set = check.setting(setting).and_then(|value| value.as_str());
    set.unwrap_or(&check.name)
}

/// The functions that the script's lines call.
const PRELUDE: &str = include_str!("facts.sh");

/// The script's part for these checks; none if there is nothing to ask.
fn script(checks: &[(usize, &Check)]) -> Option<String> {
    let mut lines = Vec::new();
    let mut once = std::collections::BTreeSet::new();
    for (number, check) in checks {
        let asks = |name: &str| check.expect.iter().any(|(property, _)| property == name);
        match check.resource {
            Resource::Command | Resource::Http => {}
            Resource::File => {
                let path = path(subject(check, "path"));
                lines.push(format!("file {number} {path}"));
                if asks("contents") {
                    lines.push(format!("contents {number} {path}"));
                }
                for sum in ["md5", "sha256", "sha512"].into_iter().filter(|s| asks(s)) {
                    lines.push(format!("sum {number} {sum} {path}"));
                }
            }
            Resource::Group => drop(once.insert("f group cat /etc/group".to_owned())),
            Resource::User => {
                once.insert("f group cat /etc/group".to_owned());
                once.insert("f passwd cat /etc/passwd".to_owned());
            }
            Resource::KernelParam => {
                let name = subject(check, "name");
                let path = match name.contains('/') {
                    true => name.to_owned(),
                    false => name.replace('.', "/"),
                };
                let path = quote(&format!("/proc/sys/{path}"));
                lines.push(format!("f {number}.value cat {path}"));
            }
            Resource::Package => {
                let name = quote(subject(check, "name"));
                lines.push(format!("package {number} {name}"));
            }
            Resource::Port => {
                let port = subject(check, "port");
                let protocol = port.split_once(':').map_or("tcp", |(protocol, _)| protocol);
                once.insert(format!("net {}", quote(protocol)));
            }
            Resource::Process => drop(once.insert("processes".to_owned())),
            Resource::Service => {
                let name = quote(subject(check, "name"));
                lines.push(format!("service {number} {name}"));
            }
        }
    }
    lines.extend(once);
    (!lines.is_empty()).then(|| lines.join("\n") + "\n")
}

/// A path as a shell word; `~` and `~user` at its start mean what they mean to the shell.
fn path(path: &str) -> String {
    let home = path.split('/').next().unwrap_or_default();
    let tilde = home.starts_with('~')
        && home[1..]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !tilde {
        return quote(path);
    }
    match path.split_once('/') {
        Some((home, rest)) if !rest.is_empty() => format!("{home}/{}", quote(rest)),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
