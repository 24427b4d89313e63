//! Checks of a guest: what `verify` and `check` steps ask. The shape follows goss.

use std::fmt;

use serde_json::Value;

/// All checks of a stage, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckSet {
    /// The checks.
    pub checks: Vec<Check>,
}

/// One resource and what it must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What is looked at.
    pub resource: Resource,
    /// Which one: a path, a command's name, `tcp:22`.
    pub name: String,
    /// What people call it; does not change what is asked.
    pub title: Option<String>,
    /// Reported as skipped, never asked.
    pub skip: bool,
    /// Attributes that describe how to ask (`exec`, `timeout` in milliseconds, …), in file order.
    pub settings: Vec<(String, Value)>,
    /// Attributes that must hold, in file order.
    pub expect: Vec<(String, Matcher)>,
}

/// What can be looked at in a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A command's exit status and output.
    Command,
    /// A file, a directory, a link.
    File,
    /// A group of `/etc/group`.
    Group,
    /// An answer to an HTTP request that comes from inside the guest.
    Http,
    /// A value under `/proc/sys`.
    KernelParam,
    /// An installed package.
    Package,
    /// A listening port.
    Port,
    /// Processes of a name.
    Process,
    /// A service of the init system.
    Service,
    /// An account of `/etc/passwd`.
    User,
}

impl Resource {
    /// All resources, by name.
    pub const ALL: [Self; 10] = [
        Self::Command,
        Self::File,
        Self::Group,
        Self::Http,
        Self::KernelParam,
        Self::Package,
        Self::Port,
        Self::Process,
        Self::Service,
        Self::User,
    ];

    /// The name in gossfiles.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::File => "file",
            Self::Group => "group",
            Self::Http => "http",
            Self::KernelParam => "kernel-param",
            Self::Package => "package",
            Self::Port => "port",
            Self::Process => "process",
            Self::Service => "service",
            Self::User => "user",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a value must be like.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// Equal to this value; numbers are compared as numbers, even when the guest gives text.
    Equal(Value),
    /// Lines of text: every pattern must be met.
    Patterns(Vec<Pattern>),
    /// Text that starts so.
    HavePrefix(String),
    /// Text that ends so.
    HaveSuffix(String),
    /// Text that contains this.
    ContainSubstring(String),
    /// Text in which this regular expression finds something.
    MatchRegexp(String),
    /// A number in this relation to the given one.
    Compare(Comparison, f64),
    /// A text of so many bytes, or a list of so many elements.
    HaveLen(u64),
    /// A list, or lines of text, with an element that matches.
    ContainElement(Box<Self>),
    /// A list in which every matcher finds an element of its own.
    ContainElements(Vec<Self>),
    /// The same, with no element left over.
    ConsistOf(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// All of these.
    And(Vec<Self>),
    /// At least one of these.
    Or(Vec<Self>),
}

/// A relation of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Lt => "<",
            Self::Le => "<=",
        })
    }
}

/// A pattern for lines, as goss writes them: `text`, `!text`, `/regex/`, `!/regex/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What is looked for in a line.
    pub what: PatternKind,
    /// No line may have it.
    pub negated: bool,
}

/// What a pattern looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternKind {
    /// This text.
    Text(String),
    /// A match of this regular expression.
    Regex(String),
}

impl fmt::Display for Pattern {
    /// As it is written in a gossfile, without escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "!" } else { "" };
        match &self.what {
            PatternKind::Text(text) => write!(f, "{not}{text}"),
            PatternKind::Regex(regex) => write!(f, "{not}/{regex}/"),
        }
    }
}

impl fmt::Display for Matcher {
    /// In words for people and for fingerprints: different matchers never show alike.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(value) => write!(f, "{value}"),
            Self::Patterns(patterns) => {
                let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
                write!(f, "lines with {patterns:?}")
            }
            Self::HavePrefix(text) => write!(f, "prefix {text:?}"),
            Self::HaveSuffix(text) => write!(f, "suffix {text:?}"),
            Self::ContainSubstring(text) => write!(f, "text with {text:?}"),
            Self::MatchRegexp(regex) => write!(f, "match of /{regex}/"),
            Self::Compare(comparison, number) => write!(f, "{comparison} {number}"),
            Self::HaveLen(length) => write!(f, "length {length}"),
            Self::ContainElement(matcher) => write!(f, "element ({matcher})"),
            Self::ContainElements(all) => write!(f, "elements {}", Listed(all)),
            Self::ConsistOf(all) => write!(f, "exactly {}", Listed(all)),
            Self::Not(matcher) => write!(f, "not ({matcher})"),
            Self::And(all) => write!(f, "all of {}", Listed(all)),
            Self::Or(all) => write!(f, "one of {}", Listed(all)),
        }
    }
}

struct Listed<'a>(&'a [Matcher]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", shown.join(", "))
    }
}

impl Check {
    /// A setting by name.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&Value> {
        let found = self.settings.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_show_in_words() {
        let text = |text: &str| Matcher::Equal(text.into());
        let pattern = Pattern {
            what: PatternKind::Regex("^a".into()),
            negated: true,
        };
        let matcher = Matcher::And(vec![
            text("x"),
            Matcher::Not(Box::new(Matcher::Compare(Comparison::Ge, 2.0))),
            Matcher::Patterns(vec![pattern]),
            Matcher::ContainElement(Box::new(text("y"))),
            Matcher::Or(vec![
                Matcher::HaveLen(3),
                Matcher::MatchRegexp("b$".into()),
                Matcher::HavePrefix("p".into()),
                Matcher::HaveSuffix("s".into()),
                Matcher::ContainSubstring("c".into()),
            ]),
            Matcher::ConsistOf(vec![Matcher::ContainElements(vec![])]),
        ]);
        assert_eq!(
            matcher.to_string(),
            "all of [\"x\", not (>= 2), lines with [\"!/^a/\"], element (\"y\"), one of [length 3, match of /b$/, \
             prefix \"p\", suffix \"s\", text with \"c\"], exactly [elements []]]"
        );
        assert_eq!(Resource::KernelParam.to_string(), "kernel-param");
    }
}
