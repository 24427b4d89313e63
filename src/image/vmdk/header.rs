//! The fixed sectors of a VMDK: header, footer, markers.

use super::VmdkError;

pub(super) const SECTOR: u64 = 512;
/// Sectors in a grain.
pub(super) const GRAIN_SECTORS: u64 = 128;
/// Bytes in a grain.
pub(super) const GRAIN: usize = 64 << 10;
/// Entries in a grain table.
pub(super) const TABLE: usize = 512;
/// Says in the header that the directory's place stands in the footer.
pub(super) const DIRECTORY_AT_END: u64 = u64::MAX;
/// Sectors before the first grain in what we write.
pub(super) const OVERHEAD: u64 = 128;
/// The largest disk that ESXi takes, 62 TB; also keeps sector numbers small.
pub(super) const MAX_CAPACITY: u64 = 62 << 40;

const DESCRIPTOR_SECTOR: u64 = 1;
const DESCRIPTOR_SECTORS: u64 = 20;
/// The first sector after the descriptor.
pub(super) const AFTER_DESCRIPTOR: u64 = DESCRIPTOR_SECTOR + DESCRIPTOR_SECTORS;
const NEWLINE_TEST: u32 = 1;
/// There is a second directory.
const REDUNDANT: u32 = 1 << 1;
/// A table's entry of 1 stands for a grain of zeros.
const ZERO_GRAINS: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
const NEWLINES: [u8; 4] = *b"\n \r\n";
/// How a descriptor begins, as a file of its own too.
pub(super) const DESCRIPTOR_START: &[u8] = b"# Disk DescriptorFile";

/// What stands in sector 0, and in the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    flags: u32,
    /// In sectors.
    pub(super) capacity: u64,
    pub(super) descriptor: (u64, u64),
    /// The second directory's sector.
    redundant: u64,
    /// In sectors.
    pub(super) directory: u64,
    /// In sectors.
    pub(super) overhead: u64,
    pub(super) unclean: bool,
    pub(super) newlines: [u8; 4],
}

impl Header {
    /// The header of a stream-optimized VMDK; the footer has a real `directory`.
    pub(super) const fn new(capacity: u64, directory: u64) -> Self {
        Self {
            version: 3,
            flags: NEWLINE_TEST | COMPRESSED | MARKERS,
            capacity,
            descriptor: (DESCRIPTOR_SECTOR, DESCRIPTOR_SECTORS),
            redundant: 0,
            directory,
            overhead: OVERHEAD,
            unclean: false,
            newlines: NEWLINES,
        }
    }

    /// The header of a sparse VMDK, with its two directories and what stands before the first grain.
    pub(super) const fn sparse(
        capacity: u64,
        (redundant, directory): (u64, u64),
        overhead: u64,
    ) -> Self {
        Self {
            version: 1,
            flags: NEWLINE_TEST | REDUNDANT,
            redundant,
            overhead,
            ..Self::new(capacity, directory)
        }
    }

    /// Whether its grains are deflated, with markers between.
    pub(super) const fn compressed(&self) -> bool {
        self.flags & COMPRESSED != 0
    }

    /// Whether an entry of 1 is a grain of zeros.
    pub(super) const fn has_zero_grains(&self) -> bool {
        self.flags & ZERO_GRAINS != 0
    }

    pub(super) fn encode(&self) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        sector[..4].copy_from_slice(b"KDMV");
        put32(&mut sector, 4, self.version);
        put32(&mut sector, 8, self.flags);
        put64(&mut sector, 12, self.capacity);
        put64(&mut sector, 20, GRAIN_SECTORS);
        put64(&mut sector, 28, self.descriptor.0);
        put64(&mut sector, 36, self.descriptor.1);
        put32(&mut sector, 44, TABLE as u32);
        put64(&mut sector, 48, self.redundant);
        put64(&mut sector, 56, self.directory);
        put64(&mut sector, 64, self.overhead);
        sector[72] = u8::from(self.unclean);
        sector[73..77].copy_from_slice(&self.newlines);
        sector[77] = u8::from(self.compressed());
        sector
    }

    /// Reads a header and refuses what no reader here understands.
    pub(super) fn decode(sector: &[u8; SECTOR as usize]) -> Result<Self, VmdkError> {
        let kind = |what: String| Err(VmdkError::Kind(what));
        if sector.starts_with(DESCRIPTOR_START) {
            return kind("this is a descriptor whose data lies in other files".into());
        }
        if sector.starts_with(b"COWD") {
            return kind("it is the sparse kind of ESX itself (`COWD`); export it from there, or convert it with `vmkfstools -i`".into());
        }
        if &sector[..4] != b"KDMV" {
            return kind("it does not start with `KDMV`".into());
        }
        let flags = get32(sector, 8);
        if flags & (COMPRESSED | MARKERS) == COMPRESSED {
            return kind("its grains are compressed, but without markers".into());
        }
        let version = get32(sector, 4);
        if !(1..=3).contains(&version) {
            return kind(format!("version {version} is not known"));
        }
        let (grain, table) = (get64(sector, 20), get32(sector, 44));
        if grain != GRAIN_SECTORS || table != TABLE as u32 {
            return kind(format!(
                "grains of {grain} sectors and tables of {table} entries; only 128 and 512 are in use"
            ));
        }
        let method = u16::from_le_bytes([sector[77], sector[78]]);
        if method != u16::from(flags & COMPRESSED != 0) {
            return kind(format!("compression method {method} is not known"));
        }
        let capacity = get64(sector, 12);
        if capacity > MAX_CAPACITY / SECTOR {
            return kind(format!("{capacity} sectors are more than 62 TiB"));
        }
        Ok(Self {
            version,
            flags,
            capacity,
            descriptor: (get64(sector, 28), get64(sector, 36)),
            redundant: get64(sector, 48),
            directory: get64(sector, 56),
            overhead: get64(sector, 64),
            unclean: sector[72] != 0,
            newlines: [sector[73], sector[74], sector[75], sector[76]],
        })
    }

    /// Whether a transfer in text mode has changed line ends in the file.
    pub(super) fn newlines_intact(&self) -> bool {
        self.newlines == NEWLINES
    }

    /// The number of grains.
    pub(super) const fn grains(&self) -> u64 {
        self.capacity.div_ceil(GRAIN_SECTORS)
    }
}

/// What a sector between grains announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// A compressed grain: its first sector on the disk, its compressed bytes.
    Grain { sector: u64, bytes: u32 },
    /// A grain table.
    Table { sectors: u64 },
    /// The directory.
    Directory { sectors: u64 },
    /// The footer.
    Footer { sectors: u64 },
    /// Nothing follows.
    End,
    /// How far the writer is; nothing else.
    Progress { sectors: u64 },
    /// Something unknown.
    Unknown { kind: u32 },
}

impl Marker {
    pub(super) fn decode(sector: &[u8]) -> Self {
        let (value, bytes) = (get64(sector, 0), get32(sector, 8));
        if bytes > 0 {
            return Self::Grain {
                sector: value,
                bytes,
            };
        }
        match get32(sector, 12) {
            0 if value == 0 => Self::End,
            1 => Self::Table { sectors: value },
            2 => Self::Directory { sectors: value },
            3 => Self::Footer { sectors: value },
            4 => Self::Progress { sectors: value },
            kind => Self::Unknown { kind },
        }
    }

    /// The sector of a marker that is no grain's.
    pub(super) fn encode(self) -> [u8; SECTOR as usize] {
        let (value, kind) = match self {
            Self::Table { sectors } => (sectors, 1),
            Self::Directory { sectors } => (sectors, 2),
            Self::Footer { sectors } => (sectors, 3),
            Self::Progress { sectors } => (sectors, 4),
            Self::Grain { sector, .. } => (sector, 0),
            Self::Unknown { kind } => (0, kind),
            Self::End => (0, 0),
        };
        let mut sector = [0; SECTOR as usize];
        put64(&mut sector, 0, value);
        put32(&mut sector, 12, kind);
        sector
    }
}

/// Bytes of the descriptor's sectors.
pub(super) const DESCRIPTOR_SPACE: usize = (DESCRIPTOR_SECTORS * SECTOR) as usize;

pub(super) fn get32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |n, b| n << 8 | u32::from(*b))
}

pub(super) fn get64(bytes: &[u8], at: usize) -> u64 {
    u64::from(get32(bytes, at)) | u64::from(get32(bytes, at + 4)) << 32
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}
