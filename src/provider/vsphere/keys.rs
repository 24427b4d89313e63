//! Boot keys as `VirtualMachine.PutUsbScanCodes` takes them: each event is a key pressed and let go with the modifiers
//! around it, so that keys which are held become modifiers of those that follow.

use crate::model::{Key, KeyAction, Keys};
use crate::provider::keyboard::{self, Modifier, NoKey};
use crate::provider::{ProviderError, Typing};
use crate::vim::{KeyEvent, Modifiers};

/// What to do at the keyboard, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Keys, to be sent at once.
    Keys(Vec<KeyEvent>),
    /// A pause.
    Wait(std::time::Duration),
}

/// Plans `keys`; characters that the layout lacks are told before anything is typed.
pub(super) fn plan(keys: &Keys, typing: &Typing) -> Result<Vec<Part>, ProviderError> {
    let mut parts = Vec::new();
    let mut batch: Vec<KeyEvent> = Vec::new();
    let mut held = Modifiers::default();
    for action in &keys.0 {
        match action {
            KeyAction::Wait(time) => {
                flush(&mut parts, &mut batch);
                parts.push(Part::Wait(time.std()));
            }
            KeyAction::Down(key) if modifier(*key, &mut held.clone()).is_some() => {
                if let Some(flag) = modifier(*key, &mut held) {
                    *flag = true;
                }
            }
            KeyAction::Up(key) => {
                if let Some(flag) = modifier(*key, &mut held) {
                    *flag = false;
                }
            }
            // the interface cannot hold a key that is no modifier: it is pressed once
            KeyAction::Press(key) | KeyAction::Down(key) => {
                batch.extend(events(*key, typing, held)?);
            }
        }
    }
    flush(&mut parts, &mut batch);
    Ok(parts)
}

fn flush(parts: &mut Vec<Part>, batch: &mut Vec<KeyEvent>) {
    if !batch.is_empty() {
        parts.push(Part::Keys(std::mem::take(batch)));
    }
}

fn modifier(key: Key, modifiers: &mut Modifiers) -> Option<&mut bool> {
    Some(match key {
        Key::LeftCtrl => &mut modifiers.left_control,
        Key::LeftShift => &mut modifiers.left_shift,
        Key::LeftAlt => &mut modifiers.left_alt,
        Key::LeftSuper => &mut modifiers.left_gui,
        Key::RightCtrl => &mut modifiers.right_control,
        Key::RightShift => &mut modifiers.right_shift,
        Key::RightAlt => &mut modifiers.right_alt,
        Key::RightSuper => &mut modifiers.right_gui,
        _ => return None,
    })
}

fn events(key: Key, typing: &Typing, held: Modifiers) -> Result<Vec<KeyEvent>, ProviderError> {
    let unknown = |name: &str| ProviderError::Failed(format!("the keyboard has no key `{name}`"));
    if let Key::Char(character) = key {
        let strokes = keyboard::strokes(character, typing.layout)
            .map_err(|e: NoKey| ProviderError::Failed(e.to_string()))?;
        let events = strokes.iter().map(|stroke| {
            let mut modifiers = held;
            match stroke.modifier {
                Some(Modifier::Shift) => modifiers.left_shift = true,
                Some(Modifier::AltGr) => modifiers.right_alt = true,
                None => {}
            }
            let usage = usage(stroke.qcode).ok_or_else(|| unknown(stroke.qcode))?;
            Ok(KeyEvent { usage, modifiers })
        });
        return events.collect();
    }
    let name = key.to_string();
    let qcode = keyboard::special(key).ok_or_else(|| unknown(&name))?;
    let usage = usage(qcode).ok_or_else(|| unknown(&name))?;
    Ok(vec![KeyEvent {
        usage,
        modifiers: held,
    }])
}

/// The usage of a position in the keyboard page of the USB HID usage tables.
fn usage(qcode: &str) -> Option<u16> {
    const NAMED: &[(&str, u16)] = &[
        ("0", 39),
        ("ret", 40),
        ("esc", 41),
        ("backspace", 42),
        ("tab", 43),
        ("spc", 44),
        ("minus", 45),
        ("equal", 46),
        ("bracket_left", 47),
        ("bracket_right", 48),
        ("backslash", 49),
        ("semicolon", 51),
        ("apostrophe", 52),
        ("grave_accent", 53),
        ("comma", 54),
        ("dot", 55),
        ("slash", 56),
        ("insert", 73),
        ("home", 74),
        ("pgup", 75),
        ("delete", 76),
        ("end", 77),
        ("pgdn", 78),
        ("right", 79),
        ("left", 80),
        ("down", 81),
        ("up", 82),
        ("less", 100),
        ("compose", 101),
        ("ctrl", 224),
        ("shift", 225),
        ("alt", 226),
        ("meta_l", 227),
        ("ctrl_r", 228),
        ("shift_r", 229),
        ("alt_r", 230),
        ("meta_r", 231),
    ];
    if let Some((_, usage)) = NAMED.iter().find(|(name, _)| *name == qcode) {
        return Some(*usage);
    }
    if let Some(number) = qcode.strip_prefix('f').and_then(|n| n.parse::<u16>().ok()) {
        return (1..=12).contains(&number).then(|| 57 + number);
    }
    match qcode.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(4 + u16::from(letter - b'a')),
        [digit @ b'1'..=b'9'] => Some(30 + u16::from(digit - b'1')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Layout;

    fn typed(text: &str, layout: Layout) -> Vec<Part> {
        let typing = Typing {
            layout,
            ..Typing::default()
        };
        plan(&Keys::parse(text).unwrap(), &typing).unwrap()
    }

    fn shown(parts: &[Part]) -> String {
        let parts = parts.iter().map(|part| match part {
            Part::Wait(time) => format!("wait {}", time.as_secs()),
            Part::Keys(events) => {
                let events = events.iter().map(|event| {
                    let Modifiers {
                        left_control,
                        left_shift,
                        left_alt,
                        left_gui,
                        right_control,
                        right_shift,
                        right_alt,
                        right_gui,
                    } = event.modifiers;
                    let held = [
                        ("c", left_control),
                        ("s", left_shift),
                        ("a", left_alt),
                        ("g", left_gui),
                        ("C", right_control),
                        ("S", right_shift),
                        ("A", right_alt),
                        ("G", right_gui),
                    ];
                    let held = held.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
                    format!("{}{}", held.collect::<String>(), event.usage)
                });
                events.collect::<Vec<_>>().join(" ")
            }
        });
        parts.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_boot_line_is_one_batch_between_pauses() {
        let parts = typed("<tab> ks=hd:fd0:/KS.cfg<wait5><enter>", Layout::Us);
        assert_eq!(
            shown(&parts),
            "43 44 14 22 46 11 7 s51 9 7 39 s51 56 s14 s22 55 6 9 10; wait 5; 40"
        );
    }

    #[test]
    fn held_keys_become_modifiers_of_what_follows() {
        let parts = typed(
            "<leftCtrlOn><rightAltOn>c<leftCtrlOff>d<rightAltOff><f12><up>",
            Layout::Us,
        );
        assert_eq!(shown(&parts), "cA6 A7 69 82");
        assert_eq!(shown(&typed("@/", Layout::De)), "A20 s36");
    }

    #[test]
    fn every_character_and_key_has_a_usage() {
        for layout in [Layout::Us, Layout::De, Layout::Fr, Layout::Gb] {
            let text: String = (' '..='~')
                .map(|c| match c {
                    '<' => "<lt>".to_owned(),
                    '>' => "<gt>".to_owned(),
                    c => c.to_string(),
                })
                .collect();
            assert_eq!(typed(&text, layout).len(), 1);
        }
        let keys = "<bs><del><esc><insert><home><end><pageUp><pageDown><down><left><right><menu><f1><leftSuper>";
        assert_eq!(typed(keys, Layout::Us).len(), 1);
        let bad = plan(&Keys::parse("ü").unwrap(), &Typing::default());
        assert!(bad.unwrap_err().to_string().contains("no key for `ü`"));
    }
}
