//! What the screen tells about keys that were typed: all there, some lost, or no echo at all. Pure.
//!
//! Only what is new since the line was begun counts, so that a word which the screen showed before proves nothing.

use super::screen::COLUMNS;

/// How much of what was proved before must stand left of the new part.
const CONTEXT: usize = 8;
/// How far on the next row the rest of a wrapped line is looked for.
const WRAP: usize = 2 * COLUMNS;

/// What became of the last part of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// It stands there as it was typed.
    Whole,
    /// Not all of it, or something else: what stands from this cell on must go before it can be typed again.
    Broken {
        /// The cell.
        from: usize,
    },
    /// Nothing of it can be seen.
    Nothing,
}

/// Judges the screen: `before` as the line was begun, `now`, `proved` = the part that had been seen, `part` = what was
/// typed since.
pub(super) fn judge(before: &[char], now: &[char], proved: &[char], part: &[char]) -> Echo {
    let end = part.iter().rposition(|c| *c != ' ').map_or(0, |at| at + 1);
    let part = &part[..end];
    if part.is_empty() {
        return Echo::Whole;
    }
    let context = &proved[proved.len().saturating_sub(CONTEXT)..];
    let mut wanted = context.to_vec();
    wanted.extend_from_slice(part);
    let found = find_new(before, now, &wanted, 0);
    if context.iter().all(|c| *c == ' ') {
        return begun(before, now, part, found);
    }
    if found.is_some() {
        return Echo::Whole;
    }
    let Some(at) = find_new(before, now, context, 0) else {
        return Echo::Nothing;
    };
    let from = at + context.len();
    let extent = extent(before, now, from);
    let seen = &now[from..from + extent];
    let same = seen.iter().zip(part).take_while(|(a, b)| a == b).count();
    // the rest of the line may stand on the next row, behind a margin
    let row_end = from.next_multiple_of(COLUMNS);
    let near_edge = from + same + 4 >= row_end && from < row_end;
    let limit = (from + WRAP).min(now.len());
    if near_edge && same < part.len() {
        let next = row_end.min(limit);
        let cut = seen.len().min(same);
        if find_new(&before[..limit], &now[..limit], &part[cut..], next).is_some() {
            return Echo::Whole;
        }
    }
    Echo::Broken { from }
}

/// The same for the first part of a line, whose place is not known yet; `found` is where it stands whole.
fn begun(before: &[char], now: &[char], part: &[char], found: Option<usize>) -> Echo {
    let at = match found {
        Some(at) => at,
        None => match fragment(before, now, part) {
            Some(at) => at,
            None => return Echo::Nothing,
        },
    };
    // what is new left of it is left over from an earlier try
    let start = (0..=at)
        .rev()
        .take_while(|cell| now[*cell] != ' ' && before.get(*cell) != now.get(*cell))
        .last()
        .unwrap_or(at);
    match found {
        Some(at) if start >= at => Echo::Whole,
        _ => Echo::Broken { from: start },
    }
}

/// Where the longest piece of `part` stands now, if more than a character of it does.
fn fragment(before: &[char], now: &[char], part: &[char]) -> Option<usize> {
    let mut pieces: Vec<_> = (0..part.len())
        .flat_map(|from| (from + 2..=part.len()).map(move |to| &part[from..to]))
        .filter(|piece| piece.iter().filter(|c| **c != ' ').count() >= 2)
        .collect();
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.len()));
    pieces.into_iter().find_map(|piece| {
        let at = find_new(before, now, piece, 0)?;
        Some(at + piece.iter().position(|c| *c != ' ').unwrap_or(0))
    })
}

/// How many characters stand from `from` on that were not there before: up to the last new one before a gap.
pub(super) fn extent(before: &[char], now: &[char], from: usize) -> usize {
    let mut end = from;
    let mut blanks = 0;
    for cell in from..now.len() {
        if now[cell] == ' ' || before.get(cell) == now.get(cell) {
            blanks += 1;
            if blanks > 4 {
                break;
            }
        } else {
            blanks = 0;
            end = cell + 1;
        }
    }
    end - from
}

/// Where `wanted` stands now and did not before, the last such place first looked at (new text is usually below).
fn find_new(before: &[char], now: &[char], wanted: &[char], from: usize) -> Option<usize> {
    let last = now.len().checked_sub(wanted.len())?;
    (from..=last).rev().find(|at| {
        let range = *at..*at + wanted.len();
        now[range.clone()] == *wanted && before.get(range) != Some(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(rows: &[&str]) -> Vec<char> {
        let mut cells = Vec::new();
        for row in rows {
            cells.extend(row.chars());
            cells.resize(cells.len().next_multiple_of(COLUMNS), ' ');
        }
        cells.resize(COLUMNS * 25, ' ');
        cells
    }

    fn judged(before: &[&str], now: &[&str], proved: &str, part: &str) -> Echo {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        judge(&screen(before), &screen(now), &chars(proved), &chars(part))
    }

    #[test]
    fn what_was_typed_is_seen_whole() {
        let before = ["type linux or rescue", "boot:"];
        assert_eq!(
            judged(&before, &[before[0], "boot: linux"], "", "linux"),
            Echo::Whole
        );
        assert_eq!(
            judged(&before, &[before[0], "boot: linux ks="], "linux", " ks= "),
            Echo::Whole
        );
        assert_eq!(judged(&before, &before, "linux", "  "), Echo::Whole);
    }

    #[test]
    fn what_stood_there_before_proves_nothing() {
        let before = ["type linux or rescue", "boot:"];
        assert_eq!(judged(&before, &before, "", "linux"), Echo::Nothing);
    }

    #[test]
    fn a_scrolled_screen_still_shows_the_line() {
        assert_eq!(
            judged(&["a", "b", "boot:"], &["b", "boot: linux"], "", "linux"),
            Echo::Whole
        );
    }

    #[track_caller]
    fn broken(before: &str, now: &str, proved: &str, part: &str, count: usize) {
        match judged(&[before], &[now], proved, part) {
            Echo::Broken { from } => {
                let extent = extent(&screen(&[before]), &screen(&[now]), from);
                assert_eq!(extent, count, "{now}");
            }
            other => panic!("{now}: {other:?}"),
        }
    }

    #[test]
    fn lost_keys_are_counted_by_what_stands_there() {
        for (now, proved, part, extent) in [
            ("boot: lnux", "", "linux", 4),
            ("boot: inux", "", "linux", 4),
            ("boot: linux k=h", "linux", " ks=h", 4),
            ("boot: linux", "linux", " ks=h", 0),
            ("boot: linux ks=h", "linux k", "ss=h", 3),
            ("> quiettext", "quie", " text", 5),
        ] {
            broken("boot:", now, proved, part, extent);
        }
    }

    #[test]
    fn a_lost_first_space_is_noticed() {
        broken("> vmlinuz quiet", "> vmlinuz quiettext", "", " text", 4);
        assert_eq!(
            judged(&["> vmlinuz quiet"], &["> vmlinuz quiet text"], "", " text"),
            Echo::Whole
        );
    }

    #[test]
    fn what_an_earlier_try_left_is_noticed() {
        broken("boot:", "boot: llinux", "", "linux", 6);
    }

    #[test]
    fn masked_and_unrelated_output_is_no_echo() {
        assert_eq!(
            judged(&["Password:"], &["Password: ****"], "", "secret"),
            Echo::Nothing
        );
        assert_eq!(
            judged(&["boot in 10 s"], &["boot in  9 s"], "", "linux"),
            Echo::Nothing
        );
    }

    #[test]
    fn lines_go_on_behind_the_edge() {
        let long = format!("> {}", "x".repeat(76));
        // straight on
        let row = format!("{long}ab");
        assert_eq!(judged(&[&long], &[&row, "cd"], "", "abcd"), Echo::Whole);
        // behind margins
        let frame = format!("|{}", "x".repeat(73));
        let row = format!("{frame}yzab |");
        assert_eq!(
            judged(&[&frame], &[&row, "| cd"], "yz", "abcd"),
            Echo::Whole
        );
    }
}
