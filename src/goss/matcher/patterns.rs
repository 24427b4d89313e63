//! Lines and the patterns that they must meet: `text`, `!text`, `/regex/`, `!/regex/`.

use regex::Regex;

use crate::goss::{Value, object};

/// The longest line that is searched, with its end.
const LINE: usize = 1 << 20;

/// Which patterns were met and which were not, in goss's order.
#[derive(Default)]
pub(super) struct Search {
    pub(super) holds: bool,
    pub(super) missing: Option<Vec<String>>,
    pub(super) found: Option<Vec<String>>,
}

struct Pattern {
    written: String,
    negated: bool,
    what: What,
}

enum What {
    Text(String),
    Regex(Regex),
}

impl Pattern {
    fn parse(written: &str) -> Result<Self, String> {
        let negated = written.starts_with('!');
        let inner = written.strip_prefix('!').unwrap_or(written);
        let what = if inner.starts_with('/') && written.ends_with('/') {
            let inner = &inner[1..];
            What::Regex(crate::goss::regex::compile(
                inner.strip_suffix('/').unwrap_or(inner),
            )?)
        } else {
            What::Text(written.trim_start_matches(['\\', '/', '!']).to_owned())
        };
        Ok(Self {
            written: written.to_owned(),
            negated,
            what,
        })
    }

    fn is_met(&self, line: &str) -> bool {
        match &self.what {
            What::Text(text) => line.contains(text),
            What::Regex(regex) => regex.is_match(line),
        }
    }
}

/// Searches `text` line by line.
pub(super) fn search(patterns: &Value, text: &str) -> Result<Search, String> {
    let Value::List(all) = patterns else {
        let shown = object::object(patterns);
        return Err(format!(
            "HavePatterns matcher expects an array of matchers.  Got:\n{shown}"
        ));
    };
    let mut open = Vec::new();
    let mut written = Vec::new();
    for value in all {
        let Value::Text(pattern) = value else {
            let shown = object::object(value);
            return Err(format!(
                "HavePatterns matcher expects patterns to be a string. got: \n{shown}"
            ));
        };
        written.push(pattern.clone());
    }
    for pattern in &written {
        open.push(Pattern::parse(pattern)?);
    }
    if open.is_empty() {
        return Ok(Search {
            holds: true,
            ..Search::default()
        });
    }
    let mut found: Vec<String> = Vec::new();
    for line in lines(text) {
        if line.len() >= LINE {
            return Err("bufio.Scanner: token too long".into());
        }
        open.retain(|pattern| {
            let met = pattern.is_met(line);
            if met && !pattern.negated {
                found.push(pattern.written.clone());
            }
            !met
        });
        if open.is_empty() {
            break;
        }
    }
    for pattern in open {
        if pattern.negated || pattern.written.is_empty() {
            found.push(pattern.written);
        }
    }
    let holds = found.len() == written.len();
    let missing: Vec<String> = written
        .into_iter()
        .filter(|pattern| !found.contains(pattern))
        .collect();
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    Ok(Search {
        holds,
        missing: if holds { None } else { some(missing) },
        found: some(found),
    })
}

/// Lines without their ends; the last one may lack its own.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').map(|line| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line)
    })
}
