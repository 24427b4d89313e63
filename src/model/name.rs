//! Names that users give: stages, axes, scopes, targets, outputs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A user-given name: letters, digits, `-`, `_` and `.`; it starts with a letter or digit and has at most 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The text is longer than 64 characters.
    #[error("a name has at most 64 characters")]
    TooLong,
    /// A character that names do not have.
    #[error("`{0}` cannot stand in a name; letters, digits, `-`, `_` and `.` can")]
    Character(char),
    /// The first character is neither a letter nor a digit.
    #[error("a name starts with a letter or a digit")]
    Start,
}

impl Name {
    /// Checks `text` and makes a name of it.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        if text.len() > 64 {
            return Err(NameError::TooLong);
        }
        if let Some(c) = text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        {
            return Err(NameError::Character(c));
        }
        if !first.is_ascii_alphanumeric() {
            return Err(NameError::Start);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// A stage at one point of the axes it takes part in: `provision[os=mini]`, or `test-iso` for a stage without axes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StageKey {
    /// The stage's name in `builds.toml`.
    pub name: Name,
    /// The values of the axes that the stage takes part in, and of no others.
    pub axes: BTreeMap<Name, String>,
}

impl StageKey {
    /// The file-system form of the key: `provision@os=mini`, safe as a path component.
    #[must_use]
    pub fn slug(&self) -> String {
        let mut slug = self.name.to_string();
        for (axis, value) in &self.axes {
            let safe: String = value
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || "-_.".contains(c) {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            slug.push_str(&format!("@{axis}={safe}"));
        }
        slug
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.axes.is_empty() {
            return write!(f, "{}", self.name);
        }
        let axes: Vec<String> = self
            .axes
            .iter()
            .map(|(axis, value)| format!("{axis}={value}"))
            .collect();
        write!(f, "{}[{}]", self.name, axes.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet() {
        assert_eq!(Name::parse("pack-ova").unwrap().as_str(), "pack-ova");
        assert_eq!(Name::parse(""), Err(NameError::Empty));
        assert_eq!(Name::parse("-x"), Err(NameError::Start));
        assert_eq!(Name::parse("a/b"), Err(NameError::Character('/')));
        assert_eq!(Name::parse(&"x".repeat(65)), Err(NameError::TooLong));
    }

    #[test]
    fn a_key_shows_its_axes_and_has_a_safe_slug() {
        let mut key = StageKey {
            name: Name::parse("clone").unwrap(),
            axes: BTreeMap::new(),
        };
        assert_eq!(
            (key.to_string(), key.slug()),
            ("clone".into(), "clone".into())
        );
        key.axes.insert(Name::parse("os").unwrap(), "a/b".into());
        assert_eq!(
            (key.to_string(), key.slug()),
            ("clone[os=a/b]".into(), "clone@os=a_b".into())
        );
    }
}
