//! JSON as Go's encoder writes it, byte for byte.

use super::Value;
use super::value::exponential;

/// Whether `<`, `>` and `&` are written as `\u003c` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Html {
    /// Go's default.
    Escaped,
    /// As they are.
    Plain,
}

/// A value in one line.
pub(super) fn encode(value: &Value, html: Html) -> String {
    let mut out = String::new();
    write(value, html, &mut out);
    out
}

/// Appends a value in one line.
pub(super) fn write(value: &Value, html: Html, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(float) => out.push_str(&number(*float)),
        Value::Text(text) => string(text, html, out),
        Value::List(all) => array(all, out, |value, out| write(value, html, out)),
        Value::Texts(all) => array(all, out, |text, out| string(text, html, out)),
        Value::Map(all) => {
            out.push('{');
            for (position, (key, value)) in all.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                string(key, html, out);
                out.push(':');
                write(value, html, out);
            }
            out.push('}');
        }
    }
}

/// Appends a list.
pub(super) fn array<T>(all: &[T], out: &mut String, each: impl Fn(&T, &mut String)) {
    out.push('[');
    for (position, value) in all.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        each(value, out);
    }
    out.push(']');
}

/// A float; what JSON cannot say is `null`.
fn number(float: f64) -> String {
    if !float.is_finite() {
        return "null".into();
    }
    let size = float.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let scientific = format!("{float:e}");
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let text = exponential(digits, exponent.parse().unwrap_or(0));
        return text.replace("e-0", "e-");
    }
    format!("{float}")
}

/// Appends a string with its quotes.
pub(super) fn string(text: &str, html: Html, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if html == Html::Escaped => unicode(c, out),
            '\u{2028}' | '\u{2029}' => unicode(c, out),
            c if c < ' ' => unicode(c, out),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn unicode(c: char, out: &mut String) {
    out.push_str(&format!("\\u{:04x}", u32::from(c)));
}

/// Puts one-line JSON on lines of their own, as `json.Indent` does.
pub(super) fn indent(line: &str, step: &str) -> String {
    let mut out = String::new();
    let mut depth = 0usize;
    let mut quoted = false;
    let mut escaped = false;
    let mut chars = line.chars().peekable();
    let newline = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&step.repeat(depth));
    };
    while let Some(c) = chars.next() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                quoted = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                let close = if c == '{' { '}' } else { ']' };
                if chars.peek() == Some(&close) {
                    chars.next();
                    out.push(close);
                } else {
                    depth += 1;
                    newline(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        let text = Value::from("a\"<\u{1}\u{2028}\n\u{8}é\u{7f}");
        assert_eq!(
            encode(&text, Html::Plain),
            "\"a\\\"<\\u0001\\u2028\\n\\bé\u{7f}\""
        );
        assert_eq!(
            encode(&"<&>".into(), Html::Escaped),
            r#""\u003c\u0026\u003e""#
        );
    }

    #[test]
    fn numbers_are_written_as_go_does() {
        for (float, text) in [
            (1.0, "1"),
            (1e21, "1e+21"),
            (1e-7, "1e-7"),
            (1.5e-10, "1.5e-10"),
            (1e20, "100000000000000000000"),
        ] {
            assert_eq!(encode(&Value::Float(float), Html::Plain), text);
        }
    }

    #[test]
    fn indenting_keeps_what_is_quoted() {
        let line = r#"{"a":[],"b":{"c":"x,{\"}"},"d":[1,2]}"#;
        let text = "{\n  \"a\": [],\n  \"b\": {\n    \"c\": \"x,{\\\"}\"\n  },\n  \"d\": [\n    1,\n    2\n  ]\n}";
        assert_eq!(indent(line, "  "), text);
    }
}
