//! Drawing a kept graph, and taking out of it what has to run.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

use super::format::{self, Numbers};
use super::{Checked, Head, KeptGraph, Place, Role, Settings, Settled, Was, digest_of_facts};
use crate::config::{Asked, Question};
use crate::model::{Artifact, Input, Size, Stage, StageKey, StoredFile};
use crate::plan::{self, Facts, FileFacts, FileKind};
use crate::store::db::StatCache;

/// What may have to run, taken out of a kept graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawn {
    /// Stages that something has changed for and all that need them, in the order of the plan.
    pub stages: Vec<Stage>,
    /// All others, in the same order.
    pub untouched: Vec<StageKey>,
    /// What those others have left that `stages` need.
    pub artifacts: BTreeMap<StageKey, Artifact>,
    /// Files that users take away of the others, with their sizes in bytes.
    pub files: Vec<(String, u64)>,
}

/// A kept graph while it is drawn or changed: all of it in memory.
#[derive(Debug)]
pub struct Sketch {
    /// What is known of all stages together.
    pub head: Head,
    places: Vec<Place>,
    place_numbers: HashMap<(Role, String), u32>,
    input_numbers: HashMap<Input, u32>,
    stages: Vec<Kept>,
    stage_numbers: HashMap<String, u32>,
    /// Stages that were put, and what turned out to have other content than was known when they were.
    put: BTreeSet<u32>,
    other_places: BTreeSet<u32>,
    other_inputs: BTreeSet<u32>,
}

/// A stage in it.
#[derive(Debug, Default)]
struct Kept {
    key: String,
    numbers: Numbers,
    settings: Vec<u8>,
    artifact: Vec<u8>,
}

impl Sketch {
    /// One with these stages to come, in the order of the plan.
    #[must_use]
    pub fn new(head: Head, keys: &[StageKey]) -> Self {
        let kept = |key: &StageKey| Kept {
            key: serde_json::to_string(key).unwrap_or_default(),
            ..Kept::default()
        };
        Self::of(head, Vec::new(), keys.iter().map(kept).collect())
    }

    fn of(head: Head, places: Vec<Place>, stages: Vec<Kept>) -> Self {
        let numbered = places.iter().zip(0..);
        let place_numbers = numbered.map(|(place, n)| ((place.role, place.path.clone()), n));
        let input_numbers = head.inputs.iter().zip(0..);
        let stage_numbers = stages.iter().zip(0..);
        Self {
            place_numbers: place_numbers.collect(),
            input_numbers: input_numbers.map(|((i, _), n)| (i.clone(), n)).collect(),
            stage_numbers: stage_numbers.map(|(s, n)| (s.key.clone(), n)).collect(),
            head,
            places,
            stages,
            put: BTreeSet::new(),
            other_places: BTreeSet::new(),
            other_inputs: BTreeSet::new(),
        }
    }

    /// Takes what loading has asked; false if one of its files is another one by now.
    pub fn loaded(&mut self, root: &Path, asked: Vec<Asked>, stat: &StatCache<'_>) -> bool {
        for asked in asked {
            let Question::Read(path) = &asked.question else {
                self.head.asked.push(asked);
                continue;
            };
            let Ok(full) = std::path::absolute(path) else {
                return false;
            };
            match stat.digest(&full) {
                Ok(found) if found.digest == asked.answer => {}
                Ok(_) => return false,
                // one that could not be read, and may be there one day
                Err(_) => {
                    self.head.asked.push(asked);
                    continue;
                }
            }
            let name = full.strip_prefix(root).unwrap_or(&full);
            let (Some(name), Some(was)) = (name.to_str(), file(&full, stat)) else {
                return false;
            };
            self.place(Role::Loaded, name, was);
        }
        true
    }

    /// Puts a stage in its place; none if it cannot be kept.
    pub fn put(
        &mut self,
        root: &Path,
        settled: &Settled<'_>,
        facts: &Facts,
        stat: &StatCache<'_>,
    ) -> Option<()> {
        let Settled {
            stage,
            artifact,
            sure,
        } = *settled;
        let key = serde_json::to_string(&stage.key).ok()?;
        let number = *self.stage_numbers.get(&key)?;
        let settings = Settings::of(stage)?;
        let always = settings.command.always;
        let mut numbers = Numbers {
            unsure: always || !sure,
            ..Numbers::default()
        };
        for need in &stage.needs {
            let need = serde_json::to_string(need).ok()?;
            numbers.needs.push(*self.stage_numbers.get(&need)?);
        }
        let found = facts.found.get(&stage.key).into_iter().flatten().flatten();
        let found = found.cloned().map(Input::Path);
        for input in plan::inputs_of(stage).into_iter().chain(found) {
            match one_place(root, &input, facts.files.get(&input), stat) {
                Some((path, was)) => numbers.places.push(self.place(Role::Input, path, was)),
                None => numbers.inputs.push(self.input(&input, facts)),
            }
        }
        for stored in artifact.files.values() {
            let path = stored.path.as_deref()?;
            let was = output(&root.join(path), stored, stat);
            numbers.places.push(self.place(Role::Output, path, was));
        }
        let kept = self.stages.get_mut(number as usize)?;
        kept.numbers = numbers;
        kept.settings = serde_json::to_vec(&settings).ok()?;
        kept.artifact = serde_json::to_vec(artifact).ok()?;
        self.put.insert(number);
        Some(())
    }

    fn place(&mut self, role: Role, path: &str, was: Was) -> u32 {
        let place = Place {
            path: path.to_owned(),
            role,
            was,
        };
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let number = *self
            .place_numbers
            .entry((role, place.path.clone()))
            .or_insert(next);
        match self.places.get_mut(number as usize) {
            Some(known) => {
                if !known.was.has_content_of(&place.was) {
                    self.other_places.insert(number);
                }
                *known = place;
            }
            None => self.places.push(place),
        }
        number
    }

    fn input(&mut self, input: &Input, facts: &Facts) -> u32 {
        let digest = digest_of_facts(facts.files.get(input));
        let next = u32::try_from(self.head.inputs.len()).unwrap_or(u32::MAX);
        let number = *self.input_numbers.entry(input.clone()).or_insert(next);
        match self.head.inputs.get_mut(number as usize) {
            Some(known) => {
                if known.1 != digest {
                    self.other_inputs.insert(number);
                }
                known.1 = digest;
            }
            None => self.head.inputs.push((input.clone(), digest)),
        }
        number
    }

    /// Writes it to `path`; what no stage has any more is left out.
    pub fn save(mut self, path: &Path) -> io::Result<()> {
        self.doubt();
        self.compact();
        self.head.unsure = self.stages.iter().any(|stage| stage.numbers.unsure);
        let head = serde_json::to_vec(&self.head)?;
        let mut rows = Vec::with_capacity(self.places.len() * format::ROW);
        let mut names: Vec<u8> = Vec::new();
        for place in &self.places {
            let start = u32::try_from(names.len()).map_err(io::Error::other)?;
            let length = u32::try_from(place.path.len()).map_err(io::Error::other)?;
            names.extend_from_slice(place.path.as_bytes());
            rows.extend_from_slice(&format::encode(
                start,
                length,
                place.role_number(),
                &place.was,
            ));
        }
        let (mut keys, mut stages, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for stage in &mut self.stages {
            stage.numbers.settings = stage.settings.len();
            stage.numbers.artifact = stage.artifact.len();
            keys.extend_from_slice(stage.key.as_bytes());
            keys.push(b'\n');
            stage.numbers.encode(&mut stages);
            bodies.extend_from_slice(&stage.settings);
            bodies.extend_from_slice(&stage.artifact);
        }
        format::write(path, [&head, &rows, &names, &keys, &stages, &bodies])
    }

    /// Other stages read what has changed while those that were put ran: they are looked at again.
    fn doubt(&mut self) {
        for (number, stage) in (0..).zip(&mut self.stages) {
            let numbers = &mut stage.numbers;
            let changed = numbers.places.iter().any(|n| self.other_places.contains(n))
                || numbers.inputs.iter().any(|n| self.other_inputs.contains(n));
            numbers.unsure |= changed && !self.put.contains(&number);
        }
    }

    /// Leaves out places and inputs of no stage, and of stages that have others now.
    fn compact(&mut self) {
        let of_places = self.stages.iter().flat_map(|s| &s.numbers.places);
        let loaded = (0..).zip(&self.places);
        let loaded = loaded.filter(|(_, place)| place.role == Role::Loaded);
        let places = Renumber::of(
            self.places.len(),
            of_places.copied().chain(loaded.map(|(n, _)| n)),
        );
        let of_inputs = self.stages.iter().flat_map(|s| &s.numbers.inputs);
        let inputs = Renumber::of(self.head.inputs.len(), of_inputs.copied());
        for stage in &mut self.stages {
            places.apply(&mut stage.numbers.places);
            inputs.apply(&mut stage.numbers.inputs);
        }
        places.keep(&mut self.places);
        inputs.keep(&mut self.head.inputs);
    }
}

/// New numbers for what stays.
struct Renumber(Vec<Option<u32>>);

impl Renumber {
    fn of(count: usize, used: impl Iterator<Item = u32>) -> Self {
        let mut numbers = vec![None; count];
        for number in used {
            if let Some(slot) = numbers.get_mut(number as usize) {
                *slot = Some(0);
            }
        }
        numbers
            .iter_mut()
            .flatten()
            .zip(0..)
            .for_each(|(slot, n)| *slot = n);
        Self(numbers)
    }

    fn apply(&self, numbers: &mut [u32]) {
        for number in numbers {
            if let Some(Some(new)) = self.0.get(*number as usize) {
                *number = *new;
            }
        }
    }

    fn keep<T>(&self, all: &mut Vec<T>) {
        let mut stays = self.0.iter().map(Option::is_some);
        all.retain(|_| stays.next().unwrap_or(false));
    }
}

impl KeptGraph {
    /// All of it, to be changed.
    #[must_use]
    pub fn sketch(&self) -> Option<Sketch> {
        let (numbers, bodies) = self.rest().ok()?;
        let mut at = 0_usize;
        let mut body = |length: usize| -> Option<Vec<u8>> {
            let body = bodies.get(at..at.checked_add(length)?)?.to_vec();
            at += length;
            Some(body)
        };
        let numbers = Numbers::decode_all(&numbers)?;
        let mut stages = Vec::with_capacity(numbers.len());
        for (key, numbers) in self.key_texts().zip(numbers) {
            stages.push(Kept {
                key: key.to_owned(),
                settings: body(numbers.settings)?,
                artifact: body(numbers.artifact)?,
                numbers,
            });
        }
        let place = |number| {
            let (path, role, was) = self.place(number)?;
            let path = path.to_owned();
            Some(Place { path, role, was })
        };
        let places = (0..self.places()).map(place).collect::<Option<_>>()?;
        Some(Sketch::of(self.head.clone(), places, stages))
    }

    /// What may have to run: the stages with a changed place, with one of the changed inputs (numbers of [`Head::inputs`]),
    /// those that are looked at each time, and all that need them.
    #[must_use]
    pub fn draw(&self, checked: &Checked, changed_inputs: &[usize]) -> Option<Drawn> {
        let (numbers, bodies) = self.rest().ok()?;
        let numbers = Numbers::decode_all(&numbers)?;
        let keys = self.keys()?;
        if keys.len() != numbers.len() {
            return None;
        }
        let drawn = reached(
            &numbers,
            &marks(self.places(), &checked.changed),
            changed_inputs,
        )?;
        let mut result = Drawn::default();
        let mut wanted = vec![false; numbers.len()];
        let mut at = 0_usize;
        let mut artifacts = Vec::with_capacity(numbers.len());
        for (number, (stage, key)) in numbers.iter().zip(&keys).enumerate() {
            let artifact = at.checked_add(stage.settings)?;
            let end = artifact.checked_add(stage.artifact)?;
            let settings = bodies.get(at..artifact)?;
            artifacts.push(bodies.get(artifact..end)?);
            at = end;
            if !drawn[number] {
                result.untouched.push(key.clone());
                result.files.extend(self.files_of(stage));
                continue;
            }
            for need in &stage.needs {
                *wanted.get_mut(*need as usize)? = true;
            }
            let settings: Settings = serde_json::from_slice(settings).ok()?;
            result.stages.push(settings.stage(key.clone()));
        }
        for (number, key) in keys.into_iter().enumerate() {
            if wanted[number] && !drawn[number] {
                let artifact = serde_json::from_slice(artifacts.get(number)?).ok()?;
                result.artifacts.insert(key, artifact);
            }
        }
        Some(result)
    }

    fn files_of(&self, stage: &Numbers) -> Vec<(String, u64)> {
        let places = stage.places.iter();
        let files = places.filter_map(|number| self.output(*number as usize));
        files.map(|(path, size)| (path.to_owned(), size)).collect()
    }
}

/// Which of so many numbers are among these.
fn marks(count: usize, numbers: &[usize]) -> Vec<bool> {
    let mut marks = vec![false; count];
    for number in numbers {
        if let Some(mark) = marks.get_mut(*number) {
            *mark = true;
        }
    }
    marks
}

/// Which stages something has changed for, and which need one of those; needs stand before what needs them.
fn reached(stages: &[Numbers], changed: &[bool], inputs: &[usize]) -> Option<Vec<bool>> {
    let mut reached = vec![false; stages.len()];
    for (number, stage) in stages.iter().enumerate() {
        let is_changed = |place: &u32| changed.get(*place as usize).copied().unwrap_or(true);
        let above = |need: &u32| reached.get(*need as usize).copied();
        let needs: Option<Vec<bool>> = stage.needs.iter().map(above).collect();
        reached[number] = stage.unsure
            || stage.places.iter().any(is_changed)
            || stage.inputs.iter().any(|n| inputs.contains(&(*n as usize)))
            || needs?.contains(&true);
    }
    Some(reached)
}

/// How the file was when it was read last.
fn file(full: &Path, stat: &StatCache<'_>) -> Option<Was> {
    let (stamp, trusted, digest) = stat.last(full)?;
    Some(Was::File {
        stamp,
        trusted,
        digest,
    })
}

/// The place that an input is, if it is one file or nothing.
fn one_place<'i>(
    root: &Path,
    input: &'i Input,
    facts: Option<&FileFacts>,
    stat: &StatCache<'_>,
) -> Option<(&'i str, Was)> {
    let Input::Path(path) = input else {
        return None;
    };
    match facts? {
        FileFacts::Missing => Some((path, Was::Missing)),
        FileFacts::Found(files) => {
            let [only] = files.as_slice() else {
                return None;
            };
            let was = file(&root.join(path), stat)?;
            let same = matches!(was, Was::File { digest, .. } if digest == only.digest);
            let plain = matches!(only.kind, FileKind::File | FileKind::Executable);
            (same && plain).then_some((path.as_str(), was))
        }
        FileFacts::Unreadable(_) => None,
    }
}

fn signed(size: Size) -> i64 {
    i64::try_from(size.bytes()).unwrap_or(i64::MAX)
}

/// How an output is that has just been made or found to be right.
fn output(full: &Path, stored: &StoredFile, stat: &StatCache<'_>) -> Was {
    if stored.tree {
        return Was::Tree {
            digest: stored.digest,
            size: signed(stored.size),
        };
    }
    match file(full, stat) {
        Some(was @ Was::File { digest, .. }) if digest == stored.digest => was,
        // it is read when it is looked at
        _ => Was::File {
            stamp: super::Stamp {
                size: signed(stored.size),
                ..super::Stamp::default()
            },
            trusted: false,
            digest: stored.digest,
        },
    }
}
