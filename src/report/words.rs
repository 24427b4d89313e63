//! Numbers and names in words, the same everywhere.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::engine::Event;
use crate::model;

/// `1 stage`, `3 stages`.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// Of more stages or files than this, those to which nothing happens are counted and not named.
pub const NAMED: usize = 50;

/// [`columns`] of so many rows that they can be read, and how many more there are; `more` are not among them.
pub(super) fn readable(mut rows: Vec<Vec<String>>, more: usize, gap: &str) -> String {
    /// Of too many, these say what kind they are.
    const SHOWN: usize = 20;
    let all = rows.len() + more;
    if all > NAMED {
        rows.truncate(SHOWN);
    }
    let more = all - rows.len();
    let mut text = columns(&rows, gap);
    if more > 0 {
        text.push_str(&format!("  … and {more} more\n"));
    }
    text
}

/// `52.1s`, `1m20s`.
pub(super) fn exact(duration: Duration) -> String {
    model::Duration::from(duration).to_string()
}

/// Whole seconds: `0s`, `41s`, `1m20s`; for what is still running or only expected.
pub(super) fn whole(duration: Duration) -> String {
    model::Duration::from_secs(duration.as_secs()).to_string()
}

/// As [`whole`]; from two days on in days: `9d`.
pub(super) fn age(duration: Duration) -> String {
    const DAY: u64 = 24 * 3600;
    match duration.as_secs() / DAY {
        0 | 1 => whole(duration),
        days => format!("{days}d"),
    }
}

/// `~35s`, rounded; `<1s`.
pub(super) fn about(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        return "<1s".to_owned();
    }
    format!("~{}", whole(duration + Duration::from_millis(500)))
}

/// What an installer has reported, in lines: `installer: %post: did not install (after 14s)`.
pub(super) fn report(event: &Event) -> String {
    let Event::Report {
        name,
        message,
        after,
        ..
    } = event
    else {
        return String::new();
    };
    let told = crate::engine::reported(name, message);
    let mut lines = told.lines();
    let first = lines.next().unwrap_or("a report without words");
    let mut text = format!("installer: {first} (after {})", whole(*after));
    for line in lines {
        text.push_str("\ninstaller: ");
        text.push_str(line);
    }
    text
}

/// `12.3MiB`.
pub(super) fn size(bytes: u64) -> String {
    model::Size::from_bytes(bytes).to_string()
}

/// `12.3MiB of 64MiB`, or what has come so far.
pub(super) fn progress(done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {}", size(done), size(total)),
        None => size(done),
    }
}

/// `2026-11-24 03:41:36`, in `zone`.
pub(super) fn at(unix: u64, zone: &TimeZone) -> String {
    let time = i64::try_from(unix)
        .ok()
        .and_then(|secs| Timestamp::from_second(secs).ok())
        .unwrap_or_default();
    time.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// The parts, padded to columns: all but the last one as wide as the widest of its column. `width` measures; lines
/// have no trailing spaces.
pub(super) fn columns(rows: &[Vec<String>], gap: &str) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|i| {
            rows.iter()
                .filter_map(|row| row.get(i))
                .map(|cell| width(cell))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, column) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', column - width(cell)));
            line.push_str(gap);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How many columns a text takes, colours not counted.
pub(super) fn width(text: &str) -> usize {
    super::clean::clean(text).chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_words() {
        assert_eq!(
            (count(1, "stage"), count(2, "stage")),
            ("1 stage".into(), "2 stages".into())
        );
        assert_eq!(about(Duration::from_millis(34_600)), "~35s");
        assert_eq!(about(Duration::from_millis(900)), "<1s");
        assert_eq!(whole(Duration::from_millis(400)), "0s");
        assert_eq!(progress(1 << 20, Some(3 << 20)), "1MiB of 3MiB");
        assert_eq!(progress(1 << 20, None), "1MiB");
        assert_eq!(at(1_795_491_696, &TimeZone::UTC), "2026-11-24 03:41:36");
    }

    #[test]
    fn columns_line_up_with_and_without_colour() {
        let rows = [
            vec!["a".to_owned(), "\u{1b}[31mbcd\u{1b}[0m".into(), "e".into()],
            vec!["aa".into(), "b".into()],
        ];
        assert_eq!(
            columns(&rows, "  "),
            "a   \u{1b}[31mbcd\u{1b}[0m  e\naa  b\n"
        );
    }
}
