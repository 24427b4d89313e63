//! Go's regular expressions (RE2) in the words of the `regex` crate.
//!
//! Both are automata without look-around; they differ in spelling: `\Q…\E`, octal escapes, braces that are no repetition, and
//! `\d`, `\w`, `\s`, `\b`, which mean ASCII in Go.

use regex::Regex;

/// Compiles what Go would compile.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern);
    Regex::new(&translated)
        .map_err(|error| format!("error parsing regexp: {}", why(&error, pattern)))
}

/// In Go's words where it has the same reason.
fn why(error: &regex::Error, pattern: &str) -> String {
    if matches!(error, regex::Error::CompiledTooBig(_)) {
        return format!("expression is too large: `{pattern}`");
    }
    let text = error.to_string();
    let reason = text
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    match reason {
        "unclosed group" => format!("missing closing ): `{pattern}`"),
        "unopened group" => format!("unexpected ): `{pattern}`"),
        "unclosed character class" => {
            let open = pattern.find('[').unwrap_or(0);
            format!("missing closing ]: `{}`", &pattern[open..])
        }
        "repetition operator missing expression" => {
            let operator = pattern
                .find(['*', '+', '?'])
                .map_or("", |at| &pattern[at..=at]);
            format!("missing argument to repetition operator: `{operator}`")
        }
        reason => format!("{reason}: `{pattern}`"),
    }
}

/// The same expression for the `regex` crate.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    let mut class = false;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        if !class && rest.starts_with("\\Q") {
            let (text, next) = rest[2..].split_once("\\E").unwrap_or((&rest[2..], ""));
            out.push_str(&regex::escape(text));
            rest = next;
        } else if c == '\\' {
            rest = escape(after, class, &mut out);
        } else if class {
            rest = in_class(rest, &mut class, &mut out);
        } else if c == '[' {
            class = true;
            out.push('[');
            rest = after;
            if let Some(next) = rest.strip_prefix('^') {
                out.push('^');
                rest = next;
            }
            // a bracket that stands first is a member
            if let Some(next) = rest.strip_prefix(']') {
                out.push_str("\\]");
                rest = next;
            }
        } else if c == '{' && !repetition(rest) {
            out.push_str("\\{");
            rest = after;
        } else {
            out.push(c);
            rest = after;
        }
    }
    out
}

/// One step within a class.
fn in_class<'a>(rest: &'a str, class: &mut bool, out: &mut String) -> &'a str {
    if rest.starts_with("[:")
        && let Some(end) = rest.find(":]")
    {
        out.push_str(&rest[..end + 2]);
        return &rest[end + 2..];
    }
    let Some(c) = rest.chars().next() else {
        return "";
    };
    match c {
        ']' => {
            *class = false;
            out.push(c);
        }
        // these have a meaning of their own in classes of the crate
        '[' | '&' | '~' => {
            out.push('\\');
            out.push(c);
        }
        c => out.push(c),
    }
    &rest[c.len_utf8()..]
}

/// What follows a backslash.
fn escape<'a>(rest: &'a str, class: bool, out: &mut String) -> &'a str {
    let Some(c) = rest.chars().next() else {
        out.push('\\');
        return "";
    };
    let ascii = |set: &str, out: &mut String| {
        if class {
            out.push_str(set);
        } else {
            out.push('[');
            out.push_str(set);
            out.push(']');
        }
    };
    match c {
        'd' => ascii("0-9", out),
        'w' => ascii("0-9A-Za-z_", out),
        's' => ascii("\\t\\n\\x0C\\r ", out),
        'D' => out.push_str("[^0-9]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'S' => out.push_str("[^\\t\\n\\x0C\\r ]"),
        'b' if !class => out.push_str("(?-u:\\b)"),
        'B' if !class => out.push_str("(?-u:\\B)"),
        '<' | '>' => out.push(c),
        '0'..='7' => {
            let digits = rest
                .bytes()
                .take(3)
                .take_while(|b| (b'0'..=b'7').contains(b));
            let length = digits.count();
            // Go takes `\1` to `\7` alone for back-references, which neither has
            if c != '0' && length == 1 {
                out.push('\\');
                out.push(c);
            } else {
                let code = u32::from_str_radix(&rest[..length], 8).unwrap_or(0);
                out.push_str(&format!("\\x{{{code:X}}}"));
            }
            return &rest[length..];
        }
        c => {
            out.push('\\');
            out.push(c);
            // the braces of \x{…} and \p{…} are no repetition
            if matches!(c, 'x' | 'p' | 'P')
                && rest[1..].starts_with('{')
                && let Some(end) = rest.find('}')
            {
                out.push_str(&rest[1..=end]);
                return &rest[end + 1..];
            }
        }
    }
    &rest[c.len_utf8()..]
}

/// Whether this brace begins `{n}`, `{n,}` or `{n,m}`.
fn repetition(rest: &str) -> bool {
    let Some((inner, _)) = rest[1..].split_once('}') else {
        return false;
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match inner.split_once(',') {
        None => number(inner),
        Some((low, high)) => number(low) && (high.is_empty() || number(high)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_spellings_mean_the_same() {
        let cases = [
            (r"^\Qa.b{\E+$", "a.b{", true),
            (r"^\Qa.b", "axb", false),
            (r"^\d+$", "١", false),
            (r"^[\d\w]+$", "a1_", true),
            (r"^\D$", "x", true),
            (r"^\W$", "é", true),
            (r"\bcaf\b", "café", true),
            (r"^a{,5}$", "a{,5}", true),
            (r"^a{2,}$", "aaa", true),
            (r"^{x}$", "{x}", true),
            (r"^[][]+$", "[]", true),
            (r"^[^]a]$", "]", false),
            (r"^[a&&b~~]+$", "&~", true),
            (r"^[[:alpha:]-]+$", "a-b", true),
            (r"^\x{41}\x42\101\pL\p{Lu}$", "ABAaB", true),
            (r"^\<a\>$", "<a>", true),
            (r"^\_\-\/$", "_-/", true),
            (r"(?i)^ab$", "AB", true),
            (r"^a.c$", "a\nc", false),
            (r"a\z", "ba", true),
        ];
        for (pattern, text, found) in cases {
            let regex = compile(pattern).unwrap();
            assert_eq!(regex.is_match(text), found, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn what_does_not_compile_is_told() {
        let error = compile("a(b").unwrap_err();
        assert!(error.starts_with("error parsing regexp: "), "{error}");
        assert!(error.ends_with(": `a(b`"), "{error}");
        compile(r"\1").unwrap_err();
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[\\\[\]{}()Q E:a-c0-9^,|*+?.x-]{0,24}") {
            let _ = compile(&pattern);
        }
    }
}
