//! Sprig's functions for times. A time is the text that Go prints of it.

use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::{Call, Function, Outcome};
use crate::goss::Value;

pub(super) const TABLE: &[Function] = &[
    ("now", 0, 0, |call| Ok(shown(&now(call)?))),
    ("date", 2, 2, |call| format(call, 0, &time(call, 1)?)),
    ("dateInZone", 3, 3, in_zone),
    ("date_in_zone", 3, 3, in_zone),
    ("htmlDate", 1, 1, |call| {
        Ok(layout("2006-01-02", &time(call, 0)?).into())
    }),
    ("htmlDateInZone", 2, 2, |call| {
        let time = zoned(call, 0, 1)?;
        Ok(layout("2006-01-02", &time).into())
    }),
    ("toDate", 2, 2, to_date),
    ("mustToDate", 2, 2, to_date),
    ("unixEpoch", 1, 1, |call| {
        Ok(time(call, 0)?.timestamp().as_second().to_string().into())
    }),
    ("duration", 1, 1, duration),
    ("durationRound", 1, 1, duration_round),
    ("dateModify", 2, 2, modify),
    ("date_modify", 2, 2, modify),
    ("mustDateModify", 2, 2, must_modify),
    ("must_date_modify", 2, 2, must_modify),
];

fn now(call: &Call<'_>) -> Result<Zoned, String> {
    let now = Timestamp::try_from(call.world.now()).map_err(|error| error.to_string())?;
    Ok(now.to_zoned(TimeZone::UTC))
}

fn shown(time: &Zoned) -> Value {
    layout("2006-01-02 15:04:05.999999999 -0700 MST", time).into()
}

/// A time as this module shows it, or seconds since 1970.
fn time(call: &Call<'_>, number: usize) -> Result<Zoned, String> {
    let bad = || call.wrong(number, "a time");
    let stamp = match call.get(number) {
        Value::Int(seconds) => Timestamp::from_second(*seconds).map_err(|_| bad())?,
        Value::Text(text) => {
            let plain = text
                .rsplit_once(' ')
                .map_or(text.as_str(), |(plain, _)| plain);
            let parsed = jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S%.f %z", plain);
            return parsed.and_then(|time| time.to_zoned()).map_err(|_| bad());
        }
        _ => return Err(bad()),
    };
    Ok(stamp.to_zoned(TimeZone::UTC))
}

fn format(call: &Call<'_>, number: usize, time: &Zoned) -> Outcome {
    Ok(layout(call.text(number)?, time).into())
}

fn in_zone(call: &Call<'_>) -> Outcome {
    format(call, 0, &zoned(call, 1, 2)?)
}

/// A time in a zone; one that nobody knows is UTC.
fn zoned(call: &Call<'_>, time_at: usize, zone_at: usize) -> Result<Zoned, String> {
    let zone = match call.text(zone_at)? {
        "" | "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    };
    Ok(time(call, time_at)?.with_time_zone(zone))
}

/// Go's layouts and what `strftime` calls the same; longer ones first.
const LAYOUT: [(&str, &str); 34] = [
    ("January", "%B"),
    ("Monday", "%A"),
    ("2006", "%Y"),
    ("-07:00", "%:z"),
    ("Z07:00", "%:z"),
    ("-0700", "%z"),
    ("Z0700", "%z"),
    ("MST", "%Z"),
    ("Jan", "%b"),
    ("Mon", "%a"),
    (".000000000", "%.9f"),
    (".000000", "%.6f"),
    (".000", "%.3f"),
    (".999999999", "%.f"),
    (".999999", "%.f"),
    (".999", "%.f"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
    ("5", "%-S"),
    ("%", "%%"),
    ("-07", "%z"),
];

fn directives(go: &str) -> String {
    let mut out = String::new();
    let mut rest = go;
    while let Some(c) = rest.chars().next() {
        match LAYOUT.iter().find(|(word, _)| rest.starts_with(word)) {
            Some((word, directive)) => {
                out.push_str(directive);
                rest = &rest[word.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

fn layout(go: &str, time: &Zoned) -> String {
    let text = jiff::fmt::strtime::format(directives(go), time).unwrap_or_default();
    // Go writes Z for no offset where the layout has a Z
    if go.contains("Z07") {
        text.replace("+00:00", "Z").replace("+0000", "Z")
    } else {
        text
    }
}

fn to_date(call: &Call<'_>) -> Outcome {
    let parsed = jiff::fmt::strtime::parse(directives(call.text(0)?), call.text(1)?);
    let parsed = parsed.map_err(|error| error.to_string())?;
    let zoned = parsed.to_zoned().or_else(|_| {
        let date = parsed.to_date()?;
        let time = parsed.to_time().unwrap_or(jiff::civil::Time::midnight());
        date.to_datetime(time).to_zoned(TimeZone::UTC)
    });
    zoned
        .map(|zoned| shown(&zoned))
        .map_err(|error| error.to_string())
}

/// Seconds as Go shows a duration: `1h2m3s`.
fn duration(call: &Call<'_>) -> Outcome {
    let seconds = match call.get(0) {
        Value::Int(seconds) => *seconds,
        Value::Text(text) => text.parse().unwrap_or(0),
        _ => 0,
    };
    let size = seconds.unsigned_abs();
    let (hours, minutes, rest) = (size / 3600, size / 60 % 60, size % 60);
    let sign = if seconds < 0 { "-" } else { "" };
    let text = match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    };
    Ok(format!("{sign}{text}").into())
}

/// Go's durations, `-1h30m`, in nanoseconds.
fn nanoseconds(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit = &rest[..rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len())];
        rest = &rest[unit.len()..];
        total += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 6e10,
                "h" => 3.6e12,
                _ => return None,
            };
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "nanoseconds are the smallest unit"
    )]
    let total = total.round() as i128;
    Some(if negative { -total } else { total })
}

fn must_modify(call: &Call<'_>) -> Outcome {
    let bad = || call.wrong(0, "a duration such as `-1h30m`");
    let nanoseconds = nanoseconds(call.text(0)?).ok_or_else(bad)?;
    let moved = time(call, 1)?.timestamp().as_nanosecond() + nanoseconds;
    let moved = Timestamp::from_nanosecond(moved).map_err(|_| bad())?;
    Ok(shown(&moved.to_zoned(time(call, 1)?.time_zone().clone())))
}

fn modify(call: &Call<'_>) -> Outcome {
    match nanoseconds(call.text(0)?) {
        Some(_) => must_modify(call),
        None => Ok(call.get(1).clone()),
    }
}

/// A duration's largest unit.
fn duration_round(call: &Call<'_>) -> Outcome {
    let size = match call.get(0) {
        Value::Text(text) => nanoseconds(text).unwrap_or(0),
        Value::Int(number) => i128::from(*number),
        _ => 0,
    };
    let seconds = size.unsigned_abs() / 1_000_000_000;
    let exact = size.unsigned_abs().is_multiple_of(1_000_000_000);
    let units = [
        (31_536_000, "y"),
        (2_592_000, "mo"),
        (86_400, "d"),
        (3600, "h"),
        (60, "m"),
        (1, "s"),
    ];
    let largest = units
        .iter()
        .find(|(unit, _)| seconds > *unit || seconds == *unit && !exact);
    Ok(largest
        .map_or_else(
            || "0s".to_owned(),
            |(unit, name)| format!("{}{name}", seconds / unit),
        )
        .into())
}
