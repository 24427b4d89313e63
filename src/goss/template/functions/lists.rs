//! Sprig's functions for lists.

use super::{Call, Function, LIMIT, MANY, Outcome, bounded, truth};
use crate::goss::Value;

pub(super) const TABLE: &[Function] = &[
    ("list", 0, MANY, |call| {
        Ok(Value::List(call.arguments.clone()))
    }),
    ("tuple", 0, MANY, |call| {
        Ok(Value::List(call.arguments.clone()))
    }),
    ("first", 1, 1, |call| {
        Ok(call.list(0)?.first().cloned().unwrap_or(Value::Null))
    }),
    ("mustFirst", 1, 1, |call| {
        Ok(call.list(0)?.first().cloned().unwrap_or(Value::Null))
    }),
    ("last", 1, 1, |call| {
        Ok(call.list(0)?.last().cloned().unwrap_or(Value::Null))
    }),
    ("mustLast", 1, 1, |call| {
        Ok(call.list(0)?.last().cloned().unwrap_or(Value::Null))
    }),
    ("rest", 1, 1, |call| {
        Ok(Value::List(call.list(0)?.into_iter().skip(1).collect()))
    }),
    ("mustRest", 1, 1, |call| {
        Ok(Value::List(call.list(0)?.into_iter().skip(1).collect()))
    }),
    ("initial", 1, 1, initial),
    ("mustInitial", 1, 1, initial),
    ("append", 2, 2, append),
    ("push", 2, 2, append),
    ("mustAppend", 2, 2, append),
    ("mustPush", 2, 2, append),
    ("prepend", 2, 2, prepend),
    ("mustPrepend", 2, 2, prepend),
    ("reverse", 1, 1, |call| {
        Ok(Value::List(call.list(0)?.into_iter().rev().collect()))
    }),
    ("mustReverse", 1, 1, |call| {
        Ok(Value::List(call.list(0)?.into_iter().rev().collect()))
    }),
    ("uniq", 1, 1, uniq),
    ("mustUniq", 1, 1, uniq),
    ("without", 1, MANY, without),
    ("mustWithout", 1, MANY, without),
    ("has", 2, 2, has),
    ("mustHas", 2, 2, has),
    ("compact", 1, 1, compact),
    ("mustCompact", 1, 1, compact),
    // not Go's: Sprig's takes its place, which knows no texts
    ("slice", 1, MANY, slice),
    ("mustSlice", 1, MANY, slice),
    ("concat", 0, MANY, |call| {
        let lists: Result<Vec<Vec<Value>>, String> =
            (0..call.arguments.len()).map(|at| call.list(at)).collect();
        Ok(Value::List(lists?.concat()))
    }),
    ("chunk", 2, 2, chunk),
    ("mustChunk", 2, 2, chunk),
    ("join", 2, 2, |call| {
        bounded(texts(call.get(1)).join(call.text(0)?))
    }),
    ("sortAlpha", 1, 1, |call| {
        let mut texts = texts(call.get(0));
        texts.sort();
        Ok(Value::Texts(texts))
    }),
    ("toStrings", 1, 1, |call| {
        Ok(Value::Texts(texts(call.get(0))))
    }),
    ("splitList", 2, 2, |call| {
        Ok(Value::Texts(split(call.text(0)?, call.text(1)?, None)))
    }),
    ("split", 2, 2, |call| {
        Ok(numbered(split(call.text(0)?, call.text(1)?, None)))
    }),
    ("splitn", 3, 3, |call| {
        Ok(numbered(split(
            call.text(0)?,
            call.text(2)?,
            Some(call.int(1)?),
        )))
    }),
    ("until", 1, 1, |call| {
        let count = call.int(0)?;
        range(0, count, if count < 0 { -1 } else { 1 }).map(Value::List)
    }),
    ("untilStep", 3, 3, |call| {
        range(call.int(0)?, call.int(1)?, call.int(2)?).map(Value::List)
    }),
    ("seq", 0, MANY, seq),
];

fn initial(call: &Call<'_>) -> Outcome {
    let mut list = call.list(0)?;
    list.pop();
    Ok(Value::List(list))
}

fn append(call: &Call<'_>) -> Outcome {
    let mut list = call.list(0)?;
    list.push(call.get(1).clone());
    Ok(Value::List(list))
}

fn prepend(call: &Call<'_>) -> Outcome {
    let mut list = call.list(0)?;
    list.insert(0, call.get(1).clone());
    Ok(Value::List(list))
}

fn uniq(call: &Call<'_>) -> Outcome {
    let mut kept: Vec<Value> = Vec::new();
    for value in call.list(0)? {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    Ok(Value::List(kept))
}

fn without(call: &Call<'_>) -> Outcome {
    let list = call.list(0)?;
    let omitted = &call.arguments[1..];
    Ok(Value::List(
        list.into_iter()
            .filter(|value| !omitted.contains(value))
            .collect(),
    ))
}

fn has(call: &Call<'_>) -> Outcome {
    if *call.get(1) == Value::Null {
        return truth(false);
    }
    truth(call.list(1)?.contains(call.get(0)))
}

fn compact(call: &Call<'_>) -> Outcome {
    Ok(Value::List(
        call.list(0)?
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect(),
    ))
}

fn slice(call: &Call<'_>) -> Outcome {
    let list = call.list(0)?;
    let place = |number: usize, default: usize| match call.arguments.len() {
        given if given > number => usize::try_from(call.int(number)?)
            .ok()
            .filter(|at| *at <= list.len())
            .ok_or_else(|| call.wrong(number, "a position within it")),
        _ => Ok(default),
    };
    let (start, end) = (place(1, 0)?, place(2, list.len())?);
    match list.get(start..end) {
        Some(part) => Ok(Value::List(part.to_vec())),
        None => Err(format!("{start} is behind {end}")),
    }
}

fn chunk(call: &Call<'_>) -> Outcome {
    let size = call.count(0)?;
    if size == 0 {
        return Err(call.wrong(0, "at least 1"));
    }
    Ok(Value::List(
        call.list(1)?
            .chunks(size)
            .map(|part| Value::List(part.to_vec()))
            .collect(),
    ))
}

/// A list as texts; missing values are left out.
fn texts(value: &Value) -> Vec<String> {
    match value.elements() {
        Some(all) => all
            .iter()
            .filter(|value| **value != Value::Null)
            .map(ToString::to_string)
            .collect(),
        None if *value == Value::Null => Vec::new(),
        None => vec![value.to_string()],
    }
}

/// Go's `Split` and `SplitN`: an empty separator parts characters.
fn split(separator: &str, text: &str, most: Option<i64>) -> Vec<String> {
    let most = match most {
        Some(0) => return Vec::new(),
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    if separator.is_empty() {
        let mut chars = text.chars();
        let mut parts: Vec<String> = chars
            .by_ref()
            .take(most.saturating_sub(1))
            .map(String::from)
            .collect();
        if !chars.as_str().is_empty() {
            parts.push(chars.as_str().to_owned());
        }
        return parts;
    }
    text.splitn(most, separator).map(str::to_owned).collect()
}

fn numbered(parts: Vec<String>) -> Value {
    let entries = parts
        .into_iter()
        .enumerate()
        .map(|(number, part)| (format!("_{number}"), Value::Text(part)));
    Value::Map(entries.collect())
}

fn range(start: i64, stop: i64, step: i64) -> Result<Vec<Value>, String> {
    let mut numbers = Vec::new();
    let mut at = start;
    let down = stop < start;
    if down && step >= 0 || !down && step <= 0 {
        return Ok(numbers);
    }
    while if down { at > stop } else { at < stop } {
        if numbers.len() > LIMIT / 16 {
            return Err("the list becomes too long".into());
        }
        numbers.push(Value::Int(at));
        at = at.saturating_add(step);
    }
    Ok(numbers)
}

fn seq(call: &Call<'_>) -> Outcome {
    let (start, step, end) = match call.arguments.len() {
        1 => {
            let end = call.int(0)?;
            (1, if end < 1 { -1 } else { 1 }, end)
        }
        2 => {
            let (start, end) = (call.int(0)?, call.int(1)?);
            (start, if end < start { -1 } else { 1 }, end)
        }
        3 => (call.int(0)?, call.int(1)?, call.int(2)?),
        _ => return Ok("".into()),
    };
    let down = end < start;
    if call.arguments.len() == 3 && down && step > 0 {
        return Ok("".into());
    }
    let numbers = range(start, end.saturating_add(if down { -1 } else { 1 }), step)?;
    let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    bounded(texts.join(" "))
}
