//! A project in a temporary directory, and forge run in it with a clean environment.

pub(crate) mod appliance;
pub(crate) mod goss;
pub(crate) mod killing;
pub(crate) mod matrix;
pub(crate) mod root;
pub(crate) mod servers;
pub(crate) mod sshd;
pub(crate) mod terminal;
pub(crate) mod vcenter;
pub(crate) mod vm;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A throw-away project with its own cache.
pub(crate) struct Sandbox {
    dir: tempfile::TempDir,
    cache: PathBuf,
    env: Vec<(String, String)>,
}

/// What a run of forge printed and returned.
#[must_use]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Sandbox {
    /// A project whose `builds.toml` is `text`.
    pub(crate) fn new(text: &str) -> Self {
        let sandbox = Self::empty();
        sandbox.write("builds.toml", text);
        sandbox
    }

    /// An empty directory.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("forge-it-")
            .tempdir()
            .unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        let cache = dir.path().join("cache");
        Self {
            dir,
            cache,
            env: Vec::new(),
        }
    }

    /// With another cache directory: one that tests with real guests share.
    pub(crate) fn with_cache(mut self, cache: &Path) -> Self {
        self.cache = cache.to_owned();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("project").canonicalize().unwrap()
    }

    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path(relative)).unwrap_or_else(|e| panic!("{relative}: {e}"))
    }

    pub(crate) fn exists(&self, relative: &str) -> bool {
        self.path(relative).exists()
    }

    /// The command line, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_forge"));
        command.args(args).current_dir(self.root()).env_clear();
        for name in ["PATH", "HOME", "USER"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("FORGE_CACHE_DIR", &self.cache)
            .env("COLUMNS", "100")
            .env("LC_ALL", "C.UTF-8");
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null());
        command
    }

    /// Runs forge to its end.
    pub(crate) fn forge(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        self.output(&output)
    }

    /// Starts forge and lets it run.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn output(&self, output: &std::process::Output) -> Output {
        Output {
            stdout: self.mask(&String::from_utf8_lossy(&output.stdout)),
            stderr: self.mask(&String::from_utf8_lossy(&output.stderr)),
            code: output.status.code().unwrap_or(-1),
        }
    }

    /// Paths, times and ids replaced by what does not change from run to run.
    pub(crate) fn mask(&self, text: &str) -> String {
        let text = text
            .replace(&self.root().display().to_string(), "[ROOT]")
            .replace(&self.cache.display().to_string(), "[CACHE]")
            .replace(&self.dir.path().display().to_string(), "[TMP]");
        let replace = |text: String, pattern: &str, with: &str| {
            regex::Regex::new(pattern)
                .unwrap()
                .replace_all(&text, with)
                .into_owned()
        };
        let text = replace(text, r"\d{8}-\d{6}-\d+", "[RUN]");
        replace(
            text,
            r"\b(\d+h\d\dm|\d+m\d\ds|\d+m|\d+\.\d+s|\d+ms|\d+s)\b",
            "[TIME]",
        )
    }
}

impl Output {
    /// Asserts the exit code, showing everything when it is another.
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Everything in one text, for snapshots.
    pub(crate) fn all(&self) -> String {
        format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }

    /// Asserts that standard output has this.
    pub(crate) fn prints(self, what: &str) -> Self {
        assert!(
            self.stdout.contains(what),
            "no `{what}` in stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that standard error has this.
    pub(crate) fn complains(self, what: &str) -> Self {
        assert!(
            self.stderr.contains(what),
            "no `{what}` in stderr:\n{}\nstdout:\n{}",
            self.stderr,
            self.stdout
        );
        self
    }
}
