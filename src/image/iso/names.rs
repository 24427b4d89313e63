//! The two ways in which the volume names its files.

use std::collections::BTreeSet;

use super::tree::{Kind, Tree};

/// Which of the two directory trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    /// Short names, with the real ones in Rock Ridge fields.
    Iso,
    /// Real names in UCS-2.
    Joliet,
}

/// The identifier of every node in this flavour, by the node's index; the root has none.
pub(super) fn identifiers(tree: &Tree<'_>, flavour: Flavour) -> Vec<Vec<u8>> {
    let mut names = vec![Vec::new(); tree.nodes.len()];
    for directory in 0..tree.nodes.len() {
        let mut taken = BTreeSet::new();
        for child in tree.children(directory) {
            let node = &tree.nodes[*child];
            names[*child] = match flavour {
                Flavour::Joliet => ucs2(node.name),
                Flavour::Iso => short(node.name, matches!(node.kind, Kind::File(_)), &mut taken),
            };
        }
    }
    names
}

pub(super) fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A name of eight and three characters that no sibling has.
fn short(name: &str, file: bool, taken: &mut BTreeSet<Vec<u8>>) -> Vec<u8> {
    let plain = |text: &str, most: usize| -> String {
        text.chars()
            .map(|c| match c.to_ascii_uppercase() {
                c if c.is_ascii_uppercase() || c.is_ascii_digit() => c,
                _ => '_',
            })
            .take(most)
            .collect()
    };
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if file && !stem.is_empty() => (stem, extension),
        _ => (name, ""),
    };
    let (stem, extension) = (plain(stem, 8), plain(extension, 3));
    let mut number = 0;
    loop {
        let stem = match number {
            0 => stem.clone(),
            n => {
                let digits = n.to_string();
                let kept: String = stem.chars().take(8 - digits.len().min(7)).collect();
                kept + &digits
            }
        };
        let identifier = match file {
            true => format!("{stem}.{extension};1"),
            false => stem,
        };
        if taken.insert(identifier.clone().into_bytes()) {
            return identifier.into_bytes();
        }
        number += 1;
    }
}
