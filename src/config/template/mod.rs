//! Templates in strings: what they name, and what they render to.
//!
//! A string that is one expression keeps the expression's type; any other one renders to a [`Text`], in which the values
//! that are known only when a stage runs stay as late parts. A string without statements is rendered piece by piece, from
//! expressions that are compiled once and kept.

mod engine;
mod late;
mod scan;
mod splice;
mod tokens;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Expression, Value};

use crate::diag::closest;
use crate::model::{Part, Text};

use engine::{ENGINE, FILTERS, LATE_FILTERS, TOO_EARLY};
pub(super) use late::{Bind, fact, has_token, output, own_output, secret};
use scan::Piece;
pub(super) use scan::{Ref, Scan, is_template, root_name};
pub(super) use splice::{Splice, Spliced, quoted, splice};

/// A rendered value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val {
    Text(Text),
    Int(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Val>),
    Map(Vec<(String, Val)>),
}

/// The code of a fault that is none of the project's: the environment lacks a variable.
pub(super) const UNSET: &str = "unset-variable";

/// A fault in a template; the range is in the template's text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) range: Range<usize>,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Vec<String>,
}

/// The values that a template sees, and who can say why one is missing.
pub(super) struct View<'a> {
    /// A map of all roots.
    pub(super) values: &'a Value,
    /// Gives late values their axis values.
    pub(super) bind: &'a dyn Bind,
    /// Says what is wrong with a variable whose part at this index does not exist.
    pub(super) explain: &'a dyn Fn(&Ref, usize) -> Fault,
}

/// Scanned and compiled templates by their text.
#[derive(Default)]
pub(super) struct Templates {
    known: RefCell<HashMap<String, Rc<Template>>>,
}

/// A template, scanned; its expressions are compiled where it has no statements.
pub(super) struct Template {
    pub(super) scan: Scan,
    text: String,
    expressions: Result<Vec<Expression<'static, 'static>>, Fault>,
}

impl Templates {
    /// The template with this text.
    pub(super) fn get(&self, text: &str) -> Rc<Template> {
        if let Some(known) = self.known.borrow().get(text) {
            return Rc::clone(known);
        }
        let template = Rc::new(Template::new(text));
        self.known
            .borrow_mut()
            .insert(text.to_owned(), Rc::clone(&template));
        template
    }
}

impl Template {
    fn new(text: &str) -> Self {
        let scan = Scan::new(text);
        let expressions = match &scan.unclosed {
            Some(range) => Err(unclosed(text, range)),
            None if scan.complex => Ok(Vec::new()),
            None => compile(text, &scan),
        };
        Self {
            scan,
            text: text.to_owned(),
            expressions,
        }
    }

    /// What it renders to, or all its faults.
    pub(super) fn render(&self, view: &View<'_>) -> Result<Val, Vec<Fault>> {
        let expressions = self
            .expressions
            .as_ref()
            .map_err(|fault| vec![fault.clone()])?;
        let early = self.used_too_early(view);
        if !early.is_empty() {
            return Err(early);
        }
        if let Some(range) = self.scan.single() {
            let value = self.evaluate(&expressions[0], range, view)?;
            return convert(&value, view).map_err(|()| vec![mangled(range.clone())]);
        }
        let rendered = if self.scan.complex {
            self.render_whole(view)?
        } else {
            self.render_pieces(expressions, view)?
        };
        let whole = 0..self.text.len();
        text(&rendered, view)
            .map(Val::Text)
            .map_err(|()| vec![mangled(whole)])
    }

    fn render_pieces(
        &self,
        expressions: &[Expression<'_, '_>],
        view: &View<'_>,
    ) -> Result<String, Vec<Fault>> {
        let mut rendered = String::new();
        let mut faults = Vec::new();
        let mut next = expressions.iter();
        for piece in &self.scan.pieces {
            match piece {
                Piece::Literal(range) => rendered.push_str(&self.text[range.clone()]),
                Piece::Expression(range) => {
                    let Some(expression) = next.next() else {
                        continue;
                    };
                    match self.evaluate(expression, range, view) {
                        Ok(value) => rendered.push_str(&value.to_string()),
                        Err(found) => faults.extend(found),
                    }
                }
            }
        }
        if faults.is_empty() {
            Ok(rendered)
        } else {
            Err(faults)
        }
    }

    fn render_whole(&self, view: &View<'_>) -> Result<String, Vec<Fault>> {
        let source = self.scan.rewritten(&self.text, &(0..self.text.len()));
        let source = source.replace("${#", "${{ '{#' }}");
        let result = ENGINE
            .template_from_str(&source)
            .and_then(|template| template.render(view.values));
        result.map_err(|error| {
            let line = self.line(error.line());
            self.faults(&error, &line, view)
        })
    }

    fn line(&self, number: Option<usize>) -> Range<usize> {
        let Some(number) = number else {
            return 0..self.text.len();
        };
        let mut start = 0;
        for (index, line) in self.text.split_inclusive('\n').enumerate() {
            if index + 1 == number {
                let text = line.trim_end();
                let indent = text.len() - text.trim_start().len();
                return start + indent..start + text.len();
            }
            start += line.len();
        }
        start..start
    }

    fn evaluate(
        &self,
        expression: &Expression<'_, '_>,
        range: &Range<usize>,
        view: &View<'_>,
    ) -> Result<Value, Vec<Fault>> {
        match expression.eval(view.values) {
            Ok(value) if value.is_undefined() => {
                let error = Error::from(ErrorKind::UndefinedError);
                Err(self.faults(&error, range, view))
            }
            Ok(value) => Ok(value),
            Err(error) => Err(self.faults(&error, range, view)),
        }
    }

    /// What an error of the engine means; an undefined variable is looked for among those that `range` names.
    fn faults(&self, error: &Error, range: &Range<usize>, view: &View<'_>) -> Vec<Fault> {
        if error.kind() == ErrorKind::UndefinedError {
            let missing = |r: &&Ref| {
                !r.guarded && range.start <= r.range().start && r.range().end <= range.end
            };
            let found: Vec<Fault> = self
                .scan
                .refs
                .iter()
                .filter(missing)
                .filter_map(|r| unresolved(r, view.values).map(|index| (view.explain)(r, index)))
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
        vec![fault(error, trimmed(&self.text, range))]
    }

    /// Late values in statements, and under filters that would look into them.
    fn used_too_early(&self, view: &View<'_>) -> Vec<Fault> {
        let looks_in = |r: &&Ref| {
            let filtered = r
                .filter
                .as_deref()
                .is_some_and(|f| !LATE_FILTERS.contains(&f));
            (filtered || r.in_statement) && is_late(r, view.values)
        };
        let refs = self.scan.refs.iter().filter(looks_in);
        refs.map(|r| Fault {
            message: format!("`{}` is known only when the stage runs", r.dotted()),
            ..mangled(r.range())
        })
        .collect()
    }
}

fn compile(text: &str, scan: &Scan) -> Result<Vec<Expression<'static, 'static>>, Fault> {
    for (name, range) in &scan.filters {
        if !FILTERS.contains(&name.as_str()) {
            let near = closest(name, FILTERS.iter().copied());
            return Err(Fault {
                range: range.clone(),
                code: "template",
                message: format!("unknown filter `{name}`"),
                help: near
                    .map(|n| format!("did you mean `{n}`?"))
                    .into_iter()
                    .collect(),
            });
        }
    }
    let ranges = scan.pieces.iter().filter_map(|piece| match piece {
        Piece::Expression(range) => Some(range),
        Piece::Literal(_) => None,
    });
    ranges
        .map(|range| {
            let source = scan.rewritten(text, range);
            let compiled = ENGINE.compile_expression_owned(source);
            compiled.map_err(|error| fault(&error, trimmed(text, range)))
        })
        .collect()
}

fn unclosed(text: &str, range: &Range<usize>) -> Fault {
    let open = &text[range.start..range.start + 2];
    let end = match open {
        "{{" => "}}",
        "{%" => "%}",
        _ => "#}",
    };
    Fault {
        range: range.start..range.start + 2,
        code: "template",
        message: format!("`{open}` without its `{end}`"),
        help: vec![format!(
            "for the text `{open}` itself write `{{{{ '{open}' }}}}`"
        )],
    }
}

fn mangled(range: Range<usize>) -> Fault {
    Fault {
        range,
        code: "late-value",
        message: TOO_EARLY.to_owned(),
        help: vec!["it can be passed on as it is, but not be changed or compared".to_owned()],
    }
}

/// A fault for any error of the engine's.
fn fault(error: &Error, range: Range<usize>) -> Fault {
    if error.detail() == Some(TOO_EARLY) {
        return mangled(range);
    }
    let what = error.kind().to_string();
    let message = match error.detail() {
        Some(detail) => format!("{what}: {detail}"),
        None => what,
    };
    Fault {
        range,
        code: "template",
        message,
        help: Vec::new(),
    }
}

/// `range` without white space at its ends.
fn trimmed(text: &str, range: &Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}

/// The index of the first part of the variable that does not exist.
fn unresolved(variable: &Ref, values: &Value) -> Option<usize> {
    let mut value = values.clone();
    for (index, part) in variable.parts().enumerate() {
        let name = if index == 0 {
            root_name(part)
        } else {
            part.to_owned()
        };
        value = match value.get_attr(&name) {
            Ok(inner) if !inner.is_undefined() => inner,
            _ => return Some(index),
        };
    }
    None
}

fn is_late(variable: &Ref, values: &Value) -> bool {
    let mut value = values.clone();
    for (index, part) in variable.parts().enumerate() {
        let name = if index == 0 {
            root_name(part)
        } else {
            part.to_owned()
        };
        value = value.get_attr(&name).unwrap_or_default();
    }
    value.as_str().is_some_and(late::has_token)
}

fn text(rendered: &str, view: &View<'_>) -> Result<Text, ()> {
    if !late::has_token(rendered) {
        return Ok(Text::literal(rendered));
    }
    let stretches = late::split(rendered).ok_or(())?;
    let parts = stretches.into_iter().map(|stretch| match stretch {
        late::Stretch::Literal(literal) => Part::Literal(literal.to_owned()),
        late::Stretch::Symbol(symbol) => Part::Late(symbol.bind(view.bind)),
    });
    Ok(Text::from_parts(parts.collect()))
}

fn convert(value: &Value, view: &View<'_>) -> Result<Val, ()> {
    Ok(match value.kind() {
        ValueKind::Bool => Val::Bool(value.is_true()),
        ValueKind::Number => match value.as_i64() {
            Some(number) if value.is_integer() => Val::Int(number),
            _ => Val::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|_| ())?;
            Val::List(
                items
                    .map(|item| convert(&item, view))
                    .collect::<Result<_, ()>>()?,
            )
        }
        ValueKind::Map => {
            let keys = value.try_iter().map_err(|_| ())?;
            let pairs = keys.map(|key| {
                let inner = value.get_item(&key).map_err(|_| ())?;
                Ok((key.to_string(), convert(&inner, view)?))
            });
            Val::Map(pairs.collect::<Result<_, ()>>()?)
        }
        _ => Val::Text(text(&value.to_string(), view)?),
    })
}

#[cfg(test)]
mod tests;
