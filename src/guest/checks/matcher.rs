//! Whether a value is what a matcher asks for.

use regex::Regex;
use serde_json::Value;

use crate::model::{Comparison, Matcher, Pattern, PatternKind};

/// What the guest has answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Actual {
    Bool(bool),
    Number(f64),
    /// Text, perhaps of many lines.
    Text(String),
    List(Vec<String>),
    /// There is nothing that could have a value, for this reason: no matcher holds.
    Absent(String),
}

/// How much of a long text is shown.
const SHOWN: usize = 400;

impl std::fmt::Display for Actual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::List(list) => write!(f, "{list:?}"),
            Self::Absent(reason) => f.write_str(reason),
            Self::Text(text) => match text.char_indices().nth(SHOWN) {
                Some((end, _)) => write!(f, "{:?}… ({} bytes)", &text[..end], text.len()),
                None => write!(f, "{text:?}"),
            },
        }
    }
}

impl Actual {
    fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text
                .trim()
                .parse()
                .map_err(|_| format!("{self} is no number")),
            _ => Err(format!("{self} is no number")),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Bool(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(list) => list.join("\n"),
            Self::Absent(_) => String::new(),
        }
    }

    fn elements(&self) -> Result<Vec<Self>, String> {
        match self {
            Self::List(list) => Ok(list.iter().cloned().map(Self::Text).collect()),
            Self::Text(text) => Ok(text.lines().map(|l| Self::Text(l.to_owned())).collect()),
            _ => Err(format!("{self} is no list")),
        }
    }
}

/// Whether `actual` is so; `Err`: the question makes no sense for it.
pub(super) fn holds(matcher: &Matcher, actual: &Actual) -> Result<bool, String> {
    match matcher {
        Matcher::Equal(value) => equal(value, actual),
        Matcher::Patterns(patterns) => Ok(unmet(patterns, &actual.text())?.is_empty()),
        Matcher::HavePrefix(text) => Ok(actual.text().starts_with(text)),
        Matcher::HaveSuffix(text) => Ok(actual.text().ends_with(text)),
        Matcher::ContainSubstring(text) => Ok(actual.text().contains(text)),
        Matcher::MatchRegexp(source) => Ok(regex(source)?.is_match(&actual.text())),
        Matcher::Compare(comparison, number) => {
            let actual = actual.number()?;
            Ok(match comparison {
                Comparison::Gt => actual > *number,
                Comparison::Ge => actual >= *number,
                Comparison::Lt => actual < *number,
                Comparison::Le => actual <= *number,
            })
        }
        Matcher::HaveLen(length) => match actual {
            Actual::List(list) => Ok(list.len() as u64 == *length),
            Actual::Text(text) => Ok(text.len() as u64 == *length),
            _ => Err(format!("{actual} has no length")),
        },
        Matcher::ContainElement(matcher) => {
            let elements = actual.elements()?;
            any(elements.iter().map(|element| holds(matcher, element)))
        }
        Matcher::ContainElements(all) => assign(all, &actual.elements()?),
        Matcher::ConsistOf(all) => {
            let elements = actual.elements()?;
            Ok(elements.len() == all.len() && assign(all, &elements)?)
        }
        // what cannot be told is not the contrary
        Matcher::Not(matcher) => holds(matcher, actual).map(|held| !held),
        Matcher::And(all) => {
            let held: Result<Vec<_>, _> = all.iter().map(|m| holds(m, actual)).collect();
            Ok(held?.into_iter().all(|held| held))
        }
        Matcher::Or(all) => any(all.iter().map(|matcher| holds(matcher, actual))),
    }
}

/// What is there, for a matcher that does not hold: of patterns, those that are not met come first.
pub(super) fn found(matcher: &Matcher, actual: &Actual) -> String {
    if let Matcher::Patterns(patterns) = matcher
        && let Ok(unmet) = unmet(patterns, &actual.text())
        && !unmet.is_empty()
    {
        let unmet: Vec<_> = unmet.iter().map(|p| format!("`{p}`")).collect();
        return format!("not met: {}, in {actual}", unmet.join(", "));
    }
    actual.to_string()
}

fn equal(value: &Value, actual: &Actual) -> Result<bool, String> {
    let odd = || Err(format!("{actual} cannot be compared with {value}"));
    match (value, actual) {
        (Value::Bool(expected), Actual::Bool(found)) => Ok(expected == found),
        (Value::Bool(expected), Actual::Text(found)) => Ok(expected.to_string() == *found),
        (Value::Number(expected), Actual::Number(_) | Actual::Text(_)) => {
            let expected = expected.as_f64();
            Ok(actual.number().ok().is_some_and(|n| expected == Some(n)))
        }
        (Value::String(expected), Actual::Text(found)) => Ok(expected == found),
        (Value::String(expected), Actual::Number(found)) => match expected.trim().parse::<f64>() {
            Ok(expected) => Ok((expected - found).abs() < f64::EPSILON),
            Err(_) => odd(),
        },
        (Value::Array(expected), Actual::List(found)) => {
            let same = |(value, text): (&Value, &String)| value.as_str() == Some(text.as_str());
            Ok(expected.len() == found.len() && expected.iter().zip(found).all(same))
        }
        _ => odd(),
    }
}

/// True as soon as one is true; an error only if none is.
fn any(results: impl Iterator<Item = Result<bool, String>>) -> Result<bool, String> {
    let mut trouble = None;
    for result in results {
        match result {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => trouble = Some(error),
        }
    }
    trouble.map_or(Ok(false), Err)
}

/// Whether every matcher can have an element of its own.
fn assign(matchers: &[Matcher], elements: &[Actual]) -> Result<bool, String> {
    let mut fits = Vec::new();
    for matcher in matchers {
        let row: Result<Vec<bool>, _> = elements.iter().map(|e| holds(matcher, e)).collect();
        fits.push(row?);
    }
    let mut owner = vec![None; elements.len()];
    Ok((0..matchers.len()).all(|m| settle(m, &fits, &mut owner, &mut vec![false; elements.len()])))
}

/// Finds an element for matcher `m`, moving others if need be (an augmenting path).
fn settle(m: usize, fits: &[Vec<bool>], owner: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    for element in 0..owner.len() {
        if !fits[m][element] || std::mem::replace(&mut seen[element], true) {
            continue;
        }
        let free = match owner[element] {
            None => true,
            Some(other) => settle(other, fits, owner, seen),
        };
        if free {
            owner[element] = Some(m);
            return true;
        }
    }
    false
}

fn unmet<'a>(patterns: &'a [Pattern], text: &str) -> Result<Vec<&'a Pattern>, String> {
    let mut unmet = Vec::new();
    for pattern in patterns {
        let seen = match &pattern.what {
            PatternKind::Text(part) => {
                part.is_empty() || text.lines().any(|line| line.contains(part.as_str()))
            }
            PatternKind::Regex(source) => {
                let regex = regex(source)?;
                text.lines().any(|line| regex.is_match(line))
            }
        };
        if seen == pattern.negated {
            unmet.push(pattern);
        }
    }
    Ok(unmet)
}

fn regex(source: &str) -> Result<Regex, String> {
    Regex::new(source).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Actual {
        Actual::Text(text.into())
    }

    fn patterns(all: &[(&str, bool, bool)]) -> Matcher {
        let pattern = |(source, is_regex, negated): &(&str, bool, bool)| Pattern {
            what: if *is_regex {
                PatternKind::Regex((*source).into())
            } else {
                PatternKind::Text((*source).into())
            },
            negated: *negated,
        };
        Matcher::Patterns(all.iter().map(pattern).collect())
    }

    #[test]
    fn patterns_look_at_lines() {
        let output = text("first line\nsecond\n");
        let yes = patterns(&[
            ("line", false, false),
            ("^sec.*d$", true, false),
            ("third", false, true),
        ]);
        assert_eq!(holds(&yes, &output), Ok(true));
        let no = patterns(&[
            ("second", false, true),
            ("absent", false, false),
            ("first", false, false),
        ]);
        assert_eq!(holds(&no, &output), Ok(false));
        assert_eq!(
            found(&no, &output),
            "not met: `!second`, `absent`, in \"first line\\nsecond\\n\""
        );
        assert_eq!(holds(&patterns(&[("", false, false)]), &text("")), Ok(true));
        assert_eq!(holds(&patterns(&[]), &text("")), Ok(true));
    }

    #[test]
    fn values_are_compared_by_what_they_are() {
        let equal = |value: Value, actual: &Actual| holds(&Matcher::Equal(value), actual);
        assert_eq!(equal(1.into(), &text("1\n")), Ok(true));
        assert_eq!(equal("0644".into(), &text("0644")), Ok(true));
        assert_eq!(equal("0".into(), &Actual::Number(0.0)), Ok(true));
        assert_eq!(equal(2.into(), &text("no")), Ok(false));
        assert_eq!(equal(true.into(), &Actual::Bool(false)), Ok(false));
        assert!(equal(true.into(), &Actual::Number(1.0)).is_err());
        let not = Matcher::Not(Box::new(Matcher::Compare(Comparison::Gt, 1.0)));
        assert_eq!(holds(&not, &text("1")), Ok(true));
        assert!(
            holds(&not, &text("many")).is_err(),
            "never a pass by misunderstanding"
        );
    }

    #[test]
    fn elements_are_used_once() {
        let element = |text: &str| Matcher::Equal(text.into());
        let prefix = |text: &str| Matcher::HavePrefix(text.into());
        let list = Actual::List(vec!["ab".into(), "a".into()]);
        // the first matcher must leave "a" to the second
        let all = vec![prefix("a"), element("ab")];
        assert_eq!(holds(&Matcher::ConsistOf(all.clone()), &list), Ok(true));
        let twice = vec![element("a"), element("a")];
        assert_eq!(holds(&Matcher::ContainElements(twice), &list), Ok(false));
        let more = Actual::List(vec!["ab".into(), "a".into(), "c".into()]);
        assert_eq!(
            holds(&Matcher::ContainElements(all.clone()), &more),
            Ok(true)
        );
        assert_eq!(holds(&Matcher::ConsistOf(all), &more), Ok(false));
        assert_eq!(holds(&Matcher::HaveLen(2), &list), Ok(true));
        let one = Matcher::ContainElement(Box::new(element("b")));
        assert_eq!(holds(&one, &text("a\nb\n")), Ok(true));
    }

    #[test]
    fn long_texts_are_shown_in_part() {
        let shown = text(&"ä".repeat(1000)).to_string();
        assert!(shown.ends_with("… (2000 bytes)"), "{shown}");
        assert!(shown.chars().count() < 430);
    }
}
