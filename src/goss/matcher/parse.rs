//! From values to matchers.

use super::{Matcher, Transform};
use crate::diag::closest;
use crate::goss::Value;
use crate::goss::printf::{quote, sprintf};

const NAMES: [&str; 20] = [
    "equal",
    "have-prefix",
    "have-suffix",
    "match-regexp",
    "contain-substring",
    "have-len",
    "have-patterns",
    "have-key",
    "contain-element",
    "contain-elements",
    "not",
    "consist-of",
    "and",
    "or",
    "gt",
    "ge",
    "lt",
    "le",
    "semver-constraint",
    "gjson",
];

impl Matcher {
    /// Reads a matcher; the error is goss's text, with a near name where there is one.
    pub(crate) fn parse(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(_) => Ok(Transform::ToString.then(Self::Equal(value.clone()))),
            Value::Int(_) | Value::Float(_) => {
                Ok(Transform::ToNumeric.then(Self::Numeric("eq", value.clone())))
            }
            Value::Bool(_) => Ok(Self::Equal(value.clone())),
            Value::List(_) | Value::Texts(_) => Ok(Self::Elements(all(value, "")?)),
            Value::Null => Err("Syntax Error: Missing required attribute".into()),
            Value::Map(map) => {
                let mut entries = map.iter();
                match (entries.next(), entries.next()) {
                    (Some((name, value)), None) => named(name, value),
                    _ => {
                        let keys: Vec<String> = map.keys().map(|key| quote(key, false)).collect();
                        Err(format!(
                            "Syntax Error: Invalid matcher configuration. At a given nesting level, only one matcher is \
                             allowed. Found multiple matchers: [{}]",
                            keys.join(" ")
                        ))
                    }
                }
            }
        }
    }
}

fn named(name: &str, value: &Value) -> Result<Matcher, String> {
    let text = || match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(invalid(name, "string", other)),
    };
    let matcher = match name {
        "equal" => Matcher::Equal(value.clone()),
        "have-prefix" => Transform::ToString.then(Matcher::Prefix(text()?)),
        "have-suffix" => Transform::ToString.then(Matcher::Suffix(text()?)),
        "match-regexp" => Transform::ToString.then(Matcher::Regexp(text()?)),
        "contain-substring" => Transform::ToString.then(Matcher::Substring(text()?)),
        "semver-constraint" => Matcher::Semver(text()?),
        "have-len" => match value {
            Value::Int(length) => Matcher::Len(*length),
            #[expect(clippy::cast_possible_truncation, reason = "as goss does")]
            Value::Float(length) => Matcher::Len(*length as i64),
            other => return Err(invalid(name, "numeric", other)),
        },
        "have-patterns" => match value {
            Value::List(_) => Transform::ToString.then(Matcher::Patterns(value.clone())),
            other => return Err(invalid(name, "array", other)),
        },
        "have-key" => Matcher::Key(Box::new(Matcher::parse(value)?)),
        "contain-element" => match value {
            Value::Map(_) | Value::Text(_) | Value::Int(_) | Value::Float(_) => {
                Transform::ToArray.then(Matcher::Element(Box::new(Matcher::parse(value)?)))
            }
            other => return Err(invalid(name, "matcher, string or numeric", other)),
        },
        // goss's own spelling of the name
        "contain-elements" => {
            Transform::ToArray.then(Matcher::Elements(all(value, "contains-elements")?))
        }
        "not" => Matcher::Not(Box::new(Matcher::parse(value)?)),
        "consist-of" => Matcher::ConsistOf(all(value, name)?),
        "and" => Matcher::And(all(value, name)?),
        "or" => Matcher::Or(all(value, name)?),
        "gt" => numeric("gt", value),
        "ge" => numeric("ge", value),
        "lt" => numeric("lt", value),
        "le" => numeric("le", value),
        "gjson" => match value {
            Value::Map(paths) => {
                let each = paths.iter().map(|(path, value)| {
                    Ok(Transform::Gjson(path.clone()).then(Matcher::parse(value)?))
                });
                Matcher::And(each.collect::<Result<_, String>>()?)
            }
            other => return Err(invalid(name, "map", other)),
        },
        name => {
            let near = closest(name, NAMES).map(|near| format!(" (did you mean `{near}`?)"));
            return Err(format!(
                "Syntax Error: Unknown matcher: {name}{}",
                near.unwrap_or_default()
            ));
        }
    };
    Ok(matcher)
}

fn numeric(name: &'static str, value: &Value) -> Matcher {
    Transform::ToNumeric.then(Matcher::Numeric(name, value.clone()))
}

fn all(value: &Value, name: &str) -> Result<Vec<Matcher>, String> {
    match value.elements() {
        Some(all) => all.iter().map(Matcher::parse).collect(),
        None => Err(invalid(name, "array", value)),
    }
}

fn invalid(name: &str, expected: &str, value: &Value) -> String {
    let shown = sprintf("%T: %q", &[value.clone(), value.clone()]);
    format!(
        "Syntax Error: Invalid '{name}' argument. Expected {expected} value, but received: {shown}"
    )
}
