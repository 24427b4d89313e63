//! What a value must be like: reading matchers, trying them, and what goss says when one does not hold.
//!
//! A mistake in a matcher is a result of its own (`Syntax Error: …`), as in goss: it is found when the check is judged. With
//! [`fault`] it can be found before.

mod graph;
mod parse;
mod patterns;
mod run;
mod semver;
mod shown;
mod transform;

#[cfg(test)]
mod tests;

use super::Value;
pub(super) use shown::chain;
pub use shown::{MatcherResult, Shown};
pub use transform::Transform;

/// One matcher.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// Deeply equal, types included.
    Equal(Value),
    /// A number in relation to this value: `eq`, `gt`, `ge`, `lt`, `le`.
    Numeric(&'static str, Value),
    /// Text that starts so.
    Prefix(String),
    /// Text that ends so.
    Suffix(String),
    /// Text that contains this.
    Substring(String),
    /// Text in which this expression finds something.
    Regexp(String),
    /// A text of so many bytes, a list or a map of so many elements.
    Len(i64),
    /// Every pattern is met by a line.
    Patterns(Value),
    /// A map with a key that matches.
    Key(Box<Self>),
    /// A list with an element that matches.
    Element(Box<Self>),
    /// Every matcher finds an element of its own.
    Elements(Vec<Self>),
    /// The same, with no element left over.
    ConsistOf(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// All of these.
    And(Vec<Self>),
    /// At least one of these.
    Or(Vec<Self>),
    /// A version, or versions, within this range.
    Semver(String),
    /// The value is turned into another first.
    With(Transform, Box<Self>),
}

/// What a value is measured against: a matcher, or lines to be searched.
pub(super) enum Subject {
    /// A value of any type.
    Value(Value),
    /// A stream and the name of Go's type for it, as goss shows it.
    Stream(Vec<u8>, &'static str),
}

/// What became of one expectation.
pub(super) struct Verdict {
    /// Whether it holds.
    pub(super) holds: bool,
    /// What kept it from being tried to the end.
    pub(super) error: Option<String>,
    /// What goss tells about it; none if it could not even be begun.
    pub(super) told: Option<MatcherResult>,
}

/// Measures a subject against what a gossfile says.
pub(super) fn judge(subject: Subject, expected: &Value) -> Verdict {
    let (actual, matcher, plain) = match (subject, expected) {
        (Subject::Stream(bytes, stream), Value::List(_)) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (
                Value::Text(text),
                Ok(Matcher::Patterns(expected.clone())),
                Some(stream),
            )
        }
        (Subject::Stream(bytes, _), _) => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (Value::Text(text), Matcher::parse(expected), None)
        }
        (Subject::Value(value), _) => (value, Matcher::parse(expected), None),
    };
    let matcher = match matcher {
        Ok(matcher) => matcher,
        Err(error) => {
            return Verdict {
                holds: false,
                error: Some(error),
                told: None,
            };
        }
    };
    let outcome = matcher.matches(&actual);
    let told = if outcome == Ok(true) {
        MatcherResult {
            // a stream shows as an empty object
            actual: match plain {
                Some(_) => Value::Map(std::collections::BTreeMap::new()).into(),
                None => actual.into(),
            },
            message: "matches expectation".into(),
            expected: expected.clone().into(),
            ..MatcherResult::default()
        }
    } else {
        let mut told = matcher.failure(&actual);
        if let Some(stream) = plain {
            told.actual = Value::Text(format!("object: {stream}")).into();
        }
        told
    };
    Verdict {
        holds: outcome == Ok(true),
        error: outcome.err(),
        told: Some(told),
    }
}

/// What is wrong with a matcher before anything is measured.
pub(super) fn fault(expected: &Value) -> Option<String> {
    let matcher = match Matcher::parse(expected) {
        Ok(matcher) => matcher,
        Err(error) => return Some(error),
    };
    matcher.uncompilable()
}
