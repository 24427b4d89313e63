//! Why there is no plan.

use std::fmt;

use crate::model::StageKey;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Stages that need each other; the first one stands at the end again.
    #[error("stages depend on each other in a circle: {}", circle(.0))]
    Cycle(Vec<StageKey>),
    /// A stage needs one that does not exist.
    #[error("stage `{stage}` needs `{needs}`, which does not exist")]
    UnknownDependency {
        /// The stage.
        stage: StageKey,
        /// What it needs.
        needs: StageKey,
        /// An existing one with a similar name.
        near: Option<String>,
    },
    /// Neither a stage nor a target.
    #[error("unknown target `{name}`")]
    UnknownTarget {
        /// As given.
        name: String,
        /// The most similar one.
        near: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// No such axis.
    #[error("unknown axis `{name}`")]
    UnknownAxis {
        /// As given.
        name: String,
        /// The most similar one.
        near: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// The axis has no such value.
    #[error("axis `{axis}` has no value `{value}`")]
    UnknownValue {
        /// The axis.
        axis: String,
        /// As given.
        value: String,
        /// The most similar one.
        near: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// The stage does not exist at the chosen values.
    #[error("stage `{stage}` does not exist at {at}")]
    NotAtAxes {
        /// The stage's name.
        stage: String,
        /// The chosen values.
        at: String,
    },
    /// No target was given and there is no default.
    #[error("no target given, and `builds.toml` names no `default`")]
    NoTarget {
        /// All that there are.
        known: Vec<String>,
    },
    /// Files that stages need are missing or unreadable; never empty.
    #[error("{}", lines(.0))]
    Inputs(Vec<InputFault>),
}

/// A file that a stage needs and that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFault {
    /// The stage.
    pub stage: StageKey,
    /// The file or glob as the stage names it.
    pub input: String,
    /// What is wrong: `does not exist`, `matches no file`, or why it cannot be read.
    pub fault: String,
    /// Where the stage is declared: file and line.
    pub origin: (String, usize),
}

impl PlanError {
    /// What would be right, in a sentence.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownTarget { near, known, .. }
            | Self::UnknownAxis { near, known, .. }
            | Self::UnknownValue { near, known, .. } => near_or_known(near.as_deref(), known),
            Self::UnknownDependency { near, .. } => near_or_known(near.as_deref(), &[]),
            Self::NoTarget { known } => near_or_known(None, known),
            Self::Cycle(_) => Some("remove one of these dependencies".to_owned()),
            Self::NotAtAxes { .. } => {
                Some("choose another value with `--set axis=value`".to_owned())
            }
            Self::Inputs(_) => None,
        }
    }
}

impl fmt::Display for InputFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            stage,
            input,
            fault,
            origin: (file, line),
        } = self;
        write!(
            f,
            "stage `{stage}` ({file}:{line}) needs `{input}`: {fault}"
        )
    }
}

fn near_or_known(near: Option<&str>, known: &[String]) -> Option<String> {
    match near {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known: {}", known.join(", "))),
    }
}

fn circle(path: &[StageKey]) -> String {
    /// A circle longer than this is shown by its two ends.
    const SHOWN: usize = 12;
    let names: Vec<String> = path.iter().map(ToString::to_string).collect();
    if names.len() <= SHOWN {
        return format!("`{}`", names.join(" → "));
    }
    let half = SHOWN / 2;
    format!(
        "`{} → … ({} more) … → {}`",
        names[..half].join(" → "),
        names.len() - SHOWN,
        names[names.len() - half..].join(" → ")
    )
}

fn lines(faults: &[InputFault]) -> String {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    match lines.as_slice() {
        [line] => line.clone(),
        _ => format!(
            "{} inputs cannot be read:\n  {}",
            lines.len(),
            lines.join("\n  ")
        ),
    }
}
