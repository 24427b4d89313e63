//! From text to tokens. White space within actions counts: it separates operands.

use super::Fault;
use super::node::At;
use crate::goss::Value;

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: At,
    pub(super) kind: TokenKind,
}

/// What it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// Text outside of actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    Space,
    /// A word: keyword, function, `true`.
    Word(String),
    /// `.name`
    Field(String),
    /// `.`
    Dot,
    /// `$name`; the name may be empty.
    Variable(String),
    /// A string, a number, a character.
    Constant(Value),
    /// `(` `)` `|` `,` `=`
    Sign(char),
    /// `:=`
    Declare,
}

/// What may be trimmed.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// All tokens of a text.
pub(super) fn lex(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer {
        text,
        at: 0,
        tokens: Vec::new(),
    };
    let mut trim = false;
    loop {
        let start = lexer.at;
        let rest = lexer.rest();
        let Some(open) = rest.find("{{") else {
            lexer.text_token(rest, start, trim, false);
            return Ok(lexer.tokens);
        };
        let after = &rest[open + 2..];
        let trims = after.starts_with('-') && after[1..].starts_with(SPACE);
        lexer.text_token(&rest[..open], start, trim, trims);
        let action = start + open;
        lexer.at = action + 2 + if trims { 1 } else { 0 };
        let inner = if trims {
            lexer.rest().trim_start_matches(SPACE)
        } else {
            lexer.rest()
        };
        if inner.starts_with("/*") {
            lexer.at = text.len() - inner.len();
            trim = lexer.comment(action)?;
        } else {
            lexer.tokens.push(Token {
                at: (action, action + 2),
                kind: TokenKind::Open,
            });
            trim = lexer.action(action)?;
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn text_token(&mut self, text: &str, start: usize, left: bool, right: bool) {
        let end = start + text.len();
        let text = if left {
            text.trim_start_matches(SPACE)
        } else {
            text
        };
        let text = if right {
            text.trim_end_matches(SPACE)
        } else {
            text
        };
        if !text.is_empty() {
            self.tokens.push(Token {
                at: (start, end),
                kind: TokenKind::Text(text.to_owned()),
            });
        }
        self.at = end;
    }

    /// Goes behind a comment; true if white space after it goes too.
    fn comment(&mut self, open: usize) -> Result<bool, Fault> {
        let Some(end) = self.rest().find("*/") else {
            return Err(Fault::new((open, open + 4), "this comment has no end"));
        };
        self.at += end + 2;
        match self.close() {
            Some((length, trim)) => {
                self.at += length;
                Ok(trim)
            }
            None => Err(Fault::new(
                (open, self.at),
                "a comment must be all that stands between `{{` and `}}`",
            )),
        }
    }

    /// The end of an action right here: its length, and whether white space after it goes too.
    fn close(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some((2, false));
        }
        let inner = rest.trim_start_matches(SPACE);
        let spaces = rest.len() - inner.len();
        (spaces > 0 && inner.starts_with("-}}")).then_some((spaces + 3, true))
    }

    fn push(&mut self, length: usize, kind: TokenKind) {
        let at = (self.at, self.at + length);
        self.tokens.push(Token { at, kind });
        self.at += length;
    }

    /// The inside of an action; true if white space after it goes too.
    fn action(&mut self, open: usize) -> Result<bool, Fault> {
        loop {
            if let Some((length, trim)) = self.close() {
                self.push(length, TokenKind::Close);
                return Ok(trim);
            }
            let rest = self.rest();
            let Some(c) = rest.chars().next() else {
                return Err(Fault::new((open, open + 2), "this action has no end"));
            };
            if SPACE.contains(&c) {
                let length = rest.len() - rest.trim_start_matches(SPACE).len();
                // a trim marker needs one space of its own
                let length = if rest[length..].starts_with("-}}") {
                    length - 1
                } else {
                    length
                };
                if length > 0 {
                    self.push(length, TokenKind::Space);
                }
                continue;
            }
            self.token(c)?;
        }
    }

    fn token(&mut self, c: char) -> Result<(), Fault> {
        let rest = self.rest();
        match c {
            '"' => self.quoted(),
            '`' => match rest[1..].find('`') {
                Some(end) => {
                    let text = rest[1..=end].to_owned();
                    self.push(end + 2, TokenKind::Constant(Value::Text(text)));
                    Ok(())
                }
                None => Err(Fault::new(
                    (self.at, self.at + 1),
                    "this raw string has no end",
                )),
            },
            '\'' => self.character(),
            '$' => {
                let name = word(&rest[1..]);
                self.push(1 + name.len(), TokenKind::Variable(name.to_owned()));
                self.field_after()
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(&rest[1..]);
                if name.is_empty() {
                    self.push(1, TokenKind::Dot);
                } else {
                    self.push(1 + name.len(), TokenKind::Field(name.to_owned()));
                }
                Ok(())
            }
            ':' if rest.starts_with(":=") => {
                self.push(2, TokenKind::Declare);
                Ok(())
            }
            '(' | ')' | '|' | ',' | '=' => {
                self.push(1, TokenKind::Sign(c));
                Ok(())
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => self.number(),
            c if c == '_' || c.is_alphabetic() => {
                let name = word(rest);
                let kind = match name {
                    "true" => TokenKind::Constant(Value::Bool(true)),
                    "false" => TokenKind::Constant(Value::Bool(false)),
                    "nil" => TokenKind::Constant(Value::Null),
                    name => TokenKind::Word(name.to_owned()),
                };
                self.push(name.len(), kind);
                self.field_after()
            }
            c => {
                let at = (self.at, self.at + c.len_utf8());
                Err(Fault::new(at, format!("unexpected `{c}` in an action")))
            }
        }
    }

    /// What may follow a word or a variable directly.
    fn field_after(&self) -> Result<(), Fault> {
        match self.rest().chars().next() {
            Some(c)
                if !SPACE.contains(&c)
                    && !matches!(c, '.' | ',' | '|' | ':' | ')' | '(' | '}' | '=') =>
            {
                let at = (self.at, self.at + c.len_utf8());
                Err(Fault::new(at, format!("unexpected `{c}` in an action")))
            }
            _ => Ok(()),
        }
    }

    fn quoted(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let mut text = Vec::new();
        let mut inner = &rest[1..];
        loop {
            let Some(c) = inner.chars().next().filter(|c| *c != '\n') else {
                return Err(Fault::new((self.at, self.at + 1), "this string has no end"));
            };
            match c {
                '"' => break,
                '\\' => inner = self.escape(inner, '"', &mut text)?,
                c => {
                    text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    inner = &inner[c.len_utf8()..];
                }
            }
        }
        let length = rest.len() - inner.len() + 1;
        let text = String::from_utf8_lossy(&text).into_owned();
        self.push(length, TokenKind::Constant(Value::Text(text)));
        Ok(())
    }

    /// One of Go's escapes; what follows it is returned.
    fn escape(&self, inner: &'a str, quote: char, out: &mut Vec<u8>) -> Result<&'a str, Fault> {
        let place = self.text.len() - inner.len();
        let bad = || {
            Fault::new(
                (place, (place + 2).min(self.text.len())),
                "Go knows no such escape",
            )
        };
        let c = inner[1..].chars().next().ok_or_else(bad)?;
        let rest = &inner[1 + c.len_utf8()..];
        let simple = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            c if c == quote => u8::try_from(c).map_err(|_| bad())?,
            'x' | 'u' | 'U' | '0'..='7' => {
                let (digits, radix, length) = match c {
                    'x' => (rest, 16, 2),
                    'u' => (rest, 16, 4),
                    'U' => (rest, 16, 8),
                    _ => (&inner[1..], 8, 3),
                };
                let number = digits
                    .get(..length)
                    .and_then(|text| u32::from_str_radix(text, radix).ok());
                let number = number.ok_or_else(bad)?;
                if matches!(c, 'u' | 'U') {
                    let c = char::from_u32(number).ok_or_else(bad)?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    out.push(u8::try_from(number).map_err(|_| bad())?);
                }
                return Ok(&digits[length..]);
            }
            _ => return Err(bad()),
        };
        out.push(simple);
        Ok(rest)
    }

    /// `'x'`: a number.
    fn character(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let bad = Fault::new(
            (self.at, self.at + 1),
            "a character stands alone between its quotes",
        );
        let Some(c) = rest[1..]
            .chars()
            .next()
            .filter(|c| !matches!(c, '\'' | '\n'))
        else {
            return Err(bad);
        };
        let mut bytes = Vec::new();
        let after = if c == '\\' {
            self.escape(&rest[1..], '\'', &mut bytes)?
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            &rest[1 + c.len_utf8()..]
        };
        if !after.starts_with('\'') {
            return Err(bad);
        }
        let code = String::from_utf8_lossy(&bytes)
            .chars()
            .next()
            .map_or(0, u32::from);
        let length = rest.len() - after.len() + 1;
        self.push(length, TokenKind::Constant(Value::Int(code.into())));
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with(['+', '-']));
        let mut length = sign;
        let bytes = rest.as_bytes();
        while let Some(byte) = bytes.get(length) {
            let exponent = matches!(byte, b'+' | b'-')
                && matches!(bytes[length - 1], b'e' | b'E')
                && length > sign;
            let hex = rest[sign..].starts_with("0x") || rest[sign..].starts_with("0X");
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || exponent && !hex) {
                break;
            }
            length += 1;
        }
        let word = &rest[..length];
        let plain = word.replace('_', "");
        let value = crate::goss::yaml::integer(&plain).or_else(|| {
            plain
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .map(Value::Float)
        });
        match value {
            Some(value) if word.bytes().any(|b| b.is_ascii_digit()) => {
                self.push(length, TokenKind::Constant(value));
                self.field_after()
            }
            _ => {
                let at = (self.at, self.at + length.max(1));
                Err(Fault::new(
                    at,
                    format!(
                        "`{}` is not a number",
                        &self.text[at.0..at.1.min(self.text.len())]
                    ),
                ))
            }
        }
    }
}

/// The word at the start.
fn word(text: &str) -> &str {
    let end = text.find(|c: char| c != '_' && !c.is_alphanumeric());
    &text[..end.unwrap_or(text.len())]
}
