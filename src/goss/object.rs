//! How the library of matchers that goss uses shows a value within an error.

use super::Value;
use super::printf::quote;

const STEP: &str = "    ";
/// Elements longer than this stand on lines of their own.
const LONG: usize = 20;

/// The value with its type, indented by one step.
pub(super) fn object(value: &Value) -> String {
    format!("{STEP}<{}>: {}", kind(value), shown(value, 1, true))
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nil".into(),
        Value::List(all) => format!("{} | len:{}, cap:{}", value.go_type(), all.len(), all.len()),
        Value::Texts(all) => format!("{} | len:{}, cap:{}", value.go_type(), all.len(), all.len()),
        Value::Map(all) => format!("{} | len:{}", value.go_type(), all.len()),
        other => other.go_type().into(),
    }
}

fn shown(value: &Value, depth: usize, top: bool) -> String {
    match value {
        Value::Null => "nil".into(),
        Value::Text(text) if top => text.replace('\n', &format!("\n{STEP}")),
        Value::Text(text) => quote(text, false),
        Value::List(all) => {
            let all: Vec<String> = all
                .iter()
                .map(|element| boxed(element, depth + 1))
                .collect();
            lines(&all, depth, "[", "]")
        }
        Value::Texts(all) => lines(
            &all.iter()
                .map(|text| quote(text, false))
                .collect::<Vec<_>>(),
            depth,
            "[",
            "]",
        ),
        Value::Map(all) => {
            let entries = all
                .iter()
                .map(|(key, value)| format!("{}: {}", quote(key, false), boxed(value, depth + 1)))
                .collect::<Vec<String>>();
            lines(&entries, depth, "{", "}")
        }
        other => other.to_string(),
    }
}

/// A value within an `any`.
fn boxed(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "nil".into(),
        value => format!("<{}>{}", kind(value), shown(value, depth, false)),
    }
}

fn lines(all: &[String], depth: usize, open: &str, close: &str) -> String {
    if all.iter().any(|text| text.len() > LONG) {
        let outer = STEP.repeat(depth);
        let inner = format!("{outer}{STEP}");
        return format!(
            "{open}\n{inner}{},\n{outer}{close}",
            all.join(&format!(",\n{inner}"))
        );
    }
    format!("{open}{}{close}", all.join(", "))
}
