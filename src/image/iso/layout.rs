//! The sectors of a volume.
//!
//! ```text
//! 16 sectors of nothing │ primary descriptor │ Joliet descriptor │ end │
//! path tables │ ISO directories │ Joliet directories │ Rock Ridge's signature │ files
//! ```

use super::names::{Flavour, identifiers, ucs2};
use super::tree::{Kind, Tree};

const SECTOR: usize = 2048;
/// 1980-01-01 00:00:00 UTC: years since 1900, month, day, hour, minute, second, zone.
const DATE: [u8; 7] = [80, 1, 1, 0, 0, 0, 0];
const LONG_DATE: &[u8; 17] = b"1980010100000000\0";
const NO_DATE: &[u8; 17] = b"0000000000000000\0";

/// The image of a volume.
pub(super) fn image(label: &str, tree: &Tree<'_>) -> Vec<u8> {
    // What comes before the directories has a fixed size but for the path tables.
    let mut iso = Volume::new(tree, Flavour::Iso);
    let mut joliet = Volume::new(tree, Flavour::Joliet);
    let mut next = 19;
    iso.tables = next;
    next += 2 * iso.table_sectors();
    joliet.tables = next;
    next += 2 * joliet.table_sectors();
    next = iso.place(next);
    next = joliet.place(next);
    let signature = next;
    next += 1;
    let mut files = vec![0; tree.nodes.len()];
    for (node, place) in tree.nodes.iter().zip(&mut files) {
        if let Kind::File(content) = &node.kind {
            *place = next;
            next += sectors(content.len());
        }
    }
    let mut image = vec![0; 16 * SECTOR];
    image.extend(iso.descriptor(label, next));
    image.extend(joliet.descriptor(label, next));
    image.extend(pad([b"\xffCD001\x01".as_slice()].concat()));
    for volume in [&iso, &joliet] {
        image.extend(pad(volume.table(Order::Little)));
        image.extend(pad(volume.table(Order::Big)));
    }
    for volume in [&iso, &joliet] {
        for directory in &volume.directories {
            image.extend(volume.records(*directory, &files, signature));
        }
    }
    image.extend(pad(extension_reference()));
    for node in &tree.nodes {
        if let Kind::File(content) = &node.kind {
            image.extend_from_slice(content);
            image.resize(image.len().next_multiple_of(SECTOR), 0);
        }
    }
    image
}

#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

/// One of the two directory trees.
struct Volume<'a> {
    tree: &'a Tree<'a>,
    flavour: Flavour,
    names: Vec<Vec<u8>>,
    /// Directories in the order of the path table: by level, by parent, by name.
    directories: Vec<usize>,
    /// By node: the parent's index.
    parents: Vec<usize>,
    /// By node: a directory's first sector.
    places: Vec<u32>,
    /// Sector of the little-endian path table; the big-endian one follows.
    tables: u32,
}

impl<'a> Volume<'a> {
    fn new(tree: &'a Tree<'a>, flavour: Flavour) -> Self {
        let names = identifiers(tree, flavour);
        let mut parents = vec![0; tree.nodes.len()];
        let mut directories = vec![0];
        let mut at = 0;
        while at < directories.len() {
            let directory = directories[at];
            let mut below: Vec<usize> = tree.children(directory).to_vec();
            below.sort_by(|a, b| names[*a].cmp(&names[*b]));
            for child in below {
                parents[child] = directory;
                if matches!(tree.nodes[child].kind, Kind::Directory(_)) {
                    directories.push(child);
                }
            }
            at += 1;
        }
        Self {
            tree,
            flavour,
            names,
            directories,
            parents,
            places: vec![0; tree.nodes.len()],
            tables: 0,
        }
    }

    fn table_sectors(&self) -> u32 {
        sectors(self.table(Order::Little).len())
    }

    /// Gives every directory its sectors from `next` on; returns what comes after them.
    fn place(&mut self, mut next: u32) -> u32 {
        let nowhere = vec![0; self.tree.nodes.len()];
        for directory in self.directories.clone() {
            self.places[directory] = next;
            next += sectors(self.records(directory, &nowhere, 0).len());
        }
        next
    }

    /// A path table; with all places 0 it still has its right size.
    fn table(&self, order: Order) -> Vec<u8> {
        let mut table = Vec::new();
        for directory in &self.directories {
            let name = match directory {
                0 => &[0][..],
                n => &self.names[*n],
            };
            let parent = self.parents[*directory];
            let number = self.directories.iter().position(|d| *d == parent);
            let number = number.map_or(1, |n| n as u16 + 1);
            let place = self.places[*directory];
            table.extend([name.len() as u8, 0]);
            match order {
                Order::Little => {
                    table.extend(place.to_le_bytes());
                    table.extend(number.to_le_bytes());
                }
                Order::Big => {
                    table.extend(place.to_be_bytes());
                    table.extend(number.to_be_bytes());
                }
            }
            table.extend(name);
            table.resize(table.len().next_multiple_of(2), 0);
        }
        table
    }

    /// A directory's sectors: itself, its parent, its children in order.
    fn records(&self, directory: usize, files: &[u32], signature: u32) -> Vec<u8> {
        let mut children = self.tree.children(directory).to_vec();
        children.sort_by(|a, b| self.names[*a].cmp(&self.names[*b]));
        let own = self.size(directory);
        let parent = self.parents[directory];
        let above = self.size(parent);
        let mut extra = match directory {
            0 => self.root_fields(signature),
            _ => Vec::new(),
        };
        extra.extend(self.fields(directory, None));
        let mut data = record(self.places[directory], own, true, &[0], &extra);
        let extra = self.fields(parent, None);
        append(
            &mut data,
            &record(self.places[parent], above, true, &[1], &extra),
        );
        for child in children {
            let node = &self.tree.nodes[child];
            let extra = self.fields(child, Some(node.name));
            let name = &self.names[child];
            let entry = match &node.kind {
                Kind::File(content) => {
                    record(files[child], content.len() as u32, false, name, &extra)
                }
                Kind::Directory(_) => {
                    record(self.places[child], self.size(child), true, name, &extra)
                }
            };
            append(&mut data, &entry);
        }
        pad(data)
    }

    /// A directory's size in bytes: whole sectors.
    fn size(&self, directory: usize) -> u32 {
        let len = |extra: &[u8]| record(0, 0, true, &[0], extra).len();
        let plain = self.fields(0, None);
        let own = match directory {
            0 => [self.root_fields(0), plain.clone()].concat(),
            _ => plain.clone(),
        };
        let mut size = len(&own) + len(&plain);
        let mut children = self.tree.children(directory).to_vec();
        children.sort_by(|a, b| self.names[*a].cmp(&self.names[*b]));
        for child in children {
            let extra = self.fields(child, Some(self.tree.nodes[child].name));
            let len = record(0, 0, false, &self.names[child], &extra).len();
            if size % SECTOR + len > SECTOR {
                size = size.next_multiple_of(SECTOR);
            }
            size += len;
        }
        size.next_multiple_of(SECTOR) as u32
    }

    /// The Rock Ridge fields of a record; Joliet has none.
    fn fields(&self, node: usize, name: Option<&str>) -> Vec<u8> {
        if self.flavour == Flavour::Joliet {
            return Vec::new();
        }
        let (mode, links) = match &self.tree.nodes[node].kind {
            Kind::Directory(_) => (0o040_755_u32, 2_u32),
            Kind::File(content) if content.starts_with(b"#!") => (0o100_755, 1),
            Kind::File(_) => (0o100_644, 1),
        };
        // Which fields follow: attributes and times, and a name. Newer readers do not need it, older ones do.
        let mut fields = b"RR\x05\x01".to_vec();
        fields.push(if name.is_some() { 0x89 } else { 0x81 });
        fields.extend(b"PX\x24\x01");
        for number in [mode, links, 0, 0] {
            fields.extend(both32(number));
        }
        // Modification, access and attribute change.
        fields.extend(b"TF\x1a\x01\x0e");
        fields.extend([DATE; 3].concat());
        if let Some(name) = name {
            fields.extend(b"NM");
            fields.extend([5 + name.len() as u8, 1, 0]);
            fields.extend(name.as_bytes());
        }
        fields
    }

    /// What the root's own record says about the volume: that there is Rock Ridge, and where its signature is.
    fn root_fields(&self, signature: u32) -> Vec<u8> {
        if self.flavour == Flavour::Joliet {
            return Vec::new();
        }
        let mut fields = b"SP\x07\x01\xbe\xef\0".to_vec();
        fields.extend(b"CE\x1c\x01");
        let len = extension_reference().len() as u32;
        for number in [signature, 0, len] {
            fields.extend(both32(number));
        }
        fields
    }

    fn descriptor(&self, label: &str, sectors: u32) -> Vec<u8> {
        let joliet = self.flavour == Flavour::Joliet;
        let text = |text: &str, len: usize| -> Vec<u8> {
            let mut bytes = match joliet {
                true => ucs2(text),
                false => text.as_bytes().to_vec(),
            };
            bytes.truncate(len);
            let space = match joliet {
                true => &[0, b' '][..],
                false => b" ",
            };
            while bytes.len() + space.len() <= len {
                bytes.extend(space);
            }
            bytes.resize(len, 0);
            bytes
        };
        let mut sector = vec![if joliet { 2 } else { 1 }];
        sector.extend(b"CD001\x01\0");
        sector.extend(text("", 32));
        sector.extend(text(label, 32));
        sector.extend([0; 8]);
        sector.extend(both32(sectors));
        let mut escapes = [0; 32];
        if joliet {
            escapes[..3].copy_from_slice(b"%/E");
        }
        sector.extend(escapes);
        for number in [1, 1, SECTOR as u16] {
            sector.extend(both16(number));
        }
        sector.extend(both32(self.table(Order::Little).len() as u32));
        sector.extend(self.tables.to_le_bytes());
        sector.extend([0; 4]);
        sector.extend((self.tables + self.table_sectors()).to_be_bytes());
        sector.extend([0; 4]);
        sector.extend(record(self.places[0], self.size(0), true, &[0], &[]));
        // Volume set, publisher, preparer, application; then three file names.
        for len in [128, 128, 128, 128, 37, 37, 37] {
            sector.extend(text("", len));
        }
        for date in [LONG_DATE, LONG_DATE, NO_DATE, LONG_DATE] {
            sector.extend(date);
        }
        sector.extend([1, 0]);
        pad(sector)
    }
}

/// A directory record.
fn record(place: u32, size: u32, directory: bool, name: &[u8], extra: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both32(place));
    record.extend(both32(size));
    record.extend(DATE);
    record.extend([if directory { 2 } else { 0 }, 0, 0]);
    record.extend(both16(1));
    record.push(name.len() as u8);
    record.extend(name);
    record.resize(record.len().next_multiple_of(2), 0);
    record.extend(extra);
    record.resize(record.len().next_multiple_of(2), 0);
    // Names are limited so that this fits.
    record[0] = record.len() as u8;
    record
}

/// Adds a record; none crosses a sector's end.
fn append(data: &mut Vec<u8>, record: &[u8]) {
    if data.len() % SECTOR + record.len() > SECTOR {
        data.resize(data.len().next_multiple_of(SECTOR), 0);
    }
    data.extend(record);
}

/// Rock Ridge's signature, which is too long for a record.
fn extension_reference() -> Vec<u8> {
    let id = "RRIP_1991A";
    let about =
        "THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS";
    let source = "PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  \
                  SEE PUBLISHER IDENTIFIER IN PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION.";
    let lengths = [id, about, source].map(|text| text.len() as u8);
    let mut field = b"ER".to_vec();
    field.extend([8 + lengths.iter().sum::<u8>(), 1]);
    field.extend(lengths);
    field.push(1);
    for text in [id, about, source] {
        field.extend(text.as_bytes());
    }
    field
}

fn sectors(bytes: usize) -> u32 {
    bytes.div_ceil(SECTOR) as u32
}

fn pad(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    bytes
}

fn both32(number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn both16(number: u16) -> [u8; 4] {
    let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}
