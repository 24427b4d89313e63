//! Leases: a machine's disks as streams over HTTP, out and in.

mod pulse;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::pulse::Pulse;
use super::{Client, Element, Fault, Properties, Ref, VimError, Xml};
use crate::model::Size;
use crate::sys::Cancel;

/// How long a lease may take until it is ready.
const READY: Duration = Duration::from_secs(30 * 60);

/// A lease on a machine's disks; `HttpNfcLease` in the API. It is kept alive until it is completed or aborted; dropped
/// without either, it is aborted.
pub struct Lease {
    client: Client,
    lease: Ref,
    files: Vec<LeaseFile>,
    entity: Option<Ref>,
    pulse: Arc<Pulse>,
    keeper: tokio::task::AbortHandle,
    ended: bool,
}

/// A file of a lease; `HttpNfcLeaseDeviceUrl` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseFile {
    /// Which device it is, for OVF descriptors.
    pub key: String,
    /// Which file of an import it is.
    pub import_key: String,
    /// Where it is.
    pub url: String,
    /// Whether it is a disk.
    pub disk: bool,
    /// The server's name for the file.
    pub target: Option<String>,
    /// How large it is, if the server knows.
    pub size: Option<u64>,
    /// The SHA-1 or SHA-256 of the host's certificate.
    pub thumbprint: Option<String>,
}

/// What the server has sent of a file; `HttpNfcLeaseManifestEntry` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Which device it is.
    pub key: String,
    /// Its SHA-1 in hexadecimal digits.
    pub sha1: Option<String>,
    /// Its checksum of the type below.
    pub checksum: Option<String>,
    /// Such as `sha1` or `sha256`.
    pub checksum_type: Option<String>,
    /// The bytes sent.
    pub size: u64,
    /// Whether it is a disk.
    pub disk: bool,
    /// How large the disk is.
    pub capacity: Option<Size>,
    /// How much of it is in use.
    pub populated: Option<Size>,
}

impl Client {
    /// Opens a machine that is off for download; `VirtualMachine.ExportVm`. Returns when it is ready.
    pub async fn export_vm(&self, vm: &Ref, cancel: &Cancel) -> Result<Lease, VimError> {
        self.lease(vm, "ExportVm", |_| {}, cancel).await
    }

    /// Opens a snapshot for download; `VirtualMachineSnapshot.ExportSnapshot`. Returns when it is ready.
    pub async fn export_snapshot(
        &self,
        snapshot: &Ref,
        cancel: &Cancel,
    ) -> Result<Lease, VimError> {
        self.lease(snapshot, "ExportSnapshot", |_| {}, cancel).await
    }

    /// Calls a method that gives a lease, and waits until it is ready.
    pub(super) async fn lease(
        &self,
        this: &Ref,
        method: &str,
        body: impl FnOnce(&mut Xml),
        cancel: &Cancel,
    ) -> Result<Lease, VimError> {
        if cancel.is_cancelled() {
            return Err(VimError::Cancelled);
        }
        let response = self.call(this, method, body).await?;
        let lease = response
            .reference_of("returnval")
            .ok_or_else(|| VimError::Protocol(format!("{method} gives no lease")))?;
        // From here on it is aborted unless it is completed.
        let mut lease = Lease::new(self, lease);
        let paths = ["state", "error", "info"];
        let deadline = Instant::now() + READY;
        let ready = self
            .watch(&lease.lease, &paths, deadline, cancel, readiness)
            .await?;
        lease.take(&ready?);
        lease.keeper = pulse::keep(self, &lease.lease, &lease.pulse);
        Ok(lease)
    }
}

/// What a lease has to offer once it is ready, or why it never will.
fn readiness(seen: &Properties) -> Option<Result<Element, VimError>> {
    match seen.text("state")? {
        "ready" => seen.get("info").cloned().map(Ok),
        "error" => Some(Err(match seen.get("error") {
            Some(error) => Fault::localized(error).into(),
            None => VimError::Protocol("the lease failed without saying why".into()),
        })),
        "done" => Some(Err(VimError::Protocol(
            "the lease has ended before it began".into(),
        ))),
        _ => None,
    }
}

impl Lease {
    fn new(client: &Client, lease: Ref) -> Self {
        Self {
            client: client.clone(),
            lease,
            files: Vec::new(),
            entity: None,
            pulse: Arc::default(),
            keeper: tokio::spawn(async {}).abort_handle(),
            ended: false,
        }
    }

    /// Takes over a `HttpNfcLeaseInfo`.
    fn take(&mut self, info: &Element) {
        self.files = info
            .children_named("deviceUrl")
            .map(LeaseFile::read)
            .collect();
        self.entity = info.reference_of("entity");
        self.pulse
            .expect(info.u64_of("totalDiskCapacityInKB").unwrap_or_default() << 10);
    }

    /// Sets how many bytes there will be.
    pub(super) fn expect(&self, total: u64) {
        self.pulse.expect(total);
    }

    /// What can be transferred.
    #[must_use]
    pub fn files(&self) -> &[LeaseFile] {
        &self.files
    }

    /// The machine: the exported one, or the new one.
    #[must_use]
    pub fn entity(&self) -> Option<&Ref> {
        self.entity.as_ref()
    }

    /// What the server has sent; `HttpNfcLease.HttpNfcLeaseGetManifest`. Empty where the server does not know.
    pub async fn manifest(&self) -> Result<Vec<ManifestEntry>, VimError> {
        const UNKNOWN: &[&str] = &[
            "NotSupported",
            "NotImplemented",
            "MethodNotFound",
            "InvalidRequest",
            "SoapFault",
        ];
        match self
            .client
            .call(&self.lease, "HttpNfcLeaseGetManifest", |_| {})
            .await
        {
            Ok(response) => Ok(response
                .children_named("returnval")
                .map(ManifestEntry::read)
                .collect()),
            Err(VimError::Fault(fault)) if UNKNOWN.contains(&fault.kind.as_str()) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Ends it well.
    pub async fn complete(mut self) -> Result<(), VimError> {
        let percent = |xml: &mut Xml| {
            xml.element("percent", 100);
        };
        self.client
            .call(&self.lease, "HttpNfcLeaseProgress", percent)
            .await?;
        self.keeper.abort();
        self.client
            .call(&self.lease, "HttpNfcLeaseComplete", |_| {})
            .await?;
        self.ended = true;
        Ok(())
    }

    /// Ends it badly: what has been imported is removed.
    pub async fn abort(mut self, why: &str) {
        self.keeper.abort();
        self.ended = true;
        abort(&self.client, &self.lease, why).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
        if self.ended {
            return;
        }
        let (client, lease) = (self.client.clone(), self.lease.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { abort(&client, &lease, "given up").await });
        }
    }
}

async fn abort(client: &Client, lease: &Ref, why: &str) {
    let fault = |xml: &mut Xml| {
        xml.within("fault", |xml| {
            xml.typed("fault", "SystemError", |xml| {
                xml.element("reason", why);
            })
            .element("localizedMessage", why);
        });
    };
    // One that is not heard of again ends by itself, after its timeout.
    let _ = client.call(lease, "HttpNfcLeaseAbort", fault).await;
}

impl LeaseFile {
    fn read(url: &Element) -> Self {
        let some = |name| {
            url.text_of(name)
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
        };
        let text = |name| some(name).unwrap_or_default();
        Self {
            key: text("key"),
            import_key: text("importKey"),
            url: text("url"),
            disk: url.bool_of("disk").unwrap_or(true),
            target: some("targetId"),
            size: url.u64_of("fileSize").filter(|size| *size > 0),
            thumbprint: some("sslThumbprint"),
        }
    }
}

impl ManifestEntry {
    fn read(entry: &Element) -> Self {
        let some = |name| {
            entry
                .text_of(name)
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
        };
        Self {
            key: some("key").unwrap_or_default(),
            sha1: some("sha1"),
            checksum: some("checksum"),
            checksum_type: some("checksumType"),
            size: entry.u64_of("size").unwrap_or_default(),
            disk: entry.bool_of("disk").unwrap_or_default(),
            capacity: entry.u64_of("capacity").map(Size::from_bytes),
            populated: entry.u64_of("populatedSize").map(Size::from_bytes),
        }
    }
}
