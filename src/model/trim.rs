//! How a machine's disks are left.

use super::hardware::words;

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

words!(Trim, "trimming", Auto => "auto", Zero => "zero", Off => "off");
