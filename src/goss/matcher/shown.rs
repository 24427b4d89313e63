//! What is told of a matcher, and matchers as goss writes them in JSON.

use super::Matcher;
use super::transform::Transform;
use crate::goss::Value;
use crate::goss::json::{self, Html};

/// What goss tells about one expectation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatcherResult {
    /// What was found, after all transforms.
    pub actual: Shown,
    /// How the two relate: `to equal`, `matches expectation`.
    pub message: String,
    /// What was expected.
    pub expected: Shown,
    /// Expected and not found.
    pub missing_elements: Option<Vec<Shown>>,
    /// Expected and found.
    pub found_elements: Option<Vec<Shown>>,
    /// Found and not expected.
    pub extra_elements: Option<Vec<Shown>>,
    /// The conversions that changed the value.
    pub transform_chain: Option<Vec<Transform>>,
    /// The value before them.
    pub untransformed_value: Shown,
}

/// Something to show: a value, a matcher, several of either.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A value.
    Value(Value),
    /// A matcher, as it would stand in a gossfile.
    Matcher(Matcher),
    /// Several.
    All(Vec<Shown>),
}

impl Default for Shown {
    fn default() -> Self {
        Self::Value(Value::Null)
    }
}

impl From<Value> for Shown {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<Matcher> for Shown {
    fn from(matcher: Matcher) -> Self {
        Self::Matcher(matcher)
    }
}

impl MatcherResult {
    pub(super) fn new(actual: &Value, message: &str, expected: Shown) -> Self {
        Self {
            actual: actual.clone().into(),
            message: message.into(),
            expected,
            ..Self::default()
        }
    }
}

impl Shown {
    /// One line of JSON, as goss's texts have it.
    #[must_use]
    pub fn line(&self) -> String {
        self.encoded(Html::Plain)
    }

    pub(in crate::goss) fn encoded(&self, html: Html) -> String {
        let mut out = String::new();
        self.write(html, &mut out);
        out
    }

    pub(in crate::goss) fn write(&self, html: Html, out: &mut String) {
        match self {
            Self::Value(value) => json::write(value, html, out),
            Self::Matcher(matcher) => matcher.write(html, out),
            Self::All(all) => json::array(all, out, |shown, out| shown.write(html, out)),
        }
    }
}

/// The transforms' JSON.
pub(in crate::goss) fn chain(chain: &[Transform]) -> Value {
    Value::List(chain.iter().map(Transform::to_value).collect())
}

impl Matcher {
    /// Appends the matcher. Whatever the text around it does, matchers escape `<`, `>` and `&`; only a range of versions does not.
    fn write(&self, html: Html, out: &mut String) {
        let inner = if matches!(self, Self::Semver(_)) {
            html
        } else {
            Html::Escaped
        };
        let text = |key: &str, text: &str, out: &mut String| {
            keyed(key, out, |out| json::string(text, inner, out));
        };
        let all = |key: &str, all: &[Self], out: &mut String| {
            // Go writes a list without elements as null
            keyed(key, out, |out| {
                if all.is_empty() {
                    out.push_str("null");
                } else {
                    json::array(all, out, |matcher, out| matcher.write(inner, out));
                }
            });
        };
        match self {
            Self::Equal(value) => json::write(value, inner, out),
            Self::Numeric(relation, value) => {
                keyed(relation, out, |out| json::write(value, inner, out));
            }
            Self::Prefix(prefix) => text("have-prefix", prefix, out),
            Self::Suffix(suffix) => text("have-suffix", suffix, out),
            Self::Substring(part) => text("contain-substring", part, out),
            Self::Regexp(pattern) => text("match-regexp", pattern, out),
            Self::Semver(range) => text("semver-constraint", range, out),
            Self::Len(length) => keyed("have-len", out, |out| out.push_str(&length.to_string())),
            Self::Patterns(patterns) => {
                keyed("have-patterns", out, |out| {
                    json::write(patterns, inner, out);
                });
            }
            Self::Key(key) => keyed("have-key", out, |out| key.write(inner, out)),
            Self::Element(element) => {
                keyed("contain-element", out, |out| element.write(inner, out));
            }
            Self::Elements(elements) => all("contain-elements", elements, out),
            Self::ConsistOf(elements) => all("consist-of", elements, out),
            Self::Not(matcher) => keyed("not", out, |out| matcher.write(inner, out)),
            Self::And(matchers) => match matchers.as_slice() {
                [only] => only.write(inner, out),
                matchers => all("and", matchers, out),
            },
            Self::Or(matchers) => all("or", matchers, out),
            Self::With(_, matcher) => matcher.write(inner, out),
        }
    }
}

fn keyed(key: &str, out: &mut String, value: impl FnOnce(&mut String)) {
    out.push('{');
    json::string(key, Html::Plain, out);
    out.push(':');
    value(out);
    out.push('}');
}
