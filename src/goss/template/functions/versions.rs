//! Sprig's versions and their constraints, which are another language than the matcher's: `^1.2`, `~1.2.3`, `1.x`, `1.0 - 2.0`.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;
use semver::Version;

use super::{Call, Function, Outcome, truth};
use crate::goss::Value;

pub(super) const TABLE: &[Function] = &[
    ("semver", 1, 1, |call| {
        let version = parse(call.text(0)?)?;
        let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        Ok(Value::Map(
            [
                ("Major".to_owned(), number(version.major)),
                ("Minor".to_owned(), number(version.minor)),
                ("Patch".to_owned(), number(version.patch)),
                ("Prerelease".to_owned(), version.pre.as_str().into()),
                ("Metadata".to_owned(), version.build.as_str().into()),
                ("Original".to_owned(), call.get(0).clone()),
            ]
            .into(),
        ))
    }),
    ("semverCompare", 2, 2, compare),
];

const VERSION: &str = r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?(-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?";
const OPERATORS: &str = r"=|!=|>=|=>|<=|=<|>|<|~>|~|\^|";

#[expect(clippy::unwrap_used, reason = "the expressions are constants")]
static ONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(r"^[\s,]*({OPERATORS})\s*{VERSION}(?:[\s,]+|$)")).unwrap()
});
#[expect(clippy::unwrap_used, reason = "the expressions are constants")]
static RANGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"\s*({VERSION})\s+-\s+({VERSION})\s*")).unwrap());

/// A version; missing parts are 0, a `v` may stand in front.
fn parse(text: &str) -> Result<Version, String> {
    let bad = || format!("`{text}` is not a version");
    let plain = text.strip_prefix('v').unwrap_or(text);
    let end = plain.find(['-', '+']).unwrap_or(plain.len());
    let (numbers, rest) = plain.split_at(end);
    let mut parts: Vec<u64> = Vec::new();
    for part in numbers.split('.') {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        parts.push(part.parse().map_err(|_| bad())?);
    }
    if parts.len() > 3 {
        return Err(bad());
    }
    parts.resize(3, 0);
    Version::parse(&format!("{}.{}.{}{rest}", parts[0], parts[1], parts[2])).map_err(|_| bad())
}

struct Bound {
    operator: String,
    version: Version,
    /// Parts that are left open.
    all: bool,
    minor: bool,
    patch: bool,
}

fn compare(call: &Call<'_>) -> Outcome {
    let version = parse(call.text(1)?)?;
    let constraint = RANGE.replace_all(call.text(0)?, |groups: &regex::Captures<'_>| {
        format!(" >={} <={} ", &groups[1], &groups[9])
    });
    let mut holds = false;
    for alternative in constraint.split("||") {
        let bounds = bounds(alternative)?;
        let pre = bounds.iter().any(|bound| !bound.version.pre.is_empty());
        let fits = version.pre.is_empty() || pre;
        holds |= fits && bounds.iter().all(|bound| bound.holds(&version));
    }
    truth(holds)
}

fn bounds(text: &str) -> Result<Vec<Bound>, String> {
    let bad = || format!("`{text}` is not a constraint on versions");
    let mut rest = text.trim();
    let mut bounds = Vec::new();
    while !rest.is_empty() {
        let groups = ONE.captures(rest).ok_or_else(bad)?;
        let part = |number: usize| groups.get(number).map_or("", |group| group.as_str());
        let open = |text: &str| matches!(text.trim_start_matches('.'), "" | "x" | "X" | "*");
        let all = open(part(2));
        let minor = !all && open(part(3));
        let patch = !all && !minor && open(part(4));
        let suffix = part(5);
        let version = match (all, minor, patch) {
            (true, _, _) => format!("0.0.0{suffix}"),
            (_, true, _) => format!("{}.0.0{suffix}", part(2)),
            (_, _, true) => format!("{}{}.0{suffix}", part(2), part(3)),
            _ => format!("{}{}{}{suffix}", part(2), part(3), part(4)),
        };
        bounds.push(Bound {
            operator: part(1).to_owned(),
            version: parse(&version)?,
            all,
            minor,
            patch,
        });
        let end = groups.get(0).map_or(rest.len(), |whole| whole.end());
        rest = rest[end..].trim();
    }
    if bounds.is_empty() {
        Err(bad())
    } else {
        Ok(bounds)
    }
}

impl Bound {
    fn holds(&self, version: &Version) -> bool {
        let bound = &self.version;
        let order = version.cmp_precedence(bound);
        let dirty = self.all || self.minor || self.patch;
        match self.operator.as_str() {
            "!=" if self.all => {
                version.major != bound.major
                    || version.minor != bound.minor
                    || version.patch != bound.patch
            }
            "!=" if self.minor => version.major != bound.major,
            "!=" if self.patch => version.major != bound.major || version.minor != bound.minor,
            "!=" => order.is_ne(),
            ">" if dirty => match version.major.cmp(&bound.major) {
                Ordering::Equal if self.minor => false,
                Ordering::Equal if self.patch => version.minor > bound.minor,
                Ordering::Equal => order.is_gt(),
                other => other.is_gt(),
            },
            ">" => order.is_gt(),
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" if dirty => match version.major.cmp(&bound.major) {
                Ordering::Equal => self.minor || version.minor <= bound.minor,
                other => other.is_lt(),
            },
            "<=" | "=<" => order.is_le(),
            "^" => order.is_ge() && self.caret(version),
            "~" | "~>" => self.tilde(version, order),
            _ if dirty => self.tilde(version, order),
            _ => order.is_eq(),
        }
    }

    fn tilde(&self, version: &Version, order: Ordering) -> bool {
        let bound = &self.version;
        let zero =
            (bound.major, bound.minor, bound.patch) == (0, 0, 0) && !self.minor && !self.patch;
        order.is_ge()
            && (zero
                || version.major == bound.major && (self.minor || version.minor == bound.minor))
    }

    fn caret(&self, version: &Version) -> bool {
        let bound = &self.version;
        if bound.major > 0 || self.minor {
            return version.major == bound.major;
        }
        if version.major > 0 {
            return false;
        }
        if bound.minor > 0 || self.patch {
            return version.minor == bound.minor;
        }
        if version.minor > 0 {
            return false;
        }
        version.patch == bound.patch || self.all
    }
}
