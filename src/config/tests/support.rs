//! A world in memory, and short ways to load from it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Loaded, Overrides, PathKind, World, load};
use crate::diag::{Diagnostics, render};
use crate::model::{Stage, StageKey};

/// Files, environment and commands that a test says.
#[derive(Default)]
pub(super) struct FakeWorld {
    files: BTreeMap<String, Vec<u8>>,
    env: BTreeMap<String, String>,
    command: Option<Result<String, String>>,
    overrides: Overrides,
}

impl FakeWorld {
    pub(super) fn new(builds: &str) -> Self {
        Self::default().file("builds.toml", builds)
    }

    pub(super) fn file(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.to_owned(), text.as_ref().to_owned());
        self
    }

    pub(super) fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn with_command(mut self, result: Result<&str, &str>) -> Self {
        self.command = Some(result.map(str::to_owned).map_err(str::to_owned));
        self
    }

    pub(super) fn var(mut self, var: &str) -> Self {
        self.overrides.vars.push(var.to_owned());
        self
    }

    pub(super) fn var_file(mut self, path: &str) -> Self {
        self.overrides
            .var_files
            .push(PathBuf::from("/project").join(path));
        self
    }

    pub(super) fn load(&self) -> Result<Loaded, Diagnostics> {
        load(Path::new("/project"), self, &self.overrides)
    }

    #[track_caller]
    pub(super) fn loaded(&self) -> Loaded {
        self.load()
            .unwrap_or_else(|faults| panic!("{}", render(&faults, false)))
    }

    /// What is drawn of the faults.
    #[track_caller]
    pub(super) fn faults(&self) -> String {
        match self.load() {
            Err(faults) => render(&faults, false),
            Ok(loaded) => panic!("no fault, but {} warnings", loaded.warnings.iter().count()),
        }
    }

    fn relative(path: &Path) -> String {
        path.strip_prefix("/project")
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned()
    }
}

impl World for FakeWorld {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(&Self::relative(path))
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let dir = match Self::relative(dir).as_str() {
            "" => String::new(),
            dir => format!("{dir}/"),
        };
        let files: Vec<PathBuf> = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(dir.as_str()))
            .map(PathBuf::from)
            .collect();
        if files.is_empty() {
            Err(io::ErrorKind::NotFound.into())
        } else {
            Ok(files)
        }
    }

    fn kind(&self, path: &Path) -> io::Result<PathKind> {
        let path = Self::relative(path);
        if self.files.contains_key(&path) {
            return Ok(PathKind::File);
        }
        let dir = path + "/";
        let inside = self.files.keys().any(|path| path.starts_with(&dir));
        inside
            .then_some(PathKind::Directory)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn command(&self, _line: &str, _dir: &Path) -> Result<String, String> {
        self.command
            .clone()
            .unwrap_or_else(|| Ok("1.2.3".to_owned()))
    }
}

/// The stage with this key, as it is shown: `clone[os=mini]`.
#[track_caller]
pub(super) fn stage<'l>(loaded: &'l Loaded, key: &str) -> &'l Stage {
    let keys: Vec<&StageKey> = loaded
        .project
        .stages
        .iter()
        .map(|stage| &stage.key)
        .collect();
    let found = loaded
        .project
        .stages
        .iter()
        .find(|stage| stage.key.to_string() == key);
    found.unwrap_or_else(|| panic!("no {key} among {keys:?}"))
}

const BASE: &str = r#"
version = 1
[axes]
os = ["mini", "big"]
[scopes.common]
values = { password = "x", cpus = 2, net = { name = "lab" } }
[scopes.os]
file = "vars/{{ axis.os }}.toml"
[scopes.vcenter]
env = { server = "VCENTER_SERVER", password = "VCENTER_PASSWORD" }
secret = ["password"]
[stages.build-iso]
kind = "command"
run = "make {{ outputs.iso }}"
outputs = { iso = "output/a.iso" }
"#;

/// A project with scopes, an axis and one command stage, and these stages.
pub(super) fn axes_and_scopes(stages: &str) -> FakeWorld {
    FakeWorld::new(&format!("{BASE}{stages}"))
        .file("vars/mini.toml", "url = \"http://mini\"\n")
        .file("vars/big.toml", "url = \"http://big\"\n")
}
