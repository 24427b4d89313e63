//! Sizes and durations, written with units and parsed once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is no size or duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a unit.
    #[error("expected a {expected}, such as `{example}`")]
    Form {
        /// `size` or `duration`.
        expected: &'static str,
        /// A well-formed example.
        example: &'static str,
    },
    /// The unit is not known.
    #[error("unknown unit `{unit}`; known: {known}")]
    Unit {
        /// As written.
        unit: String,
        /// The known units, for the message.
        known: &'static str,
    },
    /// The value does not fit.
    #[error("the value is too large")]
    Overflow,
}

/// A number of bytes. Written `64GiB`, `512 MiB`, `1.5TB`, `100B`: binary units are powers of 1024, decimal ones of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(u64);

const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Size {
    /// A size of `bytes`.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of `mib` times 1024² bytes.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// Parses a number with a unit.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let form = QuantityError::Form {
            expected: "size",
            example: "64GiB",
        };
        let (number, unit) = split_number(text).ok_or(form.clone())?;
        if unit.is_empty() {
            return Err(form);
        }
        let factor = SIZE_UNITS
            .iter()
            .find(|(u, _)| u.eq_ignore_ascii_case(unit))
            .ok_or_else(|| QuantityError::Unit {
                unit: unit.to_owned(),
                known: "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB",
            })?;
        scale(number, factor.1).map(Self)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of whole MiB.
    #[must_use]
    pub const fn mib(self) -> u64 {
        self.0 >> 20
    }
}

impl fmt::Display for Size {
    /// The largest binary unit that shows the value exactly, else one decimal of the largest that fits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = &SIZE_UNITS[..4];
        if let Some((unit, factor)) = binary
            .iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            && self.0 / factor < 10_000
        {
            return f.pad(&format!("{}{unit}", self.0 / factor));
        }
        match binary.iter().find(|(_, factor)| self.0 >= *factor) {
            Some((unit, factor)) => f.pad(&format!("{:.1}{unit}", self.0 as f64 / *factor as f64)),
            None => f.pad(&format!("{}B", self.0)),
        }
    }
}

/// A length of time. Written `15s`, `30m`, `1h30m`, `250ms`, `1.5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(std::time::Duration);

const TIME_UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

impl Duration {
    /// A duration of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(std::time::Duration::from_secs(secs))
    }

    /// A duration of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    /// Parses one or more numbers with units, the units in any order.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let form = QuantityError::Form {
            expected: "duration",
            example: "1m30s",
        };
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self::from_secs(0));
        }
        if rest.is_empty() {
            return Err(form);
        }
        let mut nanos: u64 = 0;
        while !rest.is_empty() {
            let (number, tail) = split_number(rest).ok_or(form.clone())?;
            let end = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let unit = tail[..end].trim();
            if unit.is_empty() {
                return Err(form);
            }
            let factor =
                TIME_UNITS
                    .iter()
                    .find(|(u, _)| *u == unit)
                    .ok_or_else(|| QuantityError::Unit {
                        unit: unit.to_owned(),
                        known: "ms, s, m, h, d",
                    })?;
            nanos = nanos
                .checked_add(scale(number, factor.1)?)
                .ok_or(QuantityError::Overflow)?;
            rest = tail[end..].trim_start();
        }
        Ok(Self(std::time::Duration::from_nanos(nanos)))
    }

    /// The standard library's type.
    #[must_use]
    pub const fn std(self) -> std::time::Duration {
        self.0
    }
}

impl From<std::time::Duration> for Duration {
    fn from(value: std::time::Duration) -> Self {
        Self(value)
    }
}

impl fmt::Display for Duration {
    /// `250ms`, `4.2s`, `1m30s`, `2h05m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let text = if self.0.as_millis() == 0 {
            "0s".to_owned()
        } else if secs == 0 {
            format!("{}ms", self.0.as_millis())
        } else if secs < 60 && self.0.subsec_millis() != 0 {
            format!("{:.1}s", self.0.as_secs_f64())
        } else if secs < 60 {
            format!("{secs}s")
        } else if secs < 3600 && secs.is_multiple_of(60) {
            format!("{}m", secs / 60)
        } else if secs < 3600 {
            format!("{}m{:02}s", secs / 60, secs % 60)
        } else {
            format!("{}h{:02}m", secs / 3600, secs % 3600 / 60)
        };
        f.pad(&text)
    }
}

/// Splits `12.5GiB` into `12.5` and `GiB`; white space between them is allowed.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    (end > 0 && text[..end].starts_with(|c: char| c.is_ascii_digit()))
        .then(|| (&text[..end], text[end..].trim_start()))
}

fn scale(number: &str, factor: u64) -> Result<u64, QuantityError> {
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or(QuantityError::Overflow);
    }
    let value: f64 = number.parse().map_err(|_| QuantityError::Form {
        expected: "number",
        example: "1.5",
    })?;
    let scaled = value * factor as f64;
    if scaled >= u64::MAX as f64 {
        Err(QuantityError::Overflow)
    } else {
        Ok(scaled.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_show() {
        for (text, bytes, shown) in [
            ("64GiB", 64 << 30, "64GiB"),
            ("512 MiB", 512 << 20, "512MiB"),
            ("1.5kib", 1536, "1.5KiB"),
            ("100B", 100, "100B"),
        ] {
            let size = Size::parse(text).unwrap();
            assert_eq!(
                (size.bytes(), size.to_string().as_str()),
                (bytes, shown),
                "{text}"
            );
        }
        assert!(matches!(Size::parse("64"), Err(QuantityError::Form { .. })));
        assert!(matches!(
            Size::parse("64 GX"),
            Err(QuantityError::Unit { .. })
        ));
        assert_eq!(Size::parse("99999999999TiB"), Err(QuantityError::Overflow));
    }

    #[test]
    fn durations_read_and_show() {
        for (text, millis, shown) in [
            ("15s", 15_000, "15s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("90s", 90_000, "1m30s"),
            ("1.5s", 1_500, "1.5s"),
            ("0", 0, "0s"),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!(
                (duration.std().as_millis(), duration.to_string().as_str()),
                (millis, shown),
                "{text}"
            );
        }
        assert!(matches!(
            Duration::parse("15"),
            Err(QuantityError::Form { .. })
        ));
        assert!(matches!(
            Duration::parse("15 parsecs"),
            Err(QuantityError::Unit { .. })
        ));
        assert!(matches!(
            Duration::parse(""),
            Err(QuantityError::Form { .. })
        ));
    }
}
