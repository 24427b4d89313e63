//! Whole outputs, pinned.

mod cache;
mod docs;
mod emulator;
mod lists;
mod make;
mod plans;
mod sinks;
mod story;
mod terminal;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::model::{Name, StageKey};

/// A writer whose content the test sees.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `clone` or `clone[os=mini]`.
fn stage(text: &str) -> StageKey {
    let (name, axes) = text.split_once('[').unwrap_or((text, ""));
    let axes = axes
        .trim_end_matches(']')
        .split(',')
        .filter_map(|axis| axis.split_once('='))
        .map(|(axis, value)| (Name::parse(axis).unwrap(), value.to_owned()))
        .collect();
    StageKey {
        name: Name::parse(name).unwrap(),
        axes,
    }
}
