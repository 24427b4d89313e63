//! Rendered settings that may still hold values known only when a stage runs.
//!
//! Templates are rendered when the project is loaded. Five things are not known then, or must not be kept: the outputs of
//! other stages, the run's own facts, the address of the kickstart server, the project's own SSH key, and secrets. They stay in the text as [`Late`]
//! parts: the symbolic form enters fingerprints and plans, the resolved one exists only while a stage runs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Digest, Name, StageKey};

/// A value that is filled in when the stage runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Late {
    /// `stages.NAME.outputs.X`: the path of another stage's output; a dependency.
    Output {
        /// The stage, at the axis values that it has here.
        stage: StageKey,
        /// The output's name.
        output: Name,
    },
    /// `outputs.X`: the path of the stage's own output.
    OwnOutput(Name),
    /// A variable of a scope that is secret. It is never written anywhere, so that a text with one cannot be serialized.
    #[serde(skip)]
    Secret {
        /// The scope.
        scope: Name,
        /// The variable's dotted name within the scope.
        variable: String,
        /// A keyed digest of the value, if the scope says `secret_in_fingerprint`: with it, a new value is a new
        /// ingredient.
        digest: Option<Digest>,
    },
    /// `run.*`: volatile, never in a fingerprint.
    Run(RunVar),
    /// `http.ip`, the host as the guest sees it.
    HttpIp,
    /// `http.port`, the kickstart server's port.
    HttpPort,
    /// `forge.report`, the URL to which an installer reports.
    Report,
    /// `ssh.public_key`: the line of `authorized_keys` for the project's own key ([`super::Login::generate_key`]).
    SshPublicKey,
}

/// The volatile facts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RunVar {
    /// `run.date`: RFC 3339, UTC, seconds.
    Date,
    /// `run.id`: unique for each run.
    Id,
    /// `run.host`: this machine's name.
    Host,
}

/// A piece of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// As it is.
    Literal(String),
    /// To be filled in.
    Late(Late),
}

/// A late value that nobody could give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not known here")]
pub struct UnresolvedError(pub String);

/// A rendered string setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text {
    parts: Vec<Part>,
}

impl Text {
    /// A text without late values.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Literal(text.into())],
        }
    }

    /// A text of these parts, in order.
    #[must_use]
    pub const fn from_parts(parts: Vec<Part>) -> Self {
        Self { parts }
    }

    /// The parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The late values, in order of appearance.
    pub fn late(&self) -> impl Iterator<Item = &Late> {
        self.parts.iter().filter_map(|part| match part {
            Part::Late(late) => Some(late),
            Part::Literal(_) => None,
        })
    }

    /// The whole text if nothing in it is late.
    #[must_use]
    pub fn as_literal(&self) -> Option<String> {
        self.late().next().is_none().then(|| self.to_string())
    }

    /// The text with every late value filled in by `resolve`.
    pub fn resolve(
        &self,
        resolve: &dyn Fn(&Late) -> Result<String, UnresolvedError>,
    ) -> Result<String, UnresolvedError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Late(late) => text.push_str(&resolve(late)?),
            }
        }
        Ok(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::literal(text)
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { stage, output } => write!(f, "stages.{stage}.outputs.{output}"),
            Self::OwnOutput(output) => write!(f, "outputs.{output}"),
            Self::Secret {
                scope,
                variable,
                digest: None,
            } => write!(f, "{scope}.{variable}"),
            Self::Secret {
                scope,
                variable,
                digest: Some(digest),
            } => write!(f, "{scope}.{variable}#{}", digest.short()),
            Self::Run(RunVar::Date) => f.write_str("run.date"),
            Self::Run(RunVar::Id) => f.write_str("run.id"),
            Self::Run(RunVar::Host) => f.write_str("run.host"),
            Self::HttpIp => f.write_str("http.ip"),
            Self::HttpPort => f.write_str("http.port"),
            Self::Report => f.write_str("forge.report"),
            Self::SshPublicKey => f.write_str("ssh.public_key"),
        }
    }
}

impl fmt::Display for Text {
    /// The symbolic form: late values show as `${name}`. This is what enters fingerprints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Literal(text) => f.write_str(text)?,
                Part::Late(late) => write!(f, "${{{late}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_shows_symbols_and_resolves_to_values() {
        let text = Text::from_parts(vec![
            Part::Literal("at ".into()),
            Part::Late(Late::Run(RunVar::Date)),
        ]);
        assert_eq!(text.to_string(), "at ${run.date}");
        assert_eq!(text.as_literal(), None);
        assert_eq!(text.resolve(&|_| Ok("noon".into())).unwrap(), "at noon");
        let missing = text.resolve(&|late| Err(UnresolvedError(late.to_string())));
        assert_eq!(
            missing.unwrap_err().to_string(),
            "`run.date` is not known here"
        );
    }
}
