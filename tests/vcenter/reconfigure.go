// reconfigure.go changes, renames and removes virtual machines.

package main

import (
	"log"
	"os"
	"path/filepath"
	"sort"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func reconfigVM(c *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	req := c.body.(*types.ReconfigVM_Task)
	if v := req.Spec.ChangeVersion; v != "" && v != vm.Config.ChangeVersion {
		return nil, &types.ConcurrentAccess{}
	}
	if req.Spec.Name != "" && req.Spec.Name != vm.Name {
		if fault := checkName(vm, req.Spec.Name); fault != nil {
			return nil, fault
		}
	}
	p := m.running()
	if fault := m.reconfigure(c.ctx, vm, &req.Spec, p != nil, false); fault != nil {
		return nil, fault
	}
	if p != nil {
		m.changeMedia(vm, p)
		connectMedia(vm, true)
	}
	return nil, nil
}

// reconfigure applies a configuration. In a clone every edited disk keeps the
// file that the clone has.
func (m *machine) reconfigure(ctx *simulator.Context, vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec, running, clone bool) types.BaseMethodFault {
	if running && (spec.NumCPUs != 0 && spec.NumCPUs != vm.Config.Hardware.NumCPU ||
		spec.MemoryMB != 0 && spec.MemoryMB != int64(vm.Config.Hardware.MemoryMB) || spec.Firmware != "" && spec.Firmware != vm.Config.Firmware) {
		return badState(vm, types.VirtualMachinePowerStatePoweredOff)
	}
	before := append([]types.BaseVirtualDevice{}, vm.Config.Hardware.Device...)
	keepRest(before, spec.DeviceChange, clone)
	if fault := checkConfig(vm.Config.Hardware.Device, spec, running, false); fault != nil {
		return fault
	}
	adoptDevices(vm.Config.Hardware.Device, spec)
	// The simulator lets a template change its name and notes only. A real
	// vCenter takes boot options too: Packer clears the boot order after it
	// has made the template.
	template := vm.Config.Template && len(spec.DeviceChange) == 0
	if template {
		change(vm, prop("config.template", false))
	}
	_, fault := delegate(ctx, vm, func(lk *simulator.Context) soap.HasFault {
		return vm.ReconfigVMTask(lk, &types.ReconfigVM_Task{This: vm.Self, Spec: *spec})
	})
	if template {
		change(vm, prop("config.template", true))
	}
	if fault != nil {
		return fault
	}
	keepOrder(vm, before)
	return sysErr(materialise(vm.Config.Hardware.Device, running))
}

// changeMedia makes a running guest's drives hold what the configuration says.
func (m *machine) changeMedia(vm *simulator.VirtualMachine, p *qemuProc) {
	for _, d := range vm.Config.Hardware.Device {
		v := d.GetVirtualDevice()
		id, ok := p.cdroms[v.Key]
		if !ok {
			if id, ok = p.floppy[v.Key]; !ok {
				continue
			}
		}
		var err error
		if f := mediaFile(v); f == "" {
			_, err = p.qmp.do("eject", map[string]any{"id": "dev-" + id, "force": true})
		} else {
			_, err = p.qmp.do("blockdev-change-medium", map[string]any{"id": "dev-" + id, "filename": f, "format": "raw", "force": true})
		}
		if err != nil {
			log.Printf("%s: %v", m.ref.Value, err)
		}
	}
}

// keepRest makes edited devices keep what the change leaves out, and removed
// ones be whole: the simulator relies on both.
func keepRest(have object.VirtualDeviceList, changes []types.BaseVirtualDeviceConfigSpec, clone bool) {
	for _, c := range changes {
		s := c.GetVirtualDeviceConfigSpec()
		if s.Device == nil {
			continue
		}
		old := have.FindByKey(s.Device.GetVirtualDevice().Key)
		if old == nil || s.Operation == types.VirtualDeviceConfigSpecOperationAdd {
			continue
		}
		if s.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			s.Device = old
			continue
		}
		keepCommon(old.GetVirtualDevice(), s.Device.GetVirtualDevice())
		if disk, ok := s.Device.(*types.VirtualDisk); ok {
			if was, ok := old.(*types.VirtualDisk); ok {
				keepDisk(was, disk, clone)
			}
		}
		if nic, ok := s.Device.(types.BaseVirtualEthernetCard); ok {
			if was, ok := old.(types.BaseVirtualEthernetCard); ok && nic.GetVirtualEthernetCard().MacAddress == "" {
				nic.GetVirtualEthernetCard().MacAddress = was.GetVirtualEthernetCard().MacAddress
			}
		}
	}
}

func keepCommon(old, now *types.VirtualDevice) {
	if now.DeviceInfo == nil {
		now.DeviceInfo, _ = deepCopy(old.DeviceInfo).(types.BaseDescription)
	}
	if now.Backing == nil {
		now.Backing = old.Backing
	}
	if now.Connectable == nil && old.Connectable != nil {
		c := *old.Connectable
		now.Connectable = &c
	}
	if now.ControllerKey == 0 {
		now.ControllerKey = old.ControllerKey
	}
	if now.UnitNumber == nil {
		now.UnitNumber = old.UnitNumber
	}
}

// keepDisk is for the file and the capacity. A client edits a copy of what it
// read, and in a clone it has read the source's disks: taken at its word, the
// clone would run on, and grow, the template's.
func keepDisk(old, now *types.VirtualDisk, clone bool) {
	if b := fileBacking(now); clone || b == nil || b.FileName == "" {
		now.Backing = old.Backing
	}
	bytes := diskBytes(old)
	if kb := now.CapacityInKB; kb != 0 && kb*1024 != bytes {
		bytes = kb * 1024
	} else if now.CapacityInBytes != 0 {
		bytes = now.CapacityInBytes
	}
	now.CapacityInBytes, now.CapacityInKB = bytes, bytes/1024
}

// keepOrder puts edited devices back where they were in the list: the simulator
// moves them to its end.
func keepOrder(vm *simulator.VirtualMachine, before object.VirtualDeviceList) {
	place := map[int32]int{}
	for i, d := range before {
		place[d.GetVirtualDevice().Key] = i - len(before)
	}
	now := append([]types.BaseVirtualDevice{}, vm.Config.Hardware.Device...)
	sort.SliceStable(now, func(i, j int) bool {
		return place[now[i].GetVirtualDevice().Key] < place[now[j].GetVirtualDevice().Key]
	})
	change(vm, prop("config.hardware.device", now))
}

func checkName(vm *simulator.VirtualMachine, name string) types.BaseMethodFault {
	folder, ok := get(*vm.Parent).(*simulator.Folder)
	if !ok {
		return nil
	}
	if e := sibling(folder, name); e != nil && e.Reference() != vm.Self {
		return &types.DuplicateName{Name: name, Object: e.Reference()}
	}
	return nil
}

func renameVM(c *call, _ *job, _ *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	name := c.body.(*types.Rename_Task).NewName
	if name == "" {
		return nil, &types.InvalidArgument{InvalidProperty: "newName"}
	}
	if fault := checkName(vm, name); fault != nil {
		return nil, fault
	}
	change(vm, prop("name", name), prop("config.name", name), prop("summary.config.name", name))
	return nil, nil
}

// markAsTemplate is here only to tell those who wait; an ESXi host refuses.
func markAsTemplate(c *call) (any, types.BaseMethodFault) {
	if c.w.esx {
		return nil, &types.NotSupported{}
	}
	vm := getVM(c.this)
	_, fault := delegate(c.ctx, vm, func(*simulator.Context) soap.HasFault {
		return vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self})
	})
	if fault != nil {
		return nil, fault
	}
	change(vm, prop("config.template", true), prop("summary.config.template", true))
	return new(types.MarkAsTemplateResponse), nil
}

// destroyVM removes a VM and its files, but those that others are based on.
func destroyVM(c *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	if m.running() != nil {
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOff)
	}
	return nil, m.destroy(c.ctx, vm)
}

func (m *machine) destroy(ctx *simulator.Context, vm *simulator.VirtualMachine) types.BaseMethodFault {
	dir, derr := directory(vm)
	_, fault := delegate(ctx, vm, func(lk *simulator.Context) soap.HasFault {
		res := vm.UnregisterVM(lk, &types.UnregisterVM{This: vm.Self})
		if res.Fault() != nil {
			return res
		}
		return &methods.UnregisterVMBody{Res: new(types.UnregisterVMResponse)}
	})
	if fault != nil {
		return fault
	}
	if vm.Snapshot != nil {
		for _, s := range allSnapshots(vm.Snapshot.RootSnapshotList) {
			drop(s)
		}
	}
	if derr == nil {
		removeUnneeded(dir)
	}
	m.w.mu.Lock()
	delete(m.w.machines, m.ref)
	m.w.mu.Unlock()
	m.w.refreshSpace()
	return nil
}

// removeUnneeded removes a VM's directory. The disks of its snapshots may be
// what linked clones are based on: those files stay, as on a real vCenter.
func removeUnneeded(dir string) {
	needed := map[string]bool{}
	for _, devices := range allDevices() {
		for _, d := range vmDisks(devices) {
			file, _, err := diskImage(diskPath(d))
			if err != nil {
				continue
			}
			chain, err := imageChain(file)
			if err != nil {
				log.Printf("%s: %v", dir, err)
				return // rather keep too much
			}
			for _, layer := range chain {
				needed[layer.File] = true
			}
		}
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if f := filepath.Join(dir, e.Name()); !needed[f] {
			_ = os.RemoveAll(f)
		}
	}
	_ = os.Remove(dir) // if empty
}

// allDevices lists the devices of every VM and every snapshot.
func allDevices() (out [][]types.BaseVirtualDevice) {
	for _, e := range all("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && vm.Config != nil {
			out = append(out, vm.Config.Hardware.Device)
		}
	}
	for _, o := range registry().AllReference("VirtualMachineSnapshot") {
		if s, ok := o.(*simulator.VirtualMachineSnapshot); ok {
			out = append(out, s.Config.Hardware.Device)
		}
	}
	return out
}
