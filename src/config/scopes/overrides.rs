//! Variables from the command line: `--var-file` and `--var`, as layers above the scopes' own.

use crate::config::Overrides;
use crate::config::loader::Loader;
use crate::config::tree::{self, Node, Table, Value};
use crate::diag::{Diagnostic, Span, closest};

use super::Scopes;

impl Scopes<'_> {
    /// Reads them all.
    pub(super) fn read_overrides(&mut self, loader: &Loader<'_>, overrides: &Overrides) {
        for path in &overrides.var_files {
            let name = path.display().to_string();
            match loader.world.read(path).map(String::from_utf8) {
                Ok(Ok(text)) => {
                    let file = loader.add_source(&name, &text);
                    let (table, faults) = tree::parse(file, &text);
                    faults.into_iter().for_each(|fault| loader.push(fault));
                    self.var_file(loader, table, &name);
                }
                Ok(Err(_)) => loader.push(Diagnostic::error(
                    "toml",
                    format!("`{name}` is not UTF-8 text"),
                )),
                Err(error) => loader.push(Diagnostic::error(
                    "missing-file",
                    format!("--var-file `{name}` cannot be read: {error}"),
                )),
            }
        }
        for var in &overrides.vars {
            self.var(loader, var);
        }
    }

    fn var_file(&mut self, loader: &Loader<'_>, table: Table, name: &str) {
        for entry in table.entries {
            let Value::Table(inner) = entry.node.value else {
                loader.push(
                    Diagnostic::error("var-file", format!("`{}` stands in no scope", entry.key))
                        .label(entry.key_span, "")
                        .help("a file for --var-file has a table for each scope: `[common]`"),
                );
                continue;
            };
            if self.known_scope(loader, &entry.key, entry.key_span) {
                self.layers.push((entry.key, inner, name.to_owned()));
            }
        }
    }

    fn var(&mut self, loader: &Loader<'_>, var: &str) {
        // the value may be a secret: it does not become part of a message
        let shown = var.split_once('=').map_or(var, |(path, _)| path);
        let file = loader.add_source("--var", shown);
        let split = var.split_once('=').and_then(|(path, value)| {
            let (scope, variable) = path.split_once('.')?;
            (!variable.is_empty()).then_some((scope, variable, value))
        });
        let Some((scope, variable, value)) = split else {
            loader.push(
                Diagnostic::error("var", format!("`{shown}` is no setting of a variable"))
                    .label(Span::new(file, 0..shown.len()), "")
                    .help("write it as `--var scope.name=value`"),
            );
            return;
        };
        if self.known_scope(loader, scope, Span::new(file, 0..scope.len())) {
            let file = loader.add_source("--var", value);
            let entry = tree::Entry {
                key: variable.to_owned(),
                key_span: Span::new(file, 0..0),
                node: Node {
                    span: Span::new(file, 0..value.len()),
                    value: Value::Text(value.to_owned()),
                },
            };
            let table = Table {
                entries: vec![entry],
            };
            self.layers
                .push((scope.to_owned(), table, "--var".to_owned()));
        }
    }

    fn known_scope(&self, loader: &Loader<'_>, scope: &str, span: Span) -> bool {
        if self.get(scope).is_some() {
            return true;
        }
        let near = closest(scope, self.names()).map(|near| format!("did you mean `{near}`?"));
        loader.push(
            Diagnostic::error("unknown-scope", format!("unknown scope `{scope}`"))
                .label(span, "")
                .maybe_help(near),
        );
        false
    }
}
