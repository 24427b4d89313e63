//! The real goss beside forge's own language: both read the same files in one directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use forge::goss::{self, Answer, Files, Format, Options, Resource, Spec, Suite, Vars, World};

/// The environment that templates see in both.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("HOME", "/root"),
    ("LAB_NAME", "lab one"),
    ("PATH", "/usr/bin:/bin"),
];

/// A directory with gossfiles.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

/// What either of them printed, and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) code: i32,
}

impl Bench {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("forge-goss-")
            .tempdir()
            .unwrap();
        let bench = Self { dir };
        for (name, text) in files {
            bench.write(name, text);
        }
        bench
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs the real goss.
    pub(crate) fn goss(&self, arguments: &[&str]) -> (Said, String) {
        let program = program();
        let output = Command::new(&program)
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("{}: {e}; tests/goss/build makes it", program.display()));
        let said = Said {
            text: String::from_utf8_lossy(&output.stdout).into_owned(),
            code: output.status.code().unwrap_or(-1),
        };
        (said, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// `goss validate` with its durations masked.
    pub(crate) fn validate(
        &self,
        spec: &str,
        vars: Option<&str>,
        format: &str,
        options: &[&str],
    ) -> Said {
        let mut arguments = vec!["-g", spec];
        if let Some(vars) = vars {
            arguments.extend(["--vars", vars]);
        }
        arguments.extend(["validate", "--no-color", "--format", format]);
        for option in options {
            arguments.extend(["--format-options", option]);
        }
        let (said, errors) = self.goss(&arguments);
        assert!(!errors.contains("panic:"), "goss fell over: {errors}");
        Said {
            text: masked(&said.text),
            ..said
        }
    }

    /// What forge's language reads.
    pub(crate) fn load(&self, spec: &str, vars: Option<&str>) -> Result<Suite, String> {
        let mut all = Vars::new();
        if let Some(name) = vars {
            let text = self.read(name).unwrap();
            all.file(name, &text).map_err(|faults| shown(&faults))?;
        }
        goss::load(&Spec::Path(spec), self, &all, self).map_err(|faults| shown(&faults))
    }

    /// The same run by forge's language, each resource answered by `answer`.
    pub(crate) fn judged(
        &self,
        spec: &str,
        vars: Option<&str>,
        format: &str,
        options: &[&str],
        answer: impl Fn(&Resource) -> Answer,
    ) -> Said {
        let suite = self
            .load(spec, vars)
            .unwrap_or_else(|faults| panic!("{faults}"));
        let results: Vec<_> = suite
            .resources
            .iter()
            .map(|resource| goss::judge(resource, &answer(resource)))
            .collect();
        let mut how = Options::new(SystemTime::now(), Duration::from_millis(12));
        for option in options {
            assert!(how.set(option), "{option}");
        }
        let rendered = goss::write(Format::parse(format).unwrap(), &results, &how);
        Said {
            text: masked(&rendered.text),
            code: rendered.code,
        }
    }
}

/// All faults in one text.
pub(crate) fn shown(faults: &forge::diag::Diagnostics) -> String {
    let lines: Vec<String> = faults
        .iter()
        .map(|fault| {
            let place = fault.labels.first().map(|label| {
                let (line, column) = faults.sources.position(label.span);
                let name = faults
                    .sources
                    .get(label.span.file)
                    .map(|source| source.name.clone());
                format!("{}:{line}:{column}: ", name.unwrap_or_default())
            });
            let help: String = fault.help.iter().map(|help| format!(" ({help})")).collect();
            format!("{}{}{help}", place.unwrap_or_default(), fault.message)
        })
        .collect();
    lines.join("\n")
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-goss/goss")
}

impl Files for Bench {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.dir.path().join(path)).map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let matcher = globset::GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|error| error.to_string())?
            .compile_matcher();
        let mut found: Vec<String> = walkdir::WalkDir::new(self.dir.path())
            .into_iter()
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let path = entry.path();
                let relative = path
                    .strip_prefix(self.dir.path())
                    .ok()?
                    .to_str()?
                    .to_owned();
                let absolute = path.to_str()?.to_owned();
                Some(if pattern.starts_with('/') {
                    absolute
                } else {
                    relative
                })
            })
            .filter(|path| matcher.is_match(path))
            .collect();
        found.sort();
        Ok(found)
    }
}

impl World for Bench {
    fn env(&self, name: &str) -> Option<String> {
        self.environment().remove(name)
    }

    fn environment(&self) -> BTreeMap<String, String> {
        ENVIRONMENT
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn read_file(&self, path: &str) -> Result<Vec<u8>, String> {
        std::fs::read(self.dir.path().join(path)).map_err(|error| error.to_string())
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Times and durations replaced; what goss's memory allocation decides, too.
pub(crate) fn masked(text: &str) -> String {
    let masks = [
        (r"Duration: [\d.]+s", "Duration: T"),
        (r"duration=[\d.]+s", "duration=T"),
        (r#""(start-time|end-time)":( ?)"[^"]*""#, "\"$1\":${2}T"),
        (r#""(duration|total-duration)":( ?)\d+"#, "\"$1\":${2}T"),
        (r#"time="[\d.]+""#, "time=T"),
        (r#"timestamp="[^"]*""#, "timestamp=T"),
        (
            r"(?m)^(goss_tests\S*duration_milliseconds\{.*\}) .*$",
            "$1 T",
        ),
        (r"cap:\d+", "cap:N"),
    ];
    masks.iter().fold(text.to_owned(), |text, (pattern, with)| {
        regex::Regex::new(pattern)
            .unwrap()
            .replace_all(&text, *with)
            .into_owned()
    })
}
