//! Disks out of the server and appliances into it, over leases.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::try_join_all;
use sha2::{Digest as _, Sha256};

use super::error::Attempts;
use super::{Lab, hardware, misfit, owned, translate};
use crate::model::{Digest, Remote, Size};
use crate::provider::{Exported, LaunchSpec, ProviderError, Work};
use crate::sys::Cancel;
use crate::vim::{
    ImportParams, ImportSpec, Lease, LeaseFile, ManifestEntry, Ref, VimError, Waiting,
};

/// Writes the disks of a machine's snapshot, all at once; with a new lease when the transfer breaks off.
pub(super) async fn export(
    lab: &Lab,
    machine: &Remote,
    work: Work<'_>,
) -> Result<Vec<Exported>, ProviderError> {
    let mut attempts = Attempts::new("the export", work.cancel, work.note);
    loop {
        match export_once(lab, machine, &work).await {
            Err(error) => attempts.after(error).await?,
            done => return done,
        }
    }
}

async fn export_once(
    lab: &Lab,
    machine: &Remote,
    work: &Work<'_>,
) -> Result<Vec<Exported>, ProviderError> {
    let (vm, read) = lab.there(machine).await?;
    let own = owned::is_marked(&read);
    // a template is exported as a machine; somebody else's is left as it is, and the server says whether that does
    let template = own && lab.as_machine(&vm).await.map_err(translate)?;
    let exported = export_machine(lab, (&vm, machine, own), work).await;
    if template {
        lab.client.mark_as_template(&vm).await.map_err(translate)?;
    }
    exported
}

async fn export_machine(
    lab: &Lab,
    machine: (&Ref, &Remote, bool),
    work: &Work<'_>,
) -> Result<Vec<Exported>, ProviderError> {
    let lease = open(lab, machine, work.cancel).await?;
    match receive(&lease, work).await {
        Ok(files) => {
            lease.complete().await.map_err(translate)?;
            Ok(files)
        }
        Err(error) => {
            lease.abort(&error.to_string()).await;
            Err(error)
        }
    }
}

async fn open(
    lab: &Lab,
    (vm, machine, own): (&Ref, &Remote, bool),
    cancel: &Cancel,
) -> Result<Lease, ProviderError> {
    if let Some(snapshot) = owned::snapshot(machine) {
        match lab.client.export_snapshot(&snapshot, cancel).await {
            // servers before 6.7 export machines only
            Err(error) if error.is("NotSupported") || error.is("NotImplemented") => {}
            other => return other.map_err(translate),
        }
        if !own {
            return Err(ProviderError::Environment {
                message: format!(
                    "this server exports machines only as they stand, and `{}` is not forge's to take back to its snapshot",
                    machine.name
                ),
                help: "let a `provision` stage come between: its machine is a clone".into(),
            });
        }
        let waiting = Waiting::quiet(cancel);
        let reverted = lab.client.revert(&snapshot, &waiting).await;
        reverted.map_err(translate)?;
    }
    lab.client.export_vm(vm, cancel).await.map_err(translate)
}

async fn receive(lease: &Lease, work: &Work<'_>) -> Result<Vec<Exported>, ProviderError> {
    let done = AtomicU64::new(0);
    // an ISO that was left in a drive is nobody's business
    let wanted = lease.files().iter().filter(|file| {
        file.disk
            || file
                .target
                .as_ref()
                .is_some_and(|name| name.ends_with(".nvram"))
    });
    let wanted: Vec<&LeaseFile> = wanted.collect();
    let downloads = wanted.iter().enumerate().map(|(index, file)| {
        let path = work.dir.join(format!("export-{index}"));
        download(lease, file, path, &done, work)
    });
    let received = try_join_all(downloads).await?;
    let manifest = lease.manifest().await.map_err(translate)?;
    let mut exported = Vec::new();
    for (file, (path, digest, size)) in wanted.iter().zip(received) {
        let entry = manifest.iter().find(|entry| entry.key == file.key);
        if let Some(entry) = entry {
            prove(entry, &digest, size)?;
        }
        exported.push(Exported {
            path,
            digest,
            capacity: file.disk.then(|| {
                entry
                    .and_then(|e| e.capacity)
                    .unwrap_or(Size::from_bytes(0))
            }),
            populated: entry.and_then(|e| e.populated),
        });
    }
    Ok(exported)
}

/// What has come must be what the server has sent.
fn prove(entry: &ManifestEntry, digest: &Digest, size: u64) -> Result<(), ProviderError> {
    let differs = |what: String| {
        Err(ProviderError::Broken {
            message: format!(
                "the download of {} is not what the server has sent: {what}",
                entry.key
            ),
            help: "something between here and the ESXi host changes what is sent".into(),
        })
    };
    if entry.size != 0 && entry.size != size {
        return differs(format!("{size} bytes instead of {}", entry.size));
    }
    let is_sha256 = entry
        .checksum_type
        .as_deref()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("sha256"));
    match &entry.checksum {
        Some(sum) if is_sha256 && !sum.eq_ignore_ascii_case(&digest.hex()) => {
            differs(format!("its SHA-256 is {}", digest.hex()))
        }
        _ => Ok(()),
    }
}

async fn download(
    lease: &Lease,
    file: &LeaseFile,
    path: PathBuf,
    all: &AtomicU64,
    work: &Work<'_>,
) -> Result<(PathBuf, Digest, u64), ProviderError> {
    let failed = |source| ProviderError::Io {
        path: path.clone(),
        source,
    };
    let mut out = File::create(&path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut take = |bytes: &[u8]| {
        hash.update(bytes);
        out.write_all(bytes)
    };
    let before = AtomicU64::new(0);
    let progress = |so_far: u64| {
        let more = so_far.saturating_sub(before.swap(so_far, Ordering::Relaxed));
        let done = all.fetch_add(more, Ordering::Relaxed) + more;
        (work.progress)(done, None);
    };
    let size = lease
        .download(file, &mut take, &progress, work.cancel)
        .await;
    let size = size.map_err(|error| match error {
        // the lease knows only that something could not be written
        VimError::Io { source, .. } => failed(source),
        other => translate(other),
    })?;
    out.sync_all().map_err(failed)?;
    let digest = Digest::from_bytes(hash.finalize().into());
    Ok((path, digest, size))
}

/// Imports an appliance as its users would.
pub(super) async fn import(
    lab: &Lab,
    name: &str,
    ovf: &Path,
    (spec, folder, network): (&LaunchSpec, &Ref, Option<&str>),
    cancel: &Cancel,
) -> Result<Ref, ProviderError> {
    let text = std::fs::read_to_string(ovf).map_err(|source| ProviderError::Io {
        path: ovf.to_owned(),
        source,
    })?;
    let mut params = ImportParams {
        name: name.to_owned(),
        thin: true,
        host: lab.place.host.clone(),
        ..ImportParams::default()
    };
    for nic in &spec.hardware.nics {
        let (found, _) = lab.place.network(&nic.network, network).map_err(misfit)?;
        params
            .networks
            .push((nic.network.clone(), found.obj.clone()));
    }
    let client = &lab.client;
    let (pool, datastore) = (&lab.place.pool, &lab.place.datastore);
    let import = client
        .create_import_spec(&text, pool, datastore, &params)
        .await;
    let import = import.map_err(translate)?;
    let host = lab.place.host.as_ref();
    let lease = client
        .import_vapp(pool, &import, Some(folder), host, cancel)
        .await;
    let lease = lease.map_err(translate)?;
    let Some(vm) = lease.entity().cloned() else {
        lease.abort("no machine").await;
        return Err(ProviderError::Failed(
            "the import has made no machine".into(),
        ));
    };
    if let Err(error) = send(&lease, &import, ovf, cancel).await {
        lease.abort(&error.to_string()).await;
        return Err(translate(error));
    }
    lease.complete().await.map_err(translate)?;
    let marked = client
        .reconfigure(&vm, &hardware::marked(&spec.mark), &Waiting::quiet(cancel))
        .await;
    if let Err(error) = marked {
        let _ = lab.destroy(&vm).await;
        return Err(translate(error));
    }
    Ok(vm)
}

/// Uploads the files that an import asks for.
async fn send(
    lease: &Lease,
    import: &ImportSpec,
    ovf: &Path,
    cancel: &Cancel,
) -> Result<(), VimError> {
    for item in &import.items {
        let mut files = lease.files().iter();
        if let Some(file) = files.find(|file| file.import_key == item.device_id) {
            let path = ovf.with_file_name(&item.path);
            lease.upload(file, &path, &|_, _| {}, cancel).await?;
        }
    }
    Ok(())
}
