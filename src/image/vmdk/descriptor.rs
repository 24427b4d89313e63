//! The text that describes a VMDK: within it, or as a file that names those with the content.

use std::io;

use super::header::{DESCRIPTOR_SPACE, SECTOR};
use super::write::{Adapter, WriteOptions};
use crate::model::Digest;

/// What a descriptor says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// `streamOptimized`, `monolithicFlat`, …
    pub create_type: Option<String>,
    /// The content's id, eight hexadecimal digits; it changes whenever the disk is written to.
    pub cid: Option<String>,
    /// The parent's; `ffffffff` where there is none.
    pub parent_cid: Option<String>,
    /// What the disk hangs on: `lsilogic`, `ide`.
    pub adapter: Option<String>,
    /// The disk's parts, in order.
    pub extents: Vec<Extent>,
}

/// A part of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Its length in bytes.
    pub size: u64,
    /// Where its content is.
    pub kind: ExtentKind,
}

/// Where a part's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// Nowhere: zeros.
    Zero,
    /// In a file as it is, from this byte on.
    Flat {
        /// The file's name.
        file: String,
        /// The first byte.
        offset: u64,
    },
    /// In a sparse VMDK.
    Sparse {
        /// The file's name.
        file: String,
    },
    /// In a way that is not read here.
    Other(String),
}

impl Descriptor {
    /// Reads what is understood and passes over the rest, as all readers do.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut descriptor = Self::default();
        for line in text.lines().map(str::trim) {
            if let Some((name, value)) = line.split_once('=') {
                let value = value.trim().trim_matches('"').to_owned();
                match name.trim() {
                    "createType" => descriptor.create_type = Some(value),
                    "CID" => descriptor.cid = Some(value.to_lowercase()),
                    "parentCID" => descriptor.parent_cid = Some(value.to_lowercase()),
                    "ddb.adapterType" => descriptor.adapter = Some(value),
                    _ => {}
                }
            } else if let Some(extent) = extent(line) {
                descriptor.extents.push(extent);
            }
        }
        descriptor
    }

    /// Whether the disk holds only what differs from another one: a snapshot's.
    #[must_use]
    pub fn has_parent(&self) -> bool {
        self.parent_cid
            .as_deref()
            .is_some_and(|cid| cid.trim_start_matches('0') != "ffffffff" && !cid.is_empty())
    }
}

/// `RW 4192256 SPARSE "disk-s001.vmdk"`, `RW 100 FLAT "disk-flat.vmdk" 0`, `RW 7 ZERO`.
fn extent(line: &str) -> Option<Extent> {
    let mut words = line.splitn(4, char::is_whitespace);
    if !matches!(words.next()?, "RW" | "RDONLY" | "NOACCESS") {
        return None;
    }
    let size = words.next()?.parse::<u64>().ok()?.checked_mul(SECTOR)?;
    let kind = words.next()?;
    let rest = words.next().unwrap_or_default().trim();
    let file = || {
        let (name, after) = rest.strip_prefix('"')?.split_once('"')?;
        Some((name.to_owned(), after.trim()))
    };
    let kind = match kind {
        "ZERO" => ExtentKind::Zero,
        "FLAT" | "VMFS" => {
            let (file, offset) = file()?;
            let sectors = match offset.split_whitespace().next() {
                Some(offset) => offset.parse::<u64>().ok()?,
                None => 0,
            };
            ExtentKind::Flat {
                file,
                offset: sectors.checked_mul(SECTOR)?,
            }
        }
        "SPARSE" => ExtentKind::Sparse { file: file()?.0 },
        other => ExtentKind::Other(other.to_owned()),
    };
    Some(Extent { size, kind })
}

/// The descriptor of what is written, `capacity` in sectors; it fits where it belongs.
pub(super) fn text(kind: &str, capacity: u64, options: &WriteOptions) -> io::Result<Vec<u8>> {
    let adapter = match options.adapter {
        Adapter::Scsi => "lsilogic",
        Adapter::Ide => "ide",
    };
    let id = Digest::of(format!("{}\n{}\n{capacity}", options.identity, options.name).as_bytes());
    let bytes = id.as_bytes();
    // A quote or a line end would end the name.
    let name: String = options
        .name
        .chars()
        .map(|c| if c == '"' || c.is_control() { '_' } else { c })
        .collect();
    // Two values of a content id have meanings of their own.
    let content = match u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]) {
        reserved @ 0xffff_fffe.. => reserved - 2,
        id => id,
    };
    let long = &id.hex()[..24];
    let cylinders = capacity.div_ceil(255 * 63).clamp(1, 65_535);
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID={content:08x}\nparentCID=ffffffff\ncreateType=\"{kind}\"\n\n\
         # Extent description\nRW {capacity} SPARSE \"{name}\"\n\n\
         # The Disk Data Base\n#DDB\n\n\
         ddb.adapterType = \"{adapter}\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\nddb.longContentID = \"{long}{content:08x}\"\nddb.toolsInstallType = \"4\"\n\
         ddb.toolsVersion = \"2147483647\"\nddb.virtualHWVersion = \"4\"\n"
    );
    if text.len() >= DESCRIPTOR_SPACE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the file's name is too long for the descriptor",
        ));
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_of_many_files_is_read() {
        let text = "# Disk DescriptorFile\r\nversion=1\r\nencoding=\"UTF-8\"\r\nCID=0123ABCD\r\nparentCID=ffffffff\r\n\
            createType=\"custom\"\r\n\r\n# Extent description\r\nRW 4192256 SPARSE \"a b-s001.vmdk\"\r\n\
            RW 63 FLAT \"p-flat.vmdk\" 128\r\nRDONLY 5 ZERO\r\nRW 9 VMFS \"esx-flat.vmdk\"\r\nRW 1 SESPARSE \"x\"\r\n\
            RW many SPARSE \"x\"\r\nRW 1 SPARSE x\r\nRW 18446744073709551615 ZERO\r\n\r\nddb.adapterType = \"buslogic\"\r\n";
        let found = Descriptor::parse(text);
        let flat = |file: &str, offset| ExtentKind::Flat {
            file: file.into(),
            offset,
        };
        let expected = [
            (
                4_192_256 * 512,
                ExtentKind::Sparse {
                    file: "a b-s001.vmdk".into(),
                },
            ),
            (63 * 512, flat("p-flat.vmdk", 65_536)),
            (5 * 512, ExtentKind::Zero),
            (9 * 512, flat("esx-flat.vmdk", 0)),
            (512, ExtentKind::Other("SESPARSE".into())),
        ];
        let expected = expected.map(|(size, kind)| Extent { size, kind });
        assert_eq!(found.extents, expected);
        assert_eq!(found.create_type.as_deref(), Some("custom"));
        assert_eq!(found.cid.as_deref(), Some("0123abcd"));
        assert_eq!(found.adapter.as_deref(), Some("buslogic"));
        assert!(!found.has_parent());
        assert!(Descriptor::parse("parentCID=01234567\n").has_parent());
    }
}
