//! Machines: made, changed, cloned, started, stopped, and their snapshots.

use super::{Client, CloneSpec, ConfigSpec, CustomizationLinux, Ref, VimError, Waiting};

impl Client {
    /// Makes a machine; `Folder.CreateVM_Task`.
    pub async fn create_vm(
        &self,
        _folder: &Ref,
        _spec: &ConfigSpec,
        _pool: &Ref,
        _host: Option<&Ref>,
        _waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Changes a machine; `VirtualMachine.ReconfigVM_Task`.
    pub async fn reconfigure(
        &self,
        _vm: &Ref,
        _spec: &ConfigSpec,
        _waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Copies a machine; `VirtualMachine.CloneVM_Task`.
    pub async fn clone_vm(
        &self,
        _vm: &Ref,
        _folder: &Ref,
        _name: &str,
        _spec: &CloneSpec,
        _waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Starts a machine; `VirtualMachine.PowerOnVM_Task`. A question that it asks meanwhile is an error with the
    /// question's text and choices, of the kind `Question`.
    pub async fn power_on(&self, _vm: &Ref, _waiting: &Waiting<'_>) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Cuts a machine's power; `VirtualMachine.PowerOffVM_Task`. One that is off already is fine.
    pub async fn power_off(&self, _vm: &Ref, _waiting: &Waiting<'_>) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Asks the guest to shut down, by VMware Tools; `VirtualMachine.ShutdownGuest`. Does not wait for it.
    pub async fn shutdown_guest(&self, _vm: &Ref) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Presses a machine's reset button; `VirtualMachine.ResetVM_Task`.
    pub async fn reset(&self, _vm: &Ref, _waiting: &Waiting<'_>) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Deletes a machine with its disks, or a folder with all that is in it; `ManagedEntity.Destroy_Task`.
    pub async fn destroy(&self, _entity: &Ref, _waiting: &Waiting<'_>) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Renames something; `ManagedEntity.Rename_Task`.
    pub async fn rename(
        &self,
        _entity: &Ref,
        _name: &str,
        _waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Makes a snapshot; `VirtualMachine.CreateSnapshot_Task`.
    pub async fn create_snapshot(
        &self,
        _vm: &Ref,
        _name: &str,
        _description: &str,
        _memory: bool,
        _quiesce: bool,
        _waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Takes a machine back to a snapshot; `VirtualMachineSnapshot.RevertToSnapshot_Task`.
    pub async fn revert(&self, _snapshot: &Ref, _waiting: &Waiting<'_>) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Removes a snapshot, with those made after it or without; `VirtualMachineSnapshot.RemoveSnapshot_Task`.
    pub async fn remove_snapshot(
        &self,
        _snapshot: &Ref,
        _children: bool,
        _waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Makes a machine a template; `VirtualMachine.MarkAsTemplate`.
    pub async fn mark_as_template(&self, _vm: &Ref) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Makes a template a machine again; `VirtualMachine.MarkAsVirtualMachine`.
    pub async fn mark_as_vm(
        &self,
        _vm: &Ref,
        _pool: &Ref,
        _host: Option<&Ref>,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }

    /// Says what the guest becomes at its next start; `VirtualMachine.CustomizeVM_Task`.
    pub async fn customize(
        &self,
        _vm: &Ref,
        _spec: &CustomizationLinux,
        _waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        Err(VimError::Protocol("not yet".into()))
    }
}
