//! Late values on their way through the template engine: as tokens that no text of a user's contains.

use crate::model::{Late, Name, RunVar, StageKey};

const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';
/// Both cases, so that a filter that changes either is noticed.
const MARK: &str = "aZ";

/// The token of the output of a stage.
pub(in crate::config) fn output(stage: &str, output: &str) -> String {
    token(&["o", stage, output])
}

/// The token of an output of the stage itself.
pub(in crate::config) fn own_output(output: &str) -> String {
    token(&["w", output])
}

/// The token of a secret.
pub(in crate::config) fn secret(scope: &str, variable: &str) -> String {
    token(&["s", scope, variable])
}

/// The token of `run.NAME`, `http.NAME`, `ssh.NAME` or `forge.NAME`.
pub(in crate::config) fn fact(name: &str) -> String {
    token(&["f", name])
}

fn token(parts: &[&str]) -> String {
    format!("{OPEN}{MARK}|{}{CLOSE}", parts.join("|"))
}

/// Whether `text` has a token, whole or not.
pub(in crate::config) fn has_token(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

/// What a token stands for, still without axis values.
pub(super) enum Symbol {
    Output { stage: Name, output: Name },
    Secret { scope: Name, variable: String },
    Plain(Late),
}

/// A stretch of rendered text.
pub(super) enum Stretch<'a> {
    Literal(&'a str),
    Symbol(Symbol),
}

/// Splits rendered text at its tokens; none if a token was changed on its way.
pub(super) fn split(text: &str) -> Option<Vec<Stretch<'_>>> {
    let mut stretches = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find([OPEN, CLOSE]) {
        if open > 0 {
            stretches.push(Stretch::Literal(&rest[..open]));
        }
        let inner = rest[open..].strip_prefix(OPEN)?;
        let close = inner.find(CLOSE)?;
        stretches.push(Stretch::Symbol(symbol(&inner[..close])?));
        rest = &inner[close + CLOSE.len_utf8()..];
    }
    if !rest.is_empty() {
        stretches.push(Stretch::Literal(rest));
    }
    Some(stretches)
}

fn symbol(inner: &str) -> Option<Symbol> {
    let mut parts = inner.strip_prefix(MARK)?.strip_prefix('|')?.split('|');
    let kind = parts.next()?;
    let first = parts.next()?;
    let second = parts.next();
    let plain = |late| Some(Symbol::Plain(late));
    match (kind, first, second) {
        ("o", stage, Some(output)) => Some(Symbol::Output {
            stage: Name::parse(stage).ok()?,
            output: Name::parse(output).ok()?,
        }),
        ("s", scope, Some(variable)) => Some(Symbol::Secret {
            scope: Name::parse(scope).ok()?,
            variable: variable.to_owned(),
        }),
        ("w", output, None) => plain(Late::OwnOutput(Name::parse(output).ok()?)),
        ("f", "run.date", None) => plain(Late::Run(RunVar::Date)),
        ("f", "run.id", None) => plain(Late::Run(RunVar::Id)),
        ("f", "run.host", None) => plain(Late::Run(RunVar::Host)),
        ("f", "http.ip", None) => plain(Late::HttpIp),
        ("f", "http.port", None) => plain(Late::HttpPort),
        ("f", "forge.report", None) => plain(Late::Report),
        ("f", "ssh.public_key", None) => plain(Late::SshPublicKey),
        _ => None,
    }
}

/// What gives a symbol its values at the place where it is used.
pub(in crate::config) trait Bind {
    /// The stage of this name at the axis values of the place.
    fn stage(&self, name: &Name) -> StageKey;
    /// The late form of a secret.
    fn secret(&self, scope: Name, variable: String) -> Late;
}

impl Symbol {
    pub(super) fn bind(self, bind: &dyn Bind) -> Late {
        match self {
            Self::Output { stage, output } => Late::Output {
                stage: bind.stage(&stage),
                output,
            },
            Self::Secret { scope, variable } => bind.secret(scope, variable),
            Self::Plain(late) => late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lates(text: &str) -> Option<usize> {
        let symbols = split(text)?;
        Some(
            symbols
                .iter()
                .filter(|s| matches!(s, Stretch::Symbol(_)))
                .count(),
        )
    }

    #[test]
    fn tokens_come_back_as_symbols_unless_they_were_changed() {
        let text = format!("a{}b{}", output("mini-iso", "iso"), fact("run.date"));
        assert_eq!(lates(&text), Some(2));
        assert_eq!(lates(&secret("vcenter", "a.b")), Some(1));
        assert_eq!(lates(&text.to_uppercase()), None);
        assert_eq!(lates(&text.to_lowercase()), None);
        assert_eq!(lates(&text[..text.len() - 3]), None);
        assert_eq!(lates("plain"), Some(0));
        assert!(has_token(&text) && !has_token("plain"));
    }
}
