//! To be written.

pub mod checks;
