//! From questions to the script that asks them.
//!
//! Its parts run beside each other, each with its own limit: one that hangs holds up nobody. A command is a part of its own, and so
//! is all that may wait for a network or a dead file system; what is quick stands together in a few parts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::goss::{FileWants, Question, Transport, clean};
use crate::guest::quote;

/// What the parts are made of, and what runs them.
const PRELUDE: [&str; 4] = [
    include_str!("script/jobs.sh"),
    include_str!("script/facts.sh"),
    include_str!("script/services.sh"),
    include_str!("script/packages.sh"),
];
/// The limit of a part that has several questions.
const SHARED: Duration = Duration::from_secs(60);

/// A script under construction.
#[derive(Default)]
pub(super) struct Script {
    /// Functions.
    parts: String,
    names: Vec<String>,
    limits: Duration,
}

/// How the script is run.
pub(super) struct Settings<'a> {
    /// The mark that starts each record; nothing else may contain it.
    pub(super) mark: &'a str,
    /// How many parts may run at once.
    pub(super) at_once: usize,
    /// How many bytes of one value are kept.
    pub(super) keep: usize,
}

impl Script {
    /// The script that asks `questions`.
    pub(super) fn new(questions: &[Question]) -> Self {
        let mut script = Self::default();
        // what may take long begins first
        for (number, question) in questions.iter().enumerate() {
            script.own(number, question);
        }
        script.files(questions);
        script.services(questions);
        script.packages(questions);
        script.simple(questions);
        script
    }

    /// Whether there is nothing to ask.
    pub(super) const fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How long all of it may take, if each part takes as long as it may.
    pub(super) fn limit(&self) -> Duration {
        self.limits + SHARED
    }

    /// The whole text. The shell reads all of it before it runs any of it.
    pub(super) fn text(&self, settings: &Settings<'_>) -> String {
        let Settings {
            mark,
            at_once,
            keep,
        } = settings;
        format!(
            "{{\nN={mark}\nMAX={at_once}\nKEEP={keep}\nPARTS='{}'\n{}\n{}run\nexit\n}}\n",
            self.names.join(" "),
            PRELUDE.concat(),
            self.parts,
        )
    }

    fn part(&mut self, name: String, limit: Duration, body: &str) {
        let hundredths = limit.as_millis().div_ceil(10).max(1);
        let _ = writeln!(
            self.parts,
            "{name}_limit={hundredths}\n{name}() {{\n{body}\n}}"
        );
        self.names.push(name);
        self.limits += limit;
    }

    /// Questions that are parts of their own.
    fn own(&mut self, number: usize, question: &Question) {
        let (limit, body) = match question {
            Question::Command { exec, timeout } => {
                (*timeout, format!("PATH=$P0\nexec sh -c {}", quote(exec)))
            }
            Question::Mount { point, timeout } => (*timeout, format!("usage {}", quote(point))),
            Question::Dns {
                name,
                record: _,
                server: None,
                timeout,
            } => (*timeout, format!("names {}", quote(name))),
            Question::Addr {
                transport: Transport::Tcp,
                host,
                port,
                local,
                timeout,
            } => {
                let local = quote(local.as_deref().unwrap_or_default());
                (
                    *timeout,
                    format!("reach {} {} {local}", quote(host), quote(port)),
                )
            }
            Question::Addr {
                transport: Transport::Udp,
                host,
                timeout,
                ..
            } => (*timeout, format!("names {}", quote(host))),
            _ => return,
        };
        self.part(part(number), limit, &body);
    }

    fn files(&mut self, questions: &[Question]) {
        let (mut status, mut reading) = (String::new(), String::new());
        for (number, question) in questions.iter().enumerate() {
            match question {
                Question::File { path, wants } => {
                    let path = word(path);
                    let _ = writeln!(
                        status,
                        "P={path}; file {number} && link {number} && set -- \"$@\" \"$P\""
                    );
                    let FileWants {
                        contents,
                        md5,
                        sha256,
                        sha512,
                    } = *wants;
                    if contents {
                        let _ = writeln!(reading, "P={path}; content {number}.contents");
                    }
                    for (wanted, sum) in [(md5, "md5"), (sha256, "sha256"), (sha512, "sha512")] {
                        if wanted {
                            let _ = writeln!(reading, "P={path}; sum {number}.{sum} {sum}sum");
                        }
                    }
                }
                Question::Http { ca_file, cert, .. } => {
                    let (cert, key) = cert.as_ref().map(|(cert, key)| (cert, key)).unzip();
                    for (name, path) in [("ca", ca_file.as_ref()), ("cert", cert), ("key", key)] {
                        if let Some(path) = path {
                            let _ = writeln!(reading, "P={}; content {number}.{name}", word(path));
                        }
                    }
                }
                _ => {}
            }
        }
        if !status.is_empty() {
            self.part(
                "files".to_owned(),
                SHARED,
                &format!("set --\n{status}lstat \"$@\""),
            );
        }
        if !reading.is_empty() {
            self.part("contents".to_owned(), SHARED, &reading);
        }
    }

    fn services(&mut self, questions: &[Question]) {
        let mut words = String::new();
        for (number, question) in questions.iter().enumerate() {
            if let Question::Service { name } = question
                && is_unit(name)
            {
                let _ = write!(words, " {number} {}", quote(name));
            }
        }
        if !words.is_empty() {
            self.part(
                "services".to_owned(),
                SHARED,
                &format!("all_services{words}"),
            );
        }
    }

    fn packages(&mut self, questions: &[Question]) {
        let mut managers = std::collections::BTreeMap::<&str, String>::new();
        for (number, question) in questions.iter().enumerate() {
            if let Question::Package { name, manager } = question {
                let words = managers
                    .entry(manager.as_deref().unwrap_or("-"))
                    .or_default();
                let _ = write!(words, " {number} {}", quote(name));
            }
        }
        let lines = managers
            .iter()
            .map(|(manager, words)| format!("all_packages {}{words}\n", quote(manager)));
        let lines: String = lines.collect();
        if !lines.is_empty() {
            self.part("packages".to_owned(), SHARED, &lines);
        }
    }

    /// Questions that a few of the system's own lists answer.
    fn simple(&mut self, questions: &[Question]) {
        let mut lines = BTreeSet::new();
        for (number, question) in questions.iter().enumerate() {
            lines.extend(lists(question).iter().map(|line| (*line).to_owned()));
            match question {
                Question::KernelParam { key } => {
                    let path = quote(&key.replace('.', "/"));
                    lines.insert(format!("parameter {number}.value {path}"));
                }
                Question::Http {
                    url,
                    allow_insecure,
                    ca_file,
                    proxy,
                    ..
                } => {
                    if !allow_insecure && ca_file.is_none() && url.starts_with("https") {
                        lines.insert("authorities".to_owned());
                    }
                    if proxy.is_none() {
                        lines.insert("environment".to_owned());
                    }
                }
                _ => {}
            }
        }
        if !lines.is_empty() {
            let lines: Vec<_> = lines.into_iter().collect();
            self.part("lists".to_owned(), SHARED, &lines.join("\n"));
        }
    }
}

/// The system's own lists that answer a question.
const fn lists(question: &Question) -> &'static [&'static str] {
    match question {
        Question::Group { .. } => &["whole /etc/group"],
        Question::User { .. } => &["whole /etc/group", "whole /etc/passwd"],
        Question::Process { .. } => &["processes"],
        Question::Port { .. } => &["sockets"],
        Question::Interface { .. } => &["interfaces"],
        Question::Mount { .. } => &["whole /proc/self/mountinfo"],
        Question::Dns { server: None, .. } => &["whole /etc/hosts", "whole /etc/resolv.conf"],
        Question::Addr {
            transport: Transport::Udp,
            ..
        } => &[
            "whole /etc/hosts",
            "whole /etc/resolv.conf",
            "whole /etc/services",
            "whole /proc/net/route",
            "whole /proc/net/ipv6_route",
            "interfaces",
        ],
        _ => &[],
    }
}

/// The name of a question's own part.
pub(super) fn part(number: usize) -> String {
    format!("q{number}")
}

/// Whether a service may have this name; goss says of others that they neither run nor are enabled.
pub(super) fn is_unit(name: &str) -> bool {
    !name.contains('/')
}

/// A path as the value of a shell's variable; `~` and `~user` at its start mean what they mean to the shell.
fn word(path: &str) -> String {
    let path = clean(path);
    let (home, rest) = path.split_once('/').unwrap_or((&path, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !home
        .strip_prefix('~')
        .is_some_and(|user| user.chars().all(plain))
    {
        return quote(&path);
    }
    match rest {
        "" => home.to_owned(),
        rest => format!("{home}/{}", quote(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_keep_their_tilde() {
        assert_eq!(word("~/a b"), "~/'a b'");
        assert_eq!(word("~root/x"), "~root/x");
        assert_eq!(word("~"), "~");
        assert_eq!(word("~$(id)/x"), "'~$(id)/x'");
        assert_eq!(word("/etc/it's"), r"'/etc/it'\''s'");
        assert_eq!(word("/etc/../a//./b/"), "/a/b");
        assert_eq!(
            (clean("/.."), clean(""), clean("../a/..")),
            ("/".into(), ".".into(), "..".into())
        );
    }
}
