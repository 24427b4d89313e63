// privileges.go answers the AuthorizationManager: everything is allowed but
// what a no-privilege fault takes away.

package main

import (
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/types"
)

// privilegeOf is the privilege that a method needs.
var privilegeOf = map[string]string{
	"CreateVM_Task":                "VirtualMachine.Inventory.Create",
	"ImportVApp":                   "VApp.Import",
	"CloneVM_Task":                 "VirtualMachine.Provisioning.Clone",
	"PowerOnVM_Task":               "VirtualMachine.Interact.PowerOn",
	"PowerOffVM_Task":              "VirtualMachine.Interact.PowerOff",
	"ShutdownGuest":                "VirtualMachine.Interact.PowerOff",
	"ResetVM_Task":                 "VirtualMachine.Interact.Reset",
	"PutUsbScanCodes":              "VirtualMachine.Interact.PutUsbScanCodes",
	"CreateScreenshot_Task":        "VirtualMachine.Interact.CreateScreenshot",
	"AnswerVM":                     "VirtualMachine.Interact.AnswerQuestion",
	"ReconfigVM_Task":              "VirtualMachine.Config.Settings",
	"Rename_Task":                  "VirtualMachine.Config.Rename",
	"Destroy_Task":                 "VirtualMachine.Inventory.Delete",
	"CreateSnapshot_Task":          "VirtualMachine.State.CreateSnapshot",
	"RevertToSnapshot_Task":        "VirtualMachine.State.RevertToSnapshot",
	"RevertToCurrentSnapshot_Task": "VirtualMachine.State.RevertToSnapshot",
	"RemoveSnapshot_Task":          "VirtualMachine.State.RemoveSnapshot",
	"RemoveAllSnapshots_Task":      "VirtualMachine.State.RemoveSnapshot",
	"MarkAsTemplate":               "VirtualMachine.Provisioning.MarkAsTemplate",
	"MarkAsVirtualMachine":         "VirtualMachine.Provisioning.MarkAsVM",
	"ExportVm":                     "VApp.Export",
	"ExportSnapshot":               "VApp.Export",
	"CreateFolder":                 "Folder.Create",
	"SearchDatastore_Task":         "Datastore.Browse",
	"MakeDirectory":                "Datastore.FileManagement",
	"MoveDatastoreFile_Task":       "Datastore.FileManagement",
	"DeleteDatastoreFile_Task":     "Datastore.FileManagement",
	"CancelTask":                   "Global.CancelTask",
}

// privilege is what a no-privilege fault takes away: its argument, or what the
// method needs.
func (i *injected) privilege(method string) string {
	if p := privilegeOf[method]; p != "" {
		return i.text(p)
	}
	return i.text("System.Read")
}

// denied says whether a privilege has been taken away.
func (w *world) denied(id string) bool {
	for _, i := range w.faults.each("no-privilege") {
		for method := range privilegeOf {
			if i.fits("no-privilege", method) && i.privilege(method) == id {
				return true
			}
		}
	}
	return false
}

func (w *world) availability(entities []types.ManagedObjectReference, ids []string) []types.EntityPrivilege {
	var out []types.EntityPrivilege
	for _, e := range entities {
		p := types.EntityPrivilege{Entity: e}
		for _, id := range ids {
			p.PrivAvailability = append(p.PrivAvailability, types.PrivilegeAvailability{PrivId: id, IsGranted: !w.denied(id)})
		}
		out = append(out, p)
	}
	return out
}

func hasPrivilegeOnEntities(c *call) (any, types.BaseMethodFault) {
	req := c.body.(*types.HasPrivilegeOnEntities)
	return &types.HasPrivilegeOnEntitiesResponse{Returnval: c.w.availability(req.Entity, req.PrivId)}, nil
}

func hasUserPrivilegeOnEntities(c *call) (any, types.BaseMethodFault) {
	req := c.body.(*types.HasUserPrivilegeOnEntities)
	return &types.HasUserPrivilegeOnEntitiesResponse{Returnval: c.w.availability(req.Entities, req.PrivId)}, nil
}

func fetchUserPrivilegeOnEntities(c *call) (any, types.BaseMethodFault) {
	req := c.body.(*types.FetchUserPrivilegeOnEntities)
	granted := map[string]bool{}
	var ids []string
	add := func(id string) {
		if !granted[id] && !c.w.denied(id) {
			granted[id] = true
			ids = append(ids, id)
		}
	}
	for _, r := range esx.RoleList {
		if r.Name == "Admin" {
			for _, id := range r.Privilege {
				add(id)
			}
		}
	}
	for _, id := range privilegeOf {
		add(id)
	}
	res := &types.FetchUserPrivilegeOnEntitiesResponse{}
	for _, e := range req.Entities {
		res.Returnval = append(res.Returnval, types.UserPrivilegeResult{Entity: e, Privileges: ids})
	}
	return res, nil
}
