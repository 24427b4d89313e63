//! Ranges of versions as the matcher `semver-constraint` writes them: `>=1.2.3 <2.0.0 || 3.x`.

use std::cmp::Ordering;

use semver::Version;

use crate::goss::{Value, object};

/// Whether every version is within the range.
pub(super) fn satisfied(range: &str, actual: &Value) -> Result<bool, String> {
    let Some(range) = parse(range) else {
        let shown = object::object(&range.into());
        return Err(format!(
            "Expected a valid semver constraint.  Got:\n{shown}"
        ));
    };
    let Some(versions) = versions(actual) else {
        let shown = object::object(actual);
        return Err(format!(
            "Expected a single or list of semver valid version(s).  Got:\n{shown}"
        ));
    };
    let within = |version: &Version| {
        range.iter().any(|all| {
            all.iter()
                .all(|(operator, bound)| operator.holds(version.cmp_precedence(bound)))
        })
    };
    Ok(versions.iter().all(within))
}

#[derive(Clone, Copy)]
enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "=" | "==" => Self::Eq,
            "!" | "!=" => Self::Ne,
            ">" => Self::Gt,
            ">=" => Self::Ge,
            "<" => Self::Lt,
            "<=" => Self::Le,
            _ => return None,
        })
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
        }
    }
}

fn versions(actual: &Value) -> Option<Vec<Version>> {
    let version = |value: &Value| Version::parse(value.as_text()?).ok();
    match actual {
        Value::Text(_) => Some(vec![version(actual)?]),
        other => {
            let all: Option<Vec<Version>> = other.elements()?.iter().map(version).collect();
            all.filter(|all| !all.is_empty())
        }
    }
}

/// Alternatives of bounds that hold together.
fn parse(range: &str) -> Option<Vec<Vec<(Operator, Version)>>> {
    let parts = split(range);
    let mut alternatives = Vec::new();
    for all in parts.split(|part| part == "||") {
        if all.is_empty() {
            return None;
        }
        let mut bounds = Vec::new();
        for part in all {
            let digit = part.find(|c: char| c.is_ascii_digit())?;
            let operator = Operator::parse(part[..digit].trim())?;
            let version = &part[digit..];
            if part.contains('x') {
                wildcard(operator, version, &mut bounds)?;
            } else {
                bounds.push((operator, Version::parse(version).ok()?));
            }
        }
        alternatives.push(bounds);
    }
    Some(alternatives)
}

/// At spaces, but not at those that follow an operator; single characters are dropped, as goss's library does.
fn split(range: &str) -> Vec<String> {
    let bytes = range.as_bytes();
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b' ' && !matches!(before, b'>' | b'<' | b'=') {
            if start + 1 < at {
                parts.push(range[start..at].replace(' ', ""));
            }
            start = at + 1;
        } else if *byte != b' ' {
            before = *byte;
        }
    }
    if start + 1 < bytes.len() {
        parts.push(range[start..].replace(' ', ""));
    }
    parts
}

/// `1.x` and `1.2.x` as bounds.
fn wildcard(
    operator: Operator,
    version: &str,
    bounds: &mut Vec<(Operator, Version)>,
) -> Option<()> {
    let parts: Vec<&str> = version.split('.').collect();
    let open = *parts.last()? == "x";
    let flat = version.replacen(".x.x", ".x", 1).replacen(".x", ".0", 1);
    let flat = if flat.split('.').count() == 2 {
        format!("{flat}.0")
    } else {
        flat
    };
    let flat = Version::parse(&flat).ok()?;
    let next = || match parts.len() {
        3 if open => Some(Version::new(
            flat.major,
            flat.minor.checked_add(1)?,
            flat.patch,
        )),
        2 if open => Some(Version::new(
            flat.major.checked_add(1)?,
            flat.minor,
            flat.patch,
        )),
        _ => None,
    };
    match operator {
        Operator::Gt => bounds.push((Operator::Ge, next()?)),
        Operator::Ge => bounds.push((Operator::Ge, flat)),
        Operator::Lt => bounds.push((Operator::Lt, flat)),
        Operator::Le => bounds.push((Operator::Lt, next()?)),
        Operator::Eq => {
            let next = next()?;
            bounds.extend([(Operator::Ge, flat), (Operator::Lt, next)]);
        }
        // as goss's library has it: below and above at once, which no version is
        Operator::Ne => {
            let next = next()?;
            bounds.extend([(Operator::Lt, flat), (Operator::Ge, next)]);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_as_in_goss() {
        let cases = [
            (">1.0.0 <2.0.0 !=1.5.0", "1.4.9", true),
            (">1.0.0 <2.0.0 !=1.5.0", "1.5.0", false),
            ("> 1.0.0", "1.0.1", true),
            ("1.0.0 || >= 3.0.0", "3.1.0", true),
            ("1.x", "1.9.9", true),
            ("1.x", "2.0.0", false),
            (">1.2.x", "1.3.0", true),
            (">1.2.x", "1.2.9", false),
            ("<=1.2.x", "1.2.9", true),
            ("1.0.0", "1.0.0+build", true),
            (">1.0.0-rc.1", "1.0.0", true),
        ];
        for (range, version, holds) in cases {
            assert_eq!(
                satisfied(range, &version.into()),
                Ok(holds),
                "{range} {version}"
            );
        }
        assert!(satisfied("a", &"1.0.0".into()).is_err());
        assert!(satisfied("|| 1.0.0", &"1.0.0".into()).is_err());
        assert!(satisfied(">1.0.0", &"1.0".into()).is_err());
        assert!(satisfied(">1.0.0", &Value::List(vec![])).is_err());
        let both = Value::Texts(vec!["1.1.0".into(), "0.9.0".into()]);
        assert_eq!(satisfied(">1.0.0", &both), Ok(false));
    }
}
