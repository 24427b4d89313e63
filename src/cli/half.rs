//! What is half done must not stay when forge is killed.

use super::common::Global;
use super::session::{cache_dir, open_store};
use crate::store::Store;
use crate::sys::{Entry, Guard};

/// Writes down what is about to be made, so that the next forge removes it if this one is killed. Commands that work on single
/// files need no cache: where there is none, that is not done.
pub(super) fn enter(
    global: &Global,
    entry: impl FnOnce() -> Option<Entry>,
) -> Option<(Guard, Store)> {
    let store = open_store(&cache_dir(global).ok()?).ok()?;
    let guard = store.journal().enter(entry()?).ok()?;
    Some((guard, store))
}
