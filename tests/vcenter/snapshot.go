// snapshot.go freezes disks: with a snapshot the VM goes on with overlays, and
// nothing ever writes to the layers beneath, which the snapshot, other branches
// of the tree and linked clones share.

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func createSnapshot(c *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	req := c.body.(*types.CreateSnapshot_Task)
	req.This = m.ref
	if vm.Config.Template {
		return nil, &types.NotSupported{}
	}
	p := m.running()
	if err := materialise(vm.Config.Hardware.Device, p != nil); err != nil {
		return nil, sysErr(err)
	}
	req.Memory = req.Memory && p != nil
	var mem *memorySnapshot
	if req.Memory {
		if err := p.pause(); err != nil {
			return nil, sysErr(err)
		}
		defer func() { _ = p.cont() }()
	}
	before := copyDevices(vm.Config.Hardware.Device)
	res, fault := delegate(c.ctx, vm, func(lk *simulator.Context) soap.HasFault { return vm.CreateSnapshotTask(lk, req) })
	if fault != nil {
		return nil, fault
	}
	snap, ok := get(res.(types.ManagedObjectReference)).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return nil, sysErr(fmt.Errorf("no snapshot object"))
	}
	snap.Config.Hardware.Device = before
	if err := overlayDisks(vm, before, p); err != nil {
		return nil, sysErr(err)
	}
	if req.Memory {
		var err error
		if mem, err = m.keepMemory(vm, p, snap.Self); err != nil {
			return nil, sysErr(err)
		}
		m.kept[snap.Self] = mem
	}
	return res, nil
}

func createSnapshotEx(c *call, j *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	req := c.body.(*types.CreateSnapshotEx_Task)
	c.body = &types.CreateSnapshot_Task{Name: req.Name, Description: req.Description, Memory: req.Memory, Quiesce: req.QuiesceSpec != nil}
	return createSnapshot(c, j, m, vm)
}

// overlayDisks puts a fresh overlay on top of each disk of base and makes the
// VM use it.
func overlayDisks(vm *simulator.VirtualMachine, base []types.BaseVirtualDevice, p *qemuProc) error {
	now := copyDevices(base)
	for _, d := range vmDisks(now) {
		old := diskPath(d)
		next := nextDelta(vm, old)
		if p == nil {
			if err := createOverlay(next, old); err != nil {
				return err
			}
		} else {
			file, err := newData(next, old)
			if err != nil {
				return err
			}
			if _, err := p.qmp.do("blockdev-snapshot-sync", map[string]string{
				"device": p.disks[d.Key], "snapshot-file": file, "format": "qcow2"}); err != nil {
				return err
			}
		}
		setChild(d, next)
	}
	change(vm, prop("config.hardware.device", now))
	return nil
}

// setChild makes the disk's backing a child of what it was.
func setChild(d *types.VirtualDisk, name string) {
	if b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
		parent := *b
		b.Parent = &parent
		b.FileName = name
		return
	}
	fileBacking(d).FileName = name
}

// nextDelta names the next overlay the way ESXi does: vm.vmdk, vm-000001.vmdk.
func nextDelta(vm *simulator.VirtualMachine, name string) string {
	stem := strings.TrimSuffix(name, ".vmdk")
	if i := strings.LastIndex(stem, "-"); i > 0 && len(stem)-i == 7 && strings.Trim(stem[i+1:], "0123456789") == "" {
		stem = stem[:i]
	}
	for n := 1; ; n++ {
		next := fmt.Sprintf("%s-%06d.vmdk", stem, n)
		if f, err := dataFile(next); err == nil {
			if _, err := os.Stat(f); err == nil {
				continue
			}
		}
		return next
	}
}

func revertToSnapshot(c *call, _ *job, m *machine, vm *simulator.VirtualMachine, snap *simulator.VirtualMachineSnapshot) (types.AnyType, types.BaseMethodFault) {
	return nil, m.revert(c.ctx, vm, snap)
}

func revertToCurrent(c *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	if vm.Snapshot == nil || vm.Snapshot.CurrentSnapshot == nil {
		return nil, &types.NotFound{}
	}
	snap, ok := get(*vm.Snapshot.CurrentSnapshot).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return nil, &types.NotFound{}
	}
	return nil, m.revert(c.ctx, vm, snap)
}

// revert brings back the configuration and the disks, and the running guest if
// the snapshot has its memory; without, the VM ends up off.
func (m *machine) revert(ctx *simulator.Context, vm *simulator.VirtualMachine, snap *simulator.VirtualMachineSnapshot) types.BaseMethodFault {
	m.off()
	_, fault := delegate(ctx, snap, func(lk *simulator.Context) soap.HasFault {
		return snap.RevertToSnapshotTask(lk, &types.RevertToSnapshot_Task{This: snap.Self})
	})
	if fault != nil {
		return fault
	}
	config := deepCopy(snap.Config).(types.VirtualMachineConfigInfo)
	config.Name, config.Template = vm.Config.Name, vm.Config.Template
	config.ChangeVersion = fmt.Sprint(time.Now().UnixNano())
	change(vm, prop("config", &config))
	if err := overlayDisks(vm, snap.Config.Hardware.Device, nil); err != nil {
		return sysErr(err)
	}
	mem := m.kept[snap.Self]
	if mem == nil {
		return nil
	}
	if err := mem.restoreNvram(vm); err != nil {
		return sysErr(err)
	}
	return m.powerOn(vm, mem)
}

// removeSnapshot drops the entry. The layers stay: a VM's chain is not
// shortened, and so its data is right whoever else uses them.
func removeSnapshot(c *call, _ *job, m *machine, vm *simulator.VirtualMachine, snap *simulator.VirtualMachineSnapshot) (types.AnyType, types.BaseMethodFault) {
	req := c.body.(*types.RemoveSnapshot_Task)
	gone := []types.ManagedObjectReference{snap.Self}
	if req.RemoveChildren {
		gone = append(gone, allSnapshots(childrenOf(vm.Snapshot.RootSnapshotList, snap.Self))...)
	}
	_, fault := delegate(c.ctx, snap, func(lk *simulator.Context) soap.HasFault { return snap.RemoveSnapshotTask(lk, req) })
	if fault == nil {
		m.forget(gone)
	}
	return nil, fault
}

func removeAllSnapshots(c *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	if vm.Snapshot == nil {
		return nil, nil
	}
	gone := allSnapshots(vm.Snapshot.RootSnapshotList)
	req := c.body.(*types.RemoveAllSnapshots_Task)
	_, fault := delegate(c.ctx, vm, func(lk *simulator.Context) soap.HasFault { return vm.RemoveAllSnapshotsTask(lk, req) })
	if fault == nil {
		m.forget(gone)
	}
	return nil, fault
}

// forget removes what only these snapshots need: the memory.
func (m *machine) forget(snaps []types.ManagedObjectReference) {
	for _, s := range snaps {
		if mem := m.kept[s]; mem != nil {
			_ = os.Remove(mem.file)
			_ = os.Remove(mem.nvram)
			delete(m.kept, s)
		}
		if get(s) != nil {
			drop(s)
		}
	}
}

func allSnapshots(tree []types.VirtualMachineSnapshotTree) (refs []types.ManagedObjectReference) {
	for _, t := range tree {
		refs = append(append(refs, t.Snapshot), allSnapshots(t.ChildSnapshotList)...)
	}
	return refs
}

func childrenOf(tree []types.VirtualMachineSnapshotTree, ref types.ManagedObjectReference) []types.VirtualMachineSnapshotTree {
	for _, t := range tree {
		if t.Snapshot == ref {
			return t.ChildSnapshotList
		}
		if c := childrenOf(t.ChildSnapshotList, ref); c != nil {
			return c
		}
	}
	return nil
}
