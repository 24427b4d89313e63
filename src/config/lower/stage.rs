//! Stages at their axis values, one after the other.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use minijinja::Value as TemplateValue;

use crate::config::loader::Loader;
use crate::config::scopes::Scopes;
use crate::config::template::output;
use crate::config::tree::{Entry, Node, Table};
use crate::diag::{Diagnostic, closest, or_list};
use crate::model::{
    Axis, Hardware, Name, Origin, ProviderConfig, Ssh, Stage, StageKey, StageKind, Text,
};

use super::context::{RUN, facts};
use super::decl::{self, StageDecl};
use super::site::{Site, key_at};
use super::{command, machine, pack, publish, steps};

/// All that lowering a stage needs to know.
pub(super) struct Lowering<'s> {
    pub(super) loader: &'s Loader<'s>,
    pub(super) scopes: &'s Scopes<'s>,
    pub(super) project: (&'s str, &'s str),
    pub(super) axes: &'s [Axis],
    pub(super) decls: &'s [StageDecl<'s>],
    by_name: HashMap<&'s Name, &'s StageDecl<'s>>,
    /// `[machine]`.
    pub(super) machine: Option<&'s Table>,
    pub(super) providers: Vec<(Name, ProviderConfig)>,
    /// The one that the command line names for stages that name none.
    pub(super) chosen_provider: Option<Name>,
    /// `[pools]`.
    pub(super) pools: BTreeMap<Name, u32>,
    pub(super) taking_part: &'s BTreeMap<Name, BTreeSet<String>>,
    pub(super) outputs: &'s BTreeMap<Name, Vec<String>>,
    /// `stages`, `run` and `project` for templates.
    pub(super) common: Vec<(&'static str, TemplateValue)>,
    done: RefCell<BTreeMap<StageKey, Rc<Inherited>>>,
    pub(super) stages: RefCell<Vec<Stage>>,
}

/// What a stage hands on to those that come `from` it.
#[derive(Clone, Debug, Default)]
pub(super) struct Inherited {
    pub(super) hardware: Option<Hardware>,
    pub(super) ssh: Option<Ssh>,
    pub(super) shutdown: Option<Text>,
    pub(super) provider: Option<Name>,
}

/// A stage at some axis values while it is lowered.
pub(super) struct Here<'s> {
    pub(super) site: Site<'s>,
    pub(super) decl: &'s StageDecl<'s>,
    /// The settings, overrides applied.
    pub(super) table: Cow<'s, Table>,
    /// From the stage that it comes from.
    pub(super) inherited: Rc<Inherited>,
    pub(super) key: StageKey,
    pub(super) project: (&'s str, &'s str),
}

/// The names of a stage's outputs.
pub(super) fn outputs(decl: &StageDecl<'_>) -> Vec<String> {
    let fixed: &[&str] = match decl.kind {
        "command" => {
            let tables = [decl.table]
                .into_iter()
                .chain(decl.overrides.iter().map(|o| o.table));
            let names = tables
                .filter_map(|table| table.table("outputs"))
                .flat_map(Table::keys);
            return names
                .map(str::to_owned)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
        }
        // how many disks there are is known only when the machine is
        "export" => &["disk-1", "disk-2", "disk-3", "disk-4", "nvram"],
        "pack-ova" => &[
            "ova", "sha256", "ovf", "mf", "manifest", "disk-1", "disk-2", "disk-3", "disk-4",
            "nvram",
        ],
        "publish" => &["item"],
        _ => &[],
    };
    fixed.iter().map(|name| (*name).to_owned()).collect()
}

impl<'s> Lowering<'s> {
    pub(super) fn new(
        loader: &'s Loader<'s>,
        scopes: &'s Scopes<'s>,
        project: (&'s str, &'s str),
        axes: &'s [Axis],
        decls: &'s [StageDecl<'s>],
        taking_part: &'s BTreeMap<Name, BTreeSet<String>>,
        outputs: &'s BTreeMap<Name, Vec<String>>,
    ) -> Self {
        let stages: TemplateValue = outputs
            .iter()
            .map(|(stage, names)| {
                let tokens = names
                    .iter()
                    .map(|name| (name.clone(), output(stage.as_str(), name)));
                let outputs: TemplateValue = tokens.collect();
                (
                    stage.to_string(),
                    TemplateValue::from_iter([("outputs", outputs)]),
                )
            })
            .collect();
        let identity = TemplateValue::from_iter([("name", project.0), ("version", project.1)]);
        Self {
            loader,
            scopes,
            project,
            axes,
            decls,
            by_name: decls.iter().rev().map(|decl| (&decl.name, decl)).collect(),
            machine: None,
            providers: Vec::new(),
            chosen_provider: None,
            pools: BTreeMap::new(),
            taking_part,
            outputs,
            common: vec![
                ("stages", stages),
                ("project", identity),
                ("run", facts(&RUN)),
            ],
            done: RefCell::default(),
            stages: RefCell::default(),
        }
    }

    pub(super) fn take_stages(&self) -> Vec<Stage> {
        self.stages.take()
    }

    pub(super) fn decl(&self, name: &Name) -> Option<&'s StageDecl<'s>> {
        self.by_name.get(name).copied()
    }

    /// Lowers every stage at every point of its axes.
    pub(super) fn all(&self) {
        for decl in self.decls {
            let Some(mine) = self.taking_part.get(&decl.name) else {
                continue;
            };
            for axes in decl::points(mine, self.axes) {
                let name = decl.name.clone();
                self.inherited(&StageKey { name, axes });
            }
        }
    }

    /// What a stage hands on; lowers it if that has not been done.
    fn inherited(&self, key: &StageKey) -> Rc<Inherited> {
        if let Some(known) = self.done.borrow().get(key) {
            return Rc::clone(known);
        }
        self.done.borrow_mut().insert(key.clone(), Rc::default());
        let Some(decl) = self.decl(&key.name) else {
            return Rc::default();
        };
        let inherited = Rc::new(self.lower(decl, key));
        self.done
            .borrow_mut()
            .insert(key.clone(), Rc::clone(&inherited));
        inherited
    }

    fn lower(&self, decl: &'s StageDecl<'s>, key: &StageKey) -> Inherited {
        let table = effective(decl, &key.axes);
        let from = self.from(decl, &table, key);
        let inherited = from
            .as_ref()
            .map(|from| self.inherited(from))
            .unwrap_or_default();
        let here = Here {
            site: self.stage_site(decl, &table, key),
            decl,
            table,
            inherited,
            key: key.clone(),
            project: self.project,
        };
        let mut hand_on = Inherited::clone(&here.inherited);
        let kind = self.kind(&here, &mut hand_on);
        let timeout = here
            .get("timeout")
            .and_then(|node| here.site.duration(node));
        let retries = here.get("retries").and_then(|node| here.site.u32(node, 0));
        let mut needs: BTreeSet<StageKey> = here.site.used.take();
        needs.extend(from.clone());
        for node in here.get("needs").map(Node::one_or_many).unwrap_or_default() {
            let name = node.as_text().and_then(|text| Name::parse(text).ok());
            needs.extend(
                name.filter(|name| self.decl(name).is_some())
                    .map(|name| self.key_at(&name, key)),
            );
        }
        let pool = here.get("pool").and_then(|node| self.pool(&here, node));
        if let Some(kind) = kind {
            self.stages.borrow_mut().push(Stage {
                key: key.clone(),
                origin: self.origin(decl),
                kind,
                from,
                needs: needs.into_iter().collect(),
                timeout,
                retries: retries.unwrap_or(0),
                pool,
            });
        }
        hand_on
    }

    fn pool(&self, here: &Here<'_>, node: &Node) -> Option<Name> {
        let name = Name::parse(&here.site.literal(node)?).ok()?;
        if self.pools.contains_key(&name) {
            return Some(name);
        }
        let near = closest(name.as_str(), self.pools.keys().map(Name::as_str));
        let help = near.map_or_else(
            || format!("say how many of its stages run at one time: `[pools]`, `{name} = 1`"),
            |near| format!("did you mean `{near}`?"),
        );
        here.site.push(
            Diagnostic::error("unknown-pool", format!("unknown pool `{name}`"))
                .label(node.span, "")
                .help(help),
        );
        None
    }

    fn kind(&self, here: &Here<'_>, hand_on: &mut Inherited) -> Option<StageKind> {
        match here.decl.kind {
            "command" => command::stage(here).map(StageKind::Command),
            "iso-base" => {
                machine::iso_base(self, here, hand_on).map(|s| StageKind::IsoBase(Box::new(s)))
            }
            "clone" => machine::clone(self, here, hand_on).map(StageKind::Clone),
            "provision" => steps::provision(self, here, hand_on).map(StageKind::Provision),
            "export" => pack::export(here).map(StageKind::Export),
            "pack-ova" => pack::pack_ova(here).map(StageKind::PackOva),
            "publish" => publish::stage(self, here).map(StageKind::Publish),
            _ => pack::verify(self, here).map(|s| StageKind::Verify(Box::new(s))),
        }
    }

    fn origin(&self, decl: &StageDecl<'_>) -> Origin {
        let sources = self.loader.sources.borrow();
        Origin {
            file: sources
                .get(decl.span.file)
                .map_or(String::new(), |s| s.name.clone()),
            line: sources.position(decl.span).0,
        }
    }

    pub(super) fn key_at(&self, name: &Name, at: &StageKey) -> StageKey {
        key_at(name, self.taking_part, &at.axes)
    }

    /// The stage that this one comes from, if its kind may.
    fn from(&self, decl: &StageDecl<'_>, table: &Table, key: &StageKey) -> Option<StageKey> {
        const MACHINES: &[&str] = &["iso-base", "clone", "provision"];
        let allowed: &[&str] = match decl.kind {
            "clone" | "provision" | "export" => MACHINES,
            "pack-ova" => &["export"],
            "verify" | "publish" => &["pack-ova"],
            _ => &[],
        };
        let source = table.get("source").filter(|_| decl.kind == "clone");
        if let (Some(source), Some(from)) = (source, table.get("from")) {
            let message = format!("the stage `{}` has both `from` and `source`", decl.name);
            self.loader.push(
                Diagnostic::error("wrong-from", message)
                    .label(from.span, "a stage's machine")
                    .label(source.span, "a machine on a server")
                    .help("remove one of them"),
            );
            return None;
        }
        let Some(node) = table.get("from") else {
            if !allowed.is_empty() && source.is_none() {
                let message = format!("the stage `{}` needs `from`", decl.name);
                self.loader.push(
                    Diagnostic::error("missing-key", message)
                        .label(decl.span, "")
                        .help(format!(
                            "a stage of kind `{}` comes from one of kind {}",
                            decl.kind,
                            or_list(allowed.iter().copied())
                        )),
                );
            }
            return None;
        };
        let from = self.decl(&Name::parse(node.as_text()?).ok()?)?;
        if allowed.contains(&from.kind) {
            return Some(self.key_at(&from.name, key));
        }
        let fault = if allowed.is_empty() {
            let message = format!("a stage of kind `{}` comes from nothing", decl.kind);
            Diagnostic::error("wrong-from", message)
                .label(node.span, "")
                .help("to wait for another stage, list it in `needs`")
        } else {
            let wanted = or_list(allowed.iter().copied());
            let message = format!(
                "a stage of kind `{}` cannot come from `{}`, of kind `{}`",
                decl.kind, from.name, from.kind
            );
            Diagnostic::error("wrong-from", message)
                .label(node.span, "")
                .help(format!("it comes from a stage of kind {wanted}"))
        };
        self.loader.push(fault);
        None
    }

    /// The provider that a stage names, else the chosen one, else the first one.
    pub(super) fn provider(&self, here: &Here<'_>) -> Option<Name> {
        let Some(node) = here.get("provider") else {
            let inherited = here.inherited.provider.clone();
            let chosen = self.chosen_provider.clone();
            let first = || self.providers.first().map(|(name, _)| name.clone());
            return inherited.or(chosen).or_else(first);
        };
        let text = node.as_text()?;
        let known = self
            .providers
            .iter()
            .find(|(name, _)| name.as_str() == text);
        if known.is_none() {
            let names = self.providers.iter().map(|(name, _)| name.as_str());
            let near = closest(text, names).map(|near| format!("did you mean `{near}`?"));
            here.site.push(
                Diagnostic::error("unknown-provider", format!("unknown provider `{text}`"))
                    .label(node.span, "")
                    .maybe_help(near),
            );
        }
        known.map(|(name, _)| name.clone())
    }
}

/// A stage's settings at these axis values.
fn effective<'s>(decl: &'s StageDecl<'s>, axes: &BTreeMap<Name, String>) -> Cow<'s, Table> {
    let mut table = Cow::Borrowed(decl.table);
    for change in decl
        .overrides
        .iter()
        .filter(|change| change.when.holds(axes))
    {
        for entry in change
            .table
            .entries
            .iter()
            .filter(|entry| entry.key != "when")
        {
            table.to_mut().put(Entry::clone(entry));
        }
    }
    table
}

impl Here<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.table.get(key)
    }

    pub(super) fn table(&self, key: &str) -> Option<&Table> {
        self.table.table(key)
    }

    /// A setting's text.
    pub(super) fn text(&self, key: &str) -> Option<Text> {
        self.get(key).and_then(|node| self.site.text(node))
    }

    /// ``the stage `clone` ``.
    pub(super) fn what(&self) -> String {
        format!("the stage `{}`", self.decl.name)
    }

    /// The axis values, joined: part of default names.
    pub(super) fn suffix(&self) -> String {
        self.key
            .axes
            .values()
            .map(|value| format!("-{value}"))
            .collect()
    }
}
