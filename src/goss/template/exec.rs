//! Running templates.

use std::collections::BTreeMap;

use super::functions::{self, Call};
use super::node::{At, Branch, Command, Node, Operand, OperandKind, Pipe, Templates};
use super::{Fault, World};
use crate::goss::Value;

/// How deep templates may call each other.
const DEPTH: usize = 100;
/// How much text may come out, and how often loops may turn.
const LIMIT: usize = 64 << 20;
/// The one key of what stands for goss's own data, whose fields are `Vars` and `Env`.
const ROOT: &str = "\0root";

/// Renders the main template.
pub(super) fn run(templates: &Templates, vars: &Value, world: &dyn World) -> Result<String, Fault> {
    let root = Value::Map(BTreeMap::from([(ROOT.to_owned(), Value::Null)]));
    let mut run = Run {
        templates,
        vars: vars.clone(),
        world,
        variables: vec![(String::new(), root.clone())],
        out: String::new(),
        depth: 0,
        turns: 0,
    };
    if let Some(main) = templates.get("") {
        run.list(main, &root)?;
    }
    Ok(run.out)
}

/// How a list of nodes ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    templates: &'a Templates,
    vars: Value,
    world: &'a dyn World,
    variables: Vec<(String, Value)>,
    out: String,
    depth: usize,
    turns: usize,
}

fn is_root(value: &Value) -> bool {
    matches!(value, Value::Map(map) if map.len() == 1 && map.contains_key(ROOT))
}

impl Run<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, Fault> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.print(&value, pipe.at)?;
                }
            }
            Node::If(branch) => return self.scoped(|run| run.condition(branch, dot, false)),
            Node::With(branch) => return self.scoped(|run| run.condition(branch, dot, true)),
            Node::Range(branch) => return self.scoped(|run| run.range(branch, dot)),
            Node::Template { at, name, pipe } => {
                let value = match pipe {
                    Some(pipe) => self.pipe(pipe, dot)?,
                    None => Value::Null,
                };
                let templates = self.templates;
                let Some(body) = templates.get(name) else {
                    return Err(Fault::new(*at, format!("there is no template `{name}`")));
                };
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(Fault::new(*at, "templates call each other too deeply"));
                }
                let outer =
                    std::mem::replace(&mut self.variables, vec![(String::new(), value.clone())]);
                self.list(body, &value)?;
                self.variables = outer;
                self.depth -= 1;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn print(&mut self, value: &Value, at: At) -> Result<(), Fault> {
        match value {
            Value::Null => self.out.push_str("<no value>"),
            value if is_root(value) => self.out.push_str(&format!("&{{{}}}", self.vars)),
            value => self.out.push_str(&value.to_string()),
        }
        if self.out.len() > LIMIT {
            return Err(Fault::new(at, "the text becomes too long"));
        }
        Ok(())
    }

    /// Variables that are declared within end with it.
    fn scoped(
        &mut self,
        within: impl FnOnce(&mut Self) -> Result<Flow, Fault>,
    ) -> Result<Flow, Fault> {
        let before = self.variables.len();
        let flow = within(self);
        self.variables.truncate(before);
        flow
    }

    fn condition(&mut self, branch: &Branch, dot: &Value, with: bool) -> Result<Flow, Fault> {
        let value = self.pipe(&branch.pipe, dot)?;
        if value.is_empty() {
            return self.list(&branch.otherwise, dot);
        }
        self.list(&branch.body, if with { &value } else { dot })
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<Flow, Fault> {
        let pipe = &branch.pipe;
        let value = self.value(pipe, dot)?;
        if !pipe.assigns {
            // they exist, if without content, while the body is read
            for name in &pipe.variables {
                self.variables.push((name.clone(), Value::Null));
            }
        }
        let entries: Vec<(Value, Value)> = match value {
            Value::Map(_) if is_root(&value) => {
                return Err(Fault::new(
                    pipe.at,
                    "`range` cannot go through goss's own data",
                ));
            }
            Value::Null => Vec::new(),
            Value::Map(map) => map
                .into_iter()
                .map(|(key, value)| (Value::Text(key), value))
                .collect(),
            Value::Int(count) => {
                let count = self.turns(count, pipe.at)?;
                (0..count)
                    .map(|number| (Value::Int(number), Value::Int(number)))
                    .collect()
            }
            other => match other.elements() {
                Some(all) => (0..)
                    .zip(all)
                    .map(|(number, value)| (Value::Int(number), value))
                    .collect(),
                None => {
                    let message =
                        format!("`range` cannot go through {other} ({})", other.go_type());
                    return Err(Fault::new(pipe.at, message));
                }
            },
        };
        if entries.is_empty() {
            return self.list(&branch.otherwise, dot);
        }
        for (key, value) in entries {
            self.turns(1, pipe.at)?;
            match pipe.variables.as_slice() {
                [one] => self.assign(one, value.clone()),
                [first, second] => {
                    self.assign(first, key);
                    self.assign(second, value.clone());
                }
                _ => {}
            }
            let before = self.variables.len();
            let flow = self.list(&branch.body, &value)?;
            self.variables.truncate(before);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn turns(&mut self, more: i64, at: At) -> Result<i64, Fault> {
        self.turns = self
            .turns
            .saturating_add(usize::try_from(more).unwrap_or(0));
        if self.turns > LIMIT / 16 {
            return Err(Fault::new(at, "the loops turn too often"));
        }
        Ok(more.max(0))
    }

    fn assign(&mut self, name: &str, value: Value) {
        if let Some(known) = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name)
        {
            known.1 = value;
        }
    }

    /// A pipeline's value; its variables take it.
    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Fault> {
        let value = self.value(pipe, dot)?;
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone());
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn value(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, Fault> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Null))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let Some((first, arguments)) = command.operands.split_first() else {
            return Err(Fault::new(command.at, "an empty command"));
        };
        if let OperandKind::Function(name) = &first.kind {
            return self.call(name, command.at, arguments, dot, last);
        }
        if let Some(extra) = arguments.first() {
            return Err(Fault::new(extra.at, "only a function takes arguments"));
        }
        if last.is_some() {
            return Err(Fault::new(
                command.at,
                "only a function takes the result of what stands before it",
            ));
        }
        self.operand(first, dot)
    }

    fn call(
        &mut self,
        name: &str,
        at: At,
        arguments: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        if matches!(name, "and" | "or") {
            return self.decide(name, at, arguments, dot, last);
        }
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(argument, dot)?);
        }
        values.extend(last);
        let call = Call {
            world: self.world,
            arguments: values,
        };
        let value = functions::call(name, &call)
            .map_err(|error| Fault::new(at, format!("`{name}`: {error}")))?;
        if functions::changes(name)
            && let Some(first) = arguments.first()
        {
            self.write_back(first, dot, &value);
        }
        Ok(value)
    }

    /// `and` and `or` look at no more arguments than they need.
    fn decide(
        &mut self,
        name: &str,
        at: At,
        arguments: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        let mut value = None;
        for argument in arguments {
            let next = self.operand(argument, dot)?;
            if next.is_empty() == (name == "and") {
                return Ok(next);
            }
            value = Some(next);
        }
        last.or(value)
            .ok_or_else(|| Fault::new(at, format!("`{name}` takes at least one argument")))
    }

    /// Functions that change a dictionary change it where it came from.
    fn write_back(&mut self, operand: &Operand, dot: &Value, value: &Value) {
        match &operand.kind {
            OperandKind::Variable(name, fields) if fields.is_empty() && !name.is_empty() => {
                self.assign(name, value.clone());
            }
            OperandKind::Field(fields) if is_root(dot) && *fields == ["Vars"] => {
                self.vars = value.clone();
            }
            OperandKind::Variable(name, fields) if name.is_empty() && *fields == ["Vars"] => {
                self.vars = value.clone();
            }
            _ => {}
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, Fault> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Constant(value) => Ok(value.clone()),
            OperandKind::Field(fields) => self.fields(dot, fields, operand.at),
            OperandKind::Variable(name, fields) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let Some((_, value)) = known else {
                    return Err(Fault::new(
                        operand.at,
                        format!("there is no variable `${name}` here"),
                    ));
                };
                self.fields(value, fields, operand.at)
            }
            OperandKind::Function(name) => self.call(name, operand.at, &[], dot, None),
            OperandKind::Pipe(pipe) => self.pipe(pipe, dot),
            OperandKind::Chain(inner, fields) => {
                let value = self.operand(inner, dot)?;
                self.fields(&value, fields, operand.at)
            }
        }
    }

    /// A field of a field of …; a missing key is an error.
    fn fields(&self, value: &Value, fields: &[String], at: At) -> Result<Value, Fault> {
        let environment;
        let mut rest = fields;
        let mut current = value;
        if let (true, Some((first, others))) = (is_root(value), fields.split_first()) {
            current = match first.as_str() {
                "Vars" => &self.vars,
                "Env" => {
                    let all = self.world.environment();
                    environment =
                        Value::Map(all.into_iter().map(|(k, v)| (k, Value::Text(v))).collect());
                    &environment
                }
                other => {
                    let help = "goss has `.Vars` and `.Env`".to_owned();
                    return Err(Fault {
                        help: Some(help),
                        ..Fault::new(at, format!("there is no `.{other}`"))
                    });
                }
            };
            rest = others;
        }
        for name in rest {
            current = match current {
                Value::Map(map) => match map.get(name) {
                    Some(value) => value,
                    None => {
                        let near = crate::diag::closest(name, map.keys().map(String::as_str));
                        let help = near.map(|near| format!("did you mean `{near}`?"));
                        return Err(Fault {
                            help,
                            ..Fault::new(at, format!("there is no entry `{name}`"))
                        });
                    }
                },
                Value::Null => {
                    return Err(Fault::new(at, format!("nothing has no entry `{name}`")));
                }
                other => {
                    let message = format!("a {} has no field `{name}`", other.go_type());
                    return Err(Fault::new(at, message));
                }
            };
        }
        Ok(current.clone())
    }
}
