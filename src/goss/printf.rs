//! Go's `fmt`: `Sprintf`, `Sprint`, `Sprintln` over [`Value`]s.

use super::Value;
use super::value::{exponential, shortest};

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The widest that a number in a format may ask for.
const WIDEST: usize = 1_000_000;

/// `Sprintf`.
pub(super) fn sprintf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    let mut reordered = false;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(c) = chars.peek() {
            match c {
                '-' => flags.minus = true,
                '+' => flags.plus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            chars.next();
        }
        reordered |= index(&mut chars, &mut next);
        let width = number(&mut chars, arguments, &mut next);
        match width {
            Some(Ok(width)) => {
                flags.minus |= width < 0;
                flags.width = usize::try_from(width.unsigned_abs()).ok();
            }
            Some(Err(())) => out.push_str("%!(BADWIDTH)"),
            None => {}
        }
        if chars.next_if_eq(&'.').is_some() {
            reordered |= index(&mut chars, &mut next);
            match number(&mut chars, arguments, &mut next) {
                Some(Ok(precision)) => flags.precision = usize::try_from(precision).ok(),
                Some(Err(())) => out.push_str("%!(BADPREC)"),
                None => flags.precision = Some(0),
            }
        }
        reordered |= index(&mut chars, &mut next);
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        // `%+v` asks for the names of fields, not for signs
        flags.plus &= verb != 'v';
        match arguments.get(next) {
            Some(argument) => out.push_str(&formatted(argument, verb, flags)),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
        next += 1;
    }
    if !reordered && next < arguments.len() {
        let extra: Vec<String> = arguments[next..].iter().map(typed).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

/// `type=value`.
fn typed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        value => format!("{}={value}", value.go_type()),
    }
}

/// `[n]`: the argument to go on with.
fn index(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, next: &mut usize) -> bool {
    if chars.peek() != Some(&'[') {
        return false;
    }
    let mut ahead = chars.clone();
    ahead.next();
    let digits: String = std::iter::from_fn(|| ahead.next_if(char::is_ascii_digit)).collect();
    if ahead.next() != Some(']') {
        return false;
    }
    let Ok(position @ 1..) = digits.parse::<usize>() else {
        return false;
    };
    *next = position - 1;
    *chars = ahead;
    true
}

/// A width or precision: digits, or `*` for the next argument.
fn number(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    arguments: &[Value],
    next: &mut usize,
) -> Option<Result<i64, ()>> {
    if chars.next_if_eq(&'*').is_some() {
        let argument = arguments.get(*next);
        *next += 1;
        return Some(match argument {
            Some(Value::Int(number)) if number.unsigned_abs() <= WIDEST as u64 => Ok(*number),
            _ => Err(()),
        });
    }
    let digits: String = std::iter::from_fn(|| chars.next_if(char::is_ascii_digit)).collect();
    if digits.is_empty() {
        return None;
    }
    let number = digits
        .parse()
        .ok()
        .filter(|number| *number <= WIDEST as i64);
    Some(number.ok_or(()))
}

/// One argument.
fn formatted(value: &Value, verb: char, flags: Flags) -> String {
    match (verb, value) {
        ('T', value) => pad(value.go_type(), flags),
        ('v', Value::Null) => pad("<nil>", flags),
        (_, Value::Null) => format!("%!{verb}(<nil>)"),
        ('v', value) if flags.sharp => pad(&source(value), flags),
        (_, Value::List(all)) => collection(verb, flags, all.iter().cloned()),
        (_, Value::Texts(all)) => collection(verb, flags, all.iter().cloned().map(Value::Text)),
        (_, Value::Map(all)) => {
            let entries: Vec<String> = all
                .iter()
                .map(|(key, value)| {
                    let key = formatted(&Value::Text(key.clone()), verb, flags);
                    format!("{key}:{}", formatted(value, verb, flags))
                })
                .collect();
            format!("map[{}]", entries.join(" "))
        }
        ('v' | 't', Value::Bool(flag)) => pad(if *flag { "true" } else { "false" }, flags),
        (_, Value::Int(number)) => integer(*number, verb, flags),
        (_, Value::Float(number)) => float(*number, verb, flags),
        (_, Value::Text(text)) => string(text, verb, flags),
        (_, value) => wrong(verb, value),
    }
}

fn collection(verb: char, flags: Flags, all: impl Iterator<Item = Value>) -> String {
    let all: Vec<String> = all.map(|value| formatted(&value, verb, flags)).collect();
    format!("[{}]", all.join(" "))
}

fn wrong(verb: char, value: &Value) -> String {
    format!("%!{verb}({})", typed(value))
}

fn string(text: &str, verb: char, flags: Flags) -> String {
    let cut: String = match flags.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    match verb {
        'v' | 's' => pad(&cut, flags),
        'q' if flags.sharp
            && !cut.contains('`')
            && !cut.chars().any(|c| c.is_control() && c != '\t') =>
        {
            pad(&format!("`{cut}`"), flags)
        }
        'q' => pad(&quote(&cut, flags.plus), flags),
        'x' | 'X' => {
            let bytes = text.as_bytes();
            let bytes = &bytes[..flags.precision.unwrap_or(bytes.len()).min(bytes.len())];
            let gap = if flags.space { " " } else { "" };
            let digits: Vec<String> = bytes
                .iter()
                .map(|byte| {
                    if verb == 'x' {
                        format!("{byte:02x}")
                    } else {
                        format!("{byte:02X}")
                    }
                })
                .collect();
            let prefix = match (flags.sharp, verb) {
                (false, _) => "",
                (true, 'x') => "0x",
                (true, _) => "0X",
            };
            pad(&format!("{prefix}{}", digits.join(gap)), flags)
        }
        verb => wrong(verb, &Value::Text(text.to_owned())),
    }
}

fn integer(number: i64, verb: char, flags: Flags) -> String {
    let size = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'v' | 'd' => (size.to_string(), ""),
        'b' => (format!("{size:b}"), if flags.sharp { "0b" } else { "" }),
        'o' => (format!("{size:o}"), if flags.sharp { "0" } else { "" }),
        'O' => (format!("{size:o}"), "0o"),
        'x' => (format!("{size:x}"), if flags.sharp { "0x" } else { "" }),
        'X' => (format!("{size:X}"), if flags.sharp { "0X" } else { "" }),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(number)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or('\u{fffd}');
            return match verb {
                'c' => pad(&c.to_string(), flags),
                'q' => pad(&quote_char(c), flags),
                _ => pad(&format!("U+{size:04X}"), flags),
            };
        }
        verb => return wrong(verb, &Value::Int(number)),
    };
    let digits = match flags.precision {
        Some(0) if number == 0 => String::new(),
        Some(precision) => format!("{digits:0>precision$}"),
        None => digits,
    };
    let zero = flags.zero && flags.precision.is_none();
    signed(
        number < 0,
        &format!("{prefix}{digits}"),
        prefix.len(),
        zero,
        flags,
    )
}

fn float(number: f64, verb: char, flags: Flags) -> String {
    let size = number.abs();
    let text = match (verb, flags.precision) {
        _ if !number.is_finite() => {
            let text = if number.is_nan() { "NaN" } else { "Inf" };
            let plus = flags.plus || !number.is_nan() && number > 0.0 && verb == 'v';
            return signed(number < 0.0, text, 0, false, Flags { plus, ..flags });
        }
        ('v' | 'g' | 'G', None) => shortest(size),
        ('v' | 'g' | 'G', Some(precision)) => general(size, precision.max(1)),
        ('f' | 'F', precision) => format!("{size:.*}", precision.unwrap_or(6)),
        ('e' | 'E', precision) => {
            let text = format!("{size:.*e}", precision.unwrap_or(6));
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            exponential(digits, exponent.parse().unwrap_or(0))
        }
        (verb, _) => return wrong(verb, &Value::Float(number)),
    };
    let text = if verb.is_ascii_uppercase() && verb != 'F' {
        text.to_uppercase()
    } else {
        text
    };
    signed(number.is_sign_negative(), &text, 0, flags.zero, flags)
}

/// `%.Ng`.
fn general(size: f64, precision: usize) -> String {
    let text = format!("{size:.*e}", precision - 1);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let limit = i32::try_from(precision).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        return exponential(&trim(digits), exponent);
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
    trim(&format!("{size:.decimals$}"))
}

/// Sign, zeros and width of a number; `prefix` bytes of it stay before the zeros.
fn signed(negative: bool, text: &str, prefix: usize, zero: bool, flags: Flags) -> String {
    let sign = match (negative, flags.plus, flags.space) {
        (true, _, _) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    };
    let whole = sign.len() + text.chars().count();
    match flags.width {
        Some(width) if zero && !flags.minus && whole < width => {
            let zeros = "0".repeat(width - whole);
            format!("{sign}{}{zeros}{}", &text[..prefix], &text[prefix..])
        }
        _ => pad(
            &format!("{sign}{text}"),
            Flags {
                zero: false,
                ..flags
            },
        ),
    }
}

fn pad(text: &str, flags: Flags) -> String {
    let width = flags.width.unwrap_or(0);
    if flags.minus {
        format!("{text:<width$}")
    } else if flags.zero {
        format!("{text:0>width$}")
    } else {
        format!("{text:>width$}")
    }
}

/// `%#v`: as it would stand in a program.
pub(super) fn source(value: &Value) -> String {
    let all = |texts: Vec<String>| texts.join(", ");
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::Text(text) => quote(text, false),
        Value::Texts(list) => {
            format!(
                "[]string{{{}}}",
                all(list.iter().map(|text| quote(text, false)).collect())
            )
        }
        Value::List(list) => format!(
            "[]interface {{}}{{{}}}",
            all(list.iter().map(source).collect())
        ),
        Value::Map(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| format!("{}:{}", quote(key, false), source(value)));
            format!("map[string]interface {{}}{{{}}}", all(entries.collect()))
        }
        other => other.to_string(),
    }
}

/// `strconv.Quote`; with `ascii`, everything else is escaped too.
pub(super) fn quote(text: &str, ascii: bool) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            c => escaped(c, ascii, &mut out),
        }
    }
    out.push('"');
    out
}

fn quote_char(c: char) -> String {
    let mut out = String::from("'");
    match c {
        '\'' => out.push_str("\\'"),
        c => escaped(c, false, &mut out),
    }
    out.push('\'');
    out
}

fn escaped(c: char, ascii: bool, out: &mut String) {
    let code = u32::from(c);
    match c {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if code < 0x20 || code == 0x7f => out.push_str(&format!("\\x{:02x}", u32::from(c))),
        c if ascii && !c.is_ascii() || !printable(c) => {
            let text = if code < 0x1_0000 {
                format!("\\u{code:04x}")
            } else {
                format!("\\U{code:08x}")
            };
            out.push_str(&text);
        }
        c => out.push(c),
    }
}

/// Roughly Go's `IsPrint`: spaces other than the plain one, controls and invisible marks are not.
fn printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{fffb}'))
}

/// `Sprint`: a space between two operands when neither is a string.
pub(super) fn sprint(arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut last_text = true;
    for (position, argument) in arguments.iter().enumerate() {
        let text = matches!(argument, Value::Text(_));
        if position > 0 && !text && !last_text {
            out.push(' ');
        }
        out.push_str(&argument.to_string());
        last_text = text;
    }
    out
}

/// `Sprintln`.
pub(super) fn sprintln(arguments: &[Value]) -> String {
    let texts: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    format!("{}\n", texts.join(" "))
}
