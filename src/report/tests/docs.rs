//! The documents for users say what is true: every key, event and link in them is held against the code.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{Loaded, Overrides, PathKind, World, load};
use crate::engine::Sink;
use crate::model::{Project, StageKind};

use super::super::{Json, plan_json};
use super::Paper;
use super::story::{bad, good, watched};

const PAGES: [&str; 8] = [
    "README.md",
    "docs/reference.md",
    "docs/stages.md",
    "docs/appliances.md",
    "docs/caching.md",
    "docs/disks.md",
    "docs/ci.md",
    "docs/troubleshooting.md",
];

fn read(page: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap()
}

/// All words in backticks, with what stands between dots and commas apart as well: `iso.urls` gives `urls`.
fn code_words(text: &str) -> BTreeSet<String> {
    let spans = text.split('`').skip(1).step_by(2);
    let words = spans
        .flat_map(|span| span.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The names of all properties in a JSON Schema.
fn keys(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_object() {
                    // its fields are names, one of which is `properties` itself
                    Some(properties) if name == "properties" => {
                        found.extend(properties.keys().cloned());
                        properties.values().for_each(|value| keys(value, found));
                    }
                    _ => keys(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// The names of all fields in a JSON value, but for those inside of what users name themselves.
fn fields(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                found.insert(name.clone());
                if !matches!(name.as_str(), "axes" | "files") {
                    fields(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_language_is_documented() {
    let mut known = BTreeSet::new();
    keys(&crate::config::schema(), &mut known);
    assert!(known.len() > 80, "{known:?}");
    let words = code_words(&(read("docs/reference.md") + &read("docs/stages.md")));
    let missing: Vec<&String> = known.iter().filter(|key| !words.contains(*key)).collect();
    assert!(missing.is_empty(), "not in docs/: {missing:?}");
}

#[test]
fn every_field_of_the_events_and_plans_is_documented() {
    let paper = Paper::default();
    let sink = Json::new(
        Box::new(paper.clone()),
        Box::new(std::time::SystemTime::now),
    );
    good()
        .into_iter()
        .chain(bad())
        .chain(watched())
        .for_each(|event| sink.event(event));
    let mut known = BTreeSet::new();
    for line in paper.text().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        known.insert(event["event"].as_str().unwrap().to_owned());
        fields(&event, &mut known);
    }
    fields(&plan_json(&super::plans::plan()), &mut known);
    fields(&super::cache::sample(), &mut known);
    assert!(
        known.contains("run_finished") && known.contains("upstreams"),
        "{known:?}"
    );
    let words = code_words(&read("docs/ci.md"));
    let missing: Vec<&String> = known
        .iter()
        .filter(|field| !words.contains(*field))
        .collect();
    assert!(missing.is_empty(), "not in docs/ci.md: {missing:?}");
}

#[test]
fn the_files_shown_are_well_formed() {
    let mut count = 0;
    for page in PAGES {
        for block in read(page).split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            assert!(block.parse::<toml::Table>().is_ok(), "{page}:\n{block}");
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn links_lead_somewhere() {
    let anchors = |page: &str| -> BTreeSet<String> {
        let heads = read(page);
        let heads = heads.lines().filter(|line| line.starts_with('#'));
        heads
            .map(|head| {
                let head = head.trim_start_matches('#').trim().to_lowercase();
                let kept = head
                    .chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
                kept.map(|c| if c == ' ' { '-' } else { c }).collect()
            })
            .collect()
    };
    for page in PAGES {
        for link in read(page).split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let dir = Path::new(page).parent().unwrap();
            let target = if file.is_empty() {
                page.to_owned()
            } else {
                dir.join(file).display().to_string()
            };
            assert!(
                Path::new(env!("CARGO_MANIFEST_DIR")).join(&target).exists(),
                "{page}: {link}"
            );
            assert!(
                anchor.is_empty() || anchors(&target).contains(anchor),
                "{page}: {link}"
            );
        }
    }
}

/// The project of a document, with every file that it names.
struct Pages {
    builds: String,
}

impl World for Pages {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let text = match path.extension().and_then(|e| e.to_str()) {
            _ if path.ends_with("builds.toml") => self.builds.clone(),
            Some("toml") => format!(
                "iso_url = 'https://host/x.iso'\niso_sha256 = '{}'\nssh_password = 'secret'\n",
                "0".repeat(64)
            ),
            Some("yaml") => "port:\n  tcp:22:\n    listening: true\n".to_owned(),
            _ => "text\n".to_owned(),
        };
        Ok(text.into_bytes())
    }

    fn list(&self, _dir: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec!["ks.cfg".into()])
    }

    fn kind(&self, _path: &Path) -> io::Result<PathKind> {
        Ok(PathKind::File)
    }

    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn command(&self, _line: &str, _dir: &Path) -> Result<String, String> {
        Ok("1.0".to_owned())
    }
}

fn project(builds: &str) -> Project {
    let world = Pages {
        builds: builds.to_owned(),
    };
    match load(Path::new("/project"), &world, &Overrides::default()) {
        Ok(Loaded { project, .. }) => project,
        Err(faults) => panic!("{}", crate::diag::render(&faults, false)),
    }
}

#[test]
fn the_file_in_the_readme_is_a_project() {
    let readme = read("README.md");
    let block = readme.split("```toml\n").nth(1).unwrap();
    let project = project(block.split("```").next().unwrap());
    assert_eq!(project.stages.len(), 10);
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let project = project(
        "[stages.iso-base]\niso = { url = 'x.iso', checksum = 'none' }\n\
         ssh = { user = 'root', password = 'secret' }\n\
         [stages.export]\nfrom = 'iso-base'\n[stages.pack-ova]\nfrom = 'export'\n\
         [stages.verify]\nfrom = 'pack-ova'\n",
    );
    let text = read("docs/reference.md") + &read("docs/stages.md");
    let documented = |key: &str, default: String| {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("| `{key}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {key}"));
        let cell = row.split(" | ").nth(2).unwrap().replace('`', "");
        assert!(
            cell.contains(&default),
            "{key}: {default} is not in `{cell}`"
        );
    };
    for stage in &project.stages {
        match &stage.kind {
            StageKind::IsoBase(base) => {
                let hardware = &base.hardware;
                documented("cpus", hardware.cpus.to_string());
                documented("cores_per_socket", hardware.cores_per_socket.to_string());
                documented("memory", hardware.memory.to_string());
                documented("firmware", hardware.firmware.to_string());
                documented("hardware_version", hardware.hardware_version.to_string());
                documented(
                    "disks[].controller",
                    hardware.disks[0].controller.to_string(),
                );
                documented("nics[].adapter", hardware.nics[0].adapter.to_string());
                documented("nics[].network", hardware.nics[0].network.clone());
                documented(
                    "disks",
                    hardware.disks[0].size.to_string().replace("GiB", " GiB"),
                );
                documented("boot.wait_timeout", base.boot.wait_timeout.to_string());
                documented("port", base.ssh.port.to_string());
                assert!(text.contains(&format!(
                    "| `timeout` | duration | `{}` |",
                    base.ssh.timeout
                )));
            }
            StageKind::Export(export) => documented("level", export.level.to_string()),
            StageKind::Verify(verify) => documented("sleep", verify.sleep.to_string()),
            _ => {}
        }
    }
}
