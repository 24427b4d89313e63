//! What stands for more than it says, written out before anything is lowered: included files, templates of stages, and
//! stages for each file of a glob. Values keep the place where they were written, so that faults point there.

mod foreach;
mod include;
mod templates;
mod values;

use crate::config::loader::Loader;
use crate::config::tree::{Table, Value};

/// The file with all of it written out; `Err`: an included file is broken, and what follows from that is no fault.
pub(super) fn expand(loader: &Loader<'_>, table: &mut Table) -> Result<(), ()> {
    let whole = include::merge(loader, table);
    templates::apply(loader, table);
    foreach::write_out(loader, table);
    whole
}

/// The table of `key`, to change.
fn section<'t>(table: &'t mut Table, key: &str) -> Option<&'t mut Table> {
    let entry = table.entries.iter_mut().find(|entry| entry.key == key)?;
    match &mut entry.node.value {
        Value::Table(table) => Some(table),
        _ => None,
    }
}
