//! Regular expressions: goss's functions and Sprig's.

use std::collections::BTreeMap;

use regex::Regex;

use super::{Call, Function, Outcome, bounded, truth};
use crate::goss::Value;
use crate::goss::regex::compile;

pub(super) const TABLE: &[Function] = &[
    ("regexMatch", 2, 2, |call| {
        truth(regex(call)?.is_match(call.text(1)?))
    }),
    ("mustRegexMatch", 2, 2, |call| {
        truth(regex(call)?.is_match(call.text(1)?))
    }),
    ("findStringSubmatch", 2, 2, submatch),
    ("regexFind", 2, 2, find),
    ("mustRegexFind", 2, 2, find),
    ("regexFindAll", 3, 3, find_all),
    ("mustRegexFindAll", 3, 3, find_all),
    ("regexReplaceAll", 3, 3, replace),
    ("mustRegexReplaceAll", 3, 3, replace),
    ("regexReplaceAllLiteral", 3, 3, replace_literal),
    ("mustRegexReplaceAllLiteral", 3, 3, replace_literal),
    ("regexSplit", 3, 3, split),
    ("mustRegexSplit", 3, 3, split),
    ("regexQuoteMeta", 1, 1, |call| {
        let special = |c: char| r"\.+*?()|[]{}^$".contains(c);
        bounded(
            call.text(0)?
                .chars()
                .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
                .collect(),
        )
    }),
];

fn regex(call: &Call<'_>) -> Result<Regex, String> {
    compile(call.text(0)?)
}

/// The groups of the first match: those with names if there are any, else all by number.
fn submatch(call: &Call<'_>) -> Outcome {
    let regex = regex(call)?;
    let Some(groups) = regex.captures(call.text(1)?) else {
        return Ok(Value::Map(BTreeMap::new()));
    };
    let mut numbered = BTreeMap::new();
    let mut named = BTreeMap::new();
    for (number, name) in regex.capture_names().enumerate() {
        let text = groups.get(number).map_or("", |group| group.as_str());
        numbered.insert(number.to_string(), text.into());
        if let Some(name) = name {
            named.insert(name.to_owned(), text.into());
        }
    }
    Ok(Value::Map(if named.is_empty() { numbered } else { named }))
}

fn find(call: &Call<'_>) -> Outcome {
    let regex = regex(call)?;
    Ok(regex
        .find(call.text(1)?)
        .map_or("", |found| found.as_str())
        .into())
}

fn find_all(call: &Call<'_>) -> Outcome {
    let most = usize::try_from(call.int(2)?).unwrap_or(usize::MAX);
    let regex = regex(call)?;
    let found = regex
        .find_iter(call.text(1)?)
        .take(most)
        .map(|found| found.as_str().to_owned());
    Ok(Value::Texts(found.collect()))
}

fn replace(call: &Call<'_>) -> Outcome {
    bounded(
        regex(call)?
            .replace_all(call.text(1)?, call.text(2)?)
            .into_owned(),
    )
}

fn replace_literal(call: &Call<'_>) -> Outcome {
    let with = regex::NoExpand(call.text(2)?);
    bounded(regex(call)?.replace_all(call.text(1)?, with).into_owned())
}

/// Go's `Split`: an empty match at the start parts nothing.
fn split(call: &Call<'_>) -> Outcome {
    let text = call.text(1)?;
    let most = match call.int(2)? {
        0 => return Ok(Value::Texts(Vec::new())),
        most => usize::try_from(most).unwrap_or(usize::MAX),
    };
    let mut parts = Vec::new();
    let mut start = 0;
    if !call.text(0)?.is_empty() && text.is_empty() {
        return Ok(Value::Texts(vec![String::new()]));
    }
    let mut end = 0;
    for found in regex(call)?.find_iter(text) {
        if parts.len() + 1 >= most {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(text[start..end].to_owned());
        }
        start = found.end();
    }
    if end != text.len() {
        parts.push(text[start..].to_owned());
    }
    Ok(Value::Texts(parts))
}
