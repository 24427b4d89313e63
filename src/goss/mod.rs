//! The language of gossfiles (goss 0.4.10): templates, files, resources, matchers, verdicts and their reports. Pure: what is asked
//! of a system is a [`Question`], what it said an [`Answer`].

mod question;

pub use question::{Answer, FileWants, Question, Transport, Truth};
