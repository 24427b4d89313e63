//! Errors as users see them, and the exit codes.

use std::io::Write as _;
use std::process::ExitCode;

use super::common::Global;
use crate::diag::Diagnostics;
use crate::model::Name;
use crate::provider::ProviderError;

/// How forge ends; the numbers are documented and stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: a stage failed.
    Failed,
    /// 2: the input is wrong.
    Input,
    /// 2: `check --format nagios`, something does not hold.
    Critical,
    /// 3: the environment does not fit.
    Environment,
    /// 10: `plan --detailed-exitcode`, something would run.
    WouldRun,
    /// 70: forge's own bug.
    Bug,
    /// 130: interrupted.
    Interrupted,
    /// What a shell or a command in a guest has ended with.
    Guest(u8),
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Input | Self::Critical => 2,
            Self::Environment => 3,
            Self::WouldRun => 10,
            Self::Bug => 70,
            Self::Interrupted => 130,
            Self::Guest(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What stands in the way of machines, as one error; none: nothing does.
pub(super) fn unmet(errors: Vec<(Name, ProviderError)>) -> Option<CliError> {
    let told = |error: ProviderError| match error {
        ProviderError::Environment { message, help } | ProviderError::Broken { message, help } => {
            (message, Some(help))
        }
        other => (other.to_string(), None),
    };
    let (provider, _) = errors.first()?;
    let provider = provider.clone();
    let mut told: Vec<_> = errors.into_iter().map(|(_, error)| told(error)).collect();
    if let [(message, help)] = told.as_mut_slice() {
        let message = format!("provider `{provider}`: {message}");
        let error = CliError::environment(message);
        return Some(match help.take() {
            Some(help) => error.help(help),
            None => error,
        });
    }
    let mut text = format!(
        "provider `{provider}`: {} things stand in the way",
        told.len()
    );
    for (message, help) in told {
        text.push_str("\n  - ");
        text.push_str(&message);
        if let Some(help) = help {
            text.push_str("; ");
            text.push_str(&help);
        }
    }
    Some(CliError::environment(text))
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum CliError {
    /// Faults in the project's files.
    Project(Box<Diagnostics>),
    /// Anything else: exit code, message, hints.
    Message {
        /// The exit code.
        exit: Exit,
        /// What is wrong.
        message: String,
        /// What to do.
        help: Vec<String>,
    },
}

impl CliError {
    pub(super) fn input(message: impl Into<String>) -> Self {
        Self::Message {
            exit: Exit::Input,
            message: message.into(),
            help: Vec::new(),
        }
    }

    pub(super) fn environment(message: impl Into<String>) -> Self {
        Self::Message {
            exit: Exit::Environment,
            message: message.into(),
            help: Vec::new(),
        }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Message {
            exit: Exit::Failed,
            message: message.into(),
            help: Vec::new(),
        }
    }

    #[must_use]
    pub(super) fn help(mut self, line: impl Into<String>) -> Self {
        if let Self::Message { help, .. } = &mut self {
            help.push(line.into());
        }
        self
    }

    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Project(_) => Exit::Input,
            Self::Message { exit, .. } => *exit,
        }
    }

    pub(super) fn print(&self, global: &Global) {
        let colour = global.colour_stderr();
        let text = match self {
            Self::Project(diagnostics) => {
                let (errors, _) = diagnostics.counts();
                let noun = if errors == 1 { "error" } else { "errors" };
                format!(
                    "{}\n{errors} {noun} in the project\n",
                    crate::diag::render(diagnostics, colour)
                )
            }
            Self::Message { message, help, .. } => {
                let (bold, red, cyan, off) = if colour {
                    ("\x1b[1m", "\x1b[1;31m", "\x1b[36m", "\x1b[0m")
                } else {
                    ("", "", "", "")
                };
                let mut text = format!("{red}error{off}{bold}: {message}{off}\n");
                for line in help {
                    text.push_str(&format!("{cyan}  help{off}: {line}\n"));
                }
                text
            }
        };
        // there is nobody left to tell if standard error is gone
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl From<Diagnostics> for CliError {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Project(Box::new(diagnostics))
    }
}
