//! How stages log in to their guests.

use std::path::{Path, PathBuf};

use super::Host;
use super::resolve::Resolver;
use crate::engine::StageFailure;
use crate::guest::SshTarget;
use crate::model::{self, Secret, Ssh};

/// How a guest is logged in to at `address`.
pub fn login_target(
    ssh: &Ssh,
    address: std::net::SocketAddr,
    resolve: &dyn Fn(&model::Text) -> Result<String, StageFailure>,
    root: &Path,
) -> Result<SshTarget, StageFailure> {
    let mut key_files: Vec<PathBuf> = ssh
        .login
        .key_file
        .as_ref()
        .map(resolve)
        .transpose()?
        .map(|path| match path.strip_prefix("~/") {
            Some(rest) => std::env::home_dir().unwrap_or_default().join(rest),
            None => root.join(path),
        })
        .into_iter()
        .collect();
    if ssh.login.generate_key {
        key_files.push(root.join(model::PROJECT_KEY));
    }
    Ok(SshTarget {
        addr: address,
        user: resolve(&ssh.user)?,
        password: ssh
            .login
            .password
            .as_ref()
            .map(resolve)
            .transpose()?
            .map(Secret::new),
        key_files,
        agent: ssh.login.agent,
        known_hosts: None,
    })
}

/// [`login_target`] with a stage's own resolver.
pub(crate) fn target(
    resolver: &Resolver<'_>,
    host: &Host,
    ssh: &Ssh,
    address: std::net::SocketAddr,
) -> Result<SshTarget, StageFailure> {
    login_target(ssh, address, &|text| resolver.text(text), &host.root)
}
