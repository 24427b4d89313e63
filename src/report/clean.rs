//! Output of guests and scripts, made harmless: no control characters, no escape sequences, no tricks with direction.

use std::borrow::Cow;

/// Longer lines are cut in what is shown; logs have them whole.
const MAX_CHARS: usize = 2000;

/// `line` as it may be shown: escape sequences (colours too) are dropped, tabs expanded, of what carriage returns
/// overwrite only the last text stays, other control characters are shown as pictures, and a very long line is cut.
pub(super) fn clean(line: &str) -> Cow<'_, str> {
    if !line.chars().any(needs_care) && line.len() <= MAX_CHARS {
        return Cow::Borrowed(line);
    }
    // what a terminal would show in the end of `10%\r20%\r30%`
    let line = line.trim_end_matches(['\r', '\n']);
    let line = line
        .rsplit('\r')
        .find(|part| !part.trim().is_empty())
        .unwrap_or("");
    let mut text = String::with_capacity(line.len());
    let mut column = 0;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if column == MAX_CHARS {
            let rest = 1 + chars.count();
            text.push_str(&format!("… ({rest} more characters)"));
            break;
        }
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_control_sequence(&mut chars),
            '\t' => {
                let width = 8 - column % 8;
                text.extend(std::iter::repeat_n(' ', width));
                column += width;
                continue;
            }
            _ => {
                text.push(shown(c));
                column += 1;
                continue;
            }
        }
    }
    Cow::Owned(text)
}

fn needs_care(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Characters that change the direction of text or take no space: a line must not look like another one.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn shown(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        c if needs_care(c) => '\u{fffd}',
        c => c,
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips what belongs to an escape character.
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_control_sequence(chars);
        }
        // strings for the terminal: titles, links, device controls; they end with BEL or ESC \
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}'
                    || c == '\u{9c}'
                    || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some())
                {
                    return;
                }
            }
        }
        _ => {
            while chars
                .next_if(|c| ('\u{20}'..='\u{2f}').contains(c))
                .is_some()
            {}
            chars.next_if(|c| ('\u{30}'..='\u{7e}').contains(c));
        }
    }
}

/// Skips parameters, intermediates and the final character.
fn skip_control_sequence(chars: &mut Chars<'_>) {
    while chars
        .next_if(|c| ('\u{20}'..='\u{3f}').contains(c))
        .is_some()
    {}
    chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_made_harmless() {
        for (line, shown) in [
            ("plain text", "plain text"),
            ("\u{1b}[1;31mred\u{1b}[0m end", "red end"),
            (
                "\u{1b}]0;title\u{7}text\u{1b}]8;;http://x\u{1b}\\link",
                "textlink",
            ),
            ("\u{1b}[2J\u{1b}[H\u{1b}(Bscreen\u{1b}7", "screen"),
            ("\u{9b}31mred", "red"),
            ("\u{1b}]0;never ends", ""),
            ("a\tb\tc", "a       b       c"),
            ("10%\r20%\r30%\r", "30%"),
            ("text\r", "text"),
            ("\0bell\u{7}\u{7f}", "␀bell␇␡"),
            ("\u{85}next", "\u{fffd}next"),
            ("a\u{202e}b\u{200b}c", "a\u{fffd}b\u{fffd}c"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(clean(line), shown, "{line:?}");
        }
        let long = "x".repeat(5000);
        let cut = clean(&long);
        assert!(cut.ends_with("x… (3000 more characters)") && cut.len() < 2050);
    }

    proptest! {
        #[test]
        fn nothing_controls_the_terminal(line in "\\PC*|[\\x00-\\x7f\\u{80}-\\u{9f}]*") {
            prop_assert!(!clean(&line).chars().any(needs_care));
        }
    }
}
