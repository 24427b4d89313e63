//! Errors of the server as errors of a provider, and what is tried again after one.

use std::time::Duration;

use super::place::{Misfit, PlaceError};
use crate::provider::ProviderError;
use crate::sys::Cancel;
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
        error if error.is_transient() => ProviderError::Broken {
            message: error.to_string(),
            help: help.unwrap_or_else(|| "try again in a few minutes".into()),
        },
        VimError::Certificate { .. } | VimError::Login(_) => ProviderError::Environment {
            message: error.to_string(),
            help: help.unwrap_or_else(|| "see `forge doctor --provider NAME`".into()),
        },
        VimError::Fault(_) if help.is_some() => ProviderError::Environment {
            message: error.to_string(),
            help: help.unwrap_or_default(),
        },
        error => ProviderError::Failed(error.to_string()),
    }
}

/// The pauses before work is begun anew that broke off.
const PAUSES: &[Duration] = &[Duration::from_secs(2), Duration::from_secs(5)];

/// The attempts at work that may break off.
pub(super) struct Attempts<'a> {
    what: &'a str,
    cancel: &'a Cancel,
    tell: &'a (dyn Fn(&str) + Send + Sync),
    pauses: std::slice::Iter<'static, Duration>,
}

impl<'a> Attempts<'a> {
    /// Those at `what`; `tell` is told why there is another one.
    pub(super) fn new(
        what: &'a str,
        cancel: &'a Cancel,
        tell: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Self {
        Self {
            what,
            cancel,
            tell,
            pauses: PAUSES.iter(),
        }
    }

    /// Waits before the next attempt; gives the error back when it is none that passes, or there were enough.
    pub(super) async fn after(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        if !matches!(error, ProviderError::Broken { .. }) {
            return Err(error);
        }
        if self.cancel.is_cancelled() {
            return Err(ProviderError::Cancelled);
        }
        let Some(pause) = self.pauses.next() else {
            return Err(error);
        };
        (self.tell)(&format!(
            "{} broke off and is begun anew: {error}",
            self.what
        ));
        let slept = self.cancel.run(tokio::time::sleep(*pause)).await;
        slept.ok_or(ProviderError::Cancelled)
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
