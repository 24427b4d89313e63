//! From questions to the script that asks them.
//!
//! Its parts run beside each other, each with its own limit: one that hangs holds up nobody. A command is a part of its own, and so
//! is all that may wait for a network or a dead file system; what is quick stands together in a few parts. Processes are what costs
//! most, more so in an emulated guest: what one process can tell of many things is asked of one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use crate::goss::{FileWants, Question, Transport, clean};
use crate::guest::quote;

mod needs;

pub(super) use needs::{dials, files};

/// What the parts are made of, and what runs them.
const PRELUDE: [&str; 4] = [
    include_str!("script/jobs.sh"),
    include_str!("script/facts.sh"),
    include_str!("script/services.sh"),
    include_str!("script/packages.sh"),
];
/// The limit of a part that has several questions.
pub(super) const SHARED: Duration = Duration::from_secs(60);
/// How many files are read by one process.
const READ: usize = 200;

/// A script under construction.
#[derive(Default)]
pub(super) struct Script {
    /// Functions.
    parts: String,
    /// Their names and limits, in hundredths of a second.
    names: Vec<(u128, String)>,
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
    /// The script that asks `questions`, but those that are `told` otherwise.
    pub(super) fn new(questions: &[Question], told: &BTreeSet<usize>) -> Self {
        let mut script = Self::default();
        let open: Vec<(usize, &Question)> = questions
            .iter()
            .enumerate()
            .filter(|(number, _)| !told.contains(number))
            .collect();
        // what may take long begins first
        script.dials(questions, told);
        for (number, question) in &open {
            script.own(*number, question);
        }
        script.files(&open);
        script.contents(&open);
        script.services(&open);
        script.packages(&open);
        script.simple(&open);
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
        // what has little time begins first: the script counts on it
        let mut names: Vec<_> = self.names.iter().collect();
        names.sort_by_key(|(limit, _)| *limit);
        let names: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
        format!(
            "{{\nN={mark}\nMAX={at_once}\nKEEP={keep}\nPARTS='{}'\n{}\n{}run\nexit\n}}\n",
            names.join(" "),
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
        self.names.push((hundredths, name));
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
                local: Some(local),
                timeout,
            } => {
                let words = [local, host, port].map(|word| quote(word)).join(" ");
                (*timeout, format!("reach {words}"))
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

    /// Addresses, several to a part.
    fn dials(&mut self, questions: &[Question], told: &BTreeSet<usize>) {
        for dial in dials(questions) {
            let words = dial.numbers.iter().filter(|number| !told.contains(number));
            let words: String = words
                .filter_map(|number| match &questions[*number] {
                    Question::Addr { host, port, .. } => {
                        Some(format!(" {number} {} {}", quote(host), quote(port)))
                    }
                    _ => None,
                })
                .collect();
            if !words.is_empty() {
                self.part(dial.part, dial.limit, &format!("dial{words}"));
            }
        }
    }

    /// What `lstat` tells.
    fn files(&mut self, open: &[(usize, &Question)]) {
        let mut lines = String::new();
        for (number, question) in open {
            if let Question::File { path, .. } = question {
                let path = word(path);
                let _ = writeln!(
                    lines,
                    "P={path}; file {number} && link {number} && set -- \"$@\" \"$P\""
                );
            }
        }
        if !lines.is_empty() {
            let body = format!("set --\n{lines}lstat \"$@\"");
            self.part("files".to_owned(), SHARED, &body);
        }
    }

    /// What stands in files, and their sums.
    fn contents(&mut self, open: &[(usize, &Question)]) {
        let mut read = Vec::new();
        let mut sums = BTreeMap::<&str, Vec<String>>::new();
        for (number, question) in open {
            match question {
                Question::File { path, wants } => {
                    let path = word(path);
                    let FileWants {
                        contents,
                        md5,
                        sha256,
                        sha512,
                    } = *wants;
                    if contents {
                        read.push(format!("P={path}; content {number}.contents"));
                    }
                    for (wanted, sum) in [(md5, "md5"), (sha256, "sha256"), (sha512, "sha512")] {
                        if wanted {
                            let line = format!("P={path}; summed {number} {sum}");
                            sums.entry(sum).or_default().push(line);
                        }
                    }
                }
                Question::Http { ca_file, cert, .. } => {
                    let pair = cert.as_ref();
                    let files = [
                        ("ca", ca_file.as_ref()),
                        ("cert", pair.map(|(cert, _)| cert)),
                        ("key", pair.map(|(_, key)| key)),
                    ];
                    for (name, path) in files {
                        if let Some(path) = path.filter(|path| !path.is_empty()) {
                            read.push(format!("P={}; content {number}.{name}", word(path)));
                        }
                    }
                }
                _ => {}
            }
        }
        let mut body = together(&read, "\"$M\" \"$P\"", "pour");
        for (sum, lines) in sums {
            body.push_str(&together(&lines, "\"$P\"", &format!("sums {sum}")));
        }
        if !body.is_empty() {
            self.part("contents".to_owned(), SHARED, &body);
        }
    }

    fn services(&mut self, open: &[(usize, &Question)]) {
        let mut words = String::new();
        for (number, question) in open {
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

    fn packages(&mut self, open: &[(usize, &Question)]) {
        let mut managers = BTreeMap::<&str, String>::new();
        for (number, question) in open {
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
    fn simple(&mut self, open: &[(usize, &Question)]) {
        let (mut lines, mut whole) = (BTreeSet::new(), BTreeSet::new());
        for (number, question) in open {
            lines.extend(needs::lists(question).iter().map(|line| (*line).to_owned()));
            whole.extend(
                files(question)
                    .iter()
                    .map(|path| format!("P={path}; whole")),
            );
            match question {
                Question::KernelParam { key } => {
                    let path = quote(&format!("/proc/sys/{}", key.replace('.', "/")));
                    whole.insert(format!("P={path}; parameter {number}.value"));
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
        if lines.is_empty() && whole.is_empty() {
            return;
        }
        let whole: Vec<_> = whole.into_iter().collect();
        let mut body = together(&whole, "\"$M\" \"$P\"", "cat --");
        for line in lines {
            body.push_str(&line);
            body.push('\n');
        }
        self.part("lists".to_owned(), SHARED, &body);
    }
}

/// Lines that each say whether `$P` is one of the files that `work` shall take all at once: then it gets these words.
fn together(lines: &[String], words: &str, work: &str) -> String {
    let mut text = String::new();
    for some in lines.chunks(READ) {
        text.push_str("set --\nIDS=\n");
        for line in some {
            let _ = writeln!(text, "{line} && set -- \"$@\" {words}");
        }
        let _ = writeln!(text, "[ $# = 0 ] || {work} \"$@\"");
    }
    text
}

/// The name of a question's own part.
pub(super) fn part(number: usize) -> String {
    format!("q{number}")
}

/// Whether a service may have this name; goss says of others that they neither run nor are enabled.
pub(super) fn is_unit(name: &str) -> bool {
    !name.contains('/')
}

/// A path as the value of a shell's variable; `~` and `~user` at its start mean what they mean to the shell. No program takes it
/// for an option.
fn word(path: &str) -> String {
    let mut path = clean(path);
    if path.starts_with('-') {
        path.insert_str(0, "./");
    }
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
        assert_eq!(word("-x"), "./-x");
        assert_eq!(
            (clean("/.."), clean(""), clean("../a/..")),
            ("/".into(), ".".into(), "..".into())
        );
    }
}
