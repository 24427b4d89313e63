//! Outputs: into the store after a stage, and back in place when users have deleted or changed them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::Host;
use super::failure::io;
use crate::engine::{ExecError, StageContext, StageFailure};
use crate::model::{Artifact, Name, Stage, StoredFile};
use crate::store::{Place, Put, StoreError, is_whole};

/// Takes declared outputs (paths relative to the project) into the store.
pub(super) async fn collect(
    host: &Host,
    context: &StageContext,
    outputs: &BTreeMap<Name, String>,
) -> Result<Artifact, ExecError> {
    let mut artifact = Artifact::default();
    for (name, path) in outputs {
        context.output.step(format!("keeping {path}"));
        let stored = store_output(host, path).map_err(|e| match e {
            Missing::NotMade => StageFailure {
                message: format!(
                    "the command ended well but did not make its output `{name}` ({path})"
                ),
                help: vec![format!(
                    "write it to `{{{{ outputs.{name} }}}}`, or correct `outputs`"
                )],
                ..StageFailure::default()
            },
            Missing::Io(error) => io("keep", &host.root.join(path), &error),
            Missing::Store(error) => error.into(),
        })?;
        artifact.files.insert(name.clone(), stored);
    }
    Ok(artifact)
}

enum Missing {
    NotMade,
    Io(std::io::Error),
    Store(StoreError),
}

impl From<StoreError> for Missing {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<std::io::Error> for Missing {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn store_output(host: &Host, path: &str) -> Result<StoredFile, Missing> {
    let full = host.root.join(path);
    let Ok(meta) = full.metadata() else {
        return Err(Missing::NotMade);
    };
    let stored = if meta.is_dir() {
        let staging = host.store.staging()?;
        let tar = staging.path().join("tree.tar");
        pack_tree(&full, &tar)?;
        StoredFile {
            tree: true,
            ..host.store.put_file(&tar, Put::Move)?
        }
    } else {
        host.store.put_output(&full)?
    };
    Ok(StoredFile {
        path: Some(path.to_owned()),
        executable: is_executable(&meta),
        ..stored
    })
}

/// A tree as a tar file whose bytes depend only on names, modes and contents.
fn pack_tree(dir: &Path, to: &Path) -> std::io::Result<()> {
    let mut builder = tar::Builder::new(File::create(to)?);
    builder.mode(tar::HeaderMode::Deterministic);
    builder.follow_symlinks(false);
    let mut entries: Vec<_> = walkdir::WalkDir::new(dir)
        .min_depth(1)
        .into_iter()
        .collect::<Result<_, _>>()?;
    entries.sort_by(|a, b| a.path().cmp(b.path()));
    for entry in entries {
        let name = entry
            .path()
            .strip_prefix(dir)
            .map_err(std::io::Error::other)?;
        builder.append_path_with_name(entry.path(), name)?;
    }
    builder.into_inner()?.sync_all()
}

#[cfg(unix)]
fn is_executable(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    meta.is_file() && meta.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_meta: &std::fs::Metadata) -> bool {
    false
}

/// Puts every visible file of an artifact in place where it is missing or differs.
pub(super) async fn restore(
    host: &Host,
    stage: &Stage,
    artifact: &Artifact,
) -> Result<(), StageFailure> {
    for file in artifact.files.values() {
        let Some(path) = &file.path else { continue };
        let full = host.root.join(path);
        if in_place(host, &full, file) {
            continue;
        }
        place(host, file, &full).map_err(|e| {
            let mut failed = StageFailure::from(e);
            failed.message = format!("cannot restore an output: {}", failed.message);
            failed.help.push(format!(
                "`forge run --force {}` makes it anew",
                stage.key.name
            ));
            failed
        })?;
    }
    Ok(())
}

fn in_place(host: &Host, path: &Path, file: &StoredFile) -> bool {
    let Ok(meta) = path.metadata() else {
        return false;
    };
    if file.tree {
        return meta.is_dir() && is_whole(&host.store.path(&file.digest), path).unwrap_or(false);
    }
    meta.is_file()
        && meta.len() == file.size.bytes()
        && host
            .db
            .stat_cache()
            .digest(path)
            .is_ok_and(|found| found.digest == file.digest)
}

/// Copies a stored file (or unpacks a stored tree) to `path`, whole or not at all.
pub(super) fn place(host: &Host, file: &StoredFile, path: &Path) -> Result<(), StoreError> {
    if !file.tree {
        return host.store.place(file, path, Place::Copy);
    }
    let tree = host.store.use_object(&file.digest)?;
    let unpack = || -> std::io::Result<()> {
        let dir = path
            .parent()
            .ok_or_else(|| std::io::Error::other("an output needs a directory"))?;
        std::fs::create_dir_all(dir)?;
        let temporary = tempfile::Builder::new()
            .prefix(&crate::sys::fs::temporary_prefix(std::process::id()))
            .tempdir_in(dir)?;
        tar::Archive::new(File::open(&tree)?).unpack(temporary.path())?;
        crate::sys::fs::remove(path)?;
        std::fs::rename(temporary.keep(), path)
    };
    unpack().map_err(|source| StoreError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Shows a stored file at its path in the project.
pub(super) fn show(host: &Host, file: &StoredFile, how: Place) -> Result<(), StoreError> {
    match &file.path {
        Some(path) => host.store.place(file, &host.root.join(path), how),
        None => Ok(()),
    }
}
