//! Files and values that the command line names.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::CliError;
use crate::goss::{Files as _, Vars};
use crate::guest::suite::DirFiles;

/// Gossfiles as the command line names them: from the directory in which forge works.
pub(super) fn gossfiles(dir: Option<PathBuf>) -> Result<DirFiles, CliError> {
    let dir = dir.unwrap_or_else(|| PathBuf::from("."));
    if !dir.is_dir() {
        return Err(CliError::input(format!(
            "{} is no directory",
            dir.display()
        )));
    }
    Ok(DirFiles { dir })
}

/// The variables of these files, and those written on the command line.
pub(super) fn vars(
    files: &DirFiles,
    paths: &[String],
    inline: Option<&str>,
) -> Result<Vars, CliError> {
    let mut vars = Vars::new();
    for path in paths.iter().filter(|path| !path.is_empty()) {
        let text = files
            .read(path)
            .map_err(|reason| CliError::input(format!("`{path}` cannot be read: {reason}")))?;
        vars.file(path, &text).map_err(CliError::Project)?;
    }
    if let Some(text) = inline.filter(|text| !text.is_empty()) {
        vars.inline("--vars-inline", text)
            .map_err(CliError::Project)?;
    }
    Ok(vars)
}

/// What stands in standard input.
pub(super) fn standard_input() -> Result<String, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|e| CliError::input(format!("standard input cannot be read: {e}")))?;
    Ok(text)
}

/// A span of time as Go and people write it: `300ms`, `1.5s`, `1m30s`; `0`.
pub(super) fn span(option: &str, text: &str) -> Result<Duration, CliError> {
    let wrong = || {
        CliError::input(format!("`{text}` is no span of time, in `{option}`"))
            .help("write it like `300ms`, `30s` or `1m30s`")
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len());
        total += number
            * match &rest[..letters] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(wrong()),
            };
        rest = &rest[letters..];
    }
    if text.is_empty() {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

/// Writes a file whole.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CliError> {
    crate::sys::fs::write_atomic(path, text.as_bytes())
        .map_err(|e| CliError::input(format!("{} cannot be written: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_reads_them() {
        let millis = |text| span("-r", text).ok().map(|span| span.as_millis());
        assert_eq!(millis("0"), Some(0));
        assert_eq!(millis("1m30s"), Some(90_000));
        assert_eq!(millis("1.5s"), Some(1500));
        assert_eq!(millis("300ms"), Some(300));
        for wrong in ["", "5", "s", "1x", "1s2"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }
}
