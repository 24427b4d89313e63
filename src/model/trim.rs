//! How a machine's disks are left.

/// What is done with the free space of a machine's disks before it is turned off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trim {
    /// It is discarded, where the guest can.
    #[default]
    Auto,
    /// It is discarded, and filled with zeros where it cannot be.
    Zero,
    /// Nothing.
    Off,
}

impl Trim {
    /// The words that users write.
    pub const WORDS: &'static [&'static str] = &["auto", "zero", "off"];

    /// What `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "auto" => Self::Auto,
            "zero" => Self::Zero,
            "off" => Self::Off,
            _ => return None,
        })
    }
}
