//! Which places of a file are taken.

/// A bit for each block or cluster of a file.
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn new(count: u64) -> Self {
        Self(vec![0; usize::try_from(count / 64 + 1).unwrap_or(0)])
    }

    /// Sets a bit; whether it was set before.
    pub(super) fn set(&mut self, bit: u64) -> bool {
        let Some(word) = self.0.get_mut((bit / 64) as usize) else {
            return false;
        };
        let mask = 1 << (bit % 64);
        let before = *word & mask != 0;
        *word |= mask;
        before
    }

    pub(super) fn has(&self, bit: u64) -> bool {
        let word = self.0.get((bit / 64) as usize);
        word.is_some_and(|word| word & 1 << (bit % 64) != 0)
    }
}
