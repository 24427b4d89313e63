//! The files as a tree of directories.

use std::collections::BTreeMap;

use super::IsoError;

/// ISO 9660 allows eight levels, the root among them.
const DEPTH: usize = 8;

/// A file or directory.
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind<'a>,
}

pub(super) enum Kind<'a> {
    /// Its content.
    File(&'a [u8]),
    /// Children, by index.
    Directory(Vec<usize>),
}

/// All nodes; the first is the root.
pub(super) struct Tree<'a> {
    pub(super) nodes: Vec<Node<'a>>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(files: &'a [(String, Vec<u8>)]) -> Result<Self, IsoError> {
        let directory = |name| Node {
            name,
            kind: Kind::Directory(Vec::new()),
        };
        let mut nodes = vec![directory("")];
        let mut known: BTreeMap<&str, usize> = BTreeMap::from([("", 0)]);
        for (path, content) in files {
            check_path(path)?;
            if u32::try_from(content.len()).is_err() {
                return Err(IsoError::TooLarge(path.clone()));
            }
            let mut parent = 0;
            let ends = path.match_indices('/').map(|(end, _)| end);
            for end in ends.chain([path.len()]) {
                let start = path[..end].rfind('/').map_or(0, |slash| slash + 1);
                let (prefix, name) = (&path[..end], &path[start..end]);
                let last = end == path.len();
                if let Some(node) = known.get(prefix) {
                    if last || matches!(nodes[*node].kind, Kind::File(_)) {
                        return Err(IsoError::Path {
                            path: path.clone(),
                            why: "there is something else of this name",
                        });
                    }
                    parent = *node;
                    continue;
                }
                let new = nodes.len();
                nodes.push(directory(name));
                if last {
                    nodes[new].kind = Kind::File(content);
                }
                if let Kind::Directory(children) = &mut nodes[parent].kind {
                    children.push(new);
                }
                known.insert(prefix, new);
                parent = new;
            }
        }
        Ok(Self { nodes })
    }

    /// The children of a directory; none for a file.
    pub(super) fn children(&self, node: usize) -> &[usize] {
        match &self.nodes[node].kind {
            Kind::Directory(children) => children,
            Kind::File(_) => &[],
        }
    }
}

fn check_path(path: &str) -> Result<(), IsoError> {
    let bad = |why| {
        Err(IsoError::Path {
            path: path.to_owned(),
            why,
        })
    };
    if path.split('/').count() >= DEPTH {
        return bad("it is deeper than eight levels");
    }
    for part in path.split('/') {
        if part.is_empty() {
            return bad("it has an empty part");
        }
        if part == "." || part == ".." {
            return bad("it leads out of its directory");
        }
        // Both limits keep a directory record within its 255 bytes.
        if part.encode_utf16().count() > 103 || part.len() > 120 {
            return bad("a part is longer than 100 characters");
        }
        if part.contains(|c: char| c.is_control() || "*:;?\\".contains(c)) {
            return bad("it has a character that Joliet forbids");
        }
    }
    Ok(())
}
