//! A fault, and the collection of all that were found.

use std::collections::HashSet;
use std::sync::Arc;

use super::{SourceMap, Span};
use crate::model::StageKey;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The input cannot be used.
    Error,
    /// The input can be used; the user should know.
    Warning,
}

/// A place, with a word on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there; may be empty.
    pub text: String,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable word for the kind of fault: `unknown-key`.
    pub code: &'static str,
    /// What is wrong: lower case, no final stop.
    pub message: String,
    /// Where; the first one is the place itself, the others give context.
    pub labels: Vec<Label>,
    /// What would be right.
    pub help: Vec<String>,
    /// The one stage that it concerns: who does something else need not be told.
    pub about: Option<StageKey>,
}

impl Diagnostic {
    /// An error without a place yet.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            labels: Vec::new(),
            help: Vec::new(),
            about: None,
        }
    }

    /// A warning without a place yet.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Adds a place with a word on it; the first one added is the fault's own.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Says which stage it concerns.
    #[must_use]
    pub fn about(mut self, stage: &StageKey) -> Self {
        self.about = Some(stage.clone());
        self
    }

    /// Adds a hint if there is one.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<impl Into<String>>) -> Self {
        self.help.extend(help.map(Into::into));
        self
    }
}

/// All faults found so far, each place and kind once, with the texts that they point into.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    seen: HashSet<(&'static str, Option<Span>, String)>,
    /// The texts.
    pub sources: Arc<SourceMap>,
}

impl Diagnostics {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether anything found is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity == Severity::Error)
    }

    /// Adds a fault. One that repeats the kind and the place of an earlier one is dropped: a stage is read once for each
    /// axis value, and its faults are the user's once. Faults without a place are told apart by their message.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let span = diagnostic.labels.first().map(|label| label.span);
        let text = if span.is_none() || diagnostic.severity == Severity::Warning {
            diagnostic.message.clone()
        } else {
            String::new()
        };
        if self.seen.insert((diagnostic.code, span, text)) {
            self.items.push(diagnostic);
        }
    }

    /// The faults in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.items.iter()
    }

    /// Those that concern no stage, or one that `concerned` names.
    #[must_use]
    pub fn concerning(&self, concerned: impl Fn(&StageKey) -> bool) -> Self {
        let mut some = self.clone();
        some.items
            .retain(|d| d.about.as_ref().is_none_or(&concerned));
        some
    }

    /// Sorts by severity (errors last, where people look), then by file and place.
    pub fn sort(&mut self) {
        self.items.sort_by_key(|d| {
            (
                d.severity == Severity::Error,
                d.labels.first().map(|label| label.span),
            )
        });
    }

    /// How many errors and warnings there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.items.iter().filter(|d| d.severity == Severity::Error);
        let errors = errors.count();
        (errors, self.items.len() - errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_at_one_place_is_kept_once() {
        let mut sources = SourceMap::default();
        let file = sources.add("a", "xy");
        let mut all = Diagnostics::default();
        assert!(all.is_empty());
        for message in ["first", "again"] {
            all.push(Diagnostic::error("bad", message).label(Span::new(file, 0..1), ""));
        }
        assert!(all.has_errors());
        assert_eq!(all.iter().count(), 1);
        all.push(Diagnostic::warning("bad", "elsewhere").label(Span::new(file, 1..2), ""));
        all.push(Diagnostic::error("none", "no place"));
        all.push(Diagnostic::error("none", "no other place"));
        assert_eq!(all.counts(), (3, 1));
        all.sort();
        assert_eq!(
            all.iter().next().map(|d| d.message.as_str()),
            Some("elsewhere")
        );
    }
    #[test]
    fn what_concerns_other_stages_can_be_left_out() {
        let stage = |name: &str| StageKey {
            name: crate::model::Name::parse(name).unwrap(),
            axes: std::collections::BTreeMap::new(),
        };
        let mut all = Diagnostics::default();
        all.push(Diagnostic::warning("a", "for all"));
        all.push(Diagnostic::warning("a", "for x").about(&stage("x")));
        all.push(Diagnostic::warning("a", "for y").about(&stage("y")));
        let some = all.concerning(|key| key.name.as_str() == "x");
        let messages: Vec<&str> = some.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(messages, ["for all", "for x"]);
    }
}
