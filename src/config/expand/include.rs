//! `include = ["images/*.toml"]`: sections of the project in other files.

use std::collections::BTreeSet;

use super::section;
use crate::config::loader::Loader;
use crate::config::tree::{Entry, Node, Table, Value};
use crate::diag::{Diagnostic, Span, or_list};
use crate::model::Input;

/// What other files may have; everything else there is of the project as a whole.
const SECTIONS: &[&str] = &[
    "axes",
    "pools",
    "providers",
    "scopes",
    "stage-templates",
    "stages",
    "targets",
];

/// Takes the sections of included files into `table`; `Err`: one of them is broken.
pub(super) fn merge(loader: &Loader<'_>, table: &mut Table) -> Result<(), ()> {
    let mut known = BTreeSet::from([crate::config::world::FILE.to_owned()]);
    let mut todo = patterns(table);
    let mut whole = Ok(());
    todo.reverse();
    while let Some((pattern, span)) = todo.pop() {
        for path in files(loader, &pattern, span) {
            if !known.insert(path.clone()) {
                continue;
            }
            let read = loader.toml_file("the included file", &path, span);
            let Some((included, complete)) = read else {
                continue;
            };
            if !complete {
                whole = Err(());
            }
            let mut more = patterns(&included);
            more.reverse();
            todo.extend(more);
            for entry in included.entries {
                take(loader, table, entry);
            }
        }
    }
    whole
}

/// The patterns of `include`, with their places.
fn patterns(table: &Table) -> Vec<(String, Span)> {
    let nodes = table.get("include").map(Node::one_or_many);
    let nodes = nodes.unwrap_or_default().iter();
    nodes
        .filter_map(|node| Some((node.as_text()?.to_owned(), node.span)))
        .collect()
}

/// The files that a path or a glob stands for, sorted.
pub(super) fn files(loader: &Loader<'_>, pattern: &str, span: Span) -> Vec<String> {
    let pattern = pattern.trim_start_matches("./");
    let outside = pattern.starts_with('/') || pattern.split('/').any(|part| part == "..");
    if outside {
        let message = format!("`{pattern}` leads out of the project");
        loader.push(Diagnostic::error("bad-path", message).label(span, ""));
        return Vec::new();
    }
    if !Input::is_glob(pattern) {
        return vec![pattern.to_owned()];
    }
    let glob = globset::GlobBuilder::new(pattern)
        .literal_separator(true)
        .build();
    let matcher = match glob {
        Ok(glob) => glob.compile_matcher(),
        Err(error) => {
            let message = format!("not a glob: {}", error.kind());
            loader.push(Diagnostic::error("bad-value", message).label(span, ""));
            return Vec::new();
        }
    };
    let base = Input::fixed_part(pattern);
    let rest = &pattern[base.len()..];
    let depth = match rest.contains("**") {
        true => usize::MAX,
        false => rest.trim_start_matches('/').split('/').count(),
    };
    // a directory that is not there has no files
    let found = loader.world.find(&loader.root.join(base), depth);
    let found = found.unwrap_or_default().into_iter();
    let mut files: Vec<String> = found
        .filter_map(|file| {
            let file = file.to_str()?;
            Some(match base {
                "" => file.to_owned(),
                base => format!("{base}/{file}"),
            })
        })
        .filter(|file| matcher.is_match(file))
        .collect();
    files.sort();
    files
}

/// Takes a section of another file.
fn take(loader: &Loader<'_>, table: &mut Table, entry: Entry) {
    // the language is that of the project
    if matches!(entry.key.as_str(), "include" | "version") {
        return;
    }
    if !SECTIONS.contains(&entry.key.as_str()) {
        let message = format!("an included file has no `{}`", entry.key);
        let sections = or_list(SECTIONS.iter().copied());
        loader.push(
            Diagnostic::error("unknown-key", message)
                .label(entry.key_span, "")
                .help(format!("it has {sections}; the rest stands in builds.toml")),
        );
        return;
    }
    if table.get(&entry.key).is_none() {
        table.entries.push(entry);
        return;
    }
    let (Value::Table(more), Some(section)) = (entry.node.value, section(table, &entry.key)) else {
        let message = format!("`{}` is a table", entry.key);
        loader.push(Diagnostic::error("wrong-type", message).label(entry.key_span, ""));
        return;
    };
    for new in more.entries {
        match section.entry(&new.key) {
            Some(old) => {
                let message = format!("`{}.{}` stands in two files", entry.key, new.key);
                loader.push(
                    Diagnostic::error("duplicate", message)
                        .label(new.key_span, "")
                        .label(old.key_span, "it is here as well"),
                );
            }
            None => section.entries.push(new),
        }
    }
}
