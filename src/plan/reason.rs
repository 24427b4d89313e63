//! Why a stage runs, in words.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use super::Ingredients;
use super::facts::MISSING;
use super::ingredients::{FILE, FOUND, KIND, PROVIDER, UPSTREAM, step_of};

/// Why a stage runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is no record of it.
    NeverBuilt,
    /// Somebody asked for it.
    Forced,
    /// It says so itself (`always = true`).
    Always,
    /// What it left is gone or damaged; the text says what and how.
    ArtifactMissing(String),
    /// What it consumes is different now.
    Upstream(String, How),
    /// The provider is different now: a part of its identity, before and now.
    Provider(String, Option<String>, Option<String>),
    /// A file that it reads.
    File(String, How),
    /// A setting, before and now.
    Setting(String, Option<String>, Option<String>),
    /// A step, by what it does.
    Step(String, How),
    /// forge itself does this kind differently now.
    Revision,
    /// It failed when it was done last.
    Failed,
}

/// What has become of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It was not there before.
    New,
    /// It is different.
    Changed,
    /// It is no longer there.
    Gone,
    /// It stands at another place.
    Moved,
}

/// As many reasons as people read; the last one counts the others.
#[must_use]
pub fn words(reasons: &[Reason]) -> Vec<String> {
    /// A handful.
    const SHOWN: usize = 5;
    let mut words: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    if words.len() > SHOWN {
        let more = words.len() - SHOWN;
        words.truncate(SHOWN);
        words.push(format!("and {more} more"));
    }
    words
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBuilt => f.write_str("never built"),
            Self::Forced => f.write_str("forced"),
            Self::Always => f.write_str("always runs"),
            Self::ArtifactMissing(what) => write!(f, "artifact missing: {what}"),
            Self::Upstream(stage, how) => how.write(f, "upstream", stage),
            Self::Provider(part, from, to) => {
                write_setting(f, &format!("provider {part}"), from.as_ref(), to.as_ref())
            }
            // a path speaks for itself, unless it is new
            Self::File(path, How::New) => write!(f, "new input {path}"),
            Self::File(path, How::Gone) => write!(f, "input {path} is gone"),
            Self::File(path, _) => write!(f, "{path} changed"),
            Self::Setting(name, from, to) => write_setting(f, name, from.as_ref(), to.as_ref()),
            Self::Step(what, How::New) => write!(f, "new step: {what}"),
            Self::Step(what, How::Gone) => write!(f, "step is gone: {what}"),
            Self::Step(what, How::Moved) => write!(f, "step moved: {what}"),
            Self::Step(what, How::Changed) => write!(f, "step changed: {what}"),
            Self::Revision => f.write_str("this forge builds it differently"),
            Self::Failed => f.write_str("failed last time"),
        }
    }
}

impl How {
    fn write(self, f: &mut fmt::Formatter<'_>, what: &str, name: &str) -> fmt::Result {
        match self {
            Self::New => write!(f, "new {what} {name}"),
            Self::Changed => write!(f, "{what} {name} changed"),
            Self::Gone => write!(f, "{what} {name} is gone"),
            Self::Moved => write!(f, "{what} {name} moved"),
        }
    }
}

fn write_setting(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    from: Option<&String>,
    to: Option<&String>,
) -> fmt::Result {
    match (from, to) {
        (None, Some(value)) if is_digest(value) || is_check(name) => write!(f, "new {name}"),
        (None, Some(value)) => write!(f, "new {name}: {}", shorten(value)),
        (Some(_), None) => write!(f, "{name} is gone"),
        // a check's whole wording tells less than its name
        _ if is_check(name) => write!(f, "{name} changed"),
        (Some(from), Some(to)) if !is_digest(from) && !is_digest(to) => {
            let (from, to) = difference(from, to);
            write!(f, "{name} {from} → {to}")
        }
        _ => write!(f, "{name} changed"),
    }
}

fn is_check(name: &str) -> bool {
    let name = step_of(name).map_or(name, |(_, rest)| rest);
    name.starts_with("check ")
}

/// Whether a value is kept as its digest, which tells people nothing.
fn is_digest(value: &str) -> bool {
    let hex = value.strip_prefix("sha256:").unwrap_or(value);
    hex.len() >= 64 && hex.bytes().take(64).all(|b| b.is_ascii_hexdigit())
}

/// What two values differ in, short enough to read.
fn difference(from: &str, to: &str) -> (String, String) {
    /// Values up to here are shown whole.
    const WHOLE: usize = 40;
    /// How much of what they share is shown before the place where they part.
    const CONTEXT: usize = 8;
    if from.chars().count().max(to.chars().count()) <= WHOLE {
        return (quoted(from), quoted(to));
    }
    let shared = from
        .chars()
        .zip(to.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let skip = shared.saturating_sub(CONTEXT);
    let tail = |text: &str| {
        let rest: String = text.chars().skip(skip).collect();
        let dots = if skip > 0 { "…" } else { "" };
        format!("{dots}{}", shorten(&rest))
    };
    (tail(from), tail(to))
}

fn quoted(value: &str) -> String {
    if value.is_empty() {
        "(empty)".to_owned()
    } else {
        value.to_owned()
    }
}

fn shorten(value: &str) -> String {
    const LONGEST: usize = 40;
    if value.chars().count() <= LONGEST {
        return quoted(value);
    }
    let head: String = value.chars().take(LONGEST - 1).collect();
    format!("{head}…")
}

impl Ingredients {
    /// What is different from `old`, in words: upstream first, then files and settings, then steps; empty only if nothing is.
    #[must_use]
    pub fn diff(&self, old: &Self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let before: BTreeMap<&str, &str> = old.outside_steps().collect();
        let now: BTreeMap<&str, &str> = self.outside_steps().collect();
        compare(&before, &now, "", &mut reasons);
        compare_steps(&old.steps(), &self.steps(), &mut reasons);
        reasons.sort_by_key(rank);
        drop_duplicates(&mut reasons);
        reasons
    }

    /// As [`Self::diff`], without what upstream stages contribute: what is known before they have run.
    #[must_use]
    pub fn own_diff(&self, old: &Self) -> Vec<Reason> {
        let mut reasons = self.diff(old);
        reasons.retain(|reason| !matches!(reason, Reason::Upstream(_, How::Changed)));
        reasons
    }

    fn outside_steps(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(name, _)| step_of(name).is_none())
    }
}

/// What people look for first stands first; otherwise the order of the comparison is kept.
pub(super) fn rank(reason: &Reason) -> u8 {
    match reason {
        Reason::Revision => 0,
        Reason::Upstream(..) => 1,
        Reason::File(..) => 2,
        Reason::Step(..) => 3,
        Reason::Setting(..) => 4,
        Reason::Provider(..) => 5,
        Reason::NeverBuilt
        | Reason::Forced
        | Reason::Always
        | Reason::ArtifactMissing(_)
        | Reason::Failed => 6,
    }
}

pub(super) fn drop_duplicates(reasons: &mut Vec<Reason>) {
    let mut seen = std::collections::BTreeSet::new();
    reasons.retain(|reason| seen.insert(reason.clone()));
    // that properties stand in another order says nothing new when some came or went
    let is_order = |r: &Reason| matches!(r, Reason::Setting(name, ..) if name.ends_with(" order"));
    if !reasons.iter().all(is_order) {
        reasons.retain(|r| !is_order(r));
    }
}

pub(super) fn compare(
    before: &BTreeMap<&str, &str>,
    now: &BTreeMap<&str, &str>,
    prefix: &str,
    reasons: &mut Vec<Reason>,
) {
    let mut names: Vec<&str> = before.keys().chain(now.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (from, to) = (before.get(name).copied(), now.get(name).copied());
        if from != to {
            reasons.push(reason(prefix, name, from, to));
        }
    }
}

fn reason(prefix: &str, name: &str, from: Option<&str>, to: Option<&str>) -> Reason {
    let how = match (from, to) {
        (None, _) => How::New,
        (_, None) => How::Gone,
        _ => How::Changed,
    };
    let owned = |value: Option<&str>| value.map(str::to_owned);
    if let Some(path) = name.strip_prefix(FILE) {
        Reason::File(path.to_owned(), how)
    } else if let Some(path) = name.strip_prefix(FOUND) {
        // what was found and is gone now is still looked for
        let how = if to == Some(MISSING) { How::Gone } else { how };
        Reason::File(path.to_owned(), how)
    } else if let Some(stage) = name.strip_prefix(UPSTREAM) {
        Reason::Upstream(stage.to_owned(), how)
    } else if let Some(part) = name.strip_prefix(PROVIDER) {
        Reason::Provider(part.to_owned(), owned(from), owned(to))
    } else if name == KIND && same_kind(from, to) {
        Reason::Revision
    } else {
        Reason::Setting(
            format!("{prefix}{name}").trim_end().to_owned(),
            owned(from),
            owned(to),
        )
    }
}

/// Whether `provision/1` and `provision/2` differ in the revision alone.
fn same_kind(from: Option<&str>, to: Option<&str>) -> bool {
    let kind = |value: Option<&str>| value.and_then(|v| Some(v.split_once('/')?.0.to_owned()));
    kind(from).is_some() && kind(from) == kind(to)
}

type Step<'a> = BTreeMap<&'a str, &'a str>;

/// Pairs the steps that are the same, then explains what lies between them.
fn compare_steps(before: &[Step<'_>], now: &[Step<'_>], reasons: &mut Vec<Reason>) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    let mut edges = common(before, now);
    edges.push((before.len(), now.len()));
    let (mut b, mut n) = (0, 0);
    for (next_b, next_n) in edges {
        let (old, fresh) = (&before[b..next_b], &now[n..next_n]);
        let mut left: Vec<(usize, &Step<'_>)> =
            fresh.iter().enumerate().map(|(i, s)| (n + i, s)).collect();
        for step in old {
            let twin = left.iter().position(|(_, other)| alike(step, other));
            match twin {
                Some(at) => {
                    let (number, other) = left.remove(at);
                    compare(step, other, &format!("step {} ", number + 1), reasons);
                }
                None => gone.push(step),
            }
        }
        new.extend(left.into_iter().map(|(_, step)| step));
        (b, n) = (next_b + 1, next_n + 1);
    }
    for step in new {
        let how = match gone.iter().position(|other| *other == step) {
            Some(at) => {
                gone.remove(at);
                How::Moved
            }
            None => How::New,
        };
        reasons.push(Reason::Step(summary(step), how));
    }
    for step in gone {
        reasons.push(Reason::Step(summary(step), How::Gone));
    }
}

/// Pairs of equal steps that keep both orders: a longest common subsequence, after what the two have in common at their
/// ends.
fn common(before: &[Step<'_>], now: &[Step<'_>]) -> Vec<(usize, usize)> {
    let head = before.iter().zip(now).take_while(|(a, b)| a == b).count();
    let tail = before[head..]
        .iter()
        .rev()
        .zip(now[head..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (b, n) = (
        &before[head..before.len() - tail],
        &now[head..now.len() - tail],
    );
    let mut best = vec![vec![0_u32; n.len() + 1]; b.len() + 1];
    for i in (0..b.len()).rev() {
        for j in (0..n.len()).rev() {
            best[i][j] = if b[i] == n[j] {
                best[i + 1][j + 1] + 1
            } else {
                best[i + 1][j].max(best[i][j + 1])
            };
        }
    }
    let mut pairs: Vec<(usize, usize)> = (0..head).map(|i| (i, i)).collect();
    let (mut i, mut j) = (0, 0);
    while i < b.len() && j < n.len() {
        if b[i] == n[j] {
            pairs.push((head + i, head + j));
            (i, j) = (i + 1, j + 1);
        } else if best[i + 1][j] >= best[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs.extend(
        (0..tail)
            .rev()
            .map(|i| (before.len() - 1 - i, now.len() - 1 - i)),
    );
    pairs
}

/// Whether two steps are one step with changes: they do the same thing with the same subject.
pub(super) fn alike(a: &Step<'_>, b: &Step<'_>) -> bool {
    a.get("") == b.get("") && subject(a) == subject(b)
}

pub(super) fn summary(step: &Step<'_>) -> String {
    let kind = step.get("").copied().unwrap_or("step");
    match subject(step) {
        Some(subject) => format!("{kind} {}", shorten(subject)),
        None => kind.to_owned(),
    }
}

/// What a step is about: its script, its source, its command.
fn subject<'a>(step: &Step<'a>) -> Option<&'a str> {
    ["script 1", "source", "run", "argument 1", "command", "for"]
        .iter()
        .find_map(|name| step.get(name).copied())
        .filter(|value| !is_digest(value))
}
