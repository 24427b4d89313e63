//! `kind = "command"`, and the `local` step, which is one too.

use std::collections::BTreeMap;

use crate::config::tree::{Node, Table, Value};
use crate::diag::{Diagnostic, Span};
use crate::model::{Command, CommandLine, Discovery, Input, Name};

use super::site::Site;
use super::stage::Here;

/// How lines of `cl /showIncludes` begin, in English.
const INCLUDING: &str = "Note: including file:";

/// A stage that runs a program.
pub(super) fn stage(here: &Here<'_>) -> Option<Command> {
    let command = command(&here.site, &here.table, &here.what(), here.decl.span)?;
    Some(Command {
        discovers: discovery(&here.site, &here.table),
        ..command
    })
}

/// How the command tells what it has read.
fn discovery(site: &Site<'_>, table: &Table) -> Option<Discovery> {
    let depfile = table.entry("depfile");
    let deps = table.get("deps");
    let style = deps.and_then(|node| site.word(node, &["gcc", "msvc"]));
    let msvc = style.as_deref() == Some("msvc");
    if let (Some(entry), false) = (table.entry("deps_prefix"), msvc) {
        let message = "`deps_prefix` is for `deps = \"msvc\"` alone";
        site.fault("bad-value", message, entry.key_span);
    }
    match (depfile, msvc) {
        (Some(entry), true) => {
            let message = "`depfile` and `deps = \"msvc\"` both tell what was read";
            site.fault("bad-value", message, entry.key_span);
            None
        }
        (Some(entry), false) => relative(site, &entry.node).map(Discovery::Depfile),
        (None, true) => {
            let prefix = table.get("deps_prefix");
            let prefix = prefix.map_or_else(|| Some(INCLUDING.to_owned()), |n| site.literal(n))?;
            Some(Discovery::Lines(prefix))
        }
        (None, false) => {
            if let (Some(node), Some(_)) = (deps, style) {
                site.push(
                    Diagnostic::error("missing-key", "`deps = \"gcc\"` needs a `depfile`")
                        .label(node.span, "")
                        .help("such as `depfile = \"build/main.d\"`, and `-MD -MF build/main.d` for the compiler"),
                );
            }
            None
        }
    }
}

/// A program to run, from the settings in `table`.
pub(super) fn command(site: &Site<'_>, table: &Table, what: &str, span: Span) -> Option<Command> {
    let unignored = table.get("gitignore").and_then(|node| site.bool(node));
    let mut inputs = table.get("inputs").map(|node| inputs(site, node));
    if unignored == Some(true) {
        for input in inputs.iter_mut().flatten() {
            if let Input::Path(path) | Input::Glob(path) = input {
                *input = Input::Unignored(std::mem::take(path));
            }
        }
    }
    let outputs = table.table("outputs").map(|table| outputs(site, table));
    let env = site.text_map(table.table("env"));
    let pass_env = table.get("pass_env").map(|node| site.literals(node));
    let dir = table.get("dir").and_then(|node| site.literal(node));
    let always = table.get("always").and_then(|node| site.bool(node));
    let run = run(site, site.required(table, "run", what, span)?)?;
    Some(Command {
        run,
        inputs: inputs.unwrap_or_default(),
        discovers: None,
        outputs: outputs.unwrap_or_default(),
        env,
        pass_env: pass_env.unwrap_or_default(),
        dir,
        always: always.unwrap_or(false),
    })
}

fn run(site: &Site<'_>, node: &Node) -> Option<CommandLine> {
    let Value::List(_) = &node.value else {
        let line = site.text(node)?;
        if line.to_string().trim().is_empty() {
            site.fault("bad-value", "there is nothing to run", node.span);
        }
        return Some(CommandLine::Shell(line));
    };
    let words = site.texts(node);
    if words.is_empty() {
        site.fault("bad-value", "there is nothing to run", node.span);
        return None;
    }
    Some(CommandLine::Argv(words))
}

fn inputs(site: &Site<'_>, node: &Node) -> Vec<Input> {
    let nodes = site.list(node);
    let inputs = nodes.iter().filter_map(|node| {
        let path = relative(site, node)?;
        if !Input::is_glob(&path) {
            return Some(Input::Path(path));
        }
        match globset::Glob::new(&path) {
            Ok(_) => Some(Input::Glob(path)),
            Err(error) => {
                site.fault(
                    "bad-value",
                    format!("not a glob: {}", error.kind()),
                    node.span,
                );
                None
            }
        }
    });
    inputs.collect()
}

fn outputs(site: &Site<'_>, table: &Table) -> BTreeMap<Name, String> {
    let mut outputs = BTreeMap::new();
    for entry in &table.entries {
        let path = relative(site, &entry.node);
        match Name::parse(&entry.key) {
            Ok(name) => outputs.extend(path.map(|path| (name, path))),
            Err(error) => site.fault("bad-name", error.to_string(), entry.key_span),
        }
    }
    outputs
}

/// A path within the project, without `./` and the like.
pub(super) fn relative(site: &Site<'_>, node: &Node) -> Option<String> {
    let path = site.literal(node)?;
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_some() => {}
            ".." => {
                site.fault(
                    "bad-path",
                    format!("`{path}` leads out of the project"),
                    node.span,
                );
                return None;
            }
            part => parts.push(part),
        }
    }
    if path.starts_with('/') {
        site.fault(
            "bad-path",
            format!("`{path}` is not relative to the project"),
            node.span,
        );
        return None;
    }
    if parts.is_empty() {
        site.fault("bad-path", "the path is empty", node.span);
        return None;
    }
    Some(parts.join("/"))
}
