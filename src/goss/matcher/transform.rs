//! How a value becomes one that a matcher can take.

use crate::goss::printf::quote;
use crate::goss::{Value, object};

use super::Matcher;

/// A conversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transform {
    /// To a number.
    ToNumeric,
    /// To text; lists are joined by line ends.
    ToString,
    /// Text to its lines.
    ToArray,
    /// What stands at a path of JSON text.
    Gjson(String),
}

impl Transform {
    /// A matcher for what this makes of a value.
    pub(super) fn then(self, matcher: Matcher) -> Matcher {
        Matcher::With(self, Box::new(matcher))
    }

    /// The value; if there is an error, the value is what goss shows for it.
    pub(super) fn apply(&self, value: &Value) -> (Value, Option<String>) {
        match self {
            Self::ToNumeric => numeric(value),
            Self::ToString => (Value::Text(text(value)), None),
            Self::ToArray => match value {
                Value::Text(text) => (
                    Value::Texts(text.split('\n').map(str::to_owned).collect()),
                    None,
                ),
                other => (other.clone(), None),
            },
            Self::Gjson(path) => match at_path(value, path) {
                Ok(value) => (value, None),
                Err(error) => (Value::Null, Some(error)),
            },
        }
    }

    /// As Go prints it in front of an error.
    pub(super) fn go(&self) -> String {
        match self {
            Self::ToNumeric => "matchers.ToNumeric{}".into(),
            Self::ToString => "matchers.ToString{}".into(),
            Self::ToArray => "matchers.ToArray{}".into(),
            Self::Gjson(path) => format!("matchers.Gjson{{Path:{}}}", quote(path, false)),
        }
    }

    /// As reports name it.
    pub(super) fn to_value(&self) -> Value {
        let map = |key: &str, inner: Vec<(String, Value)>| {
            Value::Map([(key.to_owned(), Value::Map(inner.into_iter().collect()))].into())
        };
        match self {
            Self::ToNumeric => map("to-numeric", vec![]),
            Self::ToString => map("to-string", vec![]),
            Self::ToArray => map("to-array", vec![]),
            Self::Gjson(path) => map("gjson", vec![("Path".into(), path.as_str().into())]),
        }
    }
}

fn numeric(value: &Value) -> (Value, Option<String>) {
    let text = match value {
        Value::Int(_) | Value::Float(_) => return (value.clone(), None),
        Value::Text(text) => text.clone(),
        Value::Texts(all) => all.join("\n"),
        other => {
            return (
                Value::Int(0),
                Some(format!("Expected numeric, Got:{}", object::object(other))),
            );
        }
    };
    match parse_float(text.trim()) {
        Ok(number) => (Value::Float(number), None),
        Err(error) => (Value::Float(0.0), Some(error)),
    }
}

/// `strconv.ParseFloat`.
pub(in crate::goss) fn parse_float(text: &str) -> Result<f64, String> {
    let fail = |why: &str| format!("strconv.ParseFloat: parsing {}: {why}", quote(text, false));
    match text.parse::<f64>() {
        Ok(number) if number.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
            Err(fail("value out of range"))
        }
        Ok(number) => Ok(number),
        Err(_) => Err(fail("invalid syntax")),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::List(all) => all
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
        Value::Texts(all) => all.join("\n"),
        other => other.to_string(),
    }
}

fn at_path(value: &Value, path: &str) -> Result<Value, String> {
    let Value::Text(text) = value else {
        return Err(format!("Expected string, Got:{}", object::object(value)));
    };
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
        return Err("Invalid json".into());
    }
    let found = gjson::get(text, path);
    if !found.exists() {
        return Err(format!("Path not found: {path}"));
    }
    let json = serde_json::from_str::<serde_json::Value>(found.json());
    json.map(Value::from).map_err(|_| "Invalid json".into())
}
