//! Which keys produce a character under the guest's keyboard layout.
//!
//! Providers send positions, named after a US keyboard (QEMU's `qcode`); the guest's layout gives them a meaning. A table says for
//! each position what it means alone, with Shift and with `AltGr`.

use crate::model::{Key, Layout};

/// A modifier that a character needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modifier {
    Shift,
    AltGr,
}

impl Modifier {
    pub(super) const fn qcode(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::AltGr => "alt_r",
        }
    }
}

/// One key down and up again, with the modifiers around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stroke {
    pub(super) qcode: &'static str,
    pub(super) modifier: Option<Modifier>,
}

/// A character that a layout has no key for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keyboard layout `{layout}` has no key for `{character}`", layout = word(*.layout))]
pub(super) struct NoKey {
    pub(super) character: char,
    pub(super) layout: Layout,
}

/// A row of positions with what they mean: alone, with Shift, with `AltGr` (a blank: nothing).
struct Row {
    qcodes: &'static [&'static str],
    levels: [&'static str; 3],
}

const NUMBERS: &[&str] = &[
    "grave_accent",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "0",
    "minus",
    "equal",
];
const UPPER: &[&str] = &[
    "q",
    "w",
    "e",
    "r",
    "t",
    "y",
    "u",
    "i",
    "o",
    "p",
    "bracket_left",
    "bracket_right",
];
const HOME: &[&str] = &[
    "a",
    "s",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "semicolon",
    "apostrophe",
    "backslash",
];
const LOWER: &[&str] = &[
    "less", "z", "x", "c", "v", "b", "n", "m", "comma", "dot", "slash",
];

const US: [Row; 4] = [
    Row {
        qcodes: NUMBERS,
        levels: ["`1234567890-=", "~!@#$%^&*()_+", ""],
    },
    Row {
        qcodes: UPPER,
        levels: ["qwertyuiop[]", "QWERTYUIOP{}", ""],
    },
    Row {
        qcodes: HOME,
        levels: ["asdfghjkl;'\\", "ASDFGHJKL:\"|", ""],
    },
    Row {
        qcodes: LOWER,
        levels: [" zxcvbnm,./", " ZXCVBNM<>?", ""],
    },
];

const GB: [Row; 4] = [
    Row {
        qcodes: NUMBERS,
        levels: ["`1234567890-=", "¬!\"£$%^&*()_+", "    €"],
    },
    Row {
        qcodes: UPPER,
        levels: ["qwertyuiop[]", "QWERTYUIOP{}", ""],
    },
    Row {
        qcodes: HOME,
        levels: ["asdfghjkl;'#", "ASDFGHJKL:@~", ""],
    },
    Row {
        qcodes: LOWER,
        levels: ["\\zxcvbnm,./", "|ZXCVBNM<>?", ""],
    },
];

const DE: [Row; 4] = [
    Row {
        qcodes: NUMBERS,
        levels: ["^1234567890ß´", "°!\"§$%&/()=?`", "  ²³   {[]}\\"],
    },
    Row {
        qcodes: UPPER,
        levels: ["qwertzuiopü+", "QWERTZUIOPÜ*", "@ €        ~"],
    },
    Row {
        qcodes: HOME,
        levels: ["asdfghjklöä#", "ASDFGHJKLÖÄ'", ""],
    },
    Row {
        qcodes: LOWER,
        levels: ["<yxcvbnm,.-", ">YXCVBNM;:_", "|      µ"],
    },
];

// the dead circumflex right of P is left out: AltGr has one that is typed at once
const FR: [Row; 4] = [
    Row {
        qcodes: NUMBERS,
        levels: ["²&é\"'(-è_çà)=", " 1234567890°+", "  ~#{[|`\\^@]}"],
    },
    Row {
        qcodes: UPPER,
        levels: ["azertyuiop $", "AZERTYUIOP £", "  €"],
    },
    Row {
        qcodes: HOME,
        levels: ["qsdfghjklmù*", "QSDFGHJKLM%µ", ""],
    },
    Row {
        qcodes: LOWER,
        levels: ["<wxcvbn,;:!", ">WXCVBN?./§", ""],
    },
];

/// Positions that wait for the next key; a space after them gives the character itself.
const DEAD_DE: &str = "^´`";

const fn word(layout: Layout) -> &'static str {
    match layout {
        Layout::Us => "us",
        Layout::De => "de",
        Layout::Fr => "fr",
        Layout::Gb => "gb",
    }
}

/// The strokes that give `character` under `layout`.
pub(super) fn strokes(character: char, layout: Layout) -> Result<Vec<Stroke>, NoKey> {
    const SPACE: Stroke = Stroke {
        qcode: "spc",
        modifier: None,
    };
    if character == ' ' {
        return Ok(vec![SPACE]);
    }
    let rows = match layout {
        Layout::Us => &US,
        Layout::De => &DE,
        Layout::Fr => &FR,
        Layout::Gb => &GB,
    };
    let modifiers = [None, Some(Modifier::Shift), Some(Modifier::AltGr)];
    // the plainest level first
    for (level, modifier) in modifiers.into_iter().enumerate() {
        for row in rows {
            let place = row.levels[level].chars().position(|c| c == character);
            if let Some(qcode) = place.and_then(|place| row.qcodes.get(place).copied()) {
                let mut strokes = vec![Stroke { qcode, modifier }];
                if layout == Layout::De && DEAD_DE.contains(character) {
                    strokes.push(SPACE);
                }
                return Ok(strokes);
            }
        }
    }
    Err(NoKey { character, layout })
}

/// The position of a special key; `None` for characters, which need [`strokes`].
pub(super) const fn special(key: Key) -> Option<&'static str> {
    Some(match key {
        Key::Backspace => "backspace",
        Key::Delete => "delete",
        Key::Enter => "ret",
        Key::Esc => "esc",
        Key::Tab => "tab",
        Key::Space => "spc",
        Key::Insert => "insert",
        Key::Home => "home",
        Key::End => "end",
        Key::PageUp => "pgup",
        Key::PageDown => "pgdn",
        Key::Up => "up",
        Key::Down => "down",
        Key::Left => "left",
        Key::Right => "right",
        // the key between Windows and Ctrl; QEMU's `menu` is that of multimedia keyboards
        Key::Menu => "compose",
        Key::F(number) => return function(number),
        Key::LeftAlt => "alt",
        Key::RightAlt => "alt_r",
        Key::LeftCtrl => "ctrl",
        Key::RightCtrl => "ctrl_r",
        Key::LeftShift => "shift",
        Key::RightShift => "shift_r",
        Key::LeftSuper => "meta_l",
        Key::RightSuper => "meta_r",
        Key::Char(_) => return None,
    })
}

const fn function(number: u8) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
        "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12",
    ];
    match number {
        1..=12 => Some(NAMES[number as usize - 1]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUTS: [Layout; 4] = [Layout::Us, Layout::De, Layout::Fr, Layout::Gb];

    fn shown(character: char, layout: Layout) -> String {
        let strokes = strokes(character, layout).unwrap();
        let shown = strokes.iter().map(|stroke| match stroke.modifier {
            Some(modifier) => format!("{}+{}", modifier.qcode(), stroke.qcode),
            None => stroke.qcode.to_owned(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_printable_ascii_character_has_a_key_in_every_layout() {
        for layout in LAYOUTS {
            for c in ' '..='~' {
                assert!(strokes(c, layout).is_ok(), "{c} in {layout:?}");
            }
        }
    }

    #[test]
    fn no_two_characters_share_a_key() {
        for rows in [&US, &GB, &DE, &FR] {
            let mut seen = std::collections::HashMap::new();
            for row in rows {
                for (level, characters) in row.levels.iter().enumerate() {
                    assert!(
                        characters.chars().count() <= row.qcodes.len(),
                        "{characters}"
                    );
                    for (c, qcode) in characters
                        .chars()
                        .zip(row.qcodes)
                        .filter(|(c, _)| *c != ' ')
                    {
                        assert_eq!(seen.insert((level, *qcode), c), None, "{c}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_layouts_differ_where_boot_lines_care() {
        for (character, us, de, fr, gb) in [
            ('/', "slash", "shift+7", "shift+dot", "slash"),
            (
                ':',
                "shift+semicolon",
                "shift+dot",
                "dot",
                "shift+semicolon",
            ),
            ('=', "equal", "shift+0", "equal", "equal"),
            ('-', "minus", "slash", "6", "minus"),
            ('_', "shift+minus", "shift+slash", "8", "shift+minus"),
            ('.', "dot", "dot", "shift+comma", "dot"),
            ('z', "z", "y", "w", "z"),
            ('M', "shift+m", "shift+m", "shift+semicolon", "shift+m"),
            ('1', "1", "1", "shift+1", "1"),
            ('@', "shift+2", "alt_r+q", "alt_r+0", "shift+apostrophe"),
            ('\\', "backslash", "alt_r+minus", "alt_r+8", "less"),
            (
                '~',
                "shift+grave_accent",
                "alt_r+bracket_right",
                "alt_r+2",
                "shift+backslash",
            ),
            ('^', "shift+6", "grave_accent spc", "alt_r+9", "shift+6"),
            ('"', "shift+apostrophe", "shift+2", "3", "shift+2"),
            (
                '|',
                "shift+backslash",
                "alt_r+less",
                "alt_r+6",
                "shift+less",
            ),
            ('#', "shift+3", "backslash", "alt_r+3", "backslash"),
            ('$', "shift+4", "shift+4", "bracket_right", "shift+4"),
            ('%', "shift+5", "shift+5", "shift+apostrophe", "shift+5"),
            (
                '{',
                "shift+bracket_left",
                "alt_r+7",
                "alt_r+4",
                "shift+bracket_left",
            ),
        ] {
            let all = LAYOUTS.map(|layout| shown(character, layout));
            assert_eq!(all, [us, de, fr, gb], "{character}");
        }
    }

    #[test]
    fn a_character_without_a_key_is_named() {
        assert_eq!(
            strokes('ü', Layout::Us).unwrap_err().to_string(),
            "the keyboard layout `us` has no key for `ü`"
        );
        assert!(strokes('ü', Layout::De).is_ok());
        assert!(strokes('字', Layout::Fr).is_err());
    }

    #[test]
    fn special_keys_have_positions() {
        assert_eq!(special(Key::F(12)), Some("f12"));
        assert_eq!(special(Key::F(13)), None);
        assert_eq!(special(Key::Menu), Some("compose"));
        assert_eq!(special(Key::Char('a')), None);
    }
}
