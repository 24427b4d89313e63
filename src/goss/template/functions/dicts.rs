//! Sprig's functions for dictionaries.

use std::collections::BTreeMap;

use super::{Call, Function, MANY, Outcome, truth};
use crate::goss::Value;

type Map = BTreeMap<String, Value>;

pub(super) const TABLE: &[Function] = &[
    ("dict", 0, MANY, dict),
    ("get", 2, 2, |call| {
        Ok(call
            .map(0)?
            .get(call.text(1)?)
            .cloned()
            .unwrap_or_else(|| "".into()))
    }),
    ("set", 3, 3, |call| {
        let mut map = call.map(0)?.clone();
        map.insert(call.text(1)?.to_owned(), call.get(2).clone());
        Ok(Value::Map(map))
    }),
    ("unset", 2, 2, |call| {
        let mut map = call.map(0)?.clone();
        map.remove(call.text(1)?);
        Ok(Value::Map(map))
    }),
    ("hasKey", 2, 2, |call| {
        truth(call.map(0)?.contains_key(call.text(1)?))
    }),
    ("pluck", 1, MANY, |call| {
        let key = call.text(0)?;
        let maps: Result<Vec<&Map>, String> =
            (1..call.arguments.len()).map(|at| call.map(at)).collect();
        Ok(Value::List(
            maps?
                .into_iter()
                .filter_map(|map| map.get(key).cloned())
                .collect(),
        ))
    }),
    ("keys", 0, MANY, |call| {
        let maps: Result<Vec<&Map>, String> =
            (0..call.arguments.len()).map(|at| call.map(at)).collect();
        Ok(Value::Texts(
            maps?
                .into_iter()
                .flat_map(|map| map.keys().cloned())
                .collect(),
        ))
    }),
    ("values", 1, 1, |call| {
        Ok(Value::List(call.map(0)?.values().cloned().collect()))
    }),
    ("pick", 1, MANY, |call| chosen(call, true)),
    ("omit", 1, MANY, |call| chosen(call, false)),
    ("merge", 1, MANY, |call| merged(call, false)),
    ("mustMerge", 1, MANY, |call| merged(call, false)),
    ("mergeOverwrite", 1, MANY, |call| merged(call, true)),
    ("mustMergeOverwrite", 1, MANY, |call| merged(call, true)),
    ("dig", 3, MANY, dig),
];

fn dict(call: &Call<'_>) -> Outcome {
    let mut map = Map::new();
    for pair in call.arguments.chunks(2) {
        let value = pair.get(1).cloned().unwrap_or_else(|| "".into());
        map.insert(pair[0].to_string(), value);
    }
    Ok(Value::Map(map))
}

fn chosen(call: &Call<'_>, keep: bool) -> Outcome {
    let keys: Result<Vec<&str>, String> =
        (1..call.arguments.len()).map(|at| call.text(at)).collect();
    let keys = keys?;
    let map = call.map(0)?.iter();
    let some = map.filter(|(key, _)| keys.contains(&key.as_str()) == keep);
    Ok(Value::Map(
        some.map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    ))
}

fn merged(call: &Call<'_>, overwrite: bool) -> Outcome {
    let mut into = call.map(0)?.clone();
    for number in 1..call.arguments.len() {
        merge(&mut into, call.map(number)?, overwrite);
    }
    Ok(Value::Map(into))
}

/// Entries that are missing, or empty, are taken over; with `overwrite`, all that are not empty.
fn merge(into: &mut Map, from: &Map, overwrite: bool) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Map(inner)), Value::Map(other)) => merge(inner, other, overwrite),
            (Some(old), value) => {
                if overwrite && !value.is_empty() || old.is_empty() {
                    *old = value.clone();
                }
            }
            (None, value) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn dig(call: &Call<'_>) -> Outcome {
    let last = call.arguments.len() - 1;
    let mut current = call.get(last);
    for number in 0..last - 1 {
        let Value::Map(map) = current else {
            return Err(format!("a {} has no entries", current.go_type()));
        };
        match map.get(call.text(number)?) {
            Some(value) => current = value,
            None => return Ok(call.get(last - 1).clone()),
        }
    }
    Ok(current.clone())
}
