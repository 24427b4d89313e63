//! Stages as declared, before their axes are expanded: kinds, references between them, the axes that they take part in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::config::keys;
use crate::config::loader::Loader;
use crate::config::scopes::{Scopes, axes_in};
use crate::config::shape::{Shape, check, check_table, text_fault};
use crate::config::template::{Scan, is_template};
use crate::config::tree::{Entry, Node, Table};
use crate::diag::{Diagnostic, Span, closest, or_list};
use crate::model::{Axis, Name, StageKind};

use super::when::{When, unknown_axis};

/// A stage as declared.
pub(super) struct StageDecl<'t> {
    pub(super) name: Name,
    pub(super) span: Span,
    pub(super) table: &'t Table,
    pub(super) kind: &'static str,
    pub(super) scopes: Vec<Name>,
    pub(super) overrides: Vec<Override<'t>>,
    /// `from`, in the stage or in an override.
    froms: Vec<(Name, Span)>,
    /// `needs`, and the stages whose outputs templates use.
    needs: Vec<Name>,
    /// The axes that it uses itself.
    axes: BTreeSet<String>,
}

/// Settings for some axis values.
pub(super) struct Override<'t> {
    pub(super) when: When,
    pub(super) table: &'t Table,
}

/// All stages, with faults of their own tables reported.
pub(super) fn stages<'t>(
    loader: &Loader<'_>,
    table: Option<&'t Table>,
    scopes: &Scopes<'_>,
    axes: &[Axis],
    machine: Option<&Table>,
) -> Vec<StageDecl<'t>> {
    let entries = table.into_iter().flat_map(|table| &table.entries);
    let decls: Vec<StageDecl<'t>> = entries
        .filter_map(|entry| stage(loader, entry, scopes, axes, machine))
        .collect();
    let known: BTreeSet<&str> = decls.iter().map(|decl| decl.name.as_str()).collect();
    for decl in &decls {
        for (name, span) in &decl.froms {
            unknown_stage(loader, name.as_str(), *span, &known);
        }
        let own = [decl.table]
            .into_iter()
            .chain(decl.overrides.iter().map(|o| o.table));
        for node in own
            .filter_map(|table| table.get("needs"))
            .flat_map(Node::one_or_many)
        {
            if let Some(name) = node.as_text() {
                unknown_stage(loader, name, node.span, &known);
            }
        }
    }
    decls
}

/// Reports a name that is no stage's.
pub(super) fn unknown_stage(loader: &Loader<'_>, name: &str, span: Span, known: &BTreeSet<&str>) {
    if !known.contains(name) {
        let near =
            closest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        loader.push(
            Diagnostic::error("unknown-stage", format!("unknown stage `{name}`"))
                .label(span, "")
                .maybe_help(near),
        );
    }
}

fn stage<'t>(
    loader: &Loader<'_>,
    entry: &'t Entry,
    scopes: &Scopes<'_>,
    axes: &[Axis],
    machine: Option<&Table>,
) -> Option<StageDecl<'t>> {
    let table = entry.node.as_table()?;
    let name = match Name::parse(&entry.key) {
        Ok(name) => name,
        Err(error) => {
            loader.push(Diagnostic::error("bad-name", error.to_string()).label(entry.key_span, ""));
            return None;
        }
    };
    let kind = kind(loader, entry, table)?;
    let known = keys::stage(kind)?;
    loader.with_faults(|faults| check_table(table, known, faults));
    let mut decl = StageDecl {
        name,
        span: entry.key_span,
        table,
        kind,
        scopes: listed_scopes(loader, table, scopes),
        overrides: overrides(loader, table, kind, axes),
        froms: Vec::new(),
        needs: Vec::new(),
        axes: BTreeSet::new(),
    };
    decl.find_references();
    decl.find_axes(loader, scopes, axes, machine);
    Some(decl)
}

/// The kind that is written, else the one of the stage's name.
fn kind(loader: &Loader<'_>, entry: &Entry, table: &Table) -> Option<&'static str> {
    let find = |name: &str| StageKind::NAMES.iter().find(|kind| **kind == name).copied();
    let Some(node) = table.get("kind") else {
        let found = find(&entry.key);
        if found.is_none() {
            let near = closest(&entry.key, StageKind::NAMES.iter().copied());
            let help = near.map_or_else(
                || {
                    format!(
                        "add `kind = \"…\"`: {}",
                        or_list(StageKind::NAMES.iter().copied())
                    )
                },
                |near| format!("name the stage `{near}`, or add `kind = \"{near}\"`"),
            );
            let message = format!("the stage `{}` needs a `kind`", entry.key);
            loader.push(
                Diagnostic::error("missing-key", message)
                    .label(entry.key_span, "")
                    .help(help),
            );
        }
        return found;
    };
    let found = node.as_text().and_then(find);
    if found.is_none() {
        loader.with_faults(|faults| check(node, &Shape::Word(StageKind::NAMES), faults));
    }
    found
}

/// The scopes that a table lists; unknown ones are reported.
pub(super) fn listed_scopes(loader: &Loader<'_>, table: &Table, scopes: &Scopes<'_>) -> Vec<Name> {
    let mut listed = Vec::new();
    for node in table
        .get("scopes")
        .map(Node::one_or_many)
        .unwrap_or_default()
    {
        let Some(name) = node.as_text() else { continue };
        match scopes.get(name) {
            Some(decl) => listed.push(decl.name.clone()),
            None => {
                let near =
                    closest(name, scopes.names()).map(|near| format!("did you mean `{near}`?"));
                loader.push(
                    Diagnostic::error("unknown-scope", format!("unknown scope `{name}`"))
                        .label(node.span, "")
                        .maybe_help(near),
                );
            }
        }
    }
    listed
}

fn overrides<'t>(
    loader: &Loader<'_>,
    table: &'t Table,
    kind: &str,
    axes: &[Axis],
) -> Vec<Override<'t>> {
    let mut overrides = Vec::new();
    for node in table
        .get("overrides")
        .map(Node::one_or_many)
        .unwrap_or_default()
    {
        let (Some(table), Some(known)) = (node.as_table(), keys::stage_override(kind)) else {
            loader.with_faults(|faults| check(node, &Shape::Map(&Shape::Any), faults));
            continue;
        };
        loader.with_faults(|faults| check_table(table, known, faults));
        match table.get("when") {
            Some(node) => overrides.push(Override {
                when: When::read(loader, axes, node),
                table,
            }),
            None => loader.push(
                Diagnostic::error("missing-key", "an override needs `when`")
                    .label(node.span, "")
                    .help("say at which axis values it holds: `when = { os = \"mini\" }`"),
            ),
        }
    }
    overrides
}

impl StageDecl<'_> {
    fn tables(&self) -> Vec<&Table> {
        let overrides = self.overrides.iter().map(|o| o.table);
        [self.table].into_iter().chain(overrides).collect()
    }

    fn find_references(&mut self) {
        let mut froms = Vec::new();
        let mut needs = BTreeSet::new();
        for table in self.tables() {
            let from = table.get("from").map(|node| (node.as_text(), node.span));
            if let Some((Some(text), span)) = from {
                froms.extend(Name::parse(text).ok().map(|name| (name, span)));
            }
            let listed = table
                .get("needs")
                .map(Node::one_or_many)
                .unwrap_or_default();
            needs.extend(
                listed
                    .iter()
                    .filter_map(|node| Name::parse(node.as_text()?).ok()),
            );
        }
        for entry in &self.table.entries {
            entry
                .node
                .each_text(&mut |_, text| needs.extend(stages_in(text)));
        }
        self.froms = froms;
        self.needs = needs.into_iter().collect();
    }

    fn find_axes(
        &mut self,
        loader: &Loader<'_>,
        scopes: &Scopes<'_>,
        known: &[Axis],
        machine: Option<&Table>,
    ) {
        let mut axes = BTreeSet::new();
        for entry in &self.table.entries {
            entry
                .node
                .each_text(&mut |_, text| axes.extend(axes_in(text)));
        }
        if self.kind == "iso-base" {
            for entry in machine.iter().flat_map(|table| &table.entries) {
                entry
                    .node
                    .each_text(&mut |_, text| axes.extend(axes_in(text)));
            }
        }
        for scope in &self.scopes {
            axes.extend(
                scopes
                    .get(scope.as_str())
                    .into_iter()
                    .flat_map(|decl| decl.axes.clone()),
            );
        }
        for table in self.tables() {
            for node in table.get("axes").map(Node::one_or_many).unwrap_or_default() {
                let Some(name) = node.as_text() else { continue };
                if !known.iter().any(|axis| axis.name.as_str() == name)
                    && text_fault(&Shape::Name, name).is_none()
                {
                    loader.push(unknown_axis(name, node.span, known));
                }
                axes.insert(name.to_owned());
            }
        }
        let conditions = self.overrides.iter().filter_map(|o| o.table.get("when"));
        let steps = self
            .tables()
            .into_iter()
            .filter_map(|table| table.get("steps"));
        let steps = steps.flat_map(Node::one_or_many).filter_map(Node::as_table);
        let of_steps = steps
            .flat_map(|step| [step.get("only"), step.get("except")])
            .flatten();
        for when in conditions.chain(of_steps).filter_map(Node::as_table) {
            axes.extend(when.keys().map(str::to_owned));
        }
        axes.retain(|name| known.iter().any(|axis| axis.name.as_str() == name));
        self.axes = axes;
    }

    fn depends_on(&self) -> impl Iterator<Item = &Name> {
        self.froms.iter().map(|(name, _)| name).chain(&self.needs)
    }
}

/// The stages whose outputs a template uses.
fn stages_in(text: &str) -> Vec<Name> {
    if !is_template(text) {
        return Vec::new();
    }
    let scan = Scan::new(text);
    let refs = scan.refs.iter().filter(|r| r.path[0].0 == "stages");
    refs.filter_map(|r| Name::parse(&r.path.get(1)?.0).ok())
        .collect()
}

/// The axes that each stage takes part in: those it uses, and those of what it depends on.
pub(super) fn taking_part(decls: &[StageDecl<'_>]) -> BTreeMap<Name, BTreeSet<String>> {
    let mut all: BTreeMap<Name, BTreeSet<String>> = decls
        .iter()
        .map(|decl| (decl.name.clone(), decl.axes.clone()))
        .collect();
    let mut dependants: HashMap<&Name, Vec<&Name>> = HashMap::new();
    for decl in decls {
        for name in decl.depends_on() {
            dependants.entry(name).or_default().push(&decl.name);
        }
    }
    let own = decls.iter().filter(|decl| !decl.axes.is_empty());
    let mut grown: Vec<&Name> = own.map(|decl| &decl.name).collect();
    while let Some(name) = grown.pop() {
        let theirs = all.get(name).cloned().unwrap_or_default();
        for dependant in dependants.get(name).into_iter().flatten() {
            if let Some(mine) = all.get_mut(*dependant) {
                let before = mine.len();
                mine.extend(theirs.iter().cloned());
                if mine.len() > before {
                    grown.push(dependant);
                }
            }
        }
    }
    all
}

/// All points of these axes, in the axes' order.
pub(super) fn points(mine: &BTreeSet<String>, axes: &[Axis]) -> Vec<BTreeMap<Name, String>> {
    let mut points = vec![BTreeMap::new()];
    for axis in axes.iter().filter(|axis| mine.contains(axis.name.as_str())) {
        let extended = points.iter().flat_map(|point| {
            axis.values.iter().map(|value| {
                let mut point = point.clone();
                point.insert(axis.name.clone(), value.clone());
                point
            })
        });
        points = extended.collect();
    }
    points
}
