//! Sprig's functions for numbers, which take texts for numbers too.

use super::{Call, Function, MANY, Outcome};
use crate::goss::Value;

pub(super) const TABLE: &[Function] = &[
    ("int", 1, 1, |call| Ok(Value::Int(whole(call.get(0))))),
    ("int64", 1, 1, |call| Ok(Value::Int(whole(call.get(0))))),
    ("float64", 1, 1, |call| Ok(Value::Float(real(call.get(0))))),
    ("atoi", 1, 1, |call| {
        Ok(Value::Int(call.text(0)?.parse().unwrap_or(0)))
    }),
    ("toDecimal", 1, 1, |call| {
        Ok(Value::Int(
            i64::from_str_radix(&call.get(0).to_string(), 8).unwrap_or(0),
        ))
    }),
    ("add", 0, MANY, |call| {
        fold(call, Some(0), |a, b| Some(a.wrapping_add(b)))
    }),
    ("add1", 1, 1, |call| {
        Ok(Value::Int(whole(call.get(0)).wrapping_add(1)))
    }),
    ("sub", 2, 2, |call| {
        fold(call, None, |a, b| Some(a.wrapping_sub(b)))
    }),
    ("mul", 1, MANY, |call| {
        fold(call, None, |a, b| Some(a.wrapping_mul(b)))
    }),
    ("div", 2, 2, |call| fold(call, None, i64::checked_div)),
    ("mod", 2, 2, |call| fold(call, None, i64::checked_rem)),
    ("max", 1, MANY, |call| {
        fold(call, None, |a, b| Some(a.max(b)))
    }),
    ("biggest", 1, MANY, |call| {
        fold(call, None, |a, b| Some(a.max(b)))
    }),
    ("min", 1, MANY, |call| {
        fold(call, None, |a, b| Some(a.min(b)))
    }),
    ("addf", 0, MANY, |call| reals(call, Some(0.0), |a, b| a + b)),
    ("add1f", 1, 1, |call| {
        Ok(Value::Float(tidy(real(call.get(0)) + 1.0)))
    }),
    ("subf", 1, MANY, |call| reals(call, None, |a, b| a - b)),
    ("mulf", 1, MANY, |call| reals(call, None, |a, b| a * b)),
    ("divf", 1, MANY, |call| reals(call, None, |a, b| a / b)),
    ("maxf", 1, MANY, |call| reals(call, None, f64::max)),
    ("minf", 1, MANY, |call| reals(call, None, f64::min)),
    ("floor", 1, 1, |call| {
        Ok(Value::Float(real(call.get(0)).floor()))
    }),
    ("ceil", 1, 1, |call| {
        Ok(Value::Float(real(call.get(0)).ceil()))
    }),
    ("round", 2, 3, round),
];

/// A value as an integer; what is none is 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction goes, as in Sprig"
)]
fn whole(value: &Value) -> i64 {
    match value {
        Value::Int(number) => *number,
        Value::Float(number) => *number as i64,
        Value::Bool(flag) => i64::from(*flag),
        Value::Text(text) => {
            let zeros = text.trim_start_matches('0');
            let digits = if zeros.is_empty() && !text.is_empty() {
                "0"
            } else {
                zeros
            };
            match text.split_once('.') {
                Some((before, after)) if after.bytes().all(|b| b == b'0') => {
                    before.parse().unwrap_or(0)
                }
                _ => digits.parse().unwrap_or(0),
            }
        }
        _ => 0,
    }
}

/// A value as a float; what is none is 0.
#[expect(clippy::cast_precision_loss, reason = "as in Sprig")]
fn real(value: &Value) -> f64 {
    match value {
        Value::Int(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Text(text) => text.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}

fn fold(call: &Call<'_>, start: Option<i64>, step: impl Fn(i64, i64) -> Option<i64>) -> Outcome {
    let mut result = start;
    for value in &call.arguments {
        let next = whole(value);
        result = match result {
            None => Some(next),
            Some(before) => Some(step(before, next).ok_or("division by zero")?),
        };
    }
    Ok(Value::Int(result.unwrap_or(0)))
}

fn reals(call: &Call<'_>, start: Option<f64>, step: impl Fn(f64, f64) -> f64) -> Outcome {
    let mut result = start;
    for value in &call.arguments {
        let next = real(value);
        result = Some(match result {
            None => next,
            Some(before) => tidy(step(before, next)),
        });
    }
    Ok(Value::Float(result.unwrap_or(0.0)))
}

/// Sprig reckons in decimals: `0.1 + 0.2` is `0.3`.
fn tidy(number: f64) -> f64 {
    let short: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    let shorter = format!("{short}").len() + 3 < format!("{number}").len();
    if shorter { short } else { number }
}

fn round(call: &Call<'_>) -> Outcome {
    let number = real(call.get(0));
    let places = i32::try_from(call.int(1)?).map_err(|_| call.wrong(1, "a small number"))?;
    let on = if call.arguments.len() > 2 {
        real(call.get(2))
    } else {
        0.5
    };
    let power = 10f64.powi(places);
    let digits = number * power;
    let rounded = if digits.fract() >= on {
        digits.ceil()
    } else {
        digits.floor()
    };
    Ok(Value::Float(rounded / power))
}
