//! A place where settings are read: a stage at its axis values, or a provider. Renders strings with what is visible
//! there, checks that they are what the setting wants, and says why a variable is missing.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value as TemplateValue;

use crate::config::loader::Loader;
use crate::config::scopes::Scopes;
use crate::config::shape::{Shape, int_fault, text_fault, wrong_type};
use crate::config::template::{Bind, Fault, Ref, UNSET, Val, View, is_template};
use crate::config::tree::{Entry, Node, Table, Value};
use crate::diag::{Diagnostic, Span};
use crate::model::{Duration, Late, Name, Size, StageKey, Text};

use super::explain::Visible;

/// See the module.
pub(super) struct Site<'s> {
    pub(super) loader: &'s Loader<'s>,
    pub(super) scopes: &'s Scopes<'s>,
    /// What is visible, and the words for what is not.
    pub(super) visible: Visible<'s>,
    pub(super) values: TemplateValue,
    /// The axis values here.
    pub(super) axes: BTreeMap<Name, String>,
    /// The axes that each stage takes part in.
    pub(super) taking_part: &'s BTreeMap<Name, BTreeSet<String>>,
    /// Stages whose outputs were used.
    pub(super) used: RefCell<BTreeSet<StageKey>>,
}

impl Bind for Site<'_> {
    fn stage(&self, name: &Name) -> StageKey {
        let key = key_at(name, self.taking_part, &self.axes);
        self.used.borrow_mut().insert(key.clone());
        key
    }

    fn secret(&self, scope: Name, variable: String) -> Late {
        self.scopes.late_secret(scope, variable)
    }
}

/// The stage of this name at the values of those of `axes` that it takes part in.
pub(super) fn key_at(
    name: &Name,
    taking_part: &BTreeMap<Name, BTreeSet<String>>,
    axes: &BTreeMap<Name, String>,
) -> StageKey {
    let mine = taking_part.get(name);
    let has = |axis: &Name| mine.is_some_and(|mine| mine.contains(axis.as_str()));
    let axes = axes.iter().filter(|(axis, _)| has(axis));
    StageKey {
        name: name.clone(),
        axes: axes
            .map(|(axis, value)| (axis.clone(), value.clone()))
            .collect(),
    }
}

impl Site<'_> {
    pub(super) fn push(&self, fault: Diagnostic) {
        self.loader.push(fault);
    }

    /// A fault at a place.
    pub(super) fn fault(&self, code: &'static str, message: impl Into<String>, span: Span) {
        self.push(Diagnostic::error(code, message).label(span, ""));
    }

    /// Renders a template that stands in a file of its own (a kickstart file).
    pub(super) fn render_file(&self, text: &str) -> Result<Text, Vec<Fault>> {
        if !is_template(text) {
            return Ok(Text::literal(text));
        }
        // a file that is one expression is still text, and a last line end is always there
        let value = self
            .loader
            .templates
            .get(text)
            .render(&self.view(&|r, at| self.visible.explain(self, r, at)))?;
        Ok(match value {
            Val::Text(text) => text,
            other => Text::literal(scalar(&other).unwrap_or_default()),
        })
    }

    fn view<'v>(&'v self, explain: &'v dyn Fn(&Ref, usize) -> Fault) -> View<'v> {
        View {
            values: &self.values,
            bind: self,
            explain,
        }
    }

    /// A scalar's value; strings are rendered.
    fn eval(&self, node: &Node) -> Option<Val> {
        self.render(node).unwrap_or_else(|faults| {
            self.loader.template_faults(node, &faults);
            None
        })
    }

    fn render(&self, node: &Node) -> Result<Option<Val>, Vec<Fault>> {
        let text = match &node.value {
            Value::Text(text) => text,
            Value::Int(number) => return Ok(Some(Val::Int(*number))),
            Value::Float(number) => return Ok(Some(Val::Float(*number))),
            Value::Bool(flag) => return Ok(Some(Val::Bool(*flag))),
            Value::List(_) | Value::Table(_) => return Ok(None),
        };
        if !is_template(text) {
            return Ok(Some(Val::Text(Text::literal(text))));
        }
        let explain = |variable: &Ref, at: usize| self.visible.explain(self, variable, at);
        let template = self.loader.templates.get(text);
        template.render(&self.view(&explain)).map(Some)
    }

    /// Why a setting is not known although the project is as it should be: the environment lacks a variable.
    pub(super) fn unset(&self, node: &Node) -> Option<String> {
        let faults = self.render(node).err()?;
        let ours = faults.iter().any(|fault| fault.code != UNSET);
        faults
            .into_iter()
            .next()
            .filter(|_| !ours)
            .map(|f| f.message)
    }

    /// The fault of a rendered value that is not of the shape.
    fn unfit(&self, shape: &Shape, node: &Node, found: &Val) {
        if !node.as_text().is_some_and(is_template) {
            self.push(wrong_type(shape, node));
            return;
        }
        let shown = match found {
            Val::List(_) => "an array".to_owned(),
            Val::Map(_) => "a table".to_owned(),
            Val::Text(text) => format!("the string `{text}`"),
            other => format!("`{}`", scalar(other).unwrap_or_default()),
        };
        let message = format!("expected {}, found {shown}", shape.expected());
        let fault = Diagnostic::error("wrong-type", message).label(node.span, "");
        self.push(self.with_origin(fault, node));
    }

    /// Adds where the variable of a string that is one variable is set.
    pub(super) fn with_origin(&self, fault: Diagnostic, node: &Node) -> Diagnostic {
        let Some(text) = node.as_text().filter(|text| is_template(text)) else {
            return fault;
        };
        let template = self.loader.templates.get(text);
        let [variable] = template.scan.refs.as_slice() else {
            return fault;
        };
        match self.visible.origin(self, variable) {
            Some((span, source)) => match span {
                Some(span) => fault.label(span, "set here"),
                None => fault.help(format!("`{}` comes from {source}", variable.dotted())),
            },
            None => fault,
        }
    }

    pub(super) fn text(&self, node: &Node) -> Option<Text> {
        match self.eval(node)? {
            Val::Text(text) => Some(text),
            other => match scalar(&other) {
                Some(text) => Some(Text::literal(text)),
                None => {
                    self.unfit(&Shape::Text, node, &other);
                    None
                }
            },
        }
    }

    /// A text that must be known now.
    pub(super) fn literal(&self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        match text.as_literal() {
            Some(literal) => Some(literal),
            None => {
                let late = text
                    .late()
                    .next()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let message = format!(
                    "`{late}` is known only when the stage runs, this setting is needed before"
                );
                self.fault("late-value", message, node.span);
                None
            }
        }
    }

    /// A rendered string for checks, its type kept; nothing (with the fault reported) if it cannot be known now.
    pub(super) fn checked_value(&self, node: &Node) -> serde_json::Value {
        match self.eval(node) {
            Some(Val::Text(text)) if text.as_literal().is_none() => {
                let _ = self.literal(node);
                serde_json::Value::Null
            }
            Some(value) => to_json(&value),
            None => serde_json::Value::Null,
        }
    }

    /// A text that must be known now and fit the shape.
    fn fitting(&self, shape: &Shape, node: &Node) -> Option<String> {
        let text = match self.eval(node)? {
            Val::Text(text) => match text.as_literal() {
                Some(text) => text,
                None => return self.literal(node),
            },
            other => {
                self.unfit(shape, node, &other);
                return None;
            }
        };
        match text_fault(shape, &text) {
            None => Some(text),
            Some((message, help)) => {
                let fault = Diagnostic::error("bad-value", message)
                    .label(node.span, "")
                    .maybe_help(help);
                self.push(self.with_origin(fault, node));
                None
            }
        }
    }

    pub(super) fn size(&self, node: &Node) -> Option<Size> {
        Size::parse(&self.fitting(&Shape::Size, node)?).ok()
    }

    pub(super) fn duration(&self, node: &Node) -> Option<Duration> {
        Duration::parse(&self.fitting(&Shape::Duration, node)?).ok()
    }

    pub(super) fn word(&self, node: &Node, words: &'static [&'static str]) -> Option<String> {
        self.fitting(&Shape::Word(words), node)
    }

    pub(super) fn int(&self, node: &Node, min: i64, max: i64) -> Option<i64> {
        match self.eval(node)? {
            Val::Int(number) => match int_fault(min, max, number) {
                None => Some(number),
                Some(message) => {
                    let fault = Diagnostic::error("bad-value", message).label(node.span, "");
                    self.push(self.with_origin(fault, node));
                    None
                }
            },
            other => {
                self.unfit(&Shape::Int(min, max), node, &other);
                None
            }
        }
    }

    pub(super) fn u32(&self, node: &Node, min: u32) -> Option<u32> {
        self.int(node, min.into(), u32::MAX.into())
            .and_then(|n| n.try_into().ok())
    }

    pub(super) fn bool(&self, node: &Node) -> Option<bool> {
        match self.eval(node)? {
            Val::Bool(flag) => Some(flag),
            other => {
                self.unfit(&Shape::Bool, node, &other);
                None
            }
        }
    }

    /// The elements of an array; a template may give one, and a single value is an array of itself.
    pub(super) fn list<'n>(&self, node: &'n Node) -> Cow<'n, [Node]> {
        let Some(text) = node.as_text().filter(|text| is_template(text)) else {
            return Cow::Borrowed(node.one_or_many());
        };
        if !self.loader.templates.get(text).scan.is_single() {
            return Cow::Borrowed(node.one_or_many());
        }
        match self.eval(node) {
            Some(Val::List(values)) => Cow::Owned(
                values
                    .iter()
                    .map(|value| from_val(value, node.span))
                    .collect(),
            ),
            Some(_) => Cow::Borrowed(node.one_or_many()),
            None => Cow::Borrowed(&[]),
        }
    }

    pub(super) fn texts(&self, node: &Node) -> Vec<Text> {
        self.list(node)
            .iter()
            .filter_map(|node| self.text(node))
            .collect()
    }

    pub(super) fn literals(&self, node: &Node) -> Vec<String> {
        self.list(node)
            .iter()
            .filter_map(|node| self.literal(node))
            .collect()
    }

    /// A table of texts.
    pub(super) fn text_map(&self, table: Option<&Table>) -> BTreeMap<String, Text> {
        let entries = table.into_iter().flat_map(|table| &table.entries);
        entries
            .filter_map(|e| Some((e.key.clone(), self.text(&e.node)?)))
            .collect()
    }

    /// A setting that must be there: `what` needs `key`.
    pub(super) fn required<'n>(
        &self,
        table: &'n Table,
        key: &str,
        what: &str,
        span: Span,
    ) -> Option<&'n Node> {
        let found = table.get(key);
        if found.is_none() {
            self.fault("missing-key", format!("{what} needs `{key}`"), span);
        }
        found
    }
}

fn scalar(value: &Val) -> Option<String> {
    Some(match value {
        Val::Text(text) => text.to_string(),
        Val::Int(number) => number.to_string(),
        Val::Float(number) => number.to_string(),
        Val::Bool(flag) => flag.to_string(),
        Val::List(_) | Val::Map(_) => return None,
    })
}

fn to_json(value: &Val) -> serde_json::Value {
    match value {
        Val::Text(text) => text.to_string().into(),
        Val::Int(number) => (*number).into(),
        Val::Float(number) => (*number).into(),
        Val::Bool(flag) => (*flag).into(),
        Val::List(values) => values.iter().map(to_json).collect(),
        Val::Map(pairs) => {
            let entries = pairs
                .iter()
                .map(|(key, value)| (key.clone(), to_json(value)));
            serde_json::Value::Object(entries.collect())
        }
    }
}

/// A rendered value as if it had been written at `span`.
fn from_val(value: &Val, span: Span) -> Node {
    let value = match value {
        Val::Text(text) => Value::Text(text.to_string()),
        Val::Int(number) => Value::Int(*number),
        Val::Float(number) => Value::Float(*number),
        Val::Bool(flag) => Value::Bool(*flag),
        Val::List(values) => {
            Value::List(values.iter().map(|value| from_val(value, span)).collect())
        }
        Val::Map(pairs) => {
            let entries = pairs.iter().map(|(key, value)| Entry {
                key: key.clone(),
                key_span: span,
                node: from_val(value, span),
            });
            Value::Table(Table {
                entries: entries.collect(),
            })
        }
    };
    Node { span, value }
}
