// create.go makes virtual machines, and checks what it is asked for: the
// simulator trusts its clients, and stops the whole program where one names
// what there is not.

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func createVMTask(c *call, _ *job) (types.AnyType, types.BaseMethodFault) {
	vm, fault := c.w.createVM(c.ctx, c.body.(*types.CreateVM_Task), "CreateVM_Task")
	if fault != nil {
		return nil, fault
	}
	if err := materialise(vm.Config.Hardware.Device, false); err != nil {
		return nil, sysErr(err)
	}
	config := c.body.(*types.CreateVM_Task).Config
	notePolicies(vm, config.VmProfile, config.DeviceChange)
	c.w.refreshSpace()
	return vm.Self, nil
}

// createVM has the simulator make the VM, and tidies up after it.
func (w *world) createVM(ctx *simulator.Context, req *types.CreateVM_Task, method string) (*simulator.VirtualMachine, types.BaseMethodFault) {
	folder, ok := get(req.This).(*simulator.Folder)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: req.This}
	}
	w.creating.Lock()
	defer w.creating.Unlock()
	if fault := w.checkCreate(folder, req, method); fault != nil {
		return nil, fault
	}
	adoptDevices(esx.VirtualDevice, &req.Config)
	res, fault := delegate(ctx, folder, func(lk *simulator.Context) soap.HasFault { return folder.CreateVMTask(lk, req) })
	if fault != nil {
		return nil, fault
	}
	vm := getVM(res.(types.ManagedObjectReference))
	if vm == nil {
		return nil, sysErr(fmt.Errorf("the VM has gone"))
	}
	// These enumerations are sent even when empty, and pyVmomi cannot read that.
	change(vm, prop("runtime.faultToleranceState", types.VirtualMachineFaultToleranceStateNotConfigured),
		prop("runtime.recordReplayState", types.VirtualMachineRecordReplayStateInactive),
		prop("summary.runtime.faultToleranceState", types.VirtualMachineFaultToleranceStateNotConfigured),
		prop("summary.runtime.recordReplayState", types.VirtualMachineRecordReplayStateInactive),
		prop("layoutEx", vmxFirst(vm.LayoutEx)))
	return vm, nil
}

// vmxFirst lists a VM's files as vCenter does, the .vmx before all others;
// clients look there for the VM's directory.
func vmxFirst(layout *types.VirtualMachineFileLayoutEx) *types.VirtualMachineFileLayoutEx {
	sorted := *layout
	sorted.File = slices.Clone(layout.File)
	rank := func(f types.VirtualMachineFileLayoutExFileInfo) int {
		if strings.HasSuffix(f.Name, ".vmx") {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(sorted.File, func(a, b types.VirtualMachineFileLayoutExFileInfo) int { return rank(a) - rank(b) })
	return &sorted
}

// sibling is the VM of that name in a folder.
func sibling(folder *simulator.Folder, name string) mo.Entity {
	for _, ref := range folder.ChildEntity {
		if e, ok := get(ref).(mo.Entity); ok && e.Entity().Name == name {
			return e
		}
	}
	return nil
}

func (w *world) checkCreate(folder *simulator.Folder, req *types.CreateVM_Task, method string) types.BaseMethodFault {
	if e := sibling(folder, req.Config.Name); e != nil {
		return &types.DuplicateName{Name: req.Config.Name, Object: e.Reference()}
	}
	switch get(req.Pool).(type) {
	case *simulator.ResourcePool, *simulator.VirtualApp:
	default:
		return &types.ManagedObjectNotFound{Obj: req.Pool}
	}
	if req.Host != nil && get(*req.Host) == nil {
		return &types.ManagedObjectNotFound{Obj: *req.Host}
	}
	if req.Config.Files == nil || req.Config.Files.VmPathName == "" {
		return &types.InvalidArgument{InvalidProperty: "configSpec.files.vmPathName"}
	}
	var home object.DatastorePath
	if !home.FromString(req.Config.Files.VmPathName) || datastoreNamed(home.Datastore) == nil {
		return &types.InvalidDatastorePath{InvalidDatastore: types.InvalidDatastore{Name: home.Datastore}, DatastorePath: req.Config.Files.VmPathName}
	}
	if fault := w.full(method, home.Datastore); fault != nil {
		return fault
	}
	if id := req.Config.GuestId; id != "" && !slices.Contains(types.VirtualMachineGuestOsIdentifier("").Strings(), id) {
		return &types.InvalidArgument{InvalidProperty: "configSpec.guestId"}
	}
	return checkConfig(esx.VirtualDevice, &req.Config, false, method == "ImportVApp")
}

// checkConfig checks a configuration that is to be applied to a VM that has the
// given devices. The files of an import come later.
func checkConfig(have []types.BaseVirtualDevice, spec *types.VirtualMachineConfigSpec, running, importing bool) types.BaseMethodFault {
	if f := spec.Firmware; f != "" && f != "bios" && f != "efi" {
		return &types.InvalidArgument{InvalidProperty: "configSpec.firmware"}
	}
	keys := map[int32]bool{0: true}
	for _, d := range have {
		keys[d.GetVirtualDevice().Key] = true
	}
	for _, ch := range spec.DeviceChange {
		if d := ch.GetVirtualDeviceConfigSpec().Device; d != nil {
			keys[d.GetVirtualDevice().Key] = true
		}
	}
	for i, ch := range spec.DeviceChange {
		s := ch.GetVirtualDeviceConfigSpec()
		invalid := types.InvalidDeviceSpec{
			InvalidVmConfig: types.InvalidVmConfig{Property: "virtualDeviceSpec.device"}, DeviceIndex: int32(i)}
		if s.Device == nil || !keys[s.Device.GetVirtualDevice().ControllerKey] {
			return &invalid
		}
		old := object.VirtualDeviceList(have).FindByKey(s.Device.GetVirtualDevice().Key)
		if s.Operation != types.VirtualDeviceConfigSpecOperationAdd && old == nil {
			return &invalid
		}
		if running && s.Operation != types.VirtualDeviceConfigSpecOperationEdit && !hotPlug(s.Device) {
			return &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: types.VirtualMachinePowerStatePoweredOn}
		}
		if s.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			continue
		}
		if fault := checkDevice(s, old, invalid, running, importing); fault != nil {
			return fault
		}
	}
	return nil
}

// hotPlug says whether a device can come and go while the VM is on.
func hotPlug(d types.BaseVirtualDevice) bool {
	switch d.(type) {
	case *types.VirtualFloppy:
		return false
	case *types.VirtualCdrom, *types.VirtualDisk:
		ide := d.GetVirtualDevice().ControllerKey
		return ide != 200 && ide != 201
	}
	return true
}

func checkDevice(s *types.VirtualDeviceConfigSpec, old types.BaseVirtualDevice, invalid types.InvalidDeviceSpec, running, importing bool) types.BaseMethodFault {
	switch x := s.Device.(type) {
	case types.BaseVirtualEthernetCard:
		if !networkExists(x.GetVirtualEthernetCard().Backing) {
			invalid.Property = "virtualDeviceSpec.device.backing"
			return &types.InvalidDeviceBacking{InvalidDeviceSpec: invalid}
		}
	case *types.VirtualDisk:
		return checkDisk(s, x, old, invalid, running)
	case *types.VirtualCdrom, *types.VirtualFloppy:
		if b := fileBacking(s.Device); b != nil && !importing {
			return checkFile(b.FileName)
		}
	}
	return nil
}

func checkDisk(s *types.VirtualDeviceConfigSpec, x *types.VirtualDisk, old types.BaseVirtualDevice, invalid types.InvalidDeviceSpec, running bool) types.BaseMethodFault {
	b := fileBacking(x)
	if b == nil {
		return &types.InvalidDeviceBacking{InvalidDeviceSpec: invalid}
	}
	if fault := checkDatastore(b.FileName); fault != nil {
		return fault
	}
	bytes := diskBytes(x)
	if was, ok := old.(*types.VirtualDisk); ok && s.Operation == types.VirtualDeviceConfigSpecOperationEdit {
		if bytes < diskBytes(was) || bytes > diskBytes(was) && (hasParent(was) || running) {
			return &types.InvalidDeviceOperation{InvalidDeviceSpec: invalid, BadOp: s.Operation}
		}
		return nil
	}
	if s.FileOperation != "" {
		if bytes == 0 {
			return &invalid
		}
		return nil
	}
	// A disk that is there already, and knows its capacity.
	file, _, err := diskImage(b.FileName)
	if err != nil {
		return &types.FileNotFound{FileFault: types.FileFault{File: b.FileName}}
	}
	chain, err := imageChain(file)
	if err != nil {
		return sysErr(err)
	}
	x.CapacityInBytes, x.CapacityInKB = chain[0].VirtualSize, chain[0].VirtualSize/1024
	return nil
}

func networkExists(b types.BaseVirtualDeviceBackingInfo) bool {
	switch x := b.(type) {
	case nil:
		return true // an edit that keeps it
	case *types.VirtualEthernetCardNetworkBackingInfo:
		for _, kind := range []string{"Network", "DistributedVirtualPortgroup"} {
			for _, e := range registry().AllReference(kind) {
				if n, ok := e.(*mo.Network); ok && n.Name == x.DeviceName {
					return true
				}
			}
		}
		return false
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		pg, ok := get(types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: x.Port.PortgroupKey}).(*simulator.DistributedVirtualPortgroup)
		if !ok || pg.Config.DistributedVirtualSwitch == nil {
			return false
		}
		dvs, ok := get(*pg.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
		return ok && dvs.Uuid == x.Port.SwitchUuid
	}
	return false
}

// checkDatastore wants the datastore of a path to be there, if it names one.
func checkDatastore(name string) types.BaseMethodFault {
	var p object.DatastorePath
	if name != "" && (!p.FromString(name) || datastoreNamed(p.Datastore) == nil) {
		return &types.InvalidDatastorePath{InvalidDatastore: types.InvalidDatastore{Name: p.Datastore}, DatastorePath: name}
	}
	return nil
}

func checkFile(name string) types.BaseMethodFault {
	if name == "" {
		return nil
	}
	if fault := checkDatastore(name); fault != nil {
		return fault
	}
	file, err := hostPath(name)
	if err == nil {
		_, err = os.Stat(file)
	}
	if err != nil {
		return &types.FileNotFound{FileFault: types.FileFault{File: name}}
	}
	return nil
}
