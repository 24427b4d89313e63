//! From tokens to the tree. Variables and functions must be known.

use super::Fault;
use super::lex::{Token, TokenKind, lex};
use super::node::{At, Branch, Node, Templates};
use crate::goss::Value;

/// How deep blocks and parentheses may lie in each other.
const DEPTH: usize = 100;

/// Parses a text with all that it defines.
pub(super) fn parse(text: &str) -> Result<Templates, Fault> {
    let tokens = lex(text)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        end: text.len(),
        variables: vec![String::new()],
        loops: 0,
        depth: 0,
        templates: Templates::new(),
    };
    let (main, end) = parser.list()?;
    if let End::Word(word, at) = end {
        return Err(Fault::new(
            at,
            format!("unexpected `{word}`: nothing is open here"),
        ));
    }
    // a definition without content does not replace one with content
    parser.templates.insert(String::new(), main);
    Ok(parser.templates)
}

/// What ends a list of nodes.
enum End {
    Text,
    /// `end` or `else`, whose action is still open.
    Word(String, At),
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) next: usize,
    end: usize,
    pub(super) variables: Vec<String>,
    loops: usize,
    pub(super) depth: usize,
    templates: Templates,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    pub(super) fn at(&self) -> At {
        self.tokens
            .get(self.next)
            .map_or((self.end, self.end), |token| token.at)
    }

    pub(super) fn last(&self) -> At {
        let before = self.tokens.get(..self.next).unwrap_or(&self.tokens);
        let last = before
            .iter()
            .rev()
            .find(|token| token.kind != TokenKind::Space);
        last.map_or((0, 0), |token| token.at)
    }

    pub(super) fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += 1;
        token
    }

    pub(super) fn space(&mut self) {
        while self.peek() == Some(&TokenKind::Space) {
            self.next += 1;
        }
    }

    pub(super) fn unexpected(&self, wanted: &str) -> Fault {
        let shown = match self.peek() {
            None => "the end of the text".to_owned(),
            Some(TokenKind::Close) => "the end of the action".to_owned(),
            Some(TokenKind::Space) => "a space".to_owned(),
            Some(kind) => format!("`{}`", shown(kind)),
        };
        Fault::new(self.at(), format!("expected {wanted}, found {shown}"))
    }

    pub(super) fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Fault::new(self.at(), "blocks are nested too deeply"));
        }
        Ok(())
    }

    /// Nodes up to the end of the text, `end` or `else`.
    fn list(&mut self) -> Result<(Vec<Node>, End), Fault> {
        let mut nodes = Vec::new();
        while let Some(token) = self.take() {
            match token.kind {
                TokenKind::Text(text) => nodes.push(Node::Text(text)),
                TokenKind::Open => {
                    self.space();
                    let word = match self.peek() {
                        Some(TokenKind::Word(word)) => word.clone(),
                        _ => String::new(),
                    };
                    if matches!(word.as_str(), "end" | "else") {
                        let at = self.at();
                        self.next += 1;
                        return Ok((nodes, End::Word(word, at)));
                    }
                    if let Some(node) = self.action(&word)? {
                        nodes.push(node);
                    }
                }
                _ => return Err(Fault::new(token.at, "unexpected token")),
            }
        }
        Ok((nodes, End::Text))
    }

    fn action(&mut self, word: &str) -> Result<Option<Node>, Fault> {
        let at = self.at();
        if matches!(
            word,
            "if" | "range" | "with" | "template" | "block" | "define" | "break" | "continue"
        ) {
            self.next += 1;
        }
        Ok(Some(match word {
            "if" => Node::If(self.branch(at, word)?),
            "with" => Node::With(self.branch(at, word)?),
            "range" => Node::Range(self.branch(at, word)?),
            "break" => self.jump(at, word, Node::Break)?,
            "continue" => self.jump(at, word, Node::Continue)?,
            "template" => {
                let name = self.name()?;
                self.space();
                let pipe = if self.peek() == Some(&TokenKind::Close) {
                    None
                } else {
                    Some(self.pipe()?)
                };
                self.close()?;
                Node::Template { at, name, pipe }
            }
            "block" => {
                let name = self.name()?;
                self.space();
                let pipe = self.pipe()?;
                self.close()?;
                let body = self.definition(at)?;
                self.define(name.clone(), body);
                Node::Template {
                    at,
                    name,
                    pipe: Some(pipe),
                }
            }
            "define" => {
                if self.depth > 0 {
                    return Err(Fault::new(
                        at,
                        "`define` must not stand within another block",
                    ));
                }
                let name = self.name()?;
                self.close()?;
                let body = self.definition(at)?;
                self.define(name, body);
                return Ok(None);
            }
            _ => {
                let pipe = self.pipe()?;
                self.close()?;
                Node::Action(pipe)
            }
        }))
    }

    fn jump(&mut self, at: At, word: &str, node: Node) -> Result<Node, Fault> {
        if self.loops == 0 {
            return Err(Fault::new(at, format!("`{word}` stands in no `range`")));
        }
        self.close()?;
        Ok(node)
    }

    fn close(&mut self) -> Result<(), Fault> {
        self.space();
        if self.peek() != Some(&TokenKind::Close) {
            return Err(self.unexpected("`}}`"));
        }
        self.next += 1;
        Ok(())
    }

    fn name(&mut self) -> Result<String, Fault> {
        self.space();
        match self.take() {
            Some(Token {
                kind: TokenKind::Constant(Value::Text(name)),
                ..
            }) => Ok(name),
            _ => {
                self.next -= 1;
                Err(self.unexpected("a name in quotes"))
            }
        }
    }

    /// The body of a template: it sees no variables but its own.
    fn definition(&mut self, at: At) -> Result<Vec<Node>, Fault> {
        self.deeper()?;
        let variables = std::mem::replace(&mut self.variables, vec![String::new()]);
        let loops = std::mem::take(&mut self.loops);
        let (body, end) = self.list()?;
        match end {
            End::Word(word, _) if word == "end" => self.close()?,
            End::Word(word, at) => return Err(Fault::new(at, format!("unexpected `{word}`"))),
            End::Text => return Err(Fault::new(at, "this block has no `end`")),
        }
        self.variables = variables;
        self.loops = loops;
        self.depth -= 1;
        Ok(body)
    }

    fn define(&mut self, name: String, body: Vec<Node>) {
        let blank = |nodes: &[Node]| {
            nodes
                .iter()
                .all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
        };
        if !blank(&body) || self.templates.get(&name).is_none_or(|old| blank(old)) {
            self.templates.insert(name, body);
        }
    }

    /// `if`, `with` and `range` after their word.
    fn branch(&mut self, at: At, word: &str) -> Result<Branch, Fault> {
        self.deeper()?;
        let scope = self.variables.len();
        self.space();
        let pipe = if word == "range" {
            self.range_pipe()?
        } else {
            self.pipe()?
        };
        self.close()?;
        self.loops += usize::from(word == "range");
        let inner = self.variables.len();
        let (body, end) = self.list()?;
        self.variables.truncate(inner);
        self.loops -= usize::from(word == "range");
        let otherwise = match end {
            End::Text => return Err(Fault::new(at, format!("this `{word}` has no `end`"))),
            End::Word(end, _) if end == "end" => {
                self.close()?;
                Vec::new()
            }
            End::Word(..) => self.otherwise(at, word)?,
        };
        self.variables.truncate(scope);
        self.depth -= 1;
        Ok(Branch {
            pipe,
            body,
            otherwise,
        })
    }

    fn otherwise(&mut self, at: At, word: &str) -> Result<Vec<Node>, Fault> {
        self.space();
        let again =
            matches!(self.peek(), Some(TokenKind::Word(next)) if next == word && word != "range");
        if again {
            let at = self.at();
            self.next += 1;
            let branch = self.branch(at, word)?;
            return Ok(vec![if word == "if" {
                Node::If(branch)
            } else {
                Node::With(branch)
            }]);
        }
        self.close()?;
        let (nodes, end) = self.list()?;
        match end {
            End::Word(end, _) if end == "end" => {
                self.close()?;
                Ok(nodes)
            }
            End::Word(_, at) => Err(Fault::new(at, "a second `else`")),
            End::Text => Err(Fault::new(at, format!("this `{word}` has no `end`"))),
        }
    }
}

fn shown(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Text(_) => "text".into(),
        TokenKind::Open => "{{".into(),
        TokenKind::Close => "}}".into(),
        TokenKind::Space => " ".into(),
        TokenKind::Word(word) => word.clone(),
        TokenKind::Field(name) => format!(".{name}"),
        TokenKind::Dot => ".".into(),
        TokenKind::Variable(name) => format!("${name}"),
        TokenKind::Constant(value) => value.to_string(),
        TokenKind::Sign(sign) => sign.to_string(),
        TokenKind::Declare => ":=".into(),
    }
}
