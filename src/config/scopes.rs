//! Scopes: where variables come from, which source goes before which, and what is secret.
//!
//! Lowest first: the scope's file, its values, the environment, `--var-file`, `--var`. A variable keeps where it came
//! from, for `forge vars` and for messages.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use minijinja::Value as TemplateValue;

use crate::diag::{Diagnostic, FileId, Span, closest};
use crate::model::{Digest, Late, Name, Secret};

use super::loader::{Loader, unreadable};
use super::template::{self, Bind, Fault, Ref, Val, View, is_template};
use super::tree::{self, Node, Table, Value};
use super::{Overrides, VariableRow};

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

/// A variable, a leaf of the scope's tree.
pub(super) struct Variable {
    node: Node,
    /// `vars/common.toml:3`, `env NAME`, `--var`.
    pub(super) source: String,
    /// Where it is set, if that is a place in a file.
    pub(super) span: Option<Span>,
}

/// A loaded scope with the axis values that it depends on.
type Point = (Name, BTreeMap<Name, String>, Rc<Scope>);

/// All scopes of a project.
pub(super) struct Scopes<'t> {
    pub(super) decls: Vec<ScopeDecl<'t>>,
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
        project: &str,
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
        let view = AxisView::new(axes, &self.project);
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
pub(super) const RESERVED: &[&str] = &["axis", "project", "stages", "outputs", "run", "http"];

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
        match loader.text_file(&path) {
            Ok(Some(file)) => {
                let (table, faults) = tree::parse(file.id, &file.text);
                faults.into_iter().for_each(|fault| loader.push(fault));
                Some(table)
            }
            Ok(None) => {
                loader.push(
                    Diagnostic::error("toml", format!("`{path}` is not UTF-8 text"))
                        .label(node.span, ""),
                );
                None
            }
            Err(error) => {
                loader.push(unreadable("the variables file", &path, &error, node.span));
                None
            }
        }
    }
}

/// The names of the axes that a template uses.
pub(super) fn axes_in(text: &str) -> Vec<String> {
    if !is_template(text) {
        return Vec::new();
    }
    let scan = template::Scan::new(text);
    let axes = scan.refs.iter().filter(|r| r.path[0].0 == "axis");
    axes.filter_map(|r| r.path.get(1).map(|(name, _)| name.clone()))
        .collect()
}

/// What a scope's own templates see: the axes and the project's name.
struct AxisView<'a> {
    values: TemplateValue,
    axes: &'a BTreeMap<Name, String>,
}

struct NoLate;

impl Bind for NoLate {
    fn stage(&self, name: &Name) -> crate::model::StageKey {
        crate::model::StageKey {
            name: name.clone(),
            axes: BTreeMap::new(),
        }
    }

    fn secret(&self, scope: Name, variable: String) -> Late {
        Late::Secret {
            scope,
            variable,
            digest: None,
        }
    }
}

impl<'a> AxisView<'a> {
    fn new(axes: &'a BTreeMap<Name, String>, project: &str) -> Self {
        let axis = TemplateValue::from_iter(axes.iter().map(|(k, v)| (k.to_string(), v.clone())));
        let project = TemplateValue::from_iter([("name", project)]);
        Self {
            values: TemplateValue::from_iter([("axis", axis), ("project", project)]),
            axes,
        }
    }

    fn render(&self, loader: &Loader<'_>, node: &Node) -> Option<Value> {
        let Some(text) = node.as_text().filter(|text| is_template(text)) else {
            return Some(node.value.clone());
        };
        let explain = |variable: &Ref, _: usize| {
            let near = self.axes.keys().map(|axis| format!("axis.{axis}"));
            let known: Vec<String> = near.chain(["project.name".to_owned()]).collect();
            let near = closest(&variable.dotted(), known.iter().map(String::as_str));
            Fault {
                range: variable.range(),
                code: "undefined-variable",
                message: format!(
                    "`{}` is not defined: a scope sees only the axes and the project",
                    variable.dotted()
                ),
                help: near
                    .map(|near| format!("did you mean `{near}`?"))
                    .into_iter()
                    .collect(),
            }
        };
        let view = View {
            values: &self.values,
            bind: &NoLate,
            explain: &explain,
        };
        match loader.templates.get(text).render(&view) {
            Ok(value) => from_val(&value, node),
            Err(faults) => {
                loader.template_faults(node, &faults);
                None
            }
        }
    }

    fn render_table(&self, loader: &Loader<'_>, table: &Table) -> Table {
        let mut rendered = table.clone();
        for entry in &mut rendered.entries {
            self.render_node(loader, &mut entry.node);
        }
        rendered
    }

    fn render_node(&self, loader: &Loader<'_>, node: &mut Node) {
        match &mut node.value {
            Value::List(nodes) => nodes
                .iter_mut()
                .for_each(|node| self.render_node(loader, node)),
            Value::Table(table) => {
                table
                    .entries
                    .iter_mut()
                    .for_each(|e| self.render_node(loader, &mut e.node));
            }
            Value::Text(_) => {
                if let Some(value) = self.render(loader, node) {
                    node.value = value;
                }
            }
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => {}
        }
    }
}

fn from_val(value: &Val, node: &Node) -> Option<Value> {
    Some(match value {
        Val::Text(text) => Value::Text(text.as_literal()?),
        Val::Int(number) => Value::Int(*number),
        Val::Float(number) => Value::Float(*number),
        Val::Bool(flag) => Value::Bool(*flag),
        Val::List(values) => {
            let nodes = values.iter().map(|value| {
                Some(Node {
                    span: node.span,
                    value: from_val(value, node)?,
                })
            });
            Value::List(nodes.collect::<Option<_>>()?)
        }
        Val::Map(_) => return None,
    })
}

/// Adds what the command line gives.
fn add_layer(
    loader: &Loader<'_>,
    decl: &ScopeDecl<'_>,
    variables: &mut BTreeMap<String, Variable>,
    (table, source): (&Table, &str),
) {
    if source != "--var" {
        add(variables, table, "", &|span| loader.place(span));
        return;
    }
    for entry in &table.entries {
        let text = entry.node.as_text().unwrap_or_default();
        let file = entry.node.span.file;
        let node = if decl.is_secret(&entry.key) {
            plain(file, text)
        } else {
            typed(file, text, variables.get(&entry.key).map(|v| &v.node))
        };
        set(variables, &entry.key, node, "--var".to_owned(), None);
    }
}

/// Adds the leaves of a table.
fn add(
    variables: &mut BTreeMap<String, Variable>,
    table: &Table,
    prefix: &str,
    place: &dyn Fn(Span) -> String,
) {
    for entry in &table.entries {
        let path = format!("{prefix}{}", entry.key);
        match &entry.node.value {
            Value::Table(inner) if !inner.entries.is_empty() => {
                add(variables, inner, &format!("{path}."), place);
            }
            _ => set(
                variables,
                &path,
                entry.node.clone(),
                place(entry.key_span),
                Some(entry.key_span),
            ),
        }
    }
}

/// Sets a variable; a leaf replaces a branch of the same name, and the other way round.
fn set(
    variables: &mut BTreeMap<String, Variable>,
    path: &str,
    node: Node,
    source: String,
    span: Option<Span>,
) {
    variables.retain(|old, _| {
        let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
        !below(old, path) && !below(path, old)
    });
    variables.insert(path.to_owned(), Variable { node, source, span });
}

/// A value given as text: where it replaces one that is not a string, it is read as TOML.
fn typed(file: FileId, text: &str, old: Option<&Node>) -> Node {
    let plain = plain(file, text);
    match old.map(|node| &node.value) {
        Some(Value::Text(_)) => plain,
        Some(_) => tree::parse_value(file, text).unwrap_or(plain),
        None => match tree::parse_value(file, text) {
            Some(node)
                if matches!(
                    node.value,
                    Value::Int(_) | Value::Bool(_) | Value::List(_) | Value::Table(_)
                ) =>
            {
                node
            }
            _ => plain,
        },
    }
}

fn plain(file: FileId, text: &str) -> Node {
    Node {
        span: Span::new(file, 0..text.len()),
        value: Value::Text(text.to_owned()),
    }
}

/// A value as `forge vars` shows it.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        _ => value_of(node).to_string(),
    }
}

/// A node as a value for templates.
pub(super) fn value_of(node: &Node) -> TemplateValue {
    match &node.value {
        Value::Text(text) => text.as_str().into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Bool(flag) => (*flag).into(),
        Value::List(nodes) => nodes.iter().map(value_of).collect(),
        Value::Table(table) => table
            .entries
            .iter()
            .map(|e| (e.key.clone(), value_of(&e.node)))
            .collect(),
    }
}

/// `` `a`, `b` and 3 more ``.
fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "no variables".to_owned();
    }
    let shown: Vec<String> = names
        .iter()
        .take(12)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len() - shown.len();
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &tail
}

/// A tree of values that is filled by dotted paths.
#[derive(Default)]
struct Branch {
    leaves: BTreeMap<String, TemplateValue>,
    branches: BTreeMap<String, Branch>,
}

impl Branch {
    fn put(&mut self, path: &str, value: TemplateValue) {
        match path.split_once('.') {
            Some((first, rest)) => self
                .branches
                .entry(first.to_owned())
                .or_default()
                .put(rest, value),
            None => {
                self.leaves.insert(path.to_owned(), value);
            }
        }
    }

    fn into_value(self) -> TemplateValue {
        let branches = self
            .branches
            .into_iter()
            .map(|(name, branch)| (name, branch.into_value()));
        self.leaves.into_iter().chain(branches).collect()
    }
}

impl Scopes<'_> {
    /// `--var-file` and `--var`, as layers above the scopes' own.
    fn read_overrides(&mut self, loader: &Loader<'_>, overrides: &Overrides) {
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
