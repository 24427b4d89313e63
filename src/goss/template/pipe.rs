//! Pipelines, commands and operands.

use super::Fault;
use super::functions;
use super::lex::TokenKind;
use super::node::{At, Command, Operand, OperandKind, Pipe};
use super::parse::Parser;
use crate::diag::closest;

impl Parser {
    /// `$i, $v := pipeline`, `$v := pipeline`, or a pipeline.
    pub(super) fn range_pipe(&mut self) -> Result<Pipe, Fault> {
        let start = self.next;
        let first = self.at();
        if let Some(TokenKind::Variable(one)) = self.peek().cloned() {
            self.next += 1;
            self.space();
            if self.peek() == Some(&TokenKind::Sign(',')) {
                self.next += 1;
                self.space();
                let Some(TokenKind::Variable(two)) = self.peek().cloned() else {
                    return Err(self.unexpected("a second variable"));
                };
                self.next += 1;
                self.space();
                let assigns = match self.peek() {
                    Some(TokenKind::Declare) => false,
                    Some(TokenKind::Sign('=')) => true,
                    _ => return Err(self.unexpected("`:=`")),
                };
                self.next += 1;
                return self.declared(first, vec![one, two], assigns);
            }
        }
        self.next = start;
        self.pipe()
    }

    pub(super) fn pipe(&mut self) -> Result<Pipe, Fault> {
        let start = self.next;
        let first = self.at();
        if let Some(TokenKind::Variable(name)) = self.peek().cloned() {
            self.next += 1;
            self.space();
            let assigns = match self.peek() {
                Some(TokenKind::Declare) => Some(false),
                Some(TokenKind::Sign('=')) => Some(true),
                _ => None,
            };
            if let Some(assigns) = assigns {
                self.next += 1;
                return self.declared(first, vec![name], assigns);
            }
        }
        self.next = start;
        self.declared(first, Vec::new(), false)
    }

    fn declared(&mut self, at: At, variables: Vec<String>, assigns: bool) -> Result<Pipe, Fault> {
        self.deeper()?;
        if assigns {
            for name in &variables {
                self.known(name, at)?;
            }
        }
        self.space();
        let commands = self.commands()?;
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        self.depth -= 1;
        Ok(Pipe {
            at: (at.0, self.last().1),
            variables,
            assigns,
            commands,
        })
    }

    fn known(&self, name: &str, at: At) -> Result<(), Fault> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        let near = closest(
            name,
            self.variables
                .iter()
                .map(String::as_str)
                .filter(|known| !known.is_empty()),
        );
        let help = near.map(|near| format!("did you mean `${near}`?"));
        Err(Fault {
            help,
            ..Fault::new(at, format!("there is no variable `${name}` here"))
        })
    }

    fn commands(&mut self) -> Result<Vec<Command>, Fault> {
        let mut commands = vec![self.command()?];
        loop {
            self.space();
            if self.peek() != Some(&TokenKind::Sign('|')) {
                break;
            }
            self.next += 1;
            self.space();
            if self.peek() == Some(&TokenKind::Close) {
                // Go lets a pipeline end so
                break;
            }
            let command = self.command()?;
            let called = command.operands.first().is_some_and(|first| {
                !matches!(first.kind, OperandKind::Constant(_) | OperandKind::Dot)
            });
            if !called {
                return Err(Fault::new(
                    command.at,
                    "a value cannot take the result of what stands before it",
                ));
            }
            commands.push(command);
        }
        Ok(commands)
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let start = self.at();
        let mut operands = Vec::new();
        loop {
            self.space();
            match self.peek() {
                None | Some(TokenKind::Close | TokenKind::Sign('|' | ')')) => break,
                _ => {}
            }
            operands.push(self.operand()?);
            match self.peek() {
                Some(TokenKind::Space | TokenKind::Close | TokenKind::Sign('|' | ')')) | None => {}
                _ => return Err(self.unexpected("a space")),
            }
        }
        if operands.is_empty() {
            return Err(self.unexpected("a value"));
        }
        Ok(Command {
            at: (start.0, self.last().1),
            operands,
        })
    }

    fn operand(&mut self) -> Result<Operand, Fault> {
        let at = self.at();
        let Some(token) = self.take() else {
            return Err(self.unexpected("a value"));
        };
        let kind = match token.kind {
            TokenKind::Dot => OperandKind::Dot,
            TokenKind::Field(name) => {
                let mut fields = vec![name];
                fields.extend(self.fields());
                OperandKind::Field(fields)
            }
            TokenKind::Variable(name) => {
                self.known(&name, at)?;
                let fields = self.fields();
                OperandKind::Variable(name, fields)
            }
            TokenKind::Constant(value) => OperandKind::Constant(value),
            TokenKind::Word(name) => {
                if let Some(fault) = functions::unknown(&name) {
                    return Err(Fault { at, ..fault });
                }
                OperandKind::Function(name)
            }
            TokenKind::Sign('(') => {
                self.space();
                let pipe = self.pipe()?;
                self.space();
                if self.peek() != Some(&TokenKind::Sign(')')) {
                    return Err(self.unexpected("`)`"));
                }
                self.next += 1;
                OperandKind::Pipe(pipe)
            }
            _ => {
                self.next -= 1;
                return Err(self.unexpected("a value"));
            }
        };
        let whole = |parser: &Self| (at.0, parser.last().1);
        let operand = Operand {
            at: whole(self),
            kind,
        };
        let fields = self.fields();
        if fields.is_empty() {
            return Ok(operand);
        }
        if matches!(operand.kind, OperandKind::Constant(_) | OperandKind::Dot) {
            return Err(Fault::new(operand.at, "a constant has no fields"));
        }
        Ok(Operand {
            at: whole(self),
            kind: OperandKind::Chain(Box::new(operand), fields),
        })
    }

    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(TokenKind::Field(name)) = self.peek() {
            fields.push(name.clone());
            self.next += 1;
        }
        fields
    }
}
