//! What the templates of a scope's own settings see: the axes and the project's name.

use std::collections::BTreeMap;

use minijinja::Value as TemplateValue;

use crate::config::loader::Loader;
use crate::config::template::{self, Bind, Fault, Ref, Val, View, is_template};
use crate::config::tree::{Node, Table, Value};
use crate::diag::closest;
use crate::model::{Late, Name, StageKey};

/// The names of the axes that a template uses.
pub(in crate::config) fn axes_in(text: &str) -> Vec<String> {
    if !is_template(text) {
        return Vec::new();
    }
    let scan = template::Scan::new(text);
    let axes = scan.refs.iter().filter(|r| r.path[0].0 == "axis");
    axes.filter_map(|r| r.path.get(1).map(|(name, _)| name.clone()))
        .collect()
}

/// What a scope's own templates see: the axes and the project's name.
pub(super) struct AxisView<'a> {
    values: TemplateValue,
    /// All axes of the project.
    known: &'a [Name],
}

struct NoLate;

impl Bind for NoLate {
    fn stage(&self, name: &Name) -> StageKey {
        StageKey {
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
    pub(super) fn new(axes: &'a BTreeMap<Name, String>, known: &'a [Name], project: &str) -> Self {
        let axis = TemplateValue::from_iter(axes.iter().map(|(k, v)| (k.to_string(), v.clone())));
        let project = TemplateValue::from_iter([("name", project)]);
        Self {
            values: TemplateValue::from_iter([("axis", axis), ("project", project)]),
            known,
        }
    }

    pub(super) fn render(&self, loader: &Loader<'_>, node: &Node) -> Option<Value> {
        let Some(text) = node.as_text().filter(|text| is_template(text)) else {
            return Some(node.value.clone());
        };
        let explain = |variable: &Ref, _: usize| {
            let near = self.known.iter().map(|axis| format!("axis.{axis}"));
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

    pub(super) fn render_table(&self, loader: &Loader<'_>, table: &Table) -> Table {
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
