//! What a value must be like, as it is written.

use regex::Regex;
use serde_json::Value;

use super::attributes::Answer;
use super::raw::wrong_type;
use super::{Raw, RawEntry, RawValue};
use crate::diag::{Diagnostic, Diagnostics, closest};
use crate::model::{Comparison, Matcher, Pattern, PatternKind};

/// goss's operators that forge has.
const OPERATORS: [&str; 17] = [
    "and",
    "consist-of",
    "contain-element",
    "contain-elements",
    "contain-substring",
    "equal",
    "ge",
    "gt",
    "have-len",
    "have-patterns",
    "have-prefix",
    "have-suffix",
    "le",
    "lt",
    "match-regexp",
    "not",
    "or",
];
/// Those that it has not yet.
const LATER: [&str; 4] = ["gjson", "have-key", "semver-constraint", "xml"];

/// Reads the matcher for an attribute that answers with `answer`. None: a fault has been told.
pub(super) fn matcher(node: &Raw, answer: Answer, faults: &mut Diagnostics) -> Option<Matcher> {
    match &node.value {
        RawValue::Map(entries) => operator(node, entries, answer, faults),
        RawValue::List(nodes) => match answer {
            Answer::Text | Answer::Lines => {
                let patterns = nodes.iter().map(|node| pattern(node, faults));
                collect(patterns).map(Matcher::Patterns)
            }
            Answer::List => list(nodes, faults).map(Matcher::ContainElements),
            _ => {
                faults.push(wrong_type(node, answer.expected()));
                None
            }
        },
        _ => scalar(node, answer, faults),
    }
}

/// All or nothing, but every fault is told.
fn collect<T>(all: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let all: Vec<_> = all.collect();
    all.into_iter().collect()
}

fn list(nodes: &[Raw], faults: &mut Diagnostics) -> Option<Vec<Matcher>> {
    collect(nodes.iter().map(|n| matcher(n, Answer::Any, faults)))
}

fn scalar(node: &Raw, answer: Answer, faults: &mut Diagnostics) -> Option<Matcher> {
    let numeric = |text: &str| text.trim().parse::<f64>().is_ok();
    let fits = match (answer, &node.value) {
        (_, RawValue::Null) => false,
        (Answer::Bool, value) => matches!(value, RawValue::Bool(_)),
        (Answer::Number, RawValue::Text(text)) => numeric(text),
        (Answer::Number, value) => matches!(value, RawValue::Int(_) | RawValue::Float(_)),
        (Answer::Mode, RawValue::Text(text)) => return mode(node, text, faults),
        (Answer::Mode, _) => false,
        (Answer::OneOf(words), RawValue::Text(text)) => {
            return word(node, text, words, faults);
        }
        (Answer::Hex(digits), RawValue::Text(text)) => {
            let hex = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
            if hex {
                return Some(Matcher::Equal(text.to_ascii_lowercase().into()));
            }
            false
        }
        (Answer::OneOf(_) | Answer::Hex(_), _) => false,
        _ => true,
    };
    if fits {
        return node.scalar().map(Matcher::Equal);
    }
    let fault = wrong_type(node, answer.expected());
    faults.push(match (answer, &node.value) {
        (Answer::Mode, RawValue::Int(_)) => {
            fault.help("put the digits in quotes: numbers lose the leading zero")
        }
        _ => fault,
    });
    None
}

/// Octal digits, made four.
fn mode(node: &Raw, text: &str, faults: &mut Diagnostics) -> Option<Matcher> {
    let octal = text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if octal && (3..=4).contains(&text.len()) {
        return Some(Matcher::Equal(format!("{text:0>4}").into()));
    }
    faults.push(wrong_type(node, Answer::Mode.expected()));
    None
}

fn word(
    node: &Raw,
    text: &str,
    words: &'static [&'static str],
    faults: &mut Diagnostics,
) -> Option<Matcher> {
    if words.contains(&text) {
        return Some(Matcher::Equal(text.into()));
    }
    let near = closest(text, words.iter().copied());
    faults.push(
        Diagnostic::error(
            "wrong-value",
            format!("`{text}` is not one of the words known here"),
        )
        .label(node.span, "")
        .maybe_help(near.map(|near| format!("did you mean `{near}`?")))
        .help(format!("known: {}", words.join(", "))),
    );
    None
}

fn operator(
    node: &Raw,
    entries: &[RawEntry],
    answer: Answer,
    faults: &mut Diagnostics,
) -> Option<Matcher> {
    let [
        RawEntry {
            key,
            key_span,
            node: of,
        },
    ] = entries
    else {
        let several = "a matcher has exactly one key; `and: [ … ]` joins several";
        faults.push(Diagnostic::error("wrong-value", several).label(node.span, ""));
        return None;
    };
    match key.as_str() {
        "equal" => match (&of.value, answer) {
            (RawValue::List(_) | RawValue::Map(_), _) => value(of).map(Matcher::Equal),
            _ => scalar(of, answer.of_equal(), faults),
        },
        "have-prefix" => text(of, faults).map(Matcher::HavePrefix),
        "have-suffix" => text(of, faults).map(Matcher::HaveSuffix),
        "contain-substring" => text(of, faults).map(Matcher::ContainSubstring),
        "match-regexp" => {
            let source = text(of, faults)?;
            regex(of, &source, faults).map(Matcher::MatchRegexp)
        }
        "gt" => number(of, faults).map(|n| Matcher::Compare(Comparison::Gt, n)),
        "ge" => number(of, faults).map(|n| Matcher::Compare(Comparison::Ge, n)),
        "lt" => number(of, faults).map(|n| Matcher::Compare(Comparison::Lt, n)),
        "le" => number(of, faults).map(|n| Matcher::Compare(Comparison::Le, n)),
        "have-len" => match of.value {
            RawValue::Int(length) if length >= 0 => Some(Matcher::HaveLen(length.unsigned_abs())),
            _ => {
                faults.push(wrong_type(of, "a length"));
                None
            }
        },
        "have-patterns" => {
            let patterns = elements(of, faults)?.iter().map(|n| pattern(n, faults));
            collect(patterns).map(Matcher::Patterns)
        }
        "contain-element" => {
            matcher(of, Answer::Any, faults).map(|m| Matcher::ContainElement(Box::new(m)))
        }
        "contain-elements" => list(elements(of, faults)?, faults).map(Matcher::ContainElements),
        "consist-of" => list(elements(of, faults)?, faults).map(Matcher::ConsistOf),
        "not" => matcher(of, answer, faults).map(|m| Matcher::Not(Box::new(m))),
        "and" => each(of, answer, faults).map(Matcher::And),
        "or" => each(of, answer, faults).map(Matcher::Or),
        key => {
            faults.push(unknown(key, *key_span));
            None
        }
    }
}

fn unknown(key: &str, span: crate::diag::Span) -> Diagnostic {
    if LATER.contains(&key) {
        let message = format!("the matcher `{key}` is not supported yet");
        return Diagnostic::error("unsupported-check", message).label(span, "");
    }
    let near = closest(key, OPERATORS);
    Diagnostic::error("unknown-key", format!("unknown matcher `{key}`"))
        .label(span, "")
        .maybe_help(near.map(|near| format!("did you mean `{near}`?")))
        .help(format!("known: {}", OPERATORS.join(", ")))
}

fn elements<'a>(node: &'a Raw, faults: &mut Diagnostics) -> Option<&'a [Raw]> {
    if let RawValue::List(nodes) = &node.value {
        return Some(nodes);
    }
    faults.push(wrong_type(node, "a list"));
    None
}

fn each(node: &Raw, answer: Answer, faults: &mut Diagnostics) -> Option<Vec<Matcher>> {
    let nodes = elements(node, faults)?;
    collect(nodes.iter().map(|n| matcher(n, answer, faults)))
}

fn text(node: &Raw, faults: &mut Diagnostics) -> Option<String> {
    match node.scalar() {
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
        None => {
            faults.push(wrong_type(node, "a string"));
            None
        }
    }
}

fn number(node: &Raw, faults: &mut Diagnostics) -> Option<f64> {
    let number = match &node.value {
        RawValue::Int(number) => number.to_string().parse().ok(),
        RawValue::Float(number) => Some(*number),
        RawValue::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    if number.is_none() {
        faults.push(wrong_type(node, "a number"));
    }
    number
}

/// A value for comparison as a whole.
fn value(node: &Raw) -> Option<Value> {
    match &node.value {
        RawValue::List(nodes) => nodes.iter().map(value).collect(),
        RawValue::Map(entries) => entries
            .iter()
            .map(|e| value(&e.node).map(|value| (e.key.clone(), value)))
            .collect::<Option<serde_json::Map<_, _>>>()
            .map(Value::Object),
        _ => node.scalar(),
    }
}

/// `text`, `!text`, `/regex/`, `!/regex/`; a backslash before the first sign takes its meaning away.
fn pattern(node: &Raw, faults: &mut Diagnostics) -> Option<Pattern> {
    let written = text(node, faults)?;
    let (negated, rest) = match written.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, written.as_str()),
    };
    let between = rest.strip_prefix('/').and_then(|r| r.strip_suffix('/'));
    let what = match between {
        Some(source) => PatternKind::Regex(regex(node, source, faults)?),
        None => {
            let escaped = rest
                .strip_prefix('\\')
                .filter(|r| r.starts_with(['!', '/', '\\']));
            PatternKind::Text(escaped.unwrap_or(rest).to_owned())
        }
    };
    Some(Pattern { what, negated })
}

/// The regular expression in the form that is used, if it is one. Go knows `\Q…\E`, which quotes; the rest is alike.
fn regex(node: &Raw, source: &str, faults: &mut Diagnostics) -> Option<String> {
    let mut plain = String::new();
    let mut rest = source;
    while let Some((before, quoted)) = rest.split_once("\\Q") {
        let (quoted, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
        plain.push_str(before);
        plain.push_str(&regex::escape(quoted));
        rest = after;
    }
    plain.push_str(rest);
    match Regex::new(&plain) {
        Ok(_) => Some(plain),
        Err(error) => {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default();
            let why = why.trim_start_matches("error: ");
            let message = format!("this is no regular expression: {why}");
            faults.push(Diagnostic::error("regex", message).label(node.span, ""));
            None
        }
    }
}
