//! Values as Go programs hold them: what variables, gossfiles and systems consist of, and how Go prints them.

use std::collections::BTreeMap;
use std::fmt;

/// From this exponent on, a number is printed with it.
const DIGITS: i32 = 6;

/// One value. Two values are equal only when Go's deep equality says so: `1` is not `1.0`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `nil`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `float64`.
    Float(f64),
    /// `string`.
    Text(String),
    /// `[]any`.
    List(Vec<Value>),
    /// `[]string`: what systems tell and what splitting gives.
    Texts(Vec<String>),
    /// `map[string]any`.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// The name of Go's type.
    #[must_use]
    pub const fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Texts(_) => "[]string",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of either kind of list.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(all) => Some(all.clone()),
            Self::Texts(all) => Some(all.iter().cloned().map(Self::Text).collect()),
            _ => None,
        }
    }

    /// Whether Go's templates and `default` take it for nothing: zero, empty, false, nil.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(flag) => !flag,
            Self::Int(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::Text(text) => text.is_empty(),
            Self::List(all) => all.is_empty(),
            Self::Texts(all) => all.is_empty(),
            Self::Map(all) => all.is_empty(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<serde_json::Value> for Value {
    /// As Go decodes JSON into `any`: every number is a float.
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(flag) => Self::Bool(flag),
            serde_json::Value::Number(number) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(all) => Self::List(all.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(all) => Self::Map(
                all.into_iter()
                    .map(|(key, value)| (key, Self::from(value)))
                    .collect(),
            ),
        }
    }
}

impl fmt::Display for Value {
    /// As `%v` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<nil>"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => f.write_str(&shortest(*number)),
            Self::Text(text) => f.write_str(text),
            Self::List(all) => listed(f, all),
            Self::Texts(all) => listed(f, all),
            Self::Map(all) => {
                f.write_str("map[")?;
                for (number, (key, value)) in all.iter().enumerate() {
                    let gap = if number > 0 { " " } else { "" };
                    write!(f, "{gap}{key}:{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}

fn listed<T: fmt::Display>(f: &mut fmt::Formatter<'_>, all: &[T]) -> fmt::Result {
    f.write_str("[")?;
    for (number, value) in all.iter().enumerate() {
        let gap = if number > 0 { " " } else { "" };
        write!(f, "{gap}{value}")?;
    }
    f.write_str("]")
}

/// The shortest decimal that reads back as this number; from seven digits on, and below 0.0001, with an exponent of at least two
/// digits.
pub(super) fn shortest(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..DIGITS).contains(&exponent) {
        return exponential(digits, exponent);
    }
    format!("{number}")
}

/// `1.5e+06`.
pub(super) fn exponential(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_in_go() {
        let shown = |number: f64| Value::Float(number).to_string();
        assert_eq!(shown(1.0), "1");
        assert_eq!(shown(0.1), "0.1");
        assert_eq!(shown(1e5), "100000");
        assert_eq!(shown(1_234_567.0), "1.234567e+06");
        assert_eq!(shown(1e21), "1e+21");
        assert_eq!(shown(0.000_01), "1e-05");
        assert_eq!(shown(-2.5e-7), "-2.5e-07");
        assert_eq!(shown(f64::NEG_INFINITY), "-Inf");
        assert_eq!(shown(-0.0), "-0");
    }

    #[test]
    fn collections_print_as_in_go() {
        let list = Value::List(vec![1.into_value(), "a b".into(), Value::Null]);
        let map = BTreeMap::from([("k".to_owned(), list), ("a".to_owned(), Value::Bool(true))]);
        assert_eq!(Value::Map(map).to_string(), "map[a:true k:[1 a b <nil>]]");
    }

    trait IntoValue {
        fn into_value(self) -> Value;
    }
    impl IntoValue for i64 {
        fn into_value(self) -> Value {
            Value::Int(self)
        }
    }
}
