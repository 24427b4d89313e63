//! Errors of the parts below, as failures of a stage: what happened, and what to do next.

use std::path::Path;

use crate::engine::{ExecError, StageFailure};
use crate::guest::GuestError;
use crate::net::FetchError;
use crate::provider::ProviderError;
use crate::store::StoreError;

/// A failure with only a message.
pub(crate) fn failure(message: impl Into<String>) -> StageFailure {
    StageFailure {
        message: message.into(),
        ..StageFailure::default()
    }
}

/// A failure of a file operation.
pub(crate) fn io(what: &str, path: &Path, error: &std::io::Error) -> StageFailure {
    let mut failure = failure(format!("cannot {what} {}: {error}", path.display()));
    if error.kind() == std::io::ErrorKind::StorageFull {
        failure
            .help
            .push("the disk is full: `forge cache gc` frees what no record needs".into());
        failure.environment = true;
    }
    failure
}

impl From<StoreError> for StageFailure {
    fn from(error: StoreError) -> Self {
        let help: Vec<String> = error.help().into_iter().collect();
        let environment = matches!(error, StoreError::Io { .. });
        Self {
            message: error.to_string(),
            help,
            environment,
            ..Self::default()
        }
    }
}

impl From<StoreError> for ExecError {
    fn from(error: StoreError) -> Self {
        StageFailure::from(error).into()
    }
}

impl From<ProviderError> for ExecError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Cancelled => Self::Cancelled,
            ProviderError::Environment { message, help }
            | ProviderError::Broken { message, help } => StageFailure {
                message,
                help: vec![help],
                environment: true,
                ..StageFailure::default()
            }
            .into(),
            ProviderError::Io { path, source } => io("use", &path, &source).into(),
            ProviderError::Failed(_) | ProviderError::Timeout(_) | ProviderError::Gone(_) => {
                failure(error.to_string()).into()
            }
        }
    }
}

impl From<GuestError> for ExecError {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::Cancelled => Self::Cancelled,
            other => {
                let help = other.help().map(str::to_owned).into_iter().collect();
                StageFailure {
                    message: other.to_string(),
                    help,
                    ..StageFailure::default()
                }
                .into()
            }
        }
    }
}

impl From<FetchError> for ExecError {
    fn from(error: FetchError) -> Self {
        if matches!(error, FetchError::Cancelled) {
            return Self::Cancelled;
        }
        let (help, environment) = (error.help(), error.environment());
        StageFailure {
            message: error.to_string(),
            help,
            environment,
            ..StageFailure::default()
        }
        .into()
    }
}
