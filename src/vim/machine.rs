//! Machines: made, changed, copied, deleted, and their snapshots.

use super::{Client, CloneSpec, ConfigSpec, Element, Ref, VimError, Waiting, Xml};

impl Client {
    /// Makes a machine; `Folder.CreateVM_Task`.
    pub async fn create_vm(
        &self,
        folder: &Ref,
        spec: &ConfigSpec,
        pool: &Ref,
        host: Option<&Ref>,
        waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        let body = |xml: &mut Xml| {
            spec.write(xml, "config");
            xml.reference("pool", pool).maybe_reference("host", host);
        };
        self.task_for(folder, "CreateVM_Task", body, waiting).await
    }

    /// Changes a machine; `VirtualMachine.ReconfigVM_Task`.
    pub async fn reconfigure(
        &self,
        vm: &Ref,
        spec: &ConfigSpec,
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let body = |xml: &mut Xml| spec.write(xml, "spec");
        self.task(vm, "ReconfigVM_Task", body, waiting)
            .await
            .map(drop)
    }

    /// Copies a machine; `VirtualMachine.CloneVM_Task`.
    pub async fn clone_vm(
        &self,
        vm: &Ref,
        folder: &Ref,
        name: &str,
        spec: &CloneSpec,
        waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        let body = |xml: &mut Xml| {
            xml.reference("folder", folder).element("name", name);
            spec.write(xml, "spec");
        };
        self.task_for(vm, "CloneVM_Task", body, waiting).await
    }

    /// Deletes a machine with its disks, or a folder with all that is in it; `ManagedEntity.Destroy_Task`.
    pub async fn destroy(&self, entity: &Ref, waiting: &Waiting<'_>) -> Result<(), VimError> {
        self.task(entity, "Destroy_Task", |_| {}, waiting)
            .await
            .map(drop)
    }

    /// Renames something; `ManagedEntity.Rename_Task`.
    pub async fn rename(
        &self,
        entity: &Ref,
        name: &str,
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let body = |xml: &mut Xml| {
            xml.element("newName", name);
        };
        self.task(entity, "Rename_Task", body, waiting)
            .await
            .map(drop)
    }

    /// Makes a snapshot; `VirtualMachine.CreateSnapshot_Task`.
    pub async fn create_snapshot(
        &self,
        vm: &Ref,
        name: &str,
        description: &str,
        memory: bool,
        quiesce: bool,
        waiting: &Waiting<'_>,
    ) -> Result<Ref, VimError> {
        let body = |xml: &mut Xml| {
            xml.element("name", name)
                .element("description", description)
                .element("memory", memory)
                .element("quiesce", quiesce);
        };
        self.task_for(vm, "CreateSnapshot_Task", body, waiting)
            .await
    }

    /// Takes a machine back to a snapshot; `VirtualMachineSnapshot.RevertToSnapshot_Task`.
    pub async fn revert(&self, snapshot: &Ref, waiting: &Waiting<'_>) -> Result<(), VimError> {
        self.task(snapshot, "RevertToSnapshot_Task", |_| {}, waiting)
            .await
            .map(drop)
    }

    /// Removes a snapshot, with those made after it or without; `VirtualMachineSnapshot.RemoveSnapshot_Task`.
    pub async fn remove_snapshot(
        &self,
        snapshot: &Ref,
        children: bool,
        waiting: &Waiting<'_>,
    ) -> Result<(), VimError> {
        let body = |xml: &mut Xml| {
            xml.element("removeChildren", children);
        };
        self.task(snapshot, "RemoveSnapshot_Task", body, waiting)
            .await
            .map(drop)
    }

    /// Makes a machine a template; `VirtualMachine.MarkAsTemplate`.
    pub async fn mark_as_template(&self, vm: &Ref) -> Result<(), VimError> {
        self.call(vm, "MarkAsTemplate", |_| {}).await.map(drop)
    }

    /// Makes a template a machine again; `VirtualMachine.MarkAsVirtualMachine`.
    pub async fn mark_as_vm(
        &self,
        vm: &Ref,
        pool: &Ref,
        host: Option<&Ref>,
    ) -> Result<(), VimError> {
        let body = |xml: &mut Xml| {
            xml.reference("pool", pool).maybe_reference("host", host);
        };
        self.call(vm, "MarkAsVirtualMachine", body).await.map(drop)
    }

    /// A specification that the server keeps, `CustomizationSpec`; `CustomizationSpecManager.GetCustomizationSpec`. `NotFound`
    /// if there is none of this name.
    pub async fn customization(&self, name: &str) -> Result<Element, VimError> {
        let manager = self.content().customization_spec_manager.as_ref();
        let manager = manager.ok_or_else(|| {
            VimError::Protocol("the server keeps no customization specifications".into())
        })?;
        let response = self
            .call(manager, "GetCustomizationSpec", |xml| {
                xml.element("name", name);
            })
            .await?;
        let spec = response.at("returnval.spec").cloned();
        spec.ok_or_else(|| VimError::Protocol("GetCustomizationSpec gives no specification".into()))
    }
}
