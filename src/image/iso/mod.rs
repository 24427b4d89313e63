//! Small CDs: ISO 9660 with Rock Ridge (for Linux) and Joliet (for the rest), for installers' answers and `cidata`.
//!
//! The plain ISO names are short and made up; every reader of today takes the Rock Ridge or the Joliet ones, which are the
//! real names. All times are the first day of 1980, so that the same files give the same image.

mod layout;
mod names;
mod tree;

use tree::Tree;

/// Why a CD could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsoError {
    /// The label cannot be a volume id.
    #[error("`{0}` is no CD label: up to 32 letters, digits, `-`, `_`, `.` and spaces")]
    Label(String),
    /// A path that a CD cannot hold.
    #[error("`{path}` is no path for a CD: {why}")]
    Path {
        /// As given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file beyond what ISO 9660 can say.
    #[error("`{0}` is larger than 4GiB")]
    TooLarge(String),
}

/// A CD's image with this label and these files: paths with `/`, directories are made as needed. A file that starts with
/// `#!` is executable.
pub fn write(label: &str, files: &[(String, Vec<u8>)]) -> Result<Vec<u8>, IsoError> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-_. ".contains(&b);
    if label.is_empty() || label.len() > 32 || !label.bytes().all(fine) {
        return Err(IsoError::Label(label.to_owned()));
    }
    let tree = Tree::new(files)?;
    Ok(layout::image(label, &tree))
}

#[cfg(test)]
mod tests;
