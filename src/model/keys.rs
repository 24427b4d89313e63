//! Boot keys: what is typed at a machine before it has a network. Data only; providers play it.

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
    pub at: std::ops::Range<usize>,
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

impl Keys {
    /// Parses Packer's key grammar: literal characters, `<enter>`, `<wait5s>`, `<leftCtrlOn>c<leftCtrlOff>`, …
    /// An unknown `<name>` is an error with the nearest known name.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let _ = text;
        todo!("boot key grammar")
    }
}
