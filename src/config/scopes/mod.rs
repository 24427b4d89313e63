//! Scopes: where variables come from, which source goes before which, and what is secret.
//!
//! Lowest first: the scope's file, its values, the environment, `--var-file`, `--var`. A variable keeps where it came
//! from, for `forge vars` and for messages.

mod overrides;
mod values;
mod view;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use minijinja::Value as TemplateValue;

use crate::config::loader::Loader;
use crate::config::template::{self, Fault, Ref};
use crate::config::tree::{Node, Table, Value};
use crate::config::{Overrides, VariableRow};
use crate::diag::{Diagnostic, Span, closest};
use crate::model::{Axis, Digest, Late, Name, Secret};

pub(super) use values::Variable;
use values::{Branch, add, add_layer, listed, plain, set, shown, typed, value_of};
use view::AxisView;
pub(super) use view::axes_in;

/// A scope as declared.
pub(super) struct ScopeDecl<'t> {
    pub(super) name: Name,
    pub(super) span: Span,
    table: &'t Table,
    /// The axes that its file or its values depend on.
    pub(super) axes: BTreeSet<String>,
    /// Variables with their environment variables.
    env: Vec<(String, String)>,
    secret: Vec<(String, Span)>,
    digested: bool,
}

/// A scope at some axis values.
pub(super) struct Scope {
    /// The variables for templates; secrets are tokens.
    pub(super) value: TemplateValue,
    pub(super) variables: BTreeMap<String, Variable>,
    /// A source could not be read: what is missing may be there.
    broken: bool,
}

/// A loaded scope with the axis values that it depends on.
type Point = (Name, BTreeMap<Name, String>, Rc<Scope>);

/// All scopes of a project.
pub(super) struct Scopes<'t> {
    pub(super) decls: Vec<ScopeDecl<'t>>,
    axes: Vec<Name>,
    layers: Vec<(String, Table, String)>,
    loaded: RefCell<HashMap<(Name, String), Rc<Scope>>>,
    /// The axis values at which each was loaded, for the table of variables.
    pub(super) points: RefCell<Vec<Point>>,
    /// Values of secrets.
    pub(super) secrets: RefCell<BTreeMap<(Name, String), Secret>>,
    /// Names the project in keyed digests.
    pub(super) project: String,
}

impl<'t> Scopes<'t> {
    /// Reads `[scopes]` and the overrides of the command line.
    pub(super) fn new(
        loader: &Loader<'_>,
        table: Option<&'t Table>,
        overrides: &Overrides,
        (project, axes): (&str, &[Axis]),
    ) -> Self {
        let mut decls = Vec::new();
        for entry in table.iter().flat_map(|table| &table.entries) {
            let Some(table) = entry.node.as_table() else {
                continue;
            };
            match Name::parse(&entry.key) {
                Ok(name) if !RESERVED.contains(&name.as_str()) => {
                    decls.push(ScopeDecl::new(name, entry.key_span, table));
                }
                Ok(name) => loader.push(
                    Diagnostic::error("bad-name", format!("`{name}` is not free for a scope"))
                        .label(
                            entry.key_span,
                            "templates have a variable of this name already",
                        ),
                ),
                Err(error) => loader.push(
                    Diagnostic::error("bad-name", error.to_string()).label(entry.key_span, ""),
                ),
            }
        }
        let mut scopes = Self {
            decls,
            axes: axes.iter().map(|axis| axis.name.clone()).collect(),
            layers: Vec::new(),
            loaded: RefCell::default(),
            points: RefCell::default(),
            secrets: RefCell::default(),
            project: project.to_owned(),
        };
        scopes.read_overrides(loader, overrides);
        scopes
    }

    pub(super) fn get(&self, name: &str) -> Option<&ScopeDecl<'t>> {
        self.decls.iter().find(|decl| decl.name.as_str() == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.decls.iter().map(|decl| decl.name.as_str())
    }

    /// The scope at these axis values (more than its own may be given).
    pub(super) fn at(
        &self,
        loader: &Loader<'_>,
        name: &str,
        axes: &BTreeMap<Name, String>,
    ) -> Option<Rc<Scope>> {
        let decl = self.get(name)?;
        let mine: BTreeMap<Name, String> = axes
            .iter()
            .filter(|(axis, _)| decl.axes.contains(axis.as_str()))
            .map(|(axis, value)| (axis.clone(), value.clone()))
            .collect();
        let key = (decl.name.clone(), format!("{mine:?}"));
        if let Some(known) = self.loaded.borrow().get(&key) {
            return Some(Rc::clone(known));
        }
        let scope = Rc::new(self.load(loader, decl, &mine));
        self.loaded.borrow_mut().insert(key, Rc::clone(&scope));
        self.points
            .borrow_mut()
            .push((decl.name.clone(), mine, Rc::clone(&scope)));
        Some(scope)
    }

    fn load(
        &self,
        loader: &Loader<'_>,
        decl: &ScopeDecl<'t>,
        axes: &BTreeMap<Name, String>,
    ) -> Scope {
        let mut variables = BTreeMap::new();
        let view = AxisView::new(axes, &self.axes, &self.project);
        let file = decl.read_file(loader, &view);
        let broken = file.is_none() && decl.table.get("file").is_some();
        if let Some(table) = file {
            add(&mut variables, &table, "", &|span| loader.place(span));
        }
        if let Some(values) = decl.table.table("values") {
            let values = view.render_table(loader, values);
            add(&mut variables, &values, "", &|span| loader.place(span));
        }
        for (variable, env) in &decl.env {
            if let Some(text) = loader.world.env(env) {
                let file = loader.add_source(&format!("env {env}"), &text);
                let old = variables.get(variable).map(|v: &Variable| &v.node);
                let node = match old {
                    Some(_) if !decl.is_secret(variable) => typed(file, &text, old),
                    _ => plain(file, &text),
                };
                set(&mut variables, variable, node, format!("env {env}"), None);
            }
        }
        for (scope, table, source) in &self.layers {
            if scope == decl.name.as_str() {
                add_layer(loader, decl, &mut variables, (table, source));
            }
        }
        self.finish(loader, decl, variables, broken)
    }

    /// Takes the secrets out, and makes the value for templates.
    fn finish(
        &self,
        loader: &Loader<'_>,
        decl: &ScopeDecl<'t>,
        variables: BTreeMap<String, Variable>,
        broken: bool,
    ) -> Scope {
        let mut tree = Branch::default();
        for (path, variable) in &variables {
            if decl.is_secret(path) {
                self.keep_secret(loader, decl, path, variable);
            } else {
                tree.put(path, value_of(&variable.node));
            }
        }
        for (path, span) in &decl.secret {
            let within = format!("{path}.");
            if variables.keys().any(|name| name.starts_with(&within)) {
                for name in variables.keys().filter(|name| name.starts_with(&within)) {
                    tree.put(name, template::secret(decl.name.as_str(), name).into());
                }
                continue;
            }
            tree.put(path, template::secret(decl.name.as_str(), path).into());
            if !variables.contains_key(path) && !decl.env.iter().any(|(name, _)| name == path) {
                let known = variables.keys().map(String::as_str);
                let near = closest(
                    path,
                    known.chain(decl.env.iter().map(|(name, _)| name.as_str())),
                );
                let near = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("the scope `{}` has no variable `{path}`", decl.name);
                loader.push(
                    Diagnostic::warning("secret", message)
                        .label(*span, "")
                        .maybe_help(near),
                );
            }
        }
        Scope {
            value: tree.into_value(),
            variables,
            broken,
        }
    }

    fn keep_secret(
        &self,
        loader: &Loader<'_>,
        decl: &ScopeDecl<'t>,
        path: &str,
        variable: &Variable,
    ) {
        let text = shown(&variable.node);
        let key = (decl.name.clone(), path.to_owned());
        let mut secrets = self.secrets.borrow_mut();
        if secrets.get(&key).is_some_and(|old| old.reveal() != text) {
            let message = format!("the secret `{}.{path}` depends on an axis", decl.name);
            loader.push(
                Diagnostic::error("secret", message)
                    .label(decl.span, "")
                    .help("put it into a scope whose file does not depend on an axis"),
            );
        }
        secrets.insert(key, Secret::new(text));
    }

    /// The late form of a secret.
    pub(super) fn late_secret(&self, scope: Name, variable: String) -> Late {
        let digested = self.get(scope.as_str()).is_some_and(|decl| decl.digested);
        let secrets = self.secrets.borrow();
        let key = (scope, variable);
        let digest = secrets.get(&key).filter(|_| digested).map(|secret| {
            let parts = [
                "forge secret",
                &self.project,
                key.0.as_str(),
                &key.1,
                secret.reveal(),
            ];
            Digest::of(parts.join("\0").as_bytes())
        });
        Late::Secret {
            scope: key.0,
            variable: key.1,
            digest,
        }
    }

    /// What is wrong with a variable of this scope that does not exist.
    pub(super) fn explain(
        &self,
        scope: &Scope,
        decl: &ScopeDecl<'t>,
        variable: &Ref,
        at: usize,
    ) -> Fault {
        let parts: Vec<&str> = variable.parts().collect();
        let path = parts[1..].join(".");
        let code = if scope.broken {
            ""
        } else {
            "undefined-variable"
        };
        let range = variable.path[at.min(variable.path.len() - 1)].1.clone();
        let mut fault = Fault {
            range: range.start..variable.range().end.max(range.end),
            code,
            message: format!("`{}` is not defined", variable.dotted()),
            help: Vec::new(),
        };
        if let Some((_, env)) = decl.env.iter().find(|(name, _)| *name == path) {
            if !code.is_empty() {
                fault.code = template::UNSET;
            }
            fault.message = format!(
                "`{}` is not defined: the environment has no `{env}`",
                variable.dotted()
            );
            fault
                .help
                .push(format!("set the environment variable `{env}`"));
        } else if let Some(near) = closest(&path, scope.variables.keys().map(String::as_str)) {
            fault
                .help
                .push(format!("did you mean `{}.{near}`?", decl.name));
        } else {
            let known: Vec<&str> = scope.variables.keys().map(String::as_str).collect();
            fault
                .help
                .push(format!("`{}` has {}", decl.name, listed(&known)));
        }
        fault
    }

    /// The rows for `forge vars`.
    pub(super) fn rows(&self) -> Vec<VariableRow> {
        let mut rows = Vec::new();
        for (scope, axes, loaded) in self.points.borrow().iter() {
            let Some(decl) = self.get(scope.as_str()) else {
                continue;
            };
            let row = |name: &str, value: String, source: String| VariableRow {
                scope: scope.clone(),
                axes: axes.clone(),
                name: name.to_owned(),
                value,
                source,
            };
            for (name, variable) in &loaded.variables {
                let secret = decl.is_secret(name);
                let value = if secret {
                    "***".to_owned()
                } else {
                    shown(&variable.node)
                };
                rows.push(row(name, value, variable.source.clone()));
            }
            for (name, env) in &decl.env {
                if !loaded.variables.contains_key(name) {
                    rows.push(row(name, String::new(), format!("env {env} (not set)")));
                }
            }
        }
        rows.sort_by(|a, b| (&a.scope, &a.axes, &a.name).cmp(&(&b.scope, &b.axes, &b.name)));
        rows
    }
}

/// Roots of templates that are not scopes.
pub(super) const RESERVED: &[&str] = &[
    "axis", "project", "stages", "outputs", "run", "http", "ssh", "forge",
];

impl<'t> ScopeDecl<'t> {
    fn new(name: Name, span: Span, table: &'t Table) -> Self {
        let mut axes = BTreeSet::new();
        for key in ["file", "values"] {
            if let Some(node) = table.get(key) {
                node.each_text(&mut |_, text| axes.extend(axes_in(text)));
            }
        }
        let env = table
            .table("env")
            .into_iter()
            .flat_map(|table| &table.entries);
        let env = env.filter_map(|e| Some((e.key.clone(), e.node.as_text()?.to_owned())));
        let secret = table
            .get("secret")
            .map(Node::one_or_many)
            .unwrap_or_default();
        Self {
            name,
            span,
            axes,
            env: env.collect(),
            secret: secret
                .iter()
                .filter_map(|n| Some((n.as_text()?.to_owned(), n.span)))
                .collect(),
            digested: matches!(
                table.get("secret_in_fingerprint").map(|n| &n.value),
                Some(Value::Bool(true))
            ),
            table,
        }
    }

    fn is_secret(&self, path: &str) -> bool {
        self.secret.iter().any(|(secret, _)| {
            path == secret
                || path
                    .strip_prefix(secret)
                    .is_some_and(|rest| rest.starts_with('.'))
        })
    }

    fn read_file(&self, loader: &Loader<'_>, view: &AxisView<'_>) -> Option<Table> {
        let node = self.table.get("file")?;
        let path = match view.render(loader, node)? {
            Value::Text(path) => path,
            _ => return None,
        };
        let read = loader.toml_file("the variables file", &path, node.span);
        read.map(|(table, _)| table)
    }
}
