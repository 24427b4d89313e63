//! Why a variable is not there, and what may have been meant.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::scopes::{RESERVED, Scope};
use crate::config::template::{Fault, Ref};
use crate::diag::{Span, closest, or_list};
use crate::model::Name;

use super::site::Site;

/// What templates see at a site.
pub(super) struct Visible<'s> {
    /// For messages: ``stage `clone` ``.
    pub(super) owner: String,
    pub(super) scopes: Vec<(Name, Rc<Scope>)>,
    /// The declared axes.
    pub(super) axes: Vec<&'s Name>,
    /// The stages with their outputs.
    pub(super) stages: &'s BTreeMap<Name, Vec<String>>,
    /// Names under the other roots: `run.date`.
    pub(super) others: Vec<String>,
    /// Whether this is a stage (or a provider).
    pub(super) is_stage: bool,
}

impl Visible<'_> {
    pub(super) fn explain(&self, site: &Site<'_>, variable: &Ref, at: usize) -> Fault {
        let root = variable.path[0].0.as_str();
        if let Some((name, scope)) = self.scopes.iter().find(|(name, _)| name.as_str() == root)
            && let Some(decl) = site.scopes.get(name.as_str())
        {
            return site.scopes.explain(scope, decl, variable, at);
        }
        match root {
            "axis" => self.explain_axis(variable),
            "stages" if self.is_stage => self.explain_stages(variable),
            _ if site.scopes.get(root).is_some() => self.not_listed(root, variable),
            _ => self.explain_root(site, variable),
        }
    }

    fn not_listed(&self, scope: &str, variable: &Ref) -> Fault {
        let listed = self.scopes.iter().map(|(name, _)| name.as_str());
        let names: Vec<String> = listed
            .chain([scope])
            .map(|name| format!("\"{name}\""))
            .collect();
        Fault {
            range: variable.range(),
            code: "scope-not-listed",
            message: format!("scope `{scope}` is not in the scopes of {}", self.owner),
            help: vec![format!("list it: `scopes = [{}]`", names.join(", "))],
        }
    }

    fn explain_axis(&self, variable: &Ref) -> Fault {
        let mut fault = undefined(variable);
        let name = variable.parts().nth(1).unwrap_or_default();
        if self.axes.iter().any(|axis| axis.as_str() == name) {
            fault.message = format!("{} does not take part in the axis `{name}`", self.owner);
            fault.help = if self.is_stage {
                vec![format!("add `axes = [\"{name}\"]` to it")]
            } else {
                Vec::new()
            };
        } else if let Some(near) = closest(name, self.axes.iter().map(|axis| axis.as_str())) {
            fault.help = vec![format!("did you mean `axis.{near}`?")];
        } else {
            let known = or_list(self.axes.iter().map(|axis| axis.as_str()));
            fault.help = vec![if known.is_empty() {
                "the project has no axes".to_owned()
            } else {
                format!("the axes are {known}")
            }];
        }
        fault
    }

    fn explain_stages(&self, variable: &Ref) -> Fault {
        let parts: Vec<&str> = variable.parts().collect();
        let mut fault = undefined(variable);
        let Some(stage) = parts.get(1) else {
            fault.help = vec!["write `stages.NAME.outputs.NAME`".to_owned()];
            return fault;
        };
        let Some(outputs) = self
            .stages
            .iter()
            .find(|(name, _)| name.as_str() == *stage)
            .map(|(_, o)| o)
        else {
            let near = closest(stage, self.stages.keys().map(Name::as_str));
            fault.range = variable.path[1].1.clone();
            fault.code = "unknown-stage";
            fault.message = format!("unknown stage `{stage}`");
            fault.help = near
                .map(|near| format!("did you mean `{near}`?"))
                .into_iter()
                .collect();
            return fault;
        };
        if parts.get(2) != Some(&"outputs") || parts.len() < 4 {
            fault.help = vec![format!(
                "of a stage there is only `stages.{stage}.outputs.NAME`"
            )];
            return fault;
        }
        let near = closest(parts[3], outputs.iter().map(String::as_str));
        fault.range = variable.path[3].1.clone();
        fault.code = "unknown-output";
        fault.message = format!("the stage `{stage}` has no output `{}`", parts[3]);
        fault.help = vec![match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if outputs.is_empty() => "it has no outputs".to_owned(),
            None => format!(
                "its outputs are {}",
                or_list(outputs.iter().map(String::as_str))
            ),
        }];
        fault
    }

    fn explain_root(&self, site: &Site<'_>, variable: &Ref) -> Fault {
        let mut fault = undefined(variable);
        let known = self.names();
        let dotted = variable.dotted();
        let root = variable.path[0].0.as_str();
        fault.help = if let Some(near) = closest(&dotted, known.iter().map(String::as_str)) {
            vec![format!("did you mean `{near}`?")]
        } else if let Some(near) =
            closest(root, site.scopes.names().chain(RESERVED.iter().copied()))
        {
            vec![format!("did you mean `{near}`?")]
        } else if root == "http" {
            vec!["`http.ip` and `http.port` are known in stages of kind `iso-base`".to_owned()]
        } else if root == "forge" {
            vec!["`forge.report` is known in stages of kind `iso-base`".to_owned()]
        } else {
            let scopes = or_list(self.scopes.iter().map(|(name, _)| name.as_str()));
            vec![if scopes.is_empty() {
                format!("{} lists no scopes", self.owner)
            } else {
                format!("{} sees the scopes {scopes}", self.owner)
            }]
        };
        // a plain name may be a variable of a scope, written without it
        if variable.path.len() == 1 {
            let full = known
                .iter()
                .find(|name| name.split_once('.').is_some_and(|(_, rest)| rest == root));
            fault.help = full.map_or(fault.help, |full| vec![format!("did you mean `{full}`?")]);
        }
        fault
    }

    /// All variables that can be named here.
    fn names(&self) -> Vec<String> {
        let scopes = self.scopes.iter().flat_map(|(scope, loaded)| {
            loaded
                .variables
                .keys()
                .map(move |name| format!("{scope}.{name}"))
        });
        let axes = self.axes.iter().map(|axis| format!("axis.{axis}"));
        scopes
            .chain(axes)
            .chain(self.others.iter().cloned())
            .collect()
    }

    /// Where a variable is set.
    pub(super) fn origin(
        &self,
        _site: &Site<'_>,
        variable: &Ref,
    ) -> Option<(Option<Span>, String)> {
        let (root, rest) = (
            variable.path[0].0.as_str(),
            variable.parts().skip(1).collect::<Vec<_>>().join("."),
        );
        let (_, scope) = self.scopes.iter().find(|(name, _)| name.as_str() == root)?;
        let variable = scope.variables.get(&rest)?;
        Some((variable.span, variable.source.clone()))
    }
}

fn undefined(variable: &Ref) -> Fault {
    Fault {
        range: variable.range(),
        code: "undefined-variable",
        message: format!("`{}` is not defined", variable.dotted()),
        help: Vec::new(),
    }
}
