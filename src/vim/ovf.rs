//! OVF descriptors, made and imported by the server.

use super::inventory::has;
use super::{Client, Element, Fault, Lease, Ref, VimError, Xml};
use crate::sys::Cancel;

/// A file that a descriptor names; `OvfFile` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OvfFile {
    /// The lease's key for it.
    pub device_id: String,
    /// Its name beside the descriptor.
    pub path: String,
    /// How large it is.
    pub size: u64,
}

/// How a descriptor is imported; `OvfCreateImportSpecParams` in the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportParams {
    /// The new machine's name.
    pub name: String,
    /// Which network each of the descriptor's becomes.
    pub networks: Vec<(String, Ref)>,
    /// Whether the disks' space is taken only when written.
    pub thin: bool,
    /// The host.
    pub host: Option<Ref>,
}

/// What an import needs; `OvfCreateImportSpecResult` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportSpec {
    /// `ImportSpec`, to be handed to [`Client::import_vapp`].
    pub spec: Element,
    /// The files to upload.
    pub items: Vec<FileItem>,
    /// What the server finds odd.
    pub warnings: Vec<String>,
}

/// A file to upload; `OvfFileItem` in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileItem {
    /// The lease's `import_key` for it.
    pub device_id: String,
    /// Its name beside the descriptor.
    pub path: String,
    /// How large it is, if the descriptor tells.
    pub size: Option<u64>,
    /// Whether it is a new file, to be put with `Overwrite`, and not a disk.
    pub create: bool,
}

impl Client {
    /// The OVF descriptor of a machine; `OvfManager.CreateDescriptor`.
    pub async fn create_descriptor(
        &self,
        vm: &Ref,
        name: &str,
        files: &[OvfFile],
    ) -> Result<String, VimError> {
        let body = |xml: &mut Xml| {
            xml.reference("obj", vm).within("cdp", |xml| {
                for file in files {
                    xml.within("ovfFiles", |xml| {
                        xml.element("deviceId", &file.device_id)
                            .element("path", &file.path)
                            .element("size", file.size);
                    });
                }
                xml.element("name", name);
            });
        };
        let response = self
            .call(self.ovf_manager()?, "CreateDescriptor", body)
            .await?;
        let result = judged(&response)?;
        let descriptor = result
            .text_of("ovfDescriptor")
            .filter(|text| !text.is_empty());
        descriptor
            .map(str::to_owned)
            .ok_or_else(|| VimError::Protocol("CreateDescriptor gives no descriptor".into()))
    }

    /// What the import of a descriptor needs; `OvfManager.CreateImportSpec`.
    pub async fn create_import_spec(
        &self,
        ovf: &str,
        pool: &Ref,
        datastore: &Ref,
        params: &ImportParams,
    ) -> Result<ImportSpec, VimError> {
        let body = |xml: &mut Xml| {
            xml.element("ovfDescriptor", ovf)
                .reference("resourcePool", pool)
                .reference("datastore", datastore)
                .within("cisp", |xml| params.write(xml));
        };
        let response = self
            .call(self.ovf_manager()?, "CreateImportSpec", body)
            .await?;
        let result = judged(&response)?;
        let warnings = result
            .children_named("warning")
            .map(|w| Fault::localized(w).message);
        Ok(ImportSpec {
            spec: result.child("importSpec").cloned().ok_or_else(|| {
                VimError::Protocol("CreateImportSpec gives no specification".into())
            })?,
            items: result
                .children_named("fileItem")
                .map(FileItem::read)
                .collect(),
            warnings: warnings.collect(),
        })
    }

    /// Opens a new machine for upload; `ResourcePool.ImportVApp`. Returns when it is ready.
    pub async fn import_vapp(
        &self,
        pool: &Ref,
        spec: &ImportSpec,
        folder: Option<&Ref>,
        host: Option<&Ref>,
        cancel: &Cancel,
    ) -> Result<Lease, VimError> {
        let body = |xml: &mut Xml| {
            xml.copy("spec", &spec.spec)
                .maybe_reference("folder", folder)
                .maybe_reference("host", host);
        };
        let lease = self.lease(pool, "ImportVApp", body, cancel).await?;
        if let Some(total) = spec.items.iter().map(|item| item.size).sum() {
            lease.expect(total);
        }
        Ok(lease)
    }

    fn ovf_manager(&self) -> Result<&Ref, VimError> {
        has(self.content().ovf_manager.as_ref(), "OVF manager")
    }
}

impl ImportParams {
    fn write(&self, xml: &mut Xml) {
        xml.element("locale", "")
            .element("deploymentOption", "")
            .element("entityName", &self.name)
            .maybe_reference("hostSystem", self.host.as_ref());
        for (name, network) in &self.networks {
            xml.within("networkMapping", |xml| {
                xml.element("name", name).reference("network", network);
            });
        }
        xml.element("diskProvisioning", if self.thin { "thin" } else { "thick" });
    }
}

impl FileItem {
    fn read(item: &Element) -> Self {
        let text = |name| item.text_of(name).unwrap_or_default().to_owned();
        Self {
            device_id: text("deviceId"),
            path: text("path"),
            size: item.u64_of("size"),
            create: item.bool_of("create").unwrap_or_default(),
        }
    }
}

/// The result in a response; the first error that it tells is one.
fn judged(response: &Element) -> Result<&Element, VimError> {
    let result = response
        .returned()
        .ok_or_else(|| VimError::Protocol(format!("{} has no result", response.name)))?;
    match result.child("error") {
        Some(error) => Err(Fault::localized(error).into()),
        None => Ok(result),
    }
}
