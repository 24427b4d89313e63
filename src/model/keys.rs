//! Boot keys: what is typed at a machine before it has a network. Data only; providers play it.
//!
//! The grammar is Packer's, minus its trap of typing an unknown `<name>` literally: literal characters; `<enter>` and the
//! other special keys in any case; `<wait>`, `<wait5>`, `<wait1m20s>`, `<wait1.5s>`; `<leftCtrlOn>c<leftCtrlOff>` and `<aOn>` to hold
//! keys. `<lt>` and `<gt>` type the brackets themselves. Whatever is still held at the end is let go there.

use std::fmt;
use std::ops::Range;

use super::Duration;

/// A key of the keyboard that is not a printable character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the keys")]
pub enum Key {
    Backspace,
    Delete,
    Enter,
    Esc,
    Tab,
    Space,
    Insert,
    Home,
    End,
    PageUp,
    PageDown,
    Up,
    Down,
    Left,
    Right,
    Menu,
    F(u8),
    LeftAlt,
    RightAlt,
    LeftCtrl,
    RightCtrl,
    LeftShift,
    RightShift,
    LeftSuper,
    RightSuper,
    /// A printable character, typed with what the layout needs.
    Char(char),
}

/// One thing to do at the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Down and up again.
    Press(Key),
    /// Held until the matching `Up`, or until the end.
    Down(Key),
    /// Let go.
    Up(Key),
    /// A pause, from `<wait…>`.
    Wait(Duration),
}

/// A parsed sequence of boot keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(pub Vec<KeyAction>);

/// Why a text is no key sequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KeyError {
    /// Where in the text, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right, when something is near.
    pub help: Option<String>,
}

/// A keyboard layout of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the layouts")]
pub enum Layout {
    #[default]
    Us,
    De,
    Fr,
    Gb,
}

/// The special keys. Where a key has several names, the first one is shown.
const SPECIALS: &[(&str, Key)] = &[
    ("bs", Key::Backspace),
    ("del", Key::Delete),
    ("enter", Key::Enter),
    ("return", Key::Enter),
    ("esc", Key::Esc),
    ("tab", Key::Tab),
    ("spacebar", Key::Space),
    ("insert", Key::Insert),
    ("home", Key::Home),
    ("end", Key::End),
    ("pageUp", Key::PageUp),
    ("pageDown", Key::PageDown),
    ("up", Key::Up),
    ("down", Key::Down),
    ("left", Key::Left),
    ("right", Key::Right),
    ("menu", Key::Menu),
    ("f1", Key::F(1)),
    ("f2", Key::F(2)),
    ("f3", Key::F(3)),
    ("f4", Key::F(4)),
    ("f5", Key::F(5)),
    ("f6", Key::F(6)),
    ("f7", Key::F(7)),
    ("f8", Key::F(8)),
    ("f9", Key::F(9)),
    ("f10", Key::F(10)),
    ("f11", Key::F(11)),
    ("f12", Key::F(12)),
    ("leftAlt", Key::LeftAlt),
    ("leftOption", Key::LeftAlt),
    ("rightAlt", Key::RightAlt),
    ("rightOption", Key::RightAlt),
    ("leftCtrl", Key::LeftCtrl),
    ("rightCtrl", Key::RightCtrl),
    ("leftShift", Key::LeftShift),
    ("rightShift", Key::RightShift),
    ("leftSuper", Key::LeftSuper),
    ("leftCommand", Key::LeftSuper),
    ("rightSuper", Key::RightSuper),
    ("rightCommand", Key::RightSuper),
    ("lt", Key::Char('<')),
    ("gt", Key::Char('>')),
];

/// What people write who do not have the names at hand.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("backspace", "bs"),
    ("delete", "del"),
    ("escape", "esc"),
    ("space", "spacebar"),
    ("ret", "enter"),
    ("cr", "enter"),
    ("ins", "insert"),
    ("pgup", "pageUp"),
    ("pgdn", "pageDown"),
    ("alt", "leftAlt"),
    ("altgr", "rightAlt"),
    ("ctrl", "leftCtrl"),
    ("control", "leftCtrl"),
    ("shift", "leftShift"),
    ("super", "leftSuper"),
    ("win", "leftSuper"),
    ("cmd", "leftSuper"),
];

/// The units of a wait, in nanoseconds.
const WAIT_UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

impl Key {
    /// The key that `name` (without brackets, in any case) stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        SPECIALS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, key)| *key)
    }
}

impl fmt::Display for Key {
    /// The name without brackets; a character as itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SPECIALS.iter().find(|(_, key)| key == self) {
            Some((name, _)) => f.pad(name),
            None => match self {
                Self::Char(c) => f.pad(c.encode_utf8(&mut [0; 4])),
                other => f.pad(&format!("{other:?}")),
            },
        }
    }
}

impl fmt::Display for Keys {
    /// In the grammar that [`Keys::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for action in &self.0 {
            match action {
                KeyAction::Press(Key::Char(c)) if *c != '<' => write!(f, "{c}")?,
                KeyAction::Press(key) => write!(f, "<{key}>")?,
                KeyAction::Down(key) => write!(f, "<{key}On>")?,
                KeyAction::Up(key) => write!(f, "<{key}Off>")?,
                KeyAction::Wait(time) => {
                    let nanos = time.std().as_nanos();
                    match (nanos % 1_000_000_000, nanos % 1_000_000) {
                        (0, _) => write!(f, "<wait{}>", nanos / 1_000_000_000)?,
                        (_, 0) => write!(f, "<wait{}ms>", nanos / 1_000_000)?,
                        _ => write!(f, "<wait{nanos}ns>")?,
                    }
                }
            }
        }
        Ok(())
    }
}

impl Keys {
    /// Parses Packer's key grammar: literal characters, `<enter>`, `<wait5s>`, `<leftCtrlOn>c<leftCtrlOff>`, …
    /// An unknown `<name>` is an error with the nearest known name.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut actions = Vec::new();
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            if c != '<' {
                actions.push(literal(c, at)?);
                at += c.len_utf8();
                continue;
            }
            let (name, end) = tag(text, at)?;
            actions.push(action(name, at..end)?);
            at = end;
        }
        release(&mut actions);
        Ok(Self(actions))
    }
}

fn literal(c: char, at: usize) -> Result<KeyAction, KeyError> {
    if !c.is_control() {
        return Ok(KeyAction::Press(Key::Char(c)));
    }
    let (what, help) = match c {
        '\n' | '\r' => (
            "a line break",
            Some("write `<enter>`; in a multi-line string, end the line with `\\`"),
        ),
        '\t' => ("a tab", Some("write `<tab>`")),
        '\u{1b}' => ("an escape character", Some("write `<esc>`")),
        _ => ("a control character", None),
    };
    Err(KeyError {
        at: at..at + c.len_utf8(),
        message: format!("{what} cannot be typed as it is"),
        help: help.map(str::to_owned),
    })
}

/// The name between the brackets that open at `at`, and where the tag ends.
fn tag(text: &str, at: usize) -> Result<(&str, usize), KeyError> {
    let inside = &text[at + 1..];
    // any one character may be held, a bracket too: `<>On>`
    let first = inside.chars().next().map_or(0, char::len_utf8);
    let toggle = ["on>", "off>"]
        .into_iter()
        .find(|end| strip_prefix_any_case(&inside[first..], end).is_some());
    let len = match toggle {
        Some(end) => Some(first + end.len() - 1),
        None => inside.find('>').filter(|len| {
            *len > 0 && !inside[..*len].contains(|c: char| c.is_whitespace() || c == '<')
        }),
    };
    match len {
        Some(len) => Ok((&inside[..len], at + 1 + len + 1)),
        None => Err(KeyError {
            at: at..at + 1,
            message: "`<` opens no key name".to_owned(),
            help: Some("write `<lt>` to type the character itself".to_owned()),
        }),
    }
}

fn action(name: &str, at: Range<usize>) -> Result<KeyAction, KeyError> {
    if let Some(key) = Key::from_name(name) {
        return Ok(KeyAction::Press(key));
    }
    if let Some(time) = strip_prefix_any_case(name, "wait")
        && (time.is_empty() || time.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
    {
        return wait(time, at);
    }
    for (suffix, make) in [
        ("on", KeyAction::Down as fn(Key) -> KeyAction),
        ("off", KeyAction::Up),
    ] {
        if let Some(held) = strip_suffix_any_case(name, suffix) {
            let mut chars = held.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) if !c.is_control() => return Ok(make(Key::Char(c))),
                _ => {}
            }
            if let Some(key) = Key::from_name(held) {
                return Ok(make(key));
            }
        }
    }
    Err(KeyError {
        at,
        message: format!("unknown key `<{name}>`"),
        help: near(name).map(|near| format!("did you mean `<{near}>`?")),
    })
}

fn wait(time: &str, at: Range<usize>) -> Result<KeyAction, KeyError> {
    let error = |message: String| KeyError {
        at: at.clone(),
        message,
        help: Some("write `<wait5>`, `<wait1.5s>` or `<wait1m20s>`".to_owned()),
    };
    let mut nanos = 0.0;
    let time = if time.is_empty() { "1" } else { time };
    let mut rest = time;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let value: f64 = number
            .parse()
            .map_err(|_| error(format!("`{time}` is no time to wait")))?;
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        nanos += value
            * match WAIT_UNITS
                .iter()
                .find(|(u, _)| u.eq_ignore_ascii_case(unit))
            {
                Some((_, factor)) => *factor,
                // a bare whole number is in seconds
                None if number == time && !time.contains('.') => 1e9,
                None if unit.is_empty() => {
                    return Err(error(format!("`{time}` lacks a unit of time")));
                }
                None => return Err(error(format!("unknown unit of time `{unit}`"))),
            };
        rest = tail;
    }
    if nanos < 1.0 {
        return Err(error(format!("`<wait{time}>` waits for no time at all")));
    }
    if nanos > 86_400e9 {
        return Err(error(format!("`<wait{time}>` is longer than a day")));
    }
    let time = std::time::Duration::from_nanos(nanos.round() as u64);
    Ok(KeyAction::Wait(time.into()))
}

/// Lets go, last held first, of what is still held.
fn release(actions: &mut Vec<KeyAction>) {
    let mut held: Vec<Key> = Vec::new();
    for action in &*actions {
        match action {
            KeyAction::Down(key) if !held.contains(key) => held.push(*key),
            KeyAction::Up(key) => held.retain(|k| k != key),
            _ => {}
        }
    }
    actions.extend(held.into_iter().rev().map(KeyAction::Up));
}

/// The known name nearest to `name`, with its `On` or `Off`.
fn near(name: &str) -> Option<String> {
    let (stem, suffix) = [("on", "On"), ("off", "Off")]
        .into_iter()
        .find_map(|(suffix, shown)| strip_suffix_any_case(name, suffix).map(|stem| (stem, shown)))
        .unwrap_or((name, ""));
    let lower = stem.to_lowercase();
    if let Some((_, right)) = OTHER_WORDS.iter().find(|(word, _)| *word == lower) {
        return Some(format!("{right}{suffix}"));
    }
    SPECIALS
        .iter()
        .map(|(known, _)| *known)
        .chain(["wait"])
        .map(|known| {
            (
                strsim::damerau_levenshtein(&known.to_lowercase(), &lower),
                known,
            )
        })
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| format!("{known}{suffix}"))
}

fn strip_prefix_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        .then(|| &text[prefix.len()..])
}

fn strip_suffix_any_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let cut = text.len().checked_sub(suffix.len())?;
    text.get(cut..)
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        .then(|| &text[..cut])
}

#[cfg(test)]
mod tests;
