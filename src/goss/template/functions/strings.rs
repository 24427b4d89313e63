//! Sprig's functions for text. Lengths and positions count bytes.

use super::{Call, Function, LIMIT, MANY, Outcome, bounded, truth};
use crate::goss::Value;
use crate::goss::printf::quote;

pub(super) const TABLE: &[Function] = &[
    ("trim", 1, 1, |call| Ok(call.text(0)?.trim().into())),
    ("trimAll", 2, 2, trim_all),
    ("trimall", 2, 2, trim_all),
    ("trimSuffix", 2, 2, |call| {
        let text = call.text(1)?;
        Ok(text.strip_suffix(call.text(0)?).unwrap_or(text).into())
    }),
    ("trimPrefix", 2, 2, |call| {
        let text = call.text(1)?;
        Ok(text.strip_prefix(call.text(0)?).unwrap_or(text).into())
    }),
    ("upper", 1, 1, |call| bounded(call.text(0)?.to_uppercase())),
    ("lower", 1, 1, |call| bounded(call.text(0)?.to_lowercase())),
    ("title", 1, 1, |call| bounded(title(call.text(0)?))),
    ("untitle", 1, 1, |call| bounded(untitle(call.text(0)?))),
    ("swapcase", 1, 1, |call| bounded(swapcase(call.text(0)?))),
    ("snakecase", 1, 1, |call| bounded(cased(call.text(0)?, '_'))),
    ("kebabcase", 1, 1, |call| bounded(cased(call.text(0)?, '-'))),
    ("camelcase", 1, 1, |call| bounded(camelcase(call.text(0)?))),
    ("initials", 1, 1, |call| {
        let words = call.text(0)?.split_whitespace();
        bounded(words.filter_map(|word| word.chars().next()).collect())
    }),
    ("nospace", 1, 1, |call| {
        bounded(call.text(0)?.split_whitespace().collect())
    }),
    ("repeat", 2, 2, |call| {
        let (count, text) = (call.count(0)?, call.text(1)?);
        if count.saturating_mul(text.len()) > LIMIT {
            return Err("the text becomes too long".into());
        }
        bounded(text.repeat(count))
    }),
    ("substr", 3, 3, substr),
    ("trunc", 2, 2, trunc),
    ("abbrev", 2, 2, |call| {
        let (width, text) = (call.int(0)?, call.text(1)?);
        Ok(if width < 4 {
            text.into()
        } else {
            abbreviated(text, 0, width).into()
        })
    }),
    ("abbrevboth", 3, 3, |call| {
        let (left, right, text) = (call.int(0)?, call.int(1)?, call.text(2)?);
        let short = right < 4 || left > 0 && right < 7;
        Ok(if short {
            text.into()
        } else {
            abbreviated(text, left, right).into()
        })
    }),
    ("contains", 2, 2, |call| {
        truth(call.text(1)?.contains(call.text(0)?))
    }),
    ("hasPrefix", 2, 2, |call| {
        truth(call.text(1)?.starts_with(call.text(0)?))
    }),
    ("hasSuffix", 2, 2, |call| {
        truth(call.text(1)?.ends_with(call.text(0)?))
    }),
    ("replace", 3, 3, |call| {
        bounded(call.text(2)?.replace(call.text(0)?, call.text(1)?))
    }),
    ("plural", 3, 3, |call| {
        Ok(call.text(usize::from(call.int(2)? != 1))?.into())
    }),
    ("quote", 0, MANY, |call| {
        each(call, |value| quote(&value.to_string(), false))
    }),
    ("squote", 0, MANY, |call| {
        each(call, |value| format!("'{value}'"))
    }),
    ("cat", 0, MANY, |call| each(call, ToString::to_string)),
    ("indent", 2, 2, |call| {
        bounded(indented(call.count(0)?, call.text(1)?))
    }),
    ("nindent", 2, 2, |call| {
        bounded(format!("\n{}", indented(call.count(0)?, call.text(1)?)))
    }),
    ("wrap", 2, 2, |call| {
        bounded(wrapped(call.text(1)?, call.int(0)?, "\n", false))
    }),
    ("wrapWith", 3, 3, |call| {
        bounded(wrapped(call.text(2)?, call.int(0)?, call.text(1)?, true))
    }),
    ("toString", 1, 1, |call| bounded(call.get(0).to_string())),
];

/// What is left of all arguments but the missing ones, with spaces between.
fn each(call: &Call<'_>, show: impl Fn(&Value) -> String) -> Outcome {
    let shown: Vec<String> = call
        .arguments
        .iter()
        .filter(|value| **value != Value::Null)
        .map(show)
        .collect();
    bounded(shown.join(" "))
}

fn trim_all(call: &Call<'_>) -> Outcome {
    let set: Vec<char> = call.text(0)?.chars().collect();
    Ok(call.text(1)?.trim_matches(set.as_slice()).into())
}

/// Every word's first letter is large; words end at whatever is neither a letter, a digit, `_` nor `'`.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::new();
    for c in text.chars() {
        let separates = if before.is_ascii() {
            !before.is_ascii_alphanumeric() && before != '_'
        } else {
            !before.is_alphanumeric() && before.is_whitespace()
        };
        if separates {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        before = c;
    }
    out
}

fn untitle(text: &str) -> String {
    let mut next = true;
    let mut out = String::new();
    for c in text.chars() {
        if c.is_whitespace() {
            next = true;
            out.push(c);
        } else if next {
            out.extend(c.to_lowercase());
            next = false;
        } else {
            out.push(c);
        }
    }
    out
}

fn swapcase(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}

/// What a character is to those who part names into words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Upper,
    Lower,
    Digit,
    Gap,
    Other,
}

fn sort(c: char) -> Sort {
    match c {
        '_' | '-' | ' ' => Sort::Gap,
        c if c.is_whitespace() => Sort::Gap,
        c if c.is_uppercase() => Sort::Upper,
        c if c.is_lowercase() => Sort::Lower,
        c if c.is_numeric() => Sort::Digit,
        _ => Sort::Other,
    }
}

/// Words in small letters with a mark between: `HTTPServer2` is `http_server_2`.
fn cased(text: &str, mark: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (at, c) in chars.iter().enumerate() {
        let this = sort(*c);
        if this == Sort::Gap {
            out.push(mark);
            continue;
        }
        let before = at
            .checked_sub(1)
            .map_or(Sort::Gap, |before| sort(chars[before]));
        let after = chars.get(at + 1).map_or(Sort::Gap, |c| sort(*c));
        let begins = match (before, this) {
            (Sort::Gap, _) => false,
            (Sort::Lower, Sort::Upper | Sort::Digit) | (Sort::Digit, Sort::Upper) => true,
            (Sort::Upper, Sort::Upper) => after == Sort::Lower,
            (Sort::Upper, Sort::Digit) => true,
            (Sort::Digit, Sort::Lower) => true,
            _ => false,
        };
        if begins {
            out.push(mark);
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Words with large first letters and nothing between; marks at the start and the end stay.
fn camelcase(text: &str) -> String {
    let mut out = String::new();
    let inner = text.trim_start_matches(['_', '-', ' ']);
    out.push_str(&text[..text.len() - inner.len()]);
    let core = inner.trim_end_matches(['_', '-', ' ']);
    let mut next = true;
    for c in core.chars() {
        if matches!(c, '_' | '-') || c.is_whitespace() {
            next = true;
        } else if next {
            out.extend(c.to_uppercase());
            next = false;
        } else {
            out.push(c);
        }
    }
    out.push_str(&inner[core.len()..]);
    out
}

/// Bytes as text.
fn bytes(text: &str, start: usize, end: usize) -> String {
    String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned()
}

fn substr(call: &Call<'_>) -> Outcome {
    let (start, end, text) = (call.int(0)?, call.int(1)?, call.text(2)?);
    let length = text.len();
    let place = |at: i64| usize::try_from(at).ok().filter(|at| *at <= length);
    let (first, last) = if start < 0 {
        (Some(0), place(end))
    } else {
        (place(start), Some(place(end).unwrap_or(length)))
    };
    match (first, last) {
        (Some(first), Some(last)) if first <= last => Ok(bytes(text, first, last).into()),
        _ => Err(format!("the text has no bytes {start} to {end}")),
    }
}

fn trunc(call: &Call<'_>) -> Outcome {
    let (count, text) = (call.int(0)?, call.text(1)?);
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if size >= text.len() {
        return Ok(text.into());
    }
    let (start, end) = if count < 0 {
        (text.len() - size, text.len())
    } else {
        (0, size)
    };
    Ok(bytes(text, start, end).into())
}

fn abbreviated(text: &str, offset: i64, width: i64) -> String {
    let width = usize::try_from(width).unwrap_or(0);
    let length = text.len();
    if width < 4 || length <= width {
        return text.to_owned();
    }
    let offset = usize::try_from(offset).unwrap_or(0).min(length);
    let offset = if length - offset < width - 3 {
        length - (width - 3)
    } else {
        offset
    };
    if offset <= 4 {
        return format!("{}...", bytes(text, 0, width - 3));
    }
    if offset + width - 3 < length {
        let rest = bytes(text, offset, length);
        return format!(
            "...{}",
            abbreviated(&rest, 0, i64::try_from(width).unwrap_or(0) - 3)
        );
    }
    format!("...{}", bytes(text, length - (width - 3), length))
}

fn indented(spaces: usize, text: &str) -> String {
    let lines = text.matches('\n').count() + 1;
    // what would be too long is found to be so without being made
    let spaces = if lines.saturating_mul(spaces) > LIMIT {
        LIMIT + 1
    } else {
        spaces
    };
    let pad = " ".repeat(spaces);
    if spaces > LIMIT {
        return pad;
    }
    format!("{pad}{}", text.replace('\n', &format!("\n{pad}")))
}

fn wrapped(text: &str, width: i64, line: &str, long: bool) -> String {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let line = if line.is_empty() { "\n" } else { line };
    let bytes = text.as_bytes();
    let mut out: Vec<u8> = Vec::new();
    let mut at = 0;
    while bytes.len() - at > width {
        if bytes[at] == b' ' {
            at += 1;
            continue;
        }
        let space = bytes[at..=at + width]
            .iter()
            .rposition(|byte| *byte == b' ')
            .map(|found| found + at);
        let (end, next) = match space {
            Some(space) => (space, space + 1),
            None if long => (at + width, at + width),
            None => match bytes[at + width..].iter().position(|byte| *byte == b' ') {
                Some(found) => (at + width + found, at + width + found + 1),
                None => {
                    out.extend_from_slice(&bytes[at..]);
                    return String::from_utf8_lossy(&out).into_owned();
                }
            },
        };
        out.extend_from_slice(&bytes[at..end]);
        out.extend_from_slice(line.as_bytes());
        at = next;
    }
    out.extend_from_slice(&bytes[at..]);
    String::from_utf8_lossy(&out).into_owned()
}
