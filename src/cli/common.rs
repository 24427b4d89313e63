//! Options that several commands share.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::CliError;
use crate::config::Overrides;
use crate::model::Name;
use crate::plan::Selection;
use crate::report::{ColourChoice, OutputChoice, OutputKind};

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Work in this directory, as if forge had been started there
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Where the store, downloads and probes are kept
    #[arg(
        long,
        value_name = "DIR",
        env = "FORGE_CACHE_DIR",
        global = true,
        hide_env_values = true
    )]
    pub(crate) cache_dir: Option<PathBuf>,
    /// When to use colours
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub(crate) color: Colour,
    /// How to show what happens: for people, or as JSON for programs
    #[arg(long, value_name = "FORMAT", default_value = "auto", global = true)]
    pub(crate) output: Format,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Live lines on a terminal, plain ones elsewhere and in CI
    Auto,
    /// Plain lines
    Plain,
    /// JSON
    Json,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Global {
    pub(crate) fn colour_stdout(&self) -> bool {
        self.colour(std::io::stdout().is_terminal())
    }

    pub(crate) fn colour_stderr(&self) -> bool {
        self.colour(std::io::stderr().is_terminal())
    }

    fn colour(&self, terminal: bool) -> bool {
        let choice = match self.color {
            Colour::Auto => ColourChoice::Auto,
            Colour::Always => ColourChoice::Always,
            Colour::Never => ColourChoice::Never,
        };
        choice.resolve(terminal, &env)
    }

    pub(crate) fn output_kind(&self) -> OutputKind {
        let choice = match self.output {
            Format::Auto => OutputChoice::Auto,
            Format::Plain => OutputChoice::Plain,
            Format::Json => OutputChoice::Json,
        };
        choice.resolve(std::io::stdout().is_terminal(), &env)
    }

    pub(crate) fn json(&self) -> bool {
        self.output == Format::Json
    }
}

/// Which values of the axes, and which values of variables.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Take this value of an axis instead of its first one (may be repeated)
    #[arg(long = "set", value_name = "AXIS=VALUE")]
    pub(crate) set: Vec<String>,
    /// Take all values of an axis (may be repeated)
    #[arg(long = "all", value_name = "AXIS")]
    pub(crate) all: Vec<String>,
    /// Give a variable a value (may be repeated)
    #[arg(long = "var", value_name = "SCOPE.NAME=VALUE")]
    pub(crate) vars: Vec<String>,
    /// Read variables from a TOML file with a table per scope (may be repeated)
    #[arg(long = "var-file", value_name = "FILE")]
    pub(crate) var_files: Vec<PathBuf>,
    /// The provider of all stages that name none, instead of the first one in the file
    #[arg(long = "provider", value_name = "NAME")]
    pub(crate) provider: Option<String>,
}

impl Choice {
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            vars: self.vars.clone(),
            var_files: self.var_files.clone(),
            provider: self.provider.clone(),
        }
    }

    /// The selection of `targets` at the chosen values; unknown axes and values are told by the planner.
    pub(crate) fn selection(
        &self,
        project: &crate::model::Project,
        targets: &[String],
    ) -> Result<Selection, CliError> {
        let mut axes: BTreeMap<Name, Vec<String>> = BTreeMap::new();
        for pair in &self.set {
            let (axis, value) = pair.split_once('=').ok_or_else(|| {
                CliError::input(format!("`--set {pair}` is not of the form AXIS=VALUE"))
            })?;
            axes.entry(axis_name(project, axis)?)
                .or_default()
                .push(value.to_owned());
        }
        for axis in &self.all {
            let name = axis_name(project, axis)?;
            let values = project
                .axes
                .iter()
                .find(|a| a.name == name)
                .map(|a| a.values.clone())
                .unwrap_or_default();
            axes.insert(name, values);
        }
        Ok(Selection {
            targets: targets.to_vec(),
            axes,
        })
    }
}

fn axis_name(project: &crate::model::Project, axis: &str) -> Result<Name, CliError> {
    let known = || project.axes.iter().map(|a| a.name.as_str());
    match project.axes.iter().find(|a| a.name.as_str() == axis) {
        Some(found) => Ok(found.name.clone()),
        None => {
            let error = CliError::input(format!("there is no axis `{axis}`"));
            Err(match crate::diag::closest(axis, known()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!(
                    "axes here: {}",
                    known().collect::<Vec<_>>().join(", ")
                )),
            })
        }
    }
}

/// Writes to standard output. A reader that has gone away (`forge … | head`) is no error.
pub(crate) fn print(bytes: &[u8]) -> Result<(), CliError> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(CliError::environment(
            format!("cannot write to standard output: {e}"),
        )),
        _ => Ok(()),
    }
}

/// A warning for people, on standard error.
pub(crate) fn warn(message: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "warning: {message}");
}

/// What commands wait in.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Runtime::new().map_err(|e| CliError::environment(format!("cannot start: {e}")))
}
