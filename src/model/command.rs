//! Commands, and what is read from the project.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Name, Text};

/// Something outside `builds.toml` that a stage reads: its content is an ingredient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Input {
    /// One file or directory (taken as a tree), relative to the project.
    Path(String),
    /// Files that match a glob, relative to the project.
    Glob(String),
    /// One of the two, without what `.gitignore` files leave out.
    Unignored(String),
}

impl Input {
    /// Whether a path as users write it is a glob.
    #[must_use]
    pub fn is_glob(path: &str) -> bool {
        path.contains(['*', '?', '[', '{'])
    }

    /// The directories at the start of a glob that have no wildcard.
    #[must_use]
    pub fn fixed_part(glob: &str) -> &str {
        let wild = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
        glob[..wild].rfind('/').map_or("", |end| &glob[..end])
    }
}

/// `kind = "command"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// What to run.
    pub run: CommandLine,
    /// What it reads.
    pub inputs: Vec<Input>,
    /// How it tells what it has read beside that.
    pub discovers: Option<Discovery>,
    /// What it writes: paths relative to the project.
    pub outputs: BTreeMap<Name, String>,
    /// Variables it is given, beside the passed ones.
    pub env: BTreeMap<String, Text>,
    /// Names of forge's own environment variables that are passed on.
    pub pass_env: Vec<String>,
    /// Working directory, relative to the project.
    pub dir: Option<String>,
    /// Runs every time.
    pub always: bool,
}

impl Command {
    /// The file in which it tells what it has read, relative to the project.
    #[must_use]
    pub fn depfile(&self) -> Option<&String> {
        match &self.discovers {
            Some(Discovery::Depfile(path)) => Some(path),
            _ => None,
        }
    }
}

/// How a command tells what it has read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Discovery {
    /// In a file with a rule of Make, relative to the project.
    Depfile(String),
    /// In lines of its output that begin like this; they are not shown.
    Lines(String),
}

/// How a command is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CommandLine {
    /// A line for `sh -c`.
    Shell(Text),
    /// A program and its arguments; no shell.
    Argv(Vec<Text>),
}
