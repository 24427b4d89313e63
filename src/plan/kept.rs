//! What of a `provision` stage that will run need not be done again: the machine as it was kept after some of its steps.

use super::reason::{alike, compare, drop_duplicates, rank, summary};
use super::{Facts, How, Ingredients, Reason, Records, words};
use crate::model::{Checkpointing, Digest, Provision, StageKey};

/// What need not be done again of a `provision` stage that will run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptSteps {
    /// The steps that the newest machine that fits has behind it.
    pub done: usize,
    /// All steps.
    pub all: usize,
    /// The first step, counted from 1, that is not as it was when the stage ran last, and why; none where nothing tells.
    pub changed: Option<(usize, Vec<Reason>)>,
    /// A newer machine does not fit this host: what it was kept under, and what is here.
    pub unfit: Option<Unfit>,
}

/// Why a kept machine cannot be gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The steps that it has behind it.
    pub done: usize,
    /// What it was kept under.
    pub was: String,
    /// What is here.
    pub is: String,
}

impl Unfit {
    /// Whether nothing but the machine's own hardware is different.
    fn is_of_hardware(&self) -> bool {
        let own = |part: &str| part.starts_with("machine ") || part.starts_with("hardware ");
        self.was.split(", ").all(own)
    }

    /// How the two are different: `was` and `is` are lists of the same things.
    fn new(done: usize, was: &str, is: &str) -> Self {
        let (all_was, all_is): (Vec<_>, Vec<_>) =
            (was.split(", ").collect(), is.split(", ").collect());
        let mut pairs: Vec<(&str, &str)> = vec![(was, is)];
        if all_was.len() == all_is.len() {
            pairs = all_was.into_iter().zip(all_is).collect();
        }
        pairs.retain(|(was, is)| was != is);
        let (was, is): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        Self {
            done,
            was: was.join(", "),
            is: is.join(", "),
        }
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { done, was, is } = self;
        match done {
            0 => f.write_str("the running machine")?,
            1 => f.write_str("the machine after step 1")?,
            _ => write!(f, "the machine after {done} steps")?,
        }
        write!(f, " was kept under {was}, here is {is}")
    }
}

impl KeptSteps {
    /// `4 of 6 steps cached, from step 5: scripts/install.sh changed`; none where no step is.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let Self { done, all, .. } = self;
        let steps = if *all == 1 { "step" } else { "steps" };
        let from = done + 1;
        let mut text = format!("{done} of {all} {steps} cached, from step {from}");
        match (self.why(), &self.changed) {
            _ if *done == 0 => return None,
            (Some(why), Some((changed, _))) if *changed == from => text += &format!(": {why}"),
            (Some(why), Some((changed, _))) => text += &format!("; step {changed}: {why}"),
            _ => {}
        }
        Some(text)
    }

    /// Why the first step that is not as it was has to be done, in words.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let (number, reasons) = self.changed.as_ref()?;
        let prefix = format!("step {number} ");
        let words = words(reasons).into_iter();
        let words = words.map(|word| word.replacen(&prefix, "", 1));
        Some(words.collect::<Vec<_>>().join(", "))
    }

    /// Whether [`KeptSteps::words`] say this reason.
    #[must_use]
    pub fn says(&self, reason: &Reason) -> bool {
        let told = self.changed.as_ref();
        self.done > 0 && told.is_some_and(|(_, reasons)| reasons.contains(reason))
    }
}

impl Ingredients {
    /// The first step, counted from 1, that is not as it was in `old`; none where all before the steps is different, or
    /// nothing is.
    #[must_use]
    pub fn first_changed_step(&self, old: &Self) -> Option<usize> {
        let (now, before) = (self.step_fingerprints(), old.step_fingerprints());
        let same = now.iter().zip(&before).take_while(|(a, b)| a == b).count();
        (1..now.len()).contains(&same).then_some(same)
    }

    fn why_changed(&self, old: &Self, number: usize) -> Vec<Reason> {
        let (now, before) = (self.steps(), old.steps());
        let at = number - 1;
        let later = |list: &[_], step| list.iter().skip(number).any(|other| other == step);
        let mut reasons = Vec::new();
        match (now.get(at), before.get(at)) {
            (None, _) => {}
            (Some(step), Some(other)) if alike(other, step) => {
                compare(other, step, &format!("step {number} "), &mut reasons);
            }
            (Some(step), Some(other)) if later(&before, step) && !later(&now, other) => {
                reasons.push(Reason::Step(summary(other), How::Gone));
            }
            (Some(step), _) => {
                let how = match later(&before, step) {
                    true => How::Moved,
                    false => How::New,
                };
                reasons.push(Reason::Step(summary(step), how));
            }
        }
        reasons.sort_by_key(rank);
        drop_duplicates(&mut reasons);
        reasons
    }
}

/// What need not be done again of a stage that will run; `below` is the state of the machine that it starts from.
pub(super) fn kept(
    (key, provision): (&StageKey, &Provision),
    ingredients: &Ingredients,
    below: Option<Digest>,
    facts: &Facts,
    records: &dyn Records,
) -> Option<KeptSteps> {
    if !provision.has_checkpoints() {
        return None;
    }
    let chain = ingredients.step_fingerprints();
    let here = facts.checkpoints.get(key);
    let mut kept = KeptSteps {
        all: provision.steps.len(),
        ..KeptSteps::default()
    };
    let states = chain.iter().enumerate().rev();
    let states =
        states.filter(|(done, _)| provision.checkpoint_after(*done) != Checkpointing::Never);
    for (done, state) in states.chain(below.as_ref().map(|below| (0, below))) {
        let Some(under) = records.kept_under(key, state) else {
            continue;
        };
        match here {
            Some(here) if *here != under => {
                let unfit = Unfit::new(done, &under, here);
                // what was installed may well be given other hardware
                if Some(*state) != below || !unfit.is_of_hardware() {
                    kept.unfit = kept.unfit.or(Some(unfit));
                }
            }
            _ => {
                kept.done = done;
                break;
            }
        }
    }
    if kept.done == 0 && kept.unfit.is_none() {
        return None;
    }
    let failed = records.failed_after(key);
    let failed = failed.and_then(|state| chain.iter().position(|known| *known == state));
    let last = records.last(key).map(|last| last.ingredients);
    let changed = last.as_ref().and_then(|old| {
        let number = ingredients.first_changed_step(old)?;
        Some((number, ingredients.why_changed(old, number)))
    });
    let failed = failed.map(|done| (done + 1, vec![Reason::Failed]));
    kept.changed = [failed, changed]
        .into_iter()
        .flatten()
        .find(|(number, reasons)| *number > kept.done && !reasons.is_empty());
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples;

    fn of(steps: &[&[(&str, &str)]]) -> Ingredients {
        let mut all = Ingredients::default();
        all.add("kind", "provision/1");
        for (number, step) in steps.iter().enumerate() {
            for (name, value) in *step {
                all.add(format!("step {} {name}", number + 1).trim_end(), *value);
            }
        }
        all
    }

    const A: &[(&str, &str)] = &[("", "shell"), ("script 1", "a.sh"), ("file:a.sh", "1")];
    const B: &[(&str, &str)] = &[("", "shell"), ("script 1", "b.sh"), ("file:b.sh", "1")];
    const C: &[(&str, &str)] = &[("", "upload"), ("source", "files"), ("to", "/x")];

    fn told(old: &[&[(&str, &str)]], now: &[&[(&str, &str)]]) -> Option<String> {
        let (old, now) = (of(old), of(now));
        let number = now.first_changed_step(&old)?;
        let changed = Some((number, now.why_changed(&old, number)));
        let kept = KeptSteps {
            changed,
            ..KeptSteps::default()
        };
        Some(format!("{number}: {}", kept.why().unwrap()))
    }

    #[test]
    fn the_first_step_that_changed_is_told_with_its_cause() {
        let new: &[(&str, &str)] = &[("", "shell"), ("script 1", "b.sh"), ("file:b.sh", "2")];
        let with: &[(&str, &str)] = &[
            ("", "shell"),
            ("script 1", "b.sh"),
            ("file:b.sh", "1"),
            ("env V", "1"),
        ];
        for (old, now, expected) in [
            (&[A, B, C][..], &[A, new, C][..], "2: b.sh changed"),
            (&[A, B, C], &[A, with, C], "2: new env V: 1"),
            (&[A, C], &[A, B, C], "2: new step: shell b.sh"),
            (&[A, B, C], &[A, C], "2: step is gone: shell b.sh"),
            (&[A, B, C], &[A, C, B], "2: step moved: upload files"),
            (&[A], &[A, B], "2: new step: shell b.sh"),
            (&[A, C], &[B, C], "1: new step: shell b.sh"),
        ] {
            assert_eq!(told(old, now).as_deref(), Some(expected));
        }
        assert_eq!(told(&[A, B], &[A, B]), None);
        assert_eq!(told(&[A, B], &[A]), None);
    }

    #[test]
    fn what_is_cached_is_said_with_where_it_begins_again() {
        let say = |done, changed: Option<usize>| {
            let because = vec![Reason::File("install.sh".into(), How::Changed)];
            let kept = KeptSteps {
                done,
                all: 6,
                changed: changed.map(|number| (number, because)),
                unfit: None,
            };
            kept.words().unwrap_or_default()
        };
        assert_eq!(
            say(4, Some(5)),
            "4 of 6 steps cached, from step 5: install.sh changed"
        );
        assert_eq!(
            say(2, Some(5)),
            "2 of 6 steps cached, from step 3; step 5: install.sh changed"
        );
        assert_eq!(say(4, None), "4 of 6 steps cached, from step 5");
        assert_eq!(say(0, Some(5)), "");
    }

    #[test]
    fn what_no_longer_fits_is_told_by_what_is_different() {
        let unfit = |done, was, is| Unfit::new(done, was, is).to_string();
        assert_eq!(
            unfit(2, "QEMU 7.2.21, tcg, cpu max", "QEMU 7.2.22, tcg, cpu max"),
            "the machine after 2 steps was kept under QEMU 7.2.21, here is QEMU 7.2.22"
        );
        assert_eq!(
            unfit(0, "QEMU 7, kvm, cpu host", "QEMU 7, tcg, cpu max"),
            "the running machine was kept under kvm, cpu host, here is tcg, cpu max"
        );
        assert_eq!(
            unfit(1, "a", "a, b"),
            "the machine after step 1 was kept under a, here is a, b"
        );
    }

    /// Machines that were kept, by what they stood at.
    struct Kept {
        states: Vec<(Digest, &'static str)>,
        failed: Option<Digest>,
    }

    impl Records for Kept {
        fn find(&self, _: &Digest) -> Option<super::super::Record> {
            None
        }

        fn last(&self, _: &StageKey) -> Option<super::super::Record> {
            None
        }

        fn kept_under(&self, _: &StageKey, state: &Digest) -> Option<String> {
            let found = self.states.iter().find(|(known, _)| known == state);
            found.map(|(_, under)| (*under).to_owned())
        }

        fn failed_after(&self, _: &StageKey) -> Option<Digest> {
            self.failed
        }

        fn intact(&self, _: &crate::model::Artifact) -> Result<(), String> {
            Ok(())
        }
    }

    fn found(
        policy: &[(usize, Checkpointing)],
        states: &[(usize, &'static str)],
        failed: Option<usize>,
    ) -> Option<KeptSteps> {
        let mut stage = samples::provision();
        let crate::model::StageKind::Provision(provision) = &mut stage.kind else {
            unreachable!()
        };
        for (step, policy) in policy {
            provision.steps[*step - 1].checkpoint = Some(*policy);
        }
        let facts = samples::facts(std::slice::from_ref(&stage));
        let ingredients = crate::plan::ingredients(&stage, &facts, &|_| Some(Digest::of(b"u")));
        let ingredients = ingredients.unwrap();
        let chain = ingredients.step_fingerprints();
        let facts = Facts {
            checkpoints: [(stage.key.clone(), "new".to_owned())].into(),
            ..facts
        };
        let crate::model::StageKind::Provision(provision) = &stage.kind else {
            unreachable!()
        };
        let below = Digest::of(b"below");
        let at = |step: usize| chain.get(step).copied().unwrap_or(below);
        let records = Kept {
            states: states
                .iter()
                .map(|(step, under)| (at(*step), *under))
                .collect(),
            failed: failed.map(at),
        };
        kept(
            (&stage.key, provision),
            &ingredients,
            Some(below),
            &facts,
            &records,
        )
    }

    #[test]
    fn the_newest_machine_that_fits_counts_and_newer_ones_are_told() {
        let below = 99;
        assert_eq!(found(&[], &[(below, "new")], None), None);
        let kept = found(&[], &[(1, "new"), (3, "new"), (below, "new")], None).unwrap();
        assert_eq!((kept.done, kept.unfit), (3, None));
        let kept = found(&[], &[(1, "new"), (3, "old")], None).unwrap();
        assert_eq!(
            (kept.done, kept.unfit.map(|unfit| unfit.done)),
            (1, Some(3))
        );
        let kept = found(&[], &[(below, "old")], None).unwrap();
        assert_eq!(
            (kept.done, kept.unfit.map(|unfit| unfit.done)),
            (0, Some(0))
        );
        assert_eq!(found(&[], &[(below, "hardware x")], None), None);
        // what is not to be kept is not gone on from
        let never = (3, Checkpointing::Never);
        let kept = found(&[never], &[(1, "new"), (3, "new")], None).unwrap();
        assert_eq!(kept.done, 1);
    }

    #[test]
    fn a_step_that_failed_is_told() {
        let kept = found(&[], &[(2, "new")], Some(4)).unwrap();
        assert_eq!(
            kept.words().unwrap(),
            "2 of 6 steps cached, from step 3; step 5: failed last time"
        );
        let kept = found(&[], &[(4, "new")], Some(4)).unwrap();
        assert_eq!(
            kept.words().unwrap(),
            "4 of 6 steps cached, from step 5: failed last time"
        );
    }
}
