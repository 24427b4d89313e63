//! What loading is given and what it gives.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::diag::{Diagnostic, Diagnostics};
use crate::model::{Name, Project, Secret};

use super::loader::Loader;
use super::lower;

/// The file that a project is known by.
pub(super) const FILE: &str = "builds.toml";

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    /// A file, or anything that is no directory.
    File,
    /// A directory.
    Directory,
}

/// The outside, as far as loading needs it. Paths are absolute, but for those in [`Overrides`].
pub trait World {
    /// A file's content.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// All files below a directory, relative to it, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Files below a directory, at most so many names deep, relative to it; without what git and forge keep there.
    fn find(&self, dir: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
        let mut files = self.list(dir)?;
        files.retain(|file| file.components().count() <= depth);
        Ok(files)
    }
    /// What is at this path (links are followed).
    fn kind(&self, path: &Path) -> io::Result<PathKind>;
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// The standard output of a shell line, trimmed; or why it failed.
    fn command(&self, line: &str, dir: &Path) -> Result<String, String>;
}

/// Variables from the command line.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `scope.name=value`.
    pub vars: Vec<String>,
    /// TOML files with a table for each scope.
    pub var_files: Vec<PathBuf>,
    /// The provider of stages that name none.
    pub provider: Option<String>,
}

/// A project that has been loaded without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What the user should know all the same.
    pub warnings: Diagnostics,
    /// The secrets that are known.
    pub secrets: Secrets,
    /// All variables, for people.
    pub variables: VariableTable,
}

/// Values of secret variables.
#[derive(Clone, Debug, Default)]
pub struct Secrets(pub(super) BTreeMap<(Name, String), Secret>);

impl Secrets {
    /// The value of a secret; none if nobody gave one.
    #[must_use]
    pub fn resolve(&self, scope: &Name, variable: &str) -> Option<Secret> {
        self.0.get(&(scope.clone(), variable.to_owned())).cloned()
    }

    /// All known values, to keep them out of outputs.
    pub fn values(&self) -> impl Iterator<Item = &Secret> {
        self.0.values()
    }
}

/// A variable as `forge vars` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableRow {
    /// Its scope.
    pub scope: Name,
    /// The axis values at which it has this value; empty if it has it at all.
    pub axes: BTreeMap<Name, String>,
    /// Its dotted name within the scope.
    pub name: String,
    /// Its value; `***` for a secret.
    pub value: String,
    /// Where it comes from: `vars/common.toml:3`, `env VCENTER_SERVER`, `--var`.
    pub source: String,
}

/// All variables, and which stages see them.
#[derive(Clone, Debug, Default)]
pub struct VariableTable {
    /// The variables, by scope, axis values and name.
    pub rows: Vec<VariableRow>,
    /// The scopes that each stage lists.
    pub stages: BTreeMap<Name, Vec<Name>>,
}

impl VariableTable {
    /// The variables that a stage sees at these axis values; axes that are not given count as any value.
    #[must_use]
    pub fn of_stage(&self, stage: &Name, axes: &BTreeMap<Name, String>) -> Vec<&VariableRow> {
        let scopes = self
            .stages
            .get(stage)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let fits = |row: &&VariableRow| {
            row.axes
                .iter()
                .all(|(axis, value)| axes.get(axis).is_none_or(|chosen| chosen == value))
        };
        let rows = self.rows.iter().filter(|row| scopes.contains(&row.scope));
        rows.filter(fits).collect()
    }
}

/// Loads the project in `root`, or says everything that is wrong with it.
pub fn load(root: &Path, world: &dyn World, overrides: &Overrides) -> Result<Loaded, Diagnostics> {
    let loader = Loader::new(root, world);
    let file = match loader.text_file(FILE) {
        Ok(Some(file)) => file,
        Ok(None) => {
            loader.push(Diagnostic::error(
                "toml",
                format!("`{FILE}` is not UTF-8 text"),
            ));
            return Err(loader.finish());
        }
        Err(error) => {
            loader.push(no_file(&error));
            return Err(loader.finish());
        }
    };
    let lowered = lower::file(&loader, &file, overrides);
    let warnings = loader.finish();
    if warnings.has_errors() {
        return Err(warnings);
    }
    let (project, secrets, variables) = lowered;
    Ok(Loaded {
        project,
        warnings,
        secrets,
        variables,
    })
}

fn no_file(error: &io::Error) -> Diagnostic {
    if error.kind() == io::ErrorKind::NotFound {
        Diagnostic::error("missing-file", format!("there is no `{FILE}` here"))
            .help("`forge init` makes one; `--project DIR` uses another directory")
    } else {
        Diagnostic::error("missing-file", format!("`{FILE}` cannot be read: {error}"))
    }
}
