//! The insides of expressions as tokens, and where the pieces of a template begin and end.

use std::ops::Range;

pub(super) fn is_word(name: &str) -> bool {
    const WORDS: &[&str] = &[
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        "elif",
        "endif",
        "for",
        "endfor",
        "set",
        "endset",
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
        "loop",
        "recursive",
        "block",
        "endblock",
        "macro",
        "endmacro",
        "filter",
        "endfilter",
        "with",
        "endwith",
        "do",
        "self",
        "raw",
        "endraw",
    ];
    WORDS.contains(&name)
}

/// The next `{{`, `{%` or `{#`, with its second character. `${#name}` is the shell's, not a comment.
pub(super) fn next_open(text: &str, from: usize) -> Option<(usize, char)> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1)).find_map(|at| match (bytes[at], bytes[at + 1]) {
        (b'{', b'#') if at > 0 && bytes[at - 1] == b'$' => None,
        (b'{', kind @ (b'{' | b'%' | b'#')) => Some((at, char::from(kind))),
        _ => None,
    })
}

/// Where the piece that began before `from` ends: at its `}}`, `%}` or `#}`.
pub(super) fn close(text: &str, from: usize, kind: char) -> Option<usize> {
    match kind {
        '#' => text[from..].find("#}").map(|at| from + at),
        '%' => outside_of_strings(text, from, |rest, _| rest.starts_with("%}")),
        _ => outside_of_strings(text, from, |rest, depth| {
            depth == 0 && rest.starts_with("}}")
        }),
    }
}

/// The first place that is `found`, strings skipped and braces counted.
fn outside_of_strings(
    text: &str,
    from: usize,
    found: impl Fn(&str, usize) -> bool,
) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    let mut depth = 0_usize;
    for (at, c) in text[from..].char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if found(&text[from + at..], depth) => return Some(from + at),
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '{' => depth += 1,
            None if c == '}' => depth = depth.saturating_sub(1),
            None => {}
        }
    }
    None
}

pub(super) fn end_of_raw(text: &str, from: usize) -> usize {
    let end = text[from..].find("endraw").map(|at| from + at);
    let close = end.and_then(|at| text[at..].find("%}").map(|close| at + close + 2));
    close.unwrap_or(text.len())
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Token {
    Name,
    Text,
    Dot,
    Pipe,
    Other,
}

pub(super) struct Tokens<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Tokens<'_> {
    pub(super) fn next(&mut self) -> Option<(Token, Range<usize>)> {
        let rest = &self.text[self.at..self.end];
        let start = self.at + rest.len() - rest.trim_start().len();
        let rest = &self.text[start..self.end];
        let first = rest.chars().next()?;
        let (token, length) = match first {
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
                (Token::Name, end.unwrap_or(rest.len()))
            }
            c if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
                (Token::Other, end.unwrap_or(rest.len()))
            }
            '"' | '\'' => {
                let end = outside_quote(rest, first);
                (Token::Text, end)
            }
            '.' => (Token::Dot, 1),
            '|' => (Token::Pipe, 1),
            '=' if rest.starts_with("==") => (Token::Other, 2),
            c => (Token::Other, c.len_utf8()),
        };
        self.at = start + length;
        Some((token, start..self.at))
    }

    /// A name in which single hyphens may stand, as in stage names. A digit after the hyphen of a name is part of it too.
    pub(super) fn name_with_hyphens(&mut self) -> Option<Range<usize>> {
        let rest = &self.text[self.at..self.end];
        let mut length = 0;
        for part in rest.split_inclusive('-') {
            let name = part.strip_suffix('-').unwrap_or(part);
            let end = name
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(name.len());
            if end == 0 {
                break;
            }
            length += end;
            if end < name.len() || !part.ends_with('-') {
                break;
            }
            length += 1;
        }
        let name = rest[..length].trim_end_matches('-');
        if name.is_empty() {
            return None;
        }
        let start = self.at;
        self.at += name.len();
        Some(start..self.at)
    }
}

/// The length of a quoted string, quotes included.
fn outside_quote(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
