//! The tree of a template.

use std::collections::BTreeMap;

use crate::goss::Value;

/// Where something stands: first byte, and one past the last.
pub(super) type At = (usize, usize);

/// All templates of a text, by name; the main one has the empty name.
pub(super) type Templates = BTreeMap<String, Vec<Node>>;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Action(Pipe),
    If(Branch),
    Range(Branch),
    With(Branch),
    Template {
        at: At,
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

/// A condition or a loop.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each with the result of the one before as its last argument.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) at: At,
    /// The variables that take the result.
    pub(super) variables: Vec<String>,
    /// They exist already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand, or a function with its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) at: At,
    pub(super) operands: Vec<Operand>,
}

/// Something that has a value.
#[derive(Debug)]
pub(super) struct Operand {
    pub(super) at: At,
    pub(super) kind: OperandKind,
}

/// What it is.
#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    Constant(Value),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`; the empty name is `$`.
    Variable(String, Vec<String>),
    /// A function.
    Function(String),
    /// `(…).a.b`
    Chain(Box<Operand>, Vec<String>),
    /// `(…)`
    Pipe(Pipe),
}
