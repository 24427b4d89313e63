//! Trying matchers, and what there is to tell when one fails.

use super::graph;
use super::patterns::{self, Search};
use super::shown::{MatcherResult, Shown};
use super::transform::Transform;
use super::{Matcher, semver};
use crate::goss::{Value, object, regex};

impl Matcher {
    /// Whether it holds of `actual`.
    pub(super) fn matches(&self, actual: &Value) -> Result<bool, String> {
        let text = || actual.as_text().unwrap_or_default();
        match self {
            Self::Equal(expected) => {
                if *actual == Value::Null && *expected == Value::Null {
                    return Err("nothing cannot be compared with nothing".into());
                }
                Ok(actual == expected)
            }
            Self::Numeric(relation, expected) => compare(relation, actual, expected),
            Self::Prefix(prefix) => Ok(text().starts_with(prefix)),
            Self::Suffix(suffix) => Ok(text().ends_with(suffix)),
            Self::Substring(part) => Ok(text().contains(part)),
            Self::Regexp(pattern) => match regex::compile(pattern) {
                Ok(regex) => Ok(regex.is_match(text())),
                Err(error) => Err(format!(
                    "RegExp match failed to compile with error:\n\t{error}"
                )),
            },
            Self::Len(length) => match length_of(actual) {
                Some(found) => Ok(i64::try_from(found) == Ok(*length)),
                None => Err(expects(
                    "HaveLen",
                    "a string/array/map/channel/slice/iterator",
                    actual,
                )),
            },
            Self::Patterns(all) => Ok(patterns::search(all, text())?.holds),
            Self::Key(key) => has_key(key, actual),
            Self::Element(element) => has_element(element, actual),
            Self::Elements(all) => has_elements(all, actual),
            Self::ConsistOf(all) => consists_of(all, actual),
            Self::Not(inner) => inner.matches(actual).map(|holds| !holds),
            Self::And(all) => first(all, actual, false).map(|found| !found),
            Self::Or(all) => first(all, actual, true),
            Self::Semver(range) => semver::satisfied(range, actual),
            Self::With(transform, inner) => match transform.apply(actual) {
                (_, Some(error)) => Err(format!("{}: {error}", transform.go())),
                (value, None) => inner.matches(&value),
            },
        }
    }

    /// What there is to tell when it does not hold.
    pub(super) fn failure(&self, actual: &Value) -> MatcherResult {
        let told = |message: &str, expected: Shown| MatcherResult::new(actual, message, expected);
        match self {
            Self::Elements(all) => {
                let told = told("to contain elements matching", listed(all));
                elements_failure(told, all, actual, Extra::Fine)
            }
            Self::ConsistOf(all) => {
                let told = told("to consist of", listed(all));
                elements_failure(told, all, actual, Extra::Wrong)
            }
            Self::Patterns(all) => {
                let text = actual.as_text().unwrap_or_default();
                let search = patterns::search(all, text).unwrap_or_else(|_| Search::default());
                let texts = |list: Option<Vec<String>>| {
                    list.map(|list| {
                        list.into_iter()
                            .map(|text| Value::Text(text).into())
                            .collect()
                    })
                };
                MatcherResult {
                    missing_elements: texts(search.missing),
                    found_elements: texts(search.found),
                    ..told("to have patterns", all.clone().into())
                }
            }
            Self::Not(inner) => inner.negated_failure(actual),
            Self::And(all) => {
                let first = all
                    .iter()
                    .find(|matcher| matcher.matches(actual) != Ok(true));
                match first {
                    Some(matcher) => matcher.failure(actual),
                    None => told("to satisfy all of these matchers", listed(all)),
                }
            }
            Self::Or(all) => told("to satisfy at least one of these matchers", listed(all)),
            Self::With(..) => self.unwrapped(actual, Self::failure),
            simple => {
                let (message, expected) = simple.simple_words();
                told(&format!("to {message}"), expected)
            }
        }
    }

    /// What there is to tell when it holds and should not.
    fn negated_failure(&self, actual: &Value) -> MatcherResult {
        let told = |message: &str, expected: Shown| MatcherResult::new(actual, message, expected);
        match self {
            Self::Elements(all) => told("not to contain elements matching", listed(all)),
            Self::ConsistOf(all) => told("not to consist of", listed(all)),
            Self::Patterns(all) => told("not to have patterns", all.clone().into()),
            Self::Not(inner) => inner.failure(actual),
            Self::And(all) => told("not to satisfy all of these matchers", listed(all)),
            Self::Or(all) => match all
                .iter()
                .find(|matcher| matcher.matches(actual) == Ok(true))
            {
                Some(matcher) => matcher.negated_failure(actual),
                None => told("not to satisfy any of these matchers", listed(all)),
            },
            Self::With(..) => self.unwrapped(actual, Self::negated_failure),
            simple => {
                let (message, expected) = simple.simple_words();
                told(&format!("not to {message}"), expected)
            }
        }
    }

    /// The words for matchers without others in them.
    fn simple_words(&self) -> (String, Shown) {
        let (message, expected): (&str, Shown) = match self {
            Self::Equal(expected) => ("equal", expected.clone().into()),
            Self::Numeric(relation, expected) => {
                return (
                    format!("be numerically {relation}"),
                    expected.clone().into(),
                );
            }
            Self::Prefix(text) => ("have prefix", Value::from(text.as_str()).into()),
            Self::Suffix(text) => ("have suffix", Value::from(text.as_str()).into()),
            Self::Substring(text) => ("contain substring", Value::from(text.as_str()).into()),
            Self::Regexp(text) => (
                "match regular expression",
                Value::from(text.as_str()).into(),
            ),
            Self::Semver(text) => (
                "satisfy semver constraint",
                Value::from(text.as_str()).into(),
            ),
            Self::Len(length) => ("have length", Value::Int(*length).into()),
            Self::Key(key) => ("have key matching", (**key).clone().into()),
            Self::Element(element) => ("contain element matching", (**element).clone().into()),
            other => ("match", other.clone().into()),
        };
        (message.to_owned(), expected)
    }

    /// Goes through all transforms at once: goss tells the innermost value, the chain, and the value before all of them.
    fn unwrapped(
        &self,
        actual: &Value,
        tell: impl Fn(&Self, &Value) -> MatcherResult,
    ) -> MatcherResult {
        let mut chain: Vec<Transform> = Vec::new();
        let mut matcher = self;
        let mut value = actual.clone();
        let mut failed = false;
        while let Self::With(transform, inner) = matcher {
            // after one that fails, the others have nothing
            let (next, error) = match failed {
                true => (Value::Null, None),
                false => transform.apply(&value),
            };
            if !failed && next != value {
                chain.push(transform.clone());
            }
            failed |= error.is_some();
            value = next;
            matcher = inner;
        }
        let mut told = tell(matcher, &value);
        if failed && matches!(matcher, Self::Not(_)) {
            // what stands within it was never tried
            told.actual = Value::Null.into();
        }
        MatcherResult {
            transform_chain: if chain.is_empty() { None } else { Some(chain) },
            untransformed_value: actual.clone().into(),
            ..told
        }
    }

    /// The first expression or range in it that cannot be read.
    pub(super) fn uncompilable(&self) -> Option<String> {
        match self {
            Self::Regexp(_) => self.matches(&"".into()).err(),
            Self::Semver(_) => self.matches(&"1.0.0".into()).err(),
            Self::Patterns(all) => patterns::search(all, "").err(),
            Self::Key(inner) | Self::Element(inner) | Self::Not(inner) | Self::With(_, inner) => {
                inner.uncompilable()
            }
            Self::Elements(all) | Self::ConsistOf(all) | Self::And(all) | Self::Or(all) => {
                all.iter().find_map(Self::uncompilable)
            }
            Self::Numeric(..) => self.matches(&Value::Int(0)).err(),
            Self::Equal(_)
            | Self::Prefix(_)
            | Self::Suffix(_)
            | Self::Substring(_)
            | Self::Len(_) => None,
        }
    }
}

fn some(all: Vec<Shown>) -> Option<Vec<Shown>> {
    (!all.is_empty()).then_some(all)
}

fn shown_all(all: &[Matcher]) -> Vec<Shown> {
    all.iter().cloned().map(Shown::from).collect()
}

/// Whether elements that nobody expected are a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    Fine,
    Wrong,
}

/// Which elements are missing, found and left over.
fn elements_failure(
    told: MatcherResult,
    all: &[Matcher],
    actual: &Value,
    extra: Extra,
) -> MatcherResult {
    let Some(values) = values(actual) else {
        // as goss tells it: without having looked
        return MatcherResult {
            found_elements: Some(shown_all(all)),
            ..told
        };
    };
    let free = free(&values, all);
    let shown = |missing: bool| -> Vec<Shown> {
        let some = all.iter().enumerate();
        some.filter(|(at, _)| free.right.contains(at) == missing)
            .map(|(_, matcher)| matcher.clone().into())
            .collect()
    };
    let extras: Vec<Shown> = free
        .left
        .iter()
        .map(|at| values[*at].clone().into())
        .collect();
    MatcherResult {
        missing_elements: some(shown(true)),
        found_elements: Some(shown(false)),
        extra_elements: if extra == Extra::Wrong {
            some(extras)
        } else {
            None
        },
        ..told
    }
}

/// Matchers as an expectation: Go has nothing for a list without elements.
fn listed(all: &[Matcher]) -> Shown {
    if all.is_empty() {
        return Value::Null.into();
    }
    Shown::All(shown_all(all))
}

fn expects(name: &str, what: &str, actual: &Value) -> String {
    format!(
        "{name} matcher expects {what}.  Got:\n{}",
        object::object(actual)
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an integer beside a float is compared as one"
)]
#[expect(clippy::float_cmp, reason = "goss compares so")]
fn compare(relation: &str, actual: &Value, expected: &Value) -> Result<bool, String> {
    let order = match (actual, expected) {
        (Value::Int(actual), Value::Int(expected)) => Some(actual.cmp(expected)),
        (actual, expected) => {
            let number = |value: &Value| match value {
                Value::Int(number) => Ok(*number as f64),
                Value::Float(number) => Ok(*number),
                other => Err(format!(
                    "Expected a number.  Got:\n{}",
                    object::object(other)
                )),
            };
            let (actual, expected) = (number(actual)?, number(expected)?);
            if relation == "eq" {
                return Ok(actual == expected);
            }
            actual.partial_cmp(&expected)
        }
    };
    Ok(order.is_some_and(|order| match relation {
        "gt" => order.is_gt(),
        "ge" => order.is_ge(),
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        _ => order.is_eq(),
    }))
}

fn length_of(value: &Value) -> Option<usize> {
    match value {
        Value::Text(text) => Some(text.len()),
        Value::List(all) => Some(all.len()),
        Value::Texts(all) => Some(all.len()),
        Value::Map(all) => Some(all.len()),
        _ => None,
    }
}

/// The elements of a list, or the values of a map.
fn values(actual: &Value) -> Option<Vec<Value>> {
    match actual {
        Value::Map(all) => Some(all.values().cloned().collect()),
        other => other.elements(),
    }
}

fn free(values: &[Value], all: &[Matcher]) -> graph::Free {
    graph::pair(values.len(), all.len(), |l, r| {
        all[r].matches(&values[l]) == Ok(true)
    })
}

/// Whether there is a matcher with this outcome; those after it are not tried.
fn first(all: &[Matcher], actual: &Value, outcome: bool) -> Result<bool, String> {
    for matcher in all {
        if matcher.matches(actual)? == outcome {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_elements(all: &[Matcher], actual: &Value) -> Result<bool, String> {
    match values(actual) {
        Some(values) => Ok(free(&values, all).right.is_empty()),
        None => Err(expects("ContainElements", "an array/slice/map", actual)),
    }
}

fn consists_of(all: &[Matcher], actual: &Value) -> Result<bool, String> {
    match values(actual) {
        Some(values) => {
            let free = free(&values, all);
            Ok(free.left.is_empty() && free.right.is_empty())
        }
        None => Err(expects(
            "ConsistOf",
            "an array/slice/map/iter.Seq/iter.Seq2",
            actual,
        )),
    }
}

fn has_key(key: &Matcher, actual: &Value) -> Result<bool, String> {
    let Value::Map(map) = actual else {
        return Err(format!(
            "HaveKey matcher expects a map/iter.Seq2.  Got:{}",
            object::object(actual)
        ));
    };
    for name in map.keys() {
        let holds = key.matches(&name.as_str().into());
        if holds.map_err(|error| format!("HaveKey's key matcher failed with:\n    {error}"))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_element(element: &Matcher, actual: &Value) -> Result<bool, String> {
    let Some(values) = values(actual) else {
        return Err(expects(
            "ContainElement",
            "an array/slice/map/iterator",
            actual,
        ));
    };
    let mut last = None;
    for value in values {
        match element.matches(&value) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(false), Err)
}
