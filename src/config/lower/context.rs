//! What templates see at a stage or a provider: the sites of a project.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use minijinja::Value as TemplateValue;

use crate::config::template::{fact, own_output, root_name};
use crate::config::tree::Table;
use crate::model::{Name, StageKey};

use super::decl::{self, StageDecl};
use super::explain::Visible;
use super::project::nothing_but;
use super::site::Site;
use super::stage::Lowering;

pub(super) const RUN: [&str; 3] = ["run.date", "run.id", "run.host"];
const HTTP: [&str; 2] = ["http.ip", "http.port"];
/// Where an installer reports to.
const REPORT: [&str; 1] = ["forge.report"];
const SSH: [&str; 1] = ["ssh.public_key"];

pub(super) fn facts(names: &[&str]) -> TemplateValue {
    let split = |name: &str| {
        name.split_once('.')
            .map_or(String::new(), |(_, rest)| rest.to_owned())
    };
    names.iter().map(|name| (split(name), fact(name))).collect()
}

impl<'s> Lowering<'s> {
    /// A site that sees the project and the listed scopes at these axis values.
    pub(super) fn site(
        &self,
        owner: &str,
        scopes: &[Name],
        axes: BTreeMap<Name, String>,
    ) -> Site<'s> {
        let others = ["project.name".to_owned(), "project.version".to_owned()];
        let mut visible = nothing_but(owner.to_owned(), self.outputs, others.into());
        visible.axes = self.axes.iter().map(|axis| &axis.name).collect();
        let axis: TemplateValue = axes
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect();
        let mut values = vec![("axis".to_owned(), axis)];
        values.extend(
            self.common
                .iter()
                .filter(|(name, _)| *name == "project")
                .map(|(n, v)| ((*n).to_owned(), v.clone())),
        );
        for name in scopes {
            if let Some(scope) = self.scopes.at(self.loader, name.as_str(), &axes) {
                values.push((root_name(name.as_str()), scope.value.clone()));
                visible.scopes.push((name.clone(), scope));
            }
        }
        Site {
            loader: self.loader,
            scopes: self.scopes,
            visible,
            values: values.into_iter().collect(),
            axes,
            taking_part: self.taking_part,
            used: RefCell::default(),
        }
    }

    pub(super) fn provider_site(&self, name: &Name, scopes: &[Name]) -> Site<'s> {
        self.site(&format!("provider `{name}`"), scopes, BTreeMap::new())
    }

    pub(super) fn stage_site(
        &self,
        decl: &StageDecl<'_>,
        table: &Table,
        key: &StageKey,
    ) -> Site<'s> {
        let scopes = match table.get("scopes") {
            Some(_) => Cow::Owned(decl::listed_scopes(self.loader, table, self.scopes)),
            None => Cow::Borrowed(decl.scopes.as_slice()),
        };
        let mut site = self.site(&format!("stage `{}`", decl.name), &scopes, key.axes.clone());
        let Visible {
            others, is_stage, ..
        } = &mut site.visible;
        *is_stage = true;
        others.extend(RUN.iter().chain(&SSH).map(|&name| name.to_owned()));
        let mut more = self.common.clone();
        more.push(("ssh", facts(&SSH)));
        match decl.kind {
            "iso-base" => {
                others.extend(HTTP.iter().chain(&REPORT).map(|&name| name.to_owned()));
                more.push(("http", facts(&HTTP)));
                more.push(("forge", facts(&REPORT)));
            }
            "command" => {
                let names = self
                    .outputs
                    .get(&decl.name)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                others.extend(names.iter().map(|name| format!("outputs.{name}")));
                more.push((
                    "outputs",
                    names
                        .iter()
                        .map(|name| (name.clone(), own_output(name)))
                        .collect(),
                ));
            }
            _ => {}
        }
        let known = site.values.try_iter().into_iter().flatten();
        let mut values: Vec<(String, TemplateValue)> = known
            .filter_map(|key| Some((key.to_string(), site.values.get_item(&key).ok()?)))
            .collect();
        values.extend(
            more.into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        site.values = values.into_iter().collect();
        site
    }
}
