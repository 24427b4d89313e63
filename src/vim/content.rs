//! What a server is, and the objects that it has from the start.

use super::{Element, Ref, VimError};

/// What kind of server it is; `AboutInfo.apiType` in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiType {
    /// vCenter.
    VirtualCenter,
    /// A single ESXi host.
    HostAgent,
}

/// What a server says of itself; `AboutInfo` in the API.
#[derive(Clone, Debug)]
pub struct About {
    /// What kind of server it is.
    pub api: ApiType,
    /// Its version, such as `7.0.3`.
    pub version: String,
    /// Its build.
    pub build: String,
    /// Its name with version and build.
    pub full_name: String,
    /// The server's own identifier; a host has none.
    pub instance_uuid: Option<String>,
}

/// The objects that every server has; `ServiceContent` in the API. Those that a single host lacks are optional.
#[derive(Clone, Debug)]
pub struct Content {
    /// The folder above all.
    pub root_folder: Ref,
    /// Reads and watches properties.
    pub property_collector: Ref,
    /// Logs in and out.
    pub session_manager: Ref,
    /// Makes views of the inventory.
    pub view_manager: Option<Ref>,
    /// Finds things by path and uuid.
    pub search_index: Option<Ref>,
    /// Moves and deletes files of datastores.
    pub file_manager: Option<Ref>,
    /// Copies and deletes virtual disks.
    pub virtual_disk_manager: Option<Ref>,
    /// Makes and reads OVF descriptors.
    pub ovf_manager: Option<Ref>,
    /// Knows privileges.
    pub authorization_manager: Option<Ref>,
    /// Knows what has happened.
    pub event_manager: Option<Ref>,
    /// Knows what is under way.
    pub task_manager: Option<Ref>,
    /// Chooses datastores of a cluster of them.
    pub storage_resource_manager: Option<Ref>,
    /// Keeps specifications of what guests become.
    pub customization_spec_manager: Option<Ref>,
    /// Knows what is licensed.
    pub license_manager: Option<Ref>,
}

impl About {
    pub(super) fn read(about: &Element) -> Self {
        let text = |name| about.text_of(name).unwrap_or_default().to_owned();
        Self {
            api: match about.text_of("apiType") {
                Some("HostAgent") => ApiType::HostAgent,
                _ => ApiType::VirtualCenter,
            },
            version: text("version"),
            build: text("build"),
            full_name: text("fullName"),
            instance_uuid: about
                .text_of("instanceUuid")
                .filter(|t| !t.is_empty())
                .map(str::to_owned),
        }
    }
}

impl Content {
    pub(super) fn read(content: &Element) -> Result<Self, VimError> {
        let some = |name| content.reference_of(name);
        let must = |name| {
            some(name).ok_or_else(|| {
                VimError::Protocol(format!(
                    "the server has no `{name}`: it is no vCenter and no ESXi"
                ))
            })
        };
        Ok(Self {
            root_folder: must("rootFolder")?,
            property_collector: must("propertyCollector")?,
            session_manager: must("sessionManager")?,
            view_manager: some("viewManager"),
            search_index: some("searchIndex"),
            file_manager: some("fileManager"),
            virtual_disk_manager: some("virtualDiskManager"),
            ovf_manager: some("ovfManager"),
            authorization_manager: some("authorizationManager"),
            event_manager: some("eventManager"),
            task_manager: some("taskManager"),
            storage_resource_manager: some("storageResourceManager"),
            customization_spec_manager: some("customizationSpecManager"),
            license_manager: some("licenseManager"),
        })
    }
}
