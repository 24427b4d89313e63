//! How the machine is reached.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::super::CliError;
use super::super::common;
use super::unreached;
use crate::guest::facts::{Place, System};
use crate::guest::{Guest, GuestError, KnownHosts, SshTarget};
use crate::model::Secret;
use crate::sys::Cancel;

/// Where the machine is, and how to log in.
#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct ReachArgs {
    /// The machine: `user@host` or `user@host:port`; without a user, your own name
    #[arg(
        long,
        value_name = "[USER@]HOST[:PORT]",
        conflicts_with = "local",
        required_unless_present = "local"
    )]
    ssh: Option<String>,
    /// Check this machine
    #[arg(long)]
    local: bool,
    /// A private key without passphrase (may be repeated); keys with one are used through an agent
    #[arg(short, long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// The environment variable that holds the password
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
    /// Run what a shell can tell through sudo, with the password if it asks for one
    #[arg(long)]
    sudo: bool,
    /// What to do about a server that `~/.ssh/known_hosts` does not know
    #[arg(long, value_name = "HOW", default_value = "strict")]
    host_key: HostKey,
    /// How long to try to log in
    #[arg(long, value_name = "TIME", default_value = "30s")]
    connect_timeout: String,
}

/// What to do about a server that is not known. One that shows another key than the known one is refused in any case but `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HostKey {
    /// Refuse it
    Strict,
    /// Write its key down, and refuse another one from then on
    AcceptNew,
    /// Take any key: anybody may answer in the machine's place
    Off,
}

/// A machine that was reached.
pub(super) struct Reached {
    guest: Option<Guest>,
    sudo: bool,
}

impl Reached {
    pub(super) const fn system(&self) -> System<'_> {
        let place = match &self.guest {
            Some(guest) => Place::Guest(guest),
            None => Place::Local,
        };
        System {
            place,
            sudo: self.sudo,
        }
    }
}

pub(super) async fn reach(args: &ReachArgs, cancel: &Cancel) -> Result<Reached, CliError> {
    let Some(to) = &args.ssh else {
        return Ok(Reached {
            guest: None,
            sudo: args.sudo,
        });
    };
    let limit = super::files::span("--connect-timeout", &args.connect_timeout)?;
    let target = target(args, to).await?;
    let guest = Guest::connect(&target, Instant::now() + limit, cancel, &common::warn).await;
    Ok(Reached {
        guest: Some(guest.map_err(|e| unreached(&e))?),
        sudo: args.sudo,
    })
}

/// `user@host:port`.
fn parse(to: &str) -> Result<(Option<&str>, &str, u16), CliError> {
    let wrong = || {
        CliError::input(format!("`{to}` does not say where the machine is"))
            .help("write `user@host`, `user@host:port` or `user@[2001:db8::1]:port`")
    };
    let (user, place) = to
        .rsplit_once('@')
        .map_or((None, to), |(user, place)| (Some(user), place));
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| wrong())?)
        }
        _ => (place, 22),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() || user.is_some_and(str::is_empty) || port == 0 {
        return Err(wrong());
    }
    Ok((user, host, port))
}

async fn target(args: &ReachArgs, to: &str) -> Result<SshTarget, CliError> {
    let (user, host, port) = parse(to)?;
    let user = match user {
        Some(user) => user.to_owned(),
        None => std::env::var("USER").map_err(|_| {
            CliError::input(format!("`{to}` names no user")).help("write `user@host`")
        })?,
    };
    let password = args.password_env.as_ref().map(|name| {
        std::env::var(name).map(Secret::new).map_err(|_| {
            CliError::input(format!("the environment has no `{name}`"))
                .help("`--password-env` names the variable that holds the password")
        })
    });
    let password = password.transpose()?;
    let home = std::env::home_dir().unwrap_or_default();
    let known_hosts = KnownHosts {
        file: home.join(".ssh/known_hosts"),
        accept_new: args.host_key == HostKey::AcceptNew,
        host: host.to_owned(),
    };
    let mut key_files = args.identity.clone();
    let agent = std::env::var_os("SSH_AUTH_SOCK").is_some();
    if key_files.is_empty() {
        let usual = ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| home.join(".ssh").join(name));
        // one with a passphrase would stop the login; an agent may have it
        key_files.extend(
            usual
                .into_iter()
                .filter(|path| crate::guest::is_usable_key(path)),
        );
    }
    Ok(SshTarget {
        addr: resolve(host, port).await?,
        user,
        password,
        key_files,
        agent,
        known_hosts: (args.host_key != HostKey::Off).then_some(known_hosts),
    })
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddr, CliError> {
    let found = tokio::time::timeout(
        Duration::from_secs(10),
        tokio::net::lookup_host((host, port)),
    )
    .await;
    let reason = match found {
        Ok(Ok(mut all)) => match all.next() {
            Some(first) => return Ok(first),
            None => "it has no address".to_owned(),
        },
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer within 10 s".to_owned(),
    };
    Err(CliError::environment(format!(
        "`{host}` cannot be found: {reason}"
    )))
}

/// What the user can do, in this command's words.
pub(super) fn help(error: &GuestError) -> Option<&'static str> {
    match error {
        GuestError::Refused { .. } => Some(
            "is the machine up, and is this where its SSH server listens? `--connect-timeout` waits longer",
        ),
        GuestError::Auth { .. } => {
            Some("give a key with `-i`, a password with `--password-env`, or start an agent")
        }
        GuestError::Key { .. } => {
            Some("keys with a passphrase are used through an agent: `ssh-add` the key")
        }
        GuestError::Failed(_) => Some(
            "with `--sudo`, the account must be allowed to use it; the password comes from `--password-env`",
        ),
        GuestError::Lost(_) => None,
        other => other.help(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_named_as_ssh_names_them() {
        assert_eq!(parse("root@a").unwrap(), (Some("root"), "a", 22));
        assert_eq!(parse("a:2222").unwrap(), (None, "a", 2222));
        assert_eq!(parse("u@[::1]:2222").unwrap(), (Some("u"), "::1", 2222));
        assert_eq!(parse("u@::1").unwrap(), (Some("u"), "::1", 22));
        for wrong in ["", "@a", "u@", "a:x", "a:0"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
