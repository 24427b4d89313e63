//! What the script has printed, by name.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use aho_corasick::AhoCorasick;

/// The script's records. Each starts with a line that nothing else can contain: the mark is random, and only the script knows it.
#[derive(Default)]
pub(super) struct Records {
    output: Vec<u8>,
    at: HashMap<String, Range<usize>>,
}

/// How a part has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Its exit status; none: it was left behind.
    pub(super) status: Option<i64>,
    /// Hundredths of a second.
    pub(super) took: u64,
    /// Whether it was ended because its time was up.
    pub(super) late: bool,
}

impl Records {
    /// Takes the output apart.
    pub(super) fn parse(output: Vec<u8>, mark: &str) -> Self {
        let head = format!("\n{mark} ");
        let mut at = HashMap::new();
        let mut open: Option<(String, usize)> = None;
        if let Ok(finder) = AhoCorasick::new([&head]) {
            for found in finder.find_iter(&output) {
                if let Some((key, start)) = open.take() {
                    at.insert(key, start..found.start().max(start));
                }
                let line = output[found.end()..].iter().position(|b| *b == b'\n');
                let end = line.map_or(output.len(), |line| found.end() + line);
                let key = String::from_utf8_lossy(&output[found.end()..end]).into_owned();
                open = Some((key, (end + 1).min(output.len())));
            }
        }
        if let Some((key, start)) = open {
            at.insert(key, start..output.len());
        }
        Self { output, at }
    }

    /// Adds records that somebody else has brought.
    pub(super) fn add(&mut self, told: impl IntoIterator<Item = (String, Vec<u8>)>) {
        for (key, value) in told {
            let start = self.output.len();
            self.output.extend_from_slice(&value);
            self.at.insert(key, start..self.output.len());
        }
    }

    /// Whether the script has come to its end.
    pub(super) fn whole(&self) -> bool {
        self.at.contains_key("end")
    }

    fn find(&self, key: &str) -> Option<&[u8]> {
        self.at.get(key).map(|range| &self.output[range.clone()])
    }

    /// A value; `Ok(None)`: there is no such record.
    pub(super) fn look(&self, key: &str) -> Result<Option<&[u8]>, String> {
        match self.find(&format!("{key}!")) {
            Some(reason) => Err(match String::from_utf8_lossy(reason).trim() {
                "" => "the system could not tell".to_owned(),
                reason => reason.to_owned(),
            }),
            None => Ok(self.find(key)),
        }
    }

    /// A value. If there is none, it says why, as far as the part that was to bring it knows.
    pub(super) fn get(&self, key: &str, part: &str) -> Result<&[u8], String> {
        match self.look(key)? {
            Some(value) => Ok(value),
            None => Err(self.silence(part)),
        }
    }

    /// A value as text.
    pub(super) fn text(&self, key: &str, part: &str) -> Result<String, String> {
        Ok(String::from_utf8_lossy(self.get(key, part)?).into_owned())
    }

    /// A value that is yes or no.
    pub(super) fn flag(&self, key: &str, part: &str) -> Result<bool, String> {
        match self.get(key, part)? {
            b"y" => Ok(true),
            b"n" => Ok(false),
            other => Err(String::from_utf8_lossy(other).into_owned()),
        }
    }

    /// Why a part has brought nothing.
    fn silence(&self, part: &str) -> String {
        match self.ended(part) {
            Some(Ended { late: true, .. }) => "the system did not tell in time".to_owned(),
            _ => {
                let said = self.find(&format!("{part}.e")).unwrap_or_default();
                let said = String::from_utf8_lossy(said);
                match said.trim().lines().last() {
                    Some(line) => format!("the system did not tell: {line}"),
                    None => "the system did not tell".to_owned(),
                }
            }
        }
    }

    /// How a part has ended.
    pub(super) fn ended(&self, part: &str) -> Option<Ended> {
        let line = String::from_utf8_lossy(self.find(&format!("{part}.s"))?).into_owned();
        let mut words = line.split(' ');
        let status = words.next()?.parse().ok();
        Some(Ended {
            status,
            took: words.next()?.parse().ok()?,
            late: words.next() == Some("late"),
        })
    }

    /// How long a part took.
    pub(super) fn took(&self, part: &str) -> Option<Duration> {
        self.ended(part)
            .map(|ended| Duration::from_millis(ended.took * 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart_whatever_they_contain() {
        let output = b"noise\nM 1.a\nline\n\nmore\nM 1.b!\ndenied\nM 1.b\nhalf\nM 2.c\n\nM q1.s\n143 25 late\nM q2.s\nnone 0\nM q2.e\nsh: no\n\nM end\n";
        let records = Records::parse(output.to_vec(), "M");
        assert_eq!(records.get("1.a", "q"), Ok(b"line\n\nmore".as_slice()));
        assert_eq!(records.get("1.b", "q"), Err("denied".into()));
        assert_eq!(records.get("2.c", "q"), Ok(b"".as_slice()));
        let late = Ended {
            status: Some(143),
            took: 25,
            late: true,
        };
        assert_eq!(records.ended("q1"), Some(late));
        assert_eq!(records.ended("q2").map(|e| e.status), Some(None));
        assert_eq!(
            records.text("3", "q1").unwrap_err(),
            "the system did not tell in time"
        );
        assert_eq!(
            records.text("3", "q2").unwrap_err(),
            "the system did not tell: sh: no"
        );
        assert_eq!(
            records.text("3", "q3").unwrap_err(),
            "the system did not tell"
        );
        assert_eq!(records.flag("1.a", "q").unwrap_err(), "line\n\nmore");
        assert!(records.whole());
    }
}
