//! Filling in late values: outputs of stages, the run's facts, the kickstart server's address, secrets.

use crate::config::Secrets;
use crate::engine::{StageContext, StageFailure};
use crate::model::{Late, Name, PROJECT_PUBLIC_KEY, RunVar, StageKind, Text, UnresolvedError};

use super::Host;

/// The run's volatile facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// RFC 3339, UTC, whole seconds.
    pub date: String,
    /// Unique.
    pub id: String,
    /// This machine's name.
    pub host: String,
}

/// Resolves the texts of one stage.
pub(crate) struct Resolver<'a> {
    host: &'a Host,
    context: &'a StageContext,
    http: Option<Served>,
}

/// Where forge's own server is, as the guest sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// Its host: an address or a name.
    pub ip: String,
    /// Its port.
    pub port: u16,
    /// The path of the report URL, with its leading `/`.
    pub report: String,
}

impl Served {
    /// The URL to which an installer reports.
    fn report_url(&self) -> String {
        let Self { ip, port, report } = self;
        match ip.contains(':') {
            true => format!("http://[{ip}]:{port}{report}"),
            false => format!("http://{ip}:{port}{report}"),
        }
    }
}

impl<'a> Resolver<'a> {
    pub(crate) const fn new(host: &'a Host, context: &'a StageContext) -> Self {
        Self {
            host,
            context,
            http: None,
        }
    }

    /// With forge's own server, if there is one.
    pub(crate) fn with_http(self, http: Option<Served>) -> Self {
        Self { http, ..self }
    }

    /// The project's directory.
    pub(crate) fn root(&self) -> &std::path::Path {
        &self.host.root
    }

    /// The text with all late values filled in.
    pub(crate) fn text(&self, text: &Text) -> Result<String, StageFailure> {
        text.resolve(&|late| self.late(late)).map_err(|error| {
            let mut help = secret_help(text, &self.host.secrets);
            let unset = !help.is_empty();
            if error.0 == Late::SshPublicKey.to_string() {
                help.push(
                    "set `generate_key = true` under the stage's `ssh`: then the project has a key"
                        .into(),
                );
            }
            StageFailure {
                message: if unset {
                    error.to_string().replace("is not known here", "is not set")
                } else {
                    error.to_string()
                },
                help,
                environment: unset,
                ..StageFailure::default()
            }
        })
    }

    /// Several named texts.
    pub(crate) fn map<'t>(
        &self,
        texts: impl IntoIterator<Item = (&'t String, &'t Text)>,
    ) -> Result<Vec<(String, String)>, StageFailure> {
        texts
            .into_iter()
            .map(|(name, text)| Ok((name.clone(), self.text(text)?)))
            .collect()
    }

    fn late(&self, late: &Late) -> Result<String, UnresolvedError> {
        let unknown = || UnresolvedError(late.to_string());
        match late {
            Late::Output { stage, output } => {
                let file = self
                    .context
                    .upstream
                    .get(stage)
                    .and_then(|a| a.files.get(output))
                    .ok_or_else(unknown)?;
                let path = match &file.path {
                    Some(path) => self.host.root.join(path),
                    None => self.host.store.path(&file.digest),
                };
                Ok(path.display().to_string())
            }
            Late::OwnOutput(name) => own_output(&self.context.stage.kind, name)
                .map(str::to_owned)
                .ok_or_else(unknown),
            Late::Secret {
                scope,
                variable,
                digest: _,
            } => self
                .host
                .secrets
                .resolve(scope, variable)
                .map(|s| s.reveal().to_owned())
                .ok_or_else(unknown),
            Late::Run(RunVar::Date) => Ok(self.host.run.date.clone()),
            Late::Run(RunVar::Id) => Ok(self.host.run.id.clone()),
            Late::Run(RunVar::Host) => Ok(self.host.run.host.clone()),
            Late::SshPublicKey => std::fs::read_to_string(self.host.root.join(PROJECT_PUBLIC_KEY))
                .map(|line| line.trim_end().to_owned())
                .map_err(|_| unknown()),
            Late::HttpIp => self
                .http
                .as_ref()
                .map(|served| served.ip.clone())
                .ok_or_else(unknown),
            Late::HttpPort => self
                .http
                .as_ref()
                .map(|served| served.port.to_string())
                .ok_or_else(unknown),
            Late::Report => self
                .http
                .as_ref()
                .map(Served::report_url)
                .ok_or_else(unknown),
        }
    }
}

fn own_output<'k>(kind: &'k StageKind, name: &Name) -> Option<&'k str> {
    match kind {
        StageKind::Command(command) => command.outputs.get(name).map(String::as_str),
        _ => None,
    }
}

fn secret_help(text: &Text, secrets: &Secrets) -> Vec<String> {
    text.late()
        .filter_map(|late| match late {
            Late::Secret { scope, variable, .. } if secrets.resolve(scope, variable).is_none() => {
                Some(format!("give it in the environment variable that scope `{scope}` names, or with `--var {scope}.{variable}=…`"))
            }
            _ => None,
        })
        .collect()
}
