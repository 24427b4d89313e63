//! Errors of the server as errors of a provider.

use super::place::{Misfit, PlaceError};
use crate::provider::ProviderError;
use crate::vim::VimError;

/// What a server's error is to those who use the provider.
pub(super) fn translate(error: VimError) -> ProviderError {
    if let Some(question) = error.question() {
        return asked(&question.text);
    }
    let help = error.help();
    match error {
        VimError::Cancelled => ProviderError::Cancelled,
        VimError::Timeout(message) => ProviderError::Timeout(message),
        VimError::Io { path, source } => ProviderError::Io { path, source },
        VimError::Unreachable { .. } | VimError::Certificate { .. } | VimError::Login(_) => {
            ProviderError::Environment {
                message: error.to_string(),
                help: help.unwrap_or_else(|| "see `forge doctor --provider NAME`".into()),
            }
        }
        VimError::Fault(_) if help.is_some() => ProviderError::Environment {
            message: error.to_string(),
            help: help.unwrap_or_default(),
        },
        VimError::Fault(_) | VimError::Http { .. } | VimError::Protocol(_) => {
            ProviderError::Failed(error.to_string())
        }
    }
}

/// A machine asks something before it goes on.
pub(super) fn asked(question: &str) -> ProviderError {
    ProviderError::Environment {
        message: format!("the server asks before the machine goes on: {question}"),
        help: "answer it in the server's own client, and run again".into(),
    }
}

/// A setting that does not fit.
pub(super) fn misfit(misfit: Misfit) -> ProviderError {
    ProviderError::Environment {
        message: misfit.message,
        help: misfit.help,
    }
}

/// All that stands in the way of finding the places.
pub(super) fn misplaced(error: PlaceError) -> Vec<ProviderError> {
    match error {
        PlaceError::Vim(error) => vec![translate(error)],
        PlaceError::Misfits(misfits) => misfits.into_iter().map(self::misfit).collect(),
    }
}
