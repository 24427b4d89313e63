//! The bytes of a kept graph.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Head, Place, Role, Was};
use crate::model::{Digest, StageKey};
use crate::store::db::Stamp;

const MAGIC: &[u8; 16] = b"forge graph 1\n\0\0";
/// The magic and six lengths.
const PREFIX: usize = 16 + 6 * 8;
/// Of one place.
pub(super) const ROW: usize = 80;

const MISSING: u32 = 1;
const TREE: u32 = 2;
const TRUSTED: u32 = 1 << 8;
const ROLE: u32 = 16;

/// A kept graph, as far as it has been read: all that says whether something has changed.
#[derive(Debug)]
pub struct KeptGraph {
    path: PathBuf,
    /// What is known of all stages together.
    pub head: Head,
    pub(super) rows: Vec<u8>,
    pub(super) names: Vec<u8>,
    keys: Vec<u8>,
    rest: u64,
    /// Of the stages' numbers.
    stages: usize,
    bodies: usize,
}

/// A stage's numbers, and where its bodies are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Looked at each time.
    pub(super) unsure: bool,
    pub(super) needs: Vec<u32>,
    pub(super) places: Vec<u32>,
    /// Of [`Head::inputs`].
    pub(super) inputs: Vec<u32>,
    pub(super) settings: usize,
    pub(super) artifact: usize,
}

impl KeptGraph {
    /// Reads the graph in `path`; none if there is none that this forge understands.
    #[must_use]
    pub fn open(path: &Path) -> Option<Self> {
        let mut file = File::open(path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut prefix = [0; PREFIX];
        file.read_exact(&mut prefix).ok()?;
        let (magic, lengths) = prefix.split_at(16);
        if magic != MAGIC {
            return None;
        }
        let lengths: Vec<u64> = lengths.chunks_exact(8).map(u64_at).collect();
        let total = lengths
            .iter()
            .try_fold(PREFIX as u64, |sum, n| sum.checked_add(*n))?;
        if total != size {
            return None;
        }
        let mut part = |length: u64| -> Option<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(length).ok()?];
            file.read_exact(&mut bytes).ok()?;
            Some(bytes)
        };
        let head = serde_json::from_slice(&part(lengths[0])?).ok()?;
        let graph = Self {
            path: path.to_owned(),
            head,
            rows: part(lengths[1])?,
            names: part(lengths[2])?,
            keys: part(lengths[3])?,
            rest: PREFIX as u64 + lengths[..4].iter().sum::<u64>(),
            stages: usize::try_from(lengths[4]).ok()?,
            bodies: usize::try_from(lengths[5]).ok()?,
        };
        (graph.rows.len().is_multiple_of(ROW) && std::str::from_utf8(&graph.names).is_ok())
            .then_some(graph)
    }

    /// The stages' keys, in the order of the plan.
    #[must_use]
    pub fn keys(&self) -> Option<Vec<StageKey>> {
        let lines = self.key_lines();
        lines
            .map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// The keys as they stand in the database.
    pub fn key_texts(&self) -> impl Iterator<Item = &str> {
        self.key_lines()
            .filter_map(|line| std::str::from_utf8(line).ok())
    }

    pub(super) fn key_lines(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.keys.split(|byte| *byte == b'\n');
        lines.filter(|line| !line.is_empty())
    }

    pub(super) fn places(&self) -> usize {
        self.rows.len() / ROW
    }

    /// The path and the place in the row with this number.
    pub(super) fn place(&self, number: usize) -> Option<(&str, Role, Was)> {
        decode(
            self.rows.get(number * ROW..(number + 1) * ROW)?,
            &self.names,
        )
    }

    /// Files that users take away, with their sizes in bytes.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, u64)> {
        (0..self.places()).filter_map(|number| self.output(number))
    }

    /// How many stages there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.key_lines().count()
    }

    /// The file in this row and its size, if users take it away.
    pub(super) fn output(&self, number: usize) -> Option<(&str, u64)> {
        let (path, role, was) = self.place(number)?;
        let size = match was {
            Was::File { stamp, .. } => stamp.size,
            Was::Tree { size, .. } => size,
            Was::Missing => 0,
        };
        (role == Role::Output).then(|| (path, u64::try_from(size).unwrap_or(0)))
    }

    /// Puts what was found in the place of what was known, in memory.
    pub(super) fn set(&mut self, number: usize, was: &Was) {
        if let Some(row) = self.rows.get_mut(number * ROW..(number + 1) * ROW) {
            let (start, length) = (u32_at(&row[0..]), u32_at(&row[4..]));
            let role = u32_at(&row[8..]) >> ROLE;
            row.copy_from_slice(&encode(start, length, role, was));
        }
    }

    /// The parts that are not read each time: the stages' numbers and their bodies.
    pub(super) fn rest(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.rest))?;
        let (mut stages, mut bodies) = (vec![0; self.stages], vec![0; self.bodies]);
        file.read_exact(&mut stages)?;
        file.read_exact(&mut bodies)?;
        Ok((stages, bodies))
    }

    /// Writes it again with what is in memory now. A failure costs time in the next run, nothing else.
    pub fn save(&self) -> io::Result<()> {
        let (stages, bodies) = self.rest()?;
        let head = serde_json::to_vec(&self.head)?;
        let parts = [&head, &self.rows, &self.names, &self.keys, &stages, &bodies];
        write(&self.path, parts.map(Vec::as_slice))
    }
}

/// Writes the parts to `path`, whole or not at all.
pub(super) fn write(path: &Path, parts: [&[u8]; 6]) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
    }
    bytes.reserve(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        bytes.extend_from_slice(part);
    }
    crate::sys::fs::replace(path, &bytes)
}

/// A place as a row.
pub(super) fn encode(start: u32, length: u32, role: u32, was: &Was) -> [u8; ROW] {
    let none = Stamp::default();
    let (flags, stamp, digest) = match was {
        Was::File {
            stamp,
            trusted,
            digest,
        } => (if *trusted { TRUSTED } else { 0 }, *stamp, *digest),
        Was::Missing => (MISSING, none, Digest::from_bytes([0; 32])),
        Was::Tree { digest, size } => {
            let sized = Stamp {
                size: *size,
                ..none
            };
            (TREE, sized, *digest)
        }
    };
    let mut row = [0; ROW];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        row[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    for number in [start, length, flags | role << ROLE] {
        put(&number.to_le_bytes());
    }
    put(&u32::try_from(stamp.mode).unwrap_or(0).to_le_bytes());
    for number in [stamp.size, stamp.mtime, stamp.ctime, stamp.inode] {
        put(&number.to_le_bytes());
    }
    put(digest.as_bytes());
    row
}

pub(super) fn decode<'n>(row: &[u8], names: &'n [u8]) -> Option<(&'n str, Role, Was)> {
    let (start, length) = (u32_at(&row[0..]) as usize, u32_at(&row[4..]) as usize);
    let path = std::str::from_utf8(names.get(start..start.checked_add(length)?)?).ok()?;
    let flags = u32_at(&row[8..]);
    let role = match flags >> ROLE {
        0 => Role::Loaded,
        1 => Role::Input,
        2 => Role::Output,
        _ => return None,
    };
    let number = |at: usize| u64_at(&row[at..]).cast_signed();
    let digest = Digest::from_bytes(row[48..ROW].try_into().ok()?);
    let was = match flags & 0xff {
        0 => Was::File {
            stamp: Stamp {
                size: number(16),
                mtime: number(24),
                ctime: number(32),
                inode: number(40),
                mode: i64::from(u32_at(&row[12..])),
            },
            trusted: flags & TRUSTED != 0,
            digest,
        },
        MISSING => Was::Missing,
        TREE => Was::Tree {
            digest,
            size: number(16),
        },
        _ => return None,
    };
    Some((path, role, was))
}

impl Place {
    pub(super) const fn role_number(&self) -> u32 {
        match self.role {
            Role::Loaded => 0,
            Role::Input => 1,
            Role::Output => 2,
        }
    }
}

impl Numbers {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |number: usize| {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            out.extend_from_slice(&number.to_le_bytes());
        };
        put(usize::from(self.unsure));
        for list in [&self.needs, &self.places, &self.inputs] {
            put(list.len());
            list.iter().for_each(|number| put(*number as usize));
        }
        put(self.settings);
        put(self.artifact);
    }

    /// The numbers of all stages.
    pub(super) fn decode_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let mut numbers = bytes.chunks_exact(4).map(u32_at);
        let mut all = Vec::new();
        while let Some(unsure) = numbers.next() {
            let mut list = || -> Option<Vec<u32>> {
                let count = numbers.next()?;
                (0..count).map(|_| numbers.next()).collect()
            };
            let (needs, places, inputs) = (list()?, list()?, list()?);
            all.push(Self {
                unsure: unsure != 0,
                needs,
                places,
                inputs,
                settings: numbers.next()? as usize,
                artifact: numbers.next()? as usize,
            });
        }
        Some(all)
    }
}

/// The number at the start of `bytes`, which are enough.
fn u32_at(bytes: &[u8]) -> u32 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
