//! The file as a whole: project, axes, providers, targets, resources.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::loader::{Loader, TextFile};
use crate::config::scopes::Scopes;
use crate::config::shape::check_table;
use crate::config::tree::{self, Node, Table};
use crate::config::{Overrides, Secrets, VariableTable, expand, keys};
use crate::diag::{Diagnostic, closest};
use crate::model::{Axis, Name, Project, ProviderConfig, ProviderKind, Resources};

use super::decl::{self, StageDecl};
use super::stage::Lowering;
use super::{cross, explain};

/// What `project.version` is when its command fails.
const NO_VERSION: &str = "0.0.0-unknown";

/// Reads the whole file. What it returns is complete only if no error was reported.
pub(in crate::config) fn file(
    loader: &Loader<'_>,
    file: &TextFile,
    overrides: &Overrides,
) -> (Project, Secrets, VariableTable) {
    let (mut table, faults) = tree::parse(file.id, &file.text);
    let mut broken = !faults.is_empty();
    faults.into_iter().for_each(|fault| loader.push(fault));
    broken |= expand::expand(loader, &mut table).is_err();
    if !broken {
        loader.with_faults(|faults| check_table(&table, &keys::FILE, faults));
    }
    let (name, version) = identity(loader, &table);
    let axes = axes(loader, table.table("axes"));
    let scopes = Scopes::new(loader, table.table("scopes"), overrides, (&name, &axes));
    let machine = table.table("machine");
    let decls = decl::stages(loader, table.table("stages"), &scopes, &axes, machine);
    let taking_part = decl::taking_part(&decls);
    let outputs = decls
        .iter()
        .map(|decl| (decl.name.clone(), super::stage::outputs(decl)))
        .collect();
    let mut lowering = Lowering::new(
        loader,
        &scopes,
        (&name, &version),
        &axes,
        &decls,
        &taking_part,
        &outputs,
    );
    lowering.machine = machine;
    lowering.providers = providers(&lowering, table.table("providers"));
    lowering.chosen_provider = chosen_provider(&lowering, overrides);
    lowering.pools = pools(&lowering, table.table("pools"));
    let (targets, default) = targets(loader, &table, &decls);
    let resources = resources(&lowering, table.table("resources"));
    // a broken file has lost lines: what follows from that is no fault of the user's
    if !broken {
        lowering.all();
        cross::check(loader, &lowering);
        unused_scopes(&lowering);
    }
    let providers = std::mem::take(&mut lowering.providers);
    let pools = std::mem::take(&mut lowering.pools);
    let stages = lowering.take_stages();
    let table = VariableTable {
        rows: scopes.rows(),
        stages: decls
            .iter()
            .map(|decl| (decl.name.clone(), decl.scopes.clone()))
            .collect(),
    };
    let project = Project {
        root: loader.root.to_owned(),
        name,
        version,
        axes: axes.clone(),
        stages,
        targets,
        default,
        providers: providers.into_iter().collect(),
        resources,
        pools,
    };
    (project, Secrets(scopes.secrets.take()), table)
}

/// Loads scopes that no stage lists, so that their faults show and `forge vars` knows them.
fn unused_scopes(lowering: &Lowering<'_>) {
    for decl in &lowering.scopes.decls {
        for point in decl::points(&decl.axes, lowering.axes) {
            let _ = lowering
                .scopes
                .at(lowering.loader, decl.name.as_str(), &point);
        }
    }
}

fn identity(loader: &Loader<'_>, table: &Table) -> (String, String) {
    let project = table.table("project");
    let text = |key: &str| {
        project
            .and_then(|p| p.get(key))
            .and_then(Node::as_text)
            .map(str::to_owned)
    };
    let name = text("name").unwrap_or_else(|| {
        let dir = loader
            .root
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        dir.unwrap_or_else(|| "project".to_owned())
    });
    let command = project
        .and_then(|p| p.table("version"))
        .and_then(|version| version.get("command"));
    let version = match command.and_then(|node| Some((node, node.as_text()?))) {
        None => text("version").unwrap_or_else(|| "0.0.0".to_owned()),
        Some((node, line)) => match loader.world.command(line, loader.root) {
            Ok(output) if !output.trim().is_empty() => output.trim().to_owned(),
            result => {
                let why = result
                    .err()
                    .unwrap_or_else(|| "it printed nothing".to_owned());
                let message = format!("the version's command failed: {why}");
                loader.push(
                    Diagnostic::warning("version", message)
                        .label(node.span, "")
                        .help(format!("the version is `{NO_VERSION}` until it works")),
                );
                NO_VERSION.to_owned()
            }
        },
    };
    (name, version)
}

fn axes(loader: &Loader<'_>, table: Option<&Table>) -> Vec<Axis> {
    let mut axes = Vec::new();
    for entry in table.into_iter().flat_map(|table| &table.entries) {
        let name = match Name::parse(&entry.key) {
            Ok(name) => name,
            Err(error) => {
                loader.push(
                    Diagnostic::error("bad-name", error.to_string()).label(entry.key_span, ""),
                );
                continue;
            }
        };
        let mut values: Vec<String> = Vec::new();
        for node in entry.node.one_or_many() {
            let Some(value) = node.as_text() else {
                continue;
            };
            if values.iter().any(|known| known == value) {
                let message = format!("the axis `{name}` has the value `{value}` twice");
                loader.push(Diagnostic::error("bad-value", message).label(node.span, ""));
            } else {
                values.push(value.to_owned());
            }
        }
        if values.is_empty() {
            let message = format!("the axis `{name}` has no values");
            loader.push(Diagnostic::error("bad-value", message).label(entry.node.span, ""));
        }
        axes.push(Axis { name, values });
    }
    axes
}

fn targets(
    loader: &Loader<'_>,
    table: &Table,
    decls: &[StageDecl<'_>],
) -> (BTreeMap<Name, Vec<Name>>, Vec<Name>) {
    let stages: BTreeSet<&str> = decls.iter().map(|decl| decl.name.as_str()).collect();
    let mut targets = BTreeMap::new();
    for entry in table
        .table("targets")
        .into_iter()
        .flat_map(|table| &table.entries)
    {
        match Name::parse(&entry.key) {
            Ok(name) => {
                targets.insert(name, names(loader, &entry.node, &stages));
            }
            Err(error) => loader
                .push(Diagnostic::error("bad-name", error.to_string()).label(entry.key_span, "")),
        }
        if stages.contains(entry.key.as_str()) {
            let message = format!("`{}` is a stage already", entry.key);
            loader.push(
                Diagnostic::error("duplicate-target", message)
                    .label(entry.key_span, "")
                    .help("every stage is a target by its own name"),
            );
        }
    }
    let mut known: BTreeSet<&str> = targets.keys().map(Name::as_str).collect();
    known.extend(&stages);
    let default = match table.get("default") {
        Some(node) => {
            let nodes = node.one_or_many().iter();
            nodes
                .filter_map(|node| default_name(loader, node, &known))
                .collect()
        }
        None => Vec::new(),
    };
    (targets, default)
}

fn names(loader: &Loader<'_>, node: &Node, stages: &BTreeSet<&str>) -> Vec<Name> {
    let mut names = Vec::new();
    for node in node.one_or_many() {
        let Some(text) = node.as_text() else { continue };
        decl::unknown_stage(loader, text, node.span, stages);
        names.extend(Name::parse(text).ok());
    }
    names
}

fn default_name(loader: &Loader<'_>, node: &Node, known: &BTreeSet<&str>) -> Option<Name> {
    let text = node.as_text()?;
    if !known.contains(text) {
        let near =
            closest(text, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        loader.push(
            Diagnostic::error("unknown-target", format!("unknown target `{text}`"))
                .label(node.span, "")
                .maybe_help(near),
        );
    }
    Name::parse(text).ok()
}

fn resources(lowering: &Lowering<'_>, table: Option<&Table>) -> Resources {
    let Some(table) = table else {
        return Resources::default();
    };
    let site = lowering.site("[resources]", &[], BTreeMap::new());
    Resources {
        jobs: table.get("jobs").and_then(|node| site.u32(node, 1)),
        machines: table.get("machines").and_then(|node| site.u32(node, 1)),
        memory: table.get("memory").and_then(|node| site.size(node)),
    }
}

/// Named pools, and how many stages run in each at one time.
fn pools(lowering: &Lowering<'_>, table: Option<&Table>) -> BTreeMap<Name, u32> {
    let site = lowering.site("[pools]", &[], BTreeMap::new());
    let mut pools = BTreeMap::new();
    for entry in table.into_iter().flat_map(|table| &table.entries) {
        match Name::parse(&entry.key) {
            Ok(name) => pools.extend(site.u32(&entry.node, 1).map(|places| (name, places))),
            Err(error) => site.fault("bad-name", error.to_string(), entry.key_span),
        }
    }
    pools
}

/// The providers; without any, `local`.
fn providers(lowering: &Lowering<'_>, table: Option<&Table>) -> Vec<(Name, ProviderConfig)> {
    let mut providers = Vec::new();
    for entry in table.into_iter().flat_map(|table| &table.entries) {
        let (Some(table), Ok(name)) = (entry.node.as_table(), Name::parse(&entry.key)) else {
            continue;
        };
        let Some(kind) = provider_kind(lowering.loader, table, entry) else {
            continue;
        };
        let scopes = decl::listed_scopes(lowering.loader, table, lowering.scopes);
        let site = lowering.provider_site(&name, &scopes);
        let settings = table
            .entries
            .iter()
            .filter(|e| !matches!(e.key.as_str(), "type" | "scopes"));
        // who has no server needs no variables for it
        let mut unset = BTreeMap::new();
        let settings = settings.filter_map(|e| {
            if let (ProviderKind::Vsphere, Some(why)) = (kind, site.unset(&e.node)) {
                unset.insert(e.key.clone(), why);
                return None;
            }
            Some((e.key.clone(), site.text(&e.node)?))
        });
        let config = ProviderConfig {
            name: name.clone(),
            kind,
            settings: settings.collect(),
            unset,
        };
        providers.push((name, config));
    }
    if let (true, Ok(name)) = (providers.is_empty(), Name::parse("local")) {
        let config = ProviderConfig {
            name: name.clone(),
            kind: ProviderKind::Qemu,
            settings: BTreeMap::new(),
            unset: BTreeMap::new(),
        };
        providers.push((name, config));
    }
    providers
}

/// The provider that the command line names for stages that name none.
fn chosen_provider(lowering: &Lowering<'_>, overrides: &Overrides) -> Option<Name> {
    let wanted = overrides.provider.as_ref()?;
    let names = || lowering.providers.iter().map(|(name, _)| name);
    let known = names().find(|name| name.as_str() == wanted);
    if known.is_none() {
        let near = closest(wanted, names().map(Name::as_str))
            .map(|near| format!("did you mean `--provider {near}`?"));
        let all: Vec<&str> = names().map(Name::as_str).collect();
        let message = format!("there is no provider `{wanted}` for `--provider`");
        let help = near.unwrap_or_else(|| format!("providers here: {}", all.join(", ")));
        lowering
            .loader
            .push(Diagnostic::error("unknown-provider", message).help(help));
    }
    known.cloned()
}

fn provider_kind(loader: &Loader<'_>, table: &Table, entry: &tree::Entry) -> Option<ProviderKind> {
    let Some(node) = table.get("type") else {
        let message = format!("the provider `{}` needs a `type`", entry.key);
        loader.push(
            Diagnostic::error("missing-key", message)
                .label(entry.key_span, "")
                .help("`type = \"qemu\"` or `type = \"vsphere\"`"),
        );
        return None;
    };
    match node.as_text() {
        Some("qemu") => Some(ProviderKind::Qemu),
        Some("vsphere") => Some(ProviderKind::Vsphere),
        _ => {
            let shape = crate::config::shape::Shape::Word(keys::PROVIDERS);
            loader.with_faults(|faults| crate::config::shape::check(node, &shape, faults));
            None
        }
    }
}

/// Visible names for sites that are no stage.
pub(super) fn nothing_but<'s>(
    owner: String,
    stages: &'s BTreeMap<Name, Vec<String>>,
    others: Vec<String>,
) -> explain::Visible<'s> {
    explain::Visible {
        owner,
        scopes: Vec::new(),
        axes: Vec::new(),
        stages,
        others,
        is_stage: false,
    }
}
