//! Checks of a guest: what `verify` and `check` steps ask. The shape follows goss.

/// All checks of a stage, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckSet {
    /// The checks.
    pub checks: Vec<Check>,
}

/// One resource and what it must be like (refined by the guest's module of checks).
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// goss's resource type: `command`, `file`, `port`, `service`, `http`, `process`, `kernel-param`.
    pub resource: String,
    /// The resource's key in the file: a path, a command's name, `tcp:22`.
    pub name: String,
    /// Attributes that describe how to ask (`exec`, `timeout`, …), in file order.
    pub settings: Vec<(String, serde_json::Value)>,
    /// Attributes that must hold, in file order.
    pub expect: Vec<(String, Matcher)>,
}

/// What a value must be like.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// Equal to this value.
    Equal(serde_json::Value),
    /// Text with lines: each pattern must be found; `/…/` is a regular expression, a leading `!` negates.
    Contains(Vec<String>),
}
