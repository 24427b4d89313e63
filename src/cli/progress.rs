//! A bar for commands that work on one large file.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::common::{Format, Global};
use super::{CliError, signals};
use crate::sys::Cancel;

/// Runs `work` with a bar on standard error, if that is a terminal, and with a cancel that Ctrl-C sets. `total` is what is expected of the
/// count that `work` reports.
pub(super) fn with_bar<T: Send + 'static>(
    global: &Global,
    verb: &'static str,
    total: u64,
    work: impl FnOnce(&(dyn Fn(u64) + Sync), &Cancel) -> T + Send + 'static,
) -> Result<T, CliError> {
    let shown = std::io::stderr().is_terminal() && matches!(global.output, Format::Auto);
    let bar = if shown {
        ProgressBar::new(total)
    } else {
        ProgressBar::hidden()
    };
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
    ) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(verb);
    let cancel = Cancel::new();
    let runtime = super::common::runtime()?;
    let result = runtime.block_on(async {
        signals::watch(&cancel, super::common::warn);
        let (bar, cancel) = (bar.clone(), cancel.clone());
        tokio::task::spawn_blocking(move || work(&|done| bar.set_position(done), &cancel)).await
    });
    bar.finish_and_clear();
    match result {
        Ok(result) => Ok(result),
        // A panic is forge's own, and goes on as one.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
