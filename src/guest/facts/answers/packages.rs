//! Packages and their versions.

use std::collections::HashMap;

use super::{Records, Told, Value, lines};
use crate::goss::Truth;

/// What was asked for many packages at once: versions by manager (`-`: the system's own) and name.
pub(super) struct Installed(HashMap<(String, String), Vec<String>>);

impl Installed {
    pub(super) fn new(records: &Records) -> Self {
        let mut all = HashMap::<_, Vec<String>>::new();
        for manager in ["-", "dpkg", "pacman"] {
            let Ok(Some(list)) = records.look(&format!("installed.{manager}")) else {
                continue;
            };
            for line in lines(list) {
                if let Some((name, version)) = line.split_once(' ') {
                    let key = (manager.to_owned(), name.to_owned());
                    all.entry(key).or_default().push(version.to_owned());
                }
            }
        }
        Self(all)
    }
}

impl Told<'_> {
    pub(super) fn package(
        &self,
        number: usize,
        name: &str,
        manager: Option<&str>,
        set: &mut dyn FnMut(&'static str, Value),
    ) {
        let together = self.records.look(&format!("{number}.versions@"));
        let versions = match together {
            Ok(Some(_)) => {
                let key = (manager.unwrap_or("-").to_owned(), name.to_owned());
                Ok(self.installed.0.get(&key).cloned().unwrap_or_default())
            }
            _ => self
                .records
                .get(&format!("{number}.versions"), "packages")
                .map(lines),
        };
        set(
            "installed",
            versions
                .clone()
                .map(|versions| Truth::Bool(!versions.is_empty())),
        );
        set(
            "version",
            versions.and_then(|versions| match versions.is_empty() {
                true => Err("Package version not found".to_owned()),
                false => Ok(Truth::List(versions)),
            }),
        );
    }
}
