//! Go's own functions, goss's, and Sprig's for types and defaults.

use std::cmp::Ordering;

use super::{Call, Function, MANY, Outcome, bounded, truth};
use crate::goss::Value;
use crate::goss::printf::{sprint, sprintf, sprintln};

pub(super) const TABLE: &[Function] = &[
    // Go
    ("not", 1, 1, |call| truth(call.get(0).is_empty())),
    ("len", 1, 1, len),
    ("index", 1, MANY, index),
    ("print", 0, MANY, |call| bounded(sprint(&call.arguments))),
    ("println", 0, MANY, |call| {
        bounded(sprintln(&call.arguments))
    }),
    ("printf", 1, MANY, |call| {
        bounded(sprintf(call.text(0)?, &call.arguments[1..]))
    }),
    ("html", 1, MANY, |call| bounded(html(&joined(call)))),
    ("js", 1, MANY, |call| bounded(js(&joined(call)))),
    ("urlquery", 1, MANY, |call| bounded(urlquery(&joined(call)))),
    ("call", 1, MANY, |_| {
        Err("there are no functions among values".into())
    }),
    ("eq", 1, MANY, eq),
    ("ne", 2, 2, |call| truth(!equal(call.get(0), call.get(1))?)),
    ("lt", 2, 2, |call| {
        truth(order(call)?.is_some_and(Ordering::is_lt))
    }),
    ("le", 2, 2, |call| {
        truth(order(call)?.is_some_and(Ordering::is_le))
    }),
    ("gt", 2, 2, |call| {
        truth(!order(call)?.is_some_and(Ordering::is_le))
    }),
    ("ge", 2, 2, |call| {
        truth(!order(call)?.is_some_and(Ordering::is_lt))
    }),
    // goss
    ("mkSlice", 0, MANY, |call| {
        Ok(Value::List(call.arguments.clone()))
    }),
    ("readFile", 1, 1, |call| {
        let bytes = call.world.read_file(call.text(0)?)?;
        bounded(String::from_utf8_lossy(&bytes).trim().to_owned())
    }),
    ("getEnv", 1, MANY, |call| {
        let value = call.world.env(call.text(0)?).unwrap_or_default();
        if value.is_empty() && call.arguments.len() > 1 {
            return Ok(call.text(1)?.into());
        }
        Ok(value.into())
    }),
    ("toUpper", 1, 1, |call| {
        bounded(call.text(0)?.to_uppercase())
    }),
    ("toLower", 1, 1, |call| {
        bounded(call.text(0)?.to_lowercase())
    }),
    // Sprig
    ("hello", 0, 0, |_| Ok("Hello!".into())),
    ("fail", 1, 1, |call| Err(call.text(0)?.to_owned())),
    ("env", 1, 1, |call| {
        Ok(call.world.env(call.text(0)?).unwrap_or_default().into())
    }),
    ("expandenv", 1, 1, expandenv),
    ("default", 1, MANY, |call| {
        let given = call.get(1);
        Ok(if call.arguments.len() < 2 || given.is_empty() {
            call.get(0)
        } else {
            given
        }
        .clone())
    }),
    ("empty", 1, 1, |call| truth(call.get(0).is_empty())),
    ("coalesce", 0, MANY, |call| {
        let first = call.arguments.iter().find(|value| !value.is_empty());
        Ok(first.cloned().unwrap_or(Value::Null))
    }),
    ("all", 0, MANY, |call| {
        truth(call.arguments.iter().all(|value| !value.is_empty()))
    }),
    ("any", 0, MANY, |call| {
        truth(call.arguments.iter().any(|value| !value.is_empty()))
    }),
    ("ternary", 3, 3, |call| match call.get(2) {
        Value::Bool(flag) => Ok(call.get(usize::from(!flag)).clone()),
        _ => Err(call.wrong(2, "a boolean")),
    }),
    ("deepCopy", 1, 1, |call| Ok(call.get(0).clone())),
    ("mustDeepCopy", 1, 1, |call| Ok(call.get(0).clone())),
    ("typeOf", 1, 1, |call| Ok(call.get(0).go_type().into())),
    ("typeIs", 2, 2, |call| {
        truth(call.get(1).go_type() == call.text(0)?)
    }),
    ("typeIsLike", 2, 2, |call| {
        let wanted = call.text(0)?;
        truth(call.get(1).go_type() == wanted.strip_prefix('*').unwrap_or(wanted))
    }),
    ("kindOf", 1, 1, |call| Ok(kind(call.get(0)).into())),
    ("kindIs", 2, 2, |call| {
        truth(kind(call.get(1)) == call.text(0)?)
    }),
    ("deepEqual", 2, 2, |call| truth(call.get(0) == call.get(1))),
];

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::List(_) | Value::Texts(_) => "slice",
        Value::Map(_) => "map",
        other => other.go_type(),
    }
}

fn len(call: &Call<'_>) -> Outcome {
    let length = match call.get(0) {
        Value::Text(text) => text.len(),
        Value::List(all) => all.len(),
        Value::Texts(all) => all.len(),
        Value::Map(all) => all.len(),
        _ => return Err(call.wrong(0, "a string, a list or a dictionary")),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(call: &Call<'_>) -> Outcome {
    let mut current = call.get(0).clone();
    for number in 1..call.arguments.len() {
        current = match (&current, call.get(number)) {
            (Value::Map(map), Value::Text(key)) => map.get(key).cloned().unwrap_or(Value::Null),
            (Value::Map(_), _) => return Err(call.wrong(number, "a string")),
            (Value::List(_) | Value::Texts(_) | Value::Text(_), _) => {
                let at = call.int(number)?;
                let found = usize::try_from(at).ok().and_then(|at| match &current {
                    Value::List(all) => all.get(at).cloned(),
                    Value::Texts(all) => all.get(at).cloned().map(Value::Text),
                    Value::Text(text) => text
                        .as_bytes()
                        .get(at)
                        .map(|byte| Value::Int((*byte).into())),
                    _ => None,
                });
                found.ok_or_else(|| format!("there is no element {at}"))?
            }
            (Value::Null, _) => return Err("nothing has no elements".into()),
            (other, _) => return Err(format!("a {} has no elements", other.go_type())),
        };
    }
    Ok(current)
}

/// One string as it is, everything else as `print` has it.
fn joined(call: &Call<'_>) -> String {
    match call.arguments.as_slice() {
        [Value::Text(text)] => text.clone(),
        all => sprint(all),
    }
}

fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn urlquery(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn eq(call: &Call<'_>) -> Outcome {
    if call.arguments.len() < 2 {
        return Err("takes at least 2 arguments, 1 is given".into());
    }
    for other in &call.arguments[1..] {
        if equal(call.get(0), other)? {
            return truth(true);
        }
    }
    truth(false)
}

/// Go compares only what is of one kind.
#[expect(clippy::float_cmp, reason = "Go compares so")]
fn equal(one: &Value, other: &Value) -> Result<bool, String> {
    Ok(match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Bool(one), Value::Bool(other)) => one == other,
        (Value::Int(one), Value::Int(other)) => one == other,
        (Value::Float(one), Value::Float(other)) => one == other,
        (Value::Text(one), Value::Text(other)) => one == other,
        (one, other) => return Err(incomparable(one, other)),
    })
}

fn incomparable(one: &Value, other: &Value) -> String {
    format!(
        "a {} cannot be compared with a {}",
        one.go_type(),
        other.go_type()
    )
}

fn order(call: &Call<'_>) -> Result<Option<Ordering>, String> {
    match (call.get(0), call.get(1)) {
        (Value::Int(one), Value::Int(other)) => Ok(Some(one.cmp(other))),
        (Value::Float(one), Value::Float(other)) => Ok(one.partial_cmp(other)),
        (Value::Text(one), Value::Text(other)) => Ok(Some(one.cmp(other))),
        (one, other) => Err(incomparable(one, other)),
    }
}

/// `$NAME` and `${NAME}`.
fn expandenv(call: &Call<'_>) -> Outcome {
    let mut out = String::new();
    let mut rest = call.text(0)?;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let braced = rest
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        let (name, after) = match braced {
            Some(found) => found,
            None => {
                let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric());
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        if name.is_empty() && braced.is_none() {
            out.push('$');
            continue;
        }
        out.push_str(&call.world.env(name).unwrap_or_default());
        rest = after;
    }
    out.push_str(rest);
    bounded(out)
}
