//! The project's own SSH key pair, for guests whose installer puts `ssh.public_key` into them.

use std::io;
use std::path::Path;

use crate::guest::KeyPair;
use crate::model::{PROJECT_KEY, PROJECT_PUBLIC_KEY, Project};
use crate::sys;

/// Makes the key pair if a stage of the project logs in with it and it is not there. It stays until it is removed: the
/// guests that were built with it know no other.
pub fn ensure_key(project: &Project, root: &Path) -> io::Result<()> {
    let uses = |stage: &crate::model::Stage| stage.ssh().is_some_and(|s| s.login.generate_key);
    let (private, public) = (root.join(PROJECT_KEY), root.join(PROJECT_PUBLIC_KEY));
    if !project.stages.iter().any(uses) || (private.is_file() && public.is_file()) {
        return Ok(());
    }
    let pair = KeyPair::generate(&format!("forge-{}", project.name)).map_err(io::Error::other)?;
    sys::fs::write_private(&private, pair.private.reveal().as_bytes())?;
    // last: with it the pair counts as whole
    sys::fs::write_atomic(&public, format!("{}\n", pair.public).as_bytes())
}
