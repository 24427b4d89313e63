//! Named ingredients: one description for the fingerprint and for the explanation.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Facts;
use crate::model::Digest;

/// Everything that a stage's result depends on, by readable names.
///
/// `kind`, `memory`, `disk 1 size`, `env FOO`, `boot keys`, … are settings; `file:PATH` is a file's digest,
/// `found:PATH` that of a file which the command itself has told that it reads,
/// `upstream:STAGE` an artifact's digest, `provider:PART` a part of a provider's identity. What belongs to a step of
/// `provision` begins with `step N`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ingredients(pub(super) BTreeMap<String, String>);

/// What stands before a file's path.
pub(super) const FILE: &str = "file:";
/// What stands before the path of a file that a command has told that it reads.
pub(super) const FOUND: &str = "found:";
/// The value of a file that changed while the stage ran: no file ever has it, so that the stage runs again.
pub(super) const SPOILT: &str = "changed while the stage ran";
/// What stands before an upstream stage's key.
pub(super) const UPSTREAM: &str = "upstream:";
/// What stands before a part of a provider's identity.
pub(super) const PROVIDER: &str = "provider:";
/// The name of the ingredient that holds the kind and its revision.
pub(super) const KIND: &str = "kind";

/// Goes into every fingerprint; another number makes everything stale.
const FORMAT: &str = "forge ingredients 1";
/// Longer values are kept as their digest.
const LONGEST: usize = 200;

impl Ingredients {
    /// Adds an ingredient; a long value or one of several lines is kept as its digest.
    pub(super) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        let value = if value.len() > LONGEST || value.contains('\n') {
            let lines = value.lines().count();
            format!("sha256:{} ({lines} lines)", Digest::of(value.as_bytes()))
        } else {
            value
        };
        self.0.insert(name.into(), value);
    }

    /// Puts `paths` in the place of the files that were found before.
    pub(super) fn set_found<'p>(&mut self, paths: impl Iterator<Item = &'p String>, facts: &Facts) {
        self.0.retain(|name, _| !name.starts_with(FOUND));
        for path in paths {
            // what is declared is in already
            if !self.0.contains_key(&format!("{FILE}{path}")) {
                self.add(format!("{FOUND}{path}"), facts.value(path));
            }
        }
    }

    /// The files that the command has told that it read.
    pub fn found(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| name.strip_prefix(FOUND))
    }

    /// What a stage that has just run was made from: these ingredients, taken before it ran, and `after`, taken when it had
    /// ended; of what it found in between, `touched` was written meanwhile. Files that did not stay the same are returned,
    /// and marked so that the stage runs again.
    #[must_use]
    pub fn after(&self, mut after: Self, touched: &BTreeSet<String>) -> (Self, Vec<String>) {
        let mut changed = BTreeSet::new();
        for (name, value) in &after.0 {
            let spoilt = match (path_of(name), self.0.get(name)) {
                (None, _) => false,
                (Some(_), Some(before)) => before != value,
                (Some(path), None) => name.starts_with(FILE) || touched.contains(path),
            };
            if spoilt {
                changed.insert(name.clone());
            }
        }
        let gone = self.0.keys().filter(|name| name.starts_with(FILE));
        changed.extend(gone.filter(|name| !after.0.contains_key(*name)).cloned());
        for name in &changed {
            after.0.insert(name.clone(), SPOILT.to_owned());
        }
        let paths = changed.iter().filter_map(|name| path_of(name));
        let paths = paths.map(str::to_owned).collect();
        (after, paths)
    }

    /// The same, but never found again: what the stage read is no longer known.
    #[must_use]
    pub fn spoilt(&self) -> Self {
        let mut spoilt = self.clone();
        let files = spoilt
            .0
            .iter_mut()
            .filter(|(name, _)| path_of(name).is_some());
        files.for_each(|(_, value)| SPOILT.clone_into(value));
        spoilt
    }

    /// The value of the ingredient `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Names and values in an order for people: `step 2` before `step 10`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut all: Vec<(&str, &str)> = self
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.sort_by(|a, b| natural(a.0, b.0));
        all.into_iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// SHA-256 over the sorted ingredients, names and values with their lengths.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        digest(FORMAT, self.0.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }

    /// The identity of a `provision` stage's machine after 0, 1, … of its steps: everything that is no step, then the
    /// steps up to there. The longest prefix that has a checkpoint needs not run again.
    #[must_use]
    pub fn step_fingerprints(&self) -> Vec<Digest> {
        // turning the machine off comes after all steps
        let base = self
            .0
            .iter()
            .filter(|(name, _)| step_of(name).is_none() && name.as_str() != "shutdown");
        let mut chain = vec![digest(FORMAT, base.map(|(n, v)| (n.as_str(), v.as_str())))];
        for step in self.steps() {
            let before = chain.last().map(Digest::hex).unwrap_or_default();
            let step = std::iter::once(("after", before.as_str())).chain(step);
            chain.push(digest(FORMAT, step));
        }
        chain
    }

    /// The ingredients of each step, without the step's number in their names.
    pub(super) fn steps(&self) -> Vec<BTreeMap<&str, &str>> {
        let mut steps: BTreeMap<usize, BTreeMap<&str, &str>> = BTreeMap::new();
        for (name, value) in &self.0 {
            if let Some((number, rest)) = step_of(name) {
                steps.entry(number).or_default().insert(rest, value);
            }
        }
        steps.into_values().collect()
    }
}

/// The path of a file's ingredient.
fn path_of(name: &str) -> Option<&str> {
    name.strip_prefix(FILE).or_else(|| name.strip_prefix(FOUND))
}

/// `step 3 env FOO` → 3 and `env FOO`; `step 3` → 3 and nothing.
pub(super) fn step_of(name: &str) -> Option<(usize, &str)> {
    let rest = name.strip_prefix("step ")?;
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((number.parse().ok()?, rest))
}

fn digest<'a>(format: &str, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Digest {
    let mut bytes = Vec::with_capacity(1024);
    let mut add = |text: &str| {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    add(format);
    for (name, value) in pairs {
        add(name);
        add(value);
    }
    Digest::of(&bytes)
}

/// Compares texts with numbers in them by the numbers' values.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (x, y) = (number(a), number(b));
        if let (Some((x, rest_a)), Some((y, rest_b))) = (x, y) {
            match x.cmp(&y) {
                Ordering::Equal => (a, b) = (rest_a, rest_b),
                other => return other,
            }
            continue;
        }
        match (a.chars().next(), b.chars().next()) {
            (Some(x), Some(y)) if x == y => {
                a = &a[x.len_utf8()..];
                b = &b[y.len_utf8()..];
            }
            (x, y) => return x.cmp(&y),
        }
    }
}

fn number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Ingredients {
        let mut ingredients = Ingredients::default();
        for (name, value) in pairs {
            ingredients.add(*name, *value);
        }
        ingredients
    }

    #[test]
    fn people_see_numbers_in_order_and_the_fingerprint_does_not_care() {
        let all = of(&[("step 10", "x"), ("step 9 env A", "y"), ("step 9", "z")]);
        let names: Vec<&str> = all.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["step 9", "step 9 env A", "step 10"]);
        assert_eq!(
            of(&[("a", "1"), ("b", "2")]).fingerprint(),
            of(&[("b", "2"), ("a", "1")]).fingerprint()
        );
    }

    #[test]
    fn lengths_keep_names_and_values_apart() {
        assert_ne!(
            of(&[("a", "bc")]).fingerprint(),
            of(&[("ab", "c")]).fingerprint()
        );
        assert_ne!(
            of(&[("a", ""), ("b", "")]).fingerprint(),
            of(&[("a", "b")]).fingerprint()
        );
    }

    #[test]
    fn long_values_are_kept_as_digests() {
        let all = of(&[("a", &"x".repeat(201)), ("b", "one\ntwo"), ("c", "short")]);
        assert!(all.get("a").unwrap().starts_with("sha256:"));
        assert!(all.get("b").unwrap().ends_with("(2 lines)"));
        assert_eq!(all.get("c"), Some("short"));
        assert_eq!((all.len(), all.is_empty()), (3, false));
    }

    #[test]
    fn steps_are_chained() {
        let before = of(&[("kind", "k"), ("step 1", "a"), ("step 2", "b")]).step_fingerprints();
        let after = of(&[("kind", "k"), ("step 1", "a"), ("step 2", "c")]).step_fingerprints();
        assert_eq!(before.len(), 3);
        assert_eq!(before[..2], after[..2]);
        assert_ne!(before[2], after[2]);
        let swapped = of(&[("kind", "k"), ("step 1", "b"), ("step 2", "a")]).step_fingerprints();
        assert_ne!(before[1], swapped[1]);
        let off = of(&[
            ("kind", "k"),
            ("step 1", "a"),
            ("step 2", "b"),
            ("shutdown", "x"),
        ]);
        assert_eq!(before, off.step_fingerprints());
    }
}
