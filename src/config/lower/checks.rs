//! `gossfile`, `checks` and variables of a stage or a step.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::time::SystemTime;

use serde_json::{Map, Value as Json};

use super::command::relative;
use super::stage::Here;
use crate::config::PathKind;
use crate::config::loader::{Loader, unreadable};
use crate::config::template::has_token;
use crate::config::tree::{Node, Table, Value};
use crate::diag::Diagnostic;
use crate::goss::{self, Files, Spec, Vars};
use crate::model::Checks;

pub(super) fn checks(here: &Here<'_>, table: &Table) -> Checks {
    let paths = |key: &str, what: &str| -> Vec<String> {
        let nodes = table
            .get(key)
            .map(|node| here.site.list(node))
            .unwrap_or_default();
        nodes
            .iter()
            .filter_map(|node| text_file(here, node, what))
            .collect()
    };
    let errors = here.site.loader.errors();
    let gossfiles = paths("gossfile", "the gossfile");
    let vars_files = paths("vars_files", "the file of variables");
    let written = |key: &str| table.get(key).map(|node| (node, json(here, node)));
    let vars = written("vars");
    // a value that could not be rendered would be taken for one that is missing
    let sound = here.site.loader.errors() == errors;
    let errors = here.site.loader.errors();
    let inline = written("checks");
    let inline_sound = here.site.loader.errors() == errors;
    let mut checks = Checks {
        gossfiles,
        includes: Vec::new(),
        inline: inline.as_ref().map(|(_, value)| value.to_string()),
        scopes: scopes(here).to_string(),
        vars_files,
        vars: vars.as_ref().map(|(_, value)| value.to_string()),
    };
    if sound {
        let inline = inline.filter(|_| inline_sound);
        read(
            here,
            &mut checks,
            inline.map(|(node, _)| node),
            vars.map(|(node, _)| node),
        );
    }
    checks
}

/// A text file of the project that must be there.
fn text_file(here: &Here<'_>, node: &Node, what: &str) -> Option<String> {
    let path = relative(&here.site, node)?;
    match here.site.loader.text_file(&path) {
        Ok(Some(_)) => Some(path),
        Ok(None) => {
            here.site.fault(
                "bad-value",
                format!("`{path}` is not UTF-8 text"),
                node.span,
            );
            None
        }
        Err(error) => {
            here.site.push(unreadable(what, &path, &error, node.span));
            None
        }
    }
}

/// Reads all gossfiles: what they include, and what is wrong with them.
fn read(here: &Here<'_>, checks: &mut Checks, inline: Option<&Node>, vars_node: Option<&Node>) {
    let loader = here.site.loader;
    let mut vars = Vars::new();
    let take = |read: Result<(), Box<crate::diag::Diagnostics>>, node: Option<&Node>| {
        if let Err(faults) = read {
            match node {
                Some(node) => placed(here, &faults, node),
                None => loader.adopt(&faults),
            }
        }
    };
    take(vars.inline("scopes", &checks.scopes), None);
    for path in &checks.vars_files {
        if let Ok(Some(file)) = loader.text_file(path) {
            take(vars.file(path, &file.text), None);
        }
    }
    if let Some(text) = &checks.vars {
        take(vars.inline("vars", text), vars_node);
    }
    let files = ProjectFiles {
        loader,
        read: RefCell::default(),
        template: Cell::new(false),
    };
    for path in &checks.gossfiles {
        let unknown = Unknown::default();
        let loaded = goss::load(&Spec::Path(path), &files, &vars, &unknown);
        let faults = match loaded {
            Ok(suite) => suite.warnings,
            // what the machine would say decides; the template itself can be told
            Err(_) if unknown.asked.get() => match loader.text_file(path) {
                Ok(Some(file)) => goss::check(path, &file.text),
                _ => continue,
            },
            Err(faults) => faults,
        };
        loader.adopt(&faults);
    }
    if let (Some(text), Some(node)) = (&checks.inline, inline) {
        if text.contains("{{") {
            files.template.set(true);
        }
        placed(here, &written_here(text, &files, &vars), node);
    }
    let mut includes = files.read.into_inner();
    for path in &checks.gossfiles {
        includes.remove(path);
    }
    checks.includes = includes.into_iter().collect();
    if !files.template.get() {
        // nobody sees them: they must not make anything stale
        checks.scopes = "{}".to_owned();
    }
}

/// What is wrong with checks that are written in `builds.toml`; what they include is read.
fn written_here(text: &str, files: &ProjectFiles<'_>, vars: &Vars) -> crate::diag::Diagnostics {
    let name = "checks";
    let own = goss::check(name, text);
    if own.has_errors() {
        return own;
    }
    let unknown = Unknown::default();
    match goss::load(&Spec::Text { name, text }, files, vars, &unknown) {
        Ok(suite) => suite.warnings,
        // what the machine would say decides
        Err(_) if unknown.asked.get() => own,
        Err(faults) => faults,
    }
}

/// Faults of what is written in `builds.toml`, at its place.
fn placed(here: &Here<'_>, faults: &crate::diag::Diagnostics, node: &Node) {
    for fault in faults.iter() {
        let mut fault = Diagnostic {
            labels: Vec::new(),
            ..fault.clone()
        };
        fault = fault.label(node.span, "");
        here.site.push(fault);
    }
}

/// The variables that the stage sees, by scope, and its axis values; without secrets and what is known only later.
fn scopes(here: &Here<'_>) -> Json {
    let mut all = Map::new();
    for (name, scope) in &here.site.visible.scopes {
        let value = serde_json::to_value(&scope.value).ok().and_then(known);
        all.insert(
            name.to_string(),
            value.unwrap_or_else(|| Json::Object(Map::new())),
        );
    }
    let axes: Map<String, Json> = here
        .site
        .axes
        .iter()
        .map(|(axis, value)| (axis.to_string(), value.clone().into()))
        .collect();
    all.insert("axis".to_owned(), Json::Object(axes));
    Json::Object(all)
}

/// What of a value is known now.
fn known(value: Json) -> Option<Json> {
    match value {
        Json::String(text) if has_token(&text) => None,
        Json::Array(all) => Some(all.into_iter().filter_map(known).collect()),
        Json::Object(all) => Some(Json::Object(
            all.into_iter()
                .filter_map(|(key, value)| Some((key, known(value)?)))
                .collect(),
        )),
        other => Some(other),
    }
}

/// What is written, strings rendered.
fn json(here: &Here<'_>, node: &Node) -> Json {
    match &node.value {
        Value::Text(_) => here.site.checked_value(node),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::List(nodes) => nodes.iter().map(|node| json(here, node)).collect(),
        Value::Table(table) => {
            let entries = table.entries.iter();
            Json::Object(
                entries
                    .map(|entry| (entry.key.clone(), json(here, &entry.node)))
                    .collect(),
            )
        }
    }
}

/// The project's files, and which of them were read.
struct ProjectFiles<'a> {
    loader: &'a Loader<'a>,
    read: RefCell<BTreeSet<String>>,
    /// Whether one of them is a template.
    template: Cell<bool>,
}

impl Files for ProjectFiles<'_> {
    fn read(&self, path: &str) -> Result<String, String> {
        let path = path.trim_start_matches("./");
        self.read.borrow_mut().insert(path.to_owned());
        match self.loader.text_file(path) {
            Ok(Some(file)) => {
                if file.text.contains("{{") {
                    self.template.set(true);
                }
                Ok(file.text.to_string())
            }
            Ok(None) => Err("it is not UTF-8 text".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err("it does not exist".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let (root, world) = (self.loader.root, self.loader.world);
        if !pattern.contains(['*', '?', '[']) {
            let there = world
                .kind(&root.join(pattern))
                .is_ok_and(|kind| kind == PathKind::File);
            return Ok(there.then(|| pattern.to_owned()).into_iter().collect());
        }
        let fixed = pattern.find(['*', '?', '[']).unwrap_or_default();
        let dir = pattern[..fixed].rsplit_once('/').map_or("", |(dir, _)| dir);
        let matcher = globset::GlobBuilder::new(pattern)
            .literal_separator(true)
            .build();
        let matcher = matcher.map_err(|e| e.to_string())?.compile_matcher();
        let names = Path::new(pattern.strip_prefix(dir).unwrap_or(pattern));
        let names = names
            .components()
            .filter(|part| matches!(part, Component::Normal(_)));
        let below = world.find(&root.join(dir), names.count());
        let below = below.unwrap_or_default();
        let full = below
            .iter()
            .filter_map(|path| Path::new(dir).join(path).to_str().map(ToOwned::to_owned));
        Ok(full.filter(|path| matcher.is_match(path)).collect())
    }
}

/// The machine, which nobody has asked yet.
#[derive(Default)]
struct Unknown {
    asked: Cell<bool>,
}

impl goss::World for Unknown {
    fn env(&self, _: &str) -> Option<String> {
        self.asked.set(true);
        None
    }

    fn environment(&self) -> BTreeMap<String, String> {
        self.asked.set(true);
        BTreeMap::new()
    }

    fn read_file(&self, _: &str) -> Result<Vec<u8>, String> {
        self.asked.set(true);
        Err("the machine is not asked yet".to_owned())
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}
