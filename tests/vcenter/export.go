// export.go is the way out and in: ExportVm, ExportSnapshot and ImportVApp.

package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func exportVM(c *call) (any, types.BaseMethodFault) {
	vm := getVM(c.this)
	if c.w.machine(c.this).running() != nil {
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOff)
	}
	if err := materialise(vm.Config.Hardware.Device, false); err != nil {
		return nil, sysErr(err)
	}
	return &types.ExportVmResponse{Returnval: c.w.export(vm, vm.Config.Hardware.Device)}, nil
}

// exportSnapshot works while the VM runs: the layers of a snapshot are frozen.
func exportSnapshot(c *call) (any, types.BaseMethodFault) {
	snap, ok := get(c.this).(*simulator.VirtualMachineSnapshot)
	if !ok || getVM(snap.Vm) == nil {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	return &types.ExportSnapshotResponse{Returnval: c.w.export(getVM(snap.Vm), snap.Config.Hardware.Device)}, nil
}

// export makes a lease. Converting takes a while; clients have to wait for the
// lease's state "ready" anyway.
func (w *world) export(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) types.ManagedObjectReference {
	l := w.newLease(vm.Name)
	devices = copyDevices(devices)
	go func() {
		m := w.machine(vm.Self)
		m.op.Lock()
		info, err := l.fill(vm, devices, w.set.leaseTime)
		m.op.Unlock()
		if err != nil {
			log.Printf("export %s: %v", vm.Name, err)
			l.fail(sysErr(err))
			return
		}
		l.ready(info)
	}()
	return l.Self
}

// fill converts the disks and describes them.
func (l *nfcLease) fill(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice, limit time.Duration) (*types.HttpNfcLeaseInfo, error) {
	info := &types.HttpNfcLeaseInfo{Lease: l.Self, Entity: vm.Self, LeaseTimeout: int32(limit.Seconds())}
	disks := vmDisks(devices)
	for i, d := range disks {
		name := fmt.Sprintf("disk-%d.vmdk", i)
		f := &leaseFile{key: deviceID(vm, devices, d), send: filepath.Join(l.dir, name), disk: d}
		start := time.Now()
		if err := exportDisk(diskPath(d), f.send); err != nil {
			return nil, err
		}
		log.Printf("export %s: %s took %.1f s", vm.Name, name, time.Since(start).Seconds())
		l.offer(info, name, f)
		info.TotalDiskCapacityInKB += diskBytes(d) / 1024
		change(l, prop("initializeProgress", int32(100*(i+1)/len(disks))))
	}
	if st, err := os.Stat(nvramFile(vm)); err == nil && st.Size() > 0 && vm.Config.Firmware == "efi" {
		name := vm.Name + ".nvram"
		f := &leaseFile{key: fmt.Sprintf("/%s/nvram", vm.Self.Value), send: filepath.Join(l.dir, name)}
		if err := copyFile(f.send, nvramFile(vm)); err != nil {
			return nil, err
		}
		l.offer(info, name, f)
	}
	return info, nil
}

// offer adds a file to an export. Its size is not said: a host does not know it
// before it has converted the disk.
func (l *nfcLease) offer(info *types.HttpNfcLeaseInfo, name string, f *leaseFile) {
	l.add(name, f)
	info.DeviceUrl = append(info.DeviceUrl, types.HttpNfcLeaseDeviceUrl{
		Key: f.key, ImportKey: f.key, Url: l.url(name), SslThumbprint: thumbprint, Disk: types.NewBool(f.disk != nil), TargetId: name,
	})
}

// deviceID is the id of a disk in leases and OVF descriptors.
func deviceID(vm *simulator.VirtualMachine, devices object.VirtualDeviceList, d *types.VirtualDisk) string {
	kind, bus := "VirtualController", int32(0)
	if c := devices.FindByKey(d.ControllerKey); c != nil {
		kind, bus = typeOf(c), busOf(c)
	}
	return fmt.Sprintf("/%s/%s%d:%d", vm.Self.Value, kind, bus, unitOf(&d.VirtualDevice))
}

// importVApp makes the VM of an import spec (OvfManager.CreateImportSpec) and a
// lease to upload its files to.
func importVApp(c *call) (any, types.BaseMethodFault) {
	req := c.body.(*types.ImportVApp)
	spec, ok := req.Spec.(*types.VirtualMachineImportSpec)
	if !ok {
		return nil, &types.InvalidArgument{InvalidProperty: "spec"}
	}
	var folder types.ManagedObjectReference
	if req.Folder != nil {
		folder = *req.Folder
	} else {
		for _, dc := range all("Datacenter") {
			folder = dc.(*simulator.Datacenter).VmFolder
		}
	}
	vm, fault := c.w.createVM(c.ctx, &types.CreateVM_Task{This: folder, Config: spec.ConfigSpec, Pool: c.this, Host: req.Host}, "ImportVApp")
	if fault != nil {
		return nil, fault
	}
	l := c.w.newLease(vm.Name)
	l.ready(l.expect(vm, c.w.set.leaseTime))
	return &types.ImportVAppResponse{Returnval: l.Self}, nil
}

// expect describes the files that an import needs, with CreateImportSpec's ids.
func (l *nfcLease) expect(vm *simulator.VirtualMachine, limit time.Duration) *types.HttpNfcLeaseInfo {
	info := &types.HttpNfcLeaseInfo{Lease: l.Self, Entity: vm.Self, LeaseTimeout: int32(limit.Seconds())}
	devices := object.VirtualDeviceList(vm.Config.Hardware.Device)
	seen := map[string]int{}
	for _, d := range devices {
		b := fileBacking(d)
		if b == nil || b.FileName == "" {
			continue
		}
		kind := devices.Type(d)
		n := seen[kind]
		seen[kind]++
		name := filepath.Base(b.FileName)
		disk, isDisk := d.(*types.VirtualDisk)
		if isDisk {
			info.TotalDiskCapacityInKB += diskBytes(disk) / 1024
		}
		f := &leaseFile{key: fmt.Sprintf("/%s/%s:%d", vm.Self.Value, kind, n), device: d, disk: disk}
		l.add(name, f)
		info.DeviceUrl = append(info.DeviceUrl, types.HttpNfcLeaseDeviceUrl{
			Key: f.key, ImportKey: fmt.Sprintf("/%s/%s:%d", vm.Name, kind, n),
			Url: l.url(name), SslThumbprint: thumbprint, Disk: types.NewBool(isDisk), TargetId: name,
		})
	}
	if wantsNVRAM(vm) {
		name := vm.Name + ".nvram"
		f := &leaseFile{key: fmt.Sprintf("/%s/nvram", vm.Self.Value), store: nvramFile(vm)}
		l.add(name, f)
		info.DeviceUrl = append(info.DeviceUrl, types.HttpNfcLeaseDeviceUrl{
			Key: f.key, ImportKey: fmt.Sprintf("/%s/nvram", vm.Name),
			Url: l.url(name), SslThumbprint: thumbprint, Disk: types.NewBool(false), TargetId: name,
		})
	}
	return info
}

// receive stores an uploaded file as the device's content.
func (l *nfcLease) receive(to *leaseFile, r *http.Request) error {
	f, err := os.CreateTemp(l.dir, "up-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err = io.Copy(f, r.Body); err == nil {
		err = f.Close()
	}
	if err != nil {
		return err
	}
	if to.store != "" {
		return copyFile(to.store, f.Name())
	}
	dev := to.device
	disk, ok := dev.(*types.VirtualDisk)
	if !ok {
		file, err := hostPath(fileBacking(dev).FileName)
		if err != nil {
			return err
		}
		_ = os.MkdirAll(filepath.Dir(file), 0o755)
		return copyFile(file, f.Name())
	}
	data, err := newData(diskPath(disk), "")
	if err != nil {
		return err
	}
	chain, err := imageChain(f.Name())
	if err != nil {
		return err
	}
	if !strings.EqualFold(chain[0].Format, "vmdk") {
		return fmt.Errorf("the uploaded disk is %s, not a VMDK", chain[0].Format)
	}
	if _, err = qemuImg(context.Background(), "convert", "-f", "vmdk", "-O", "qcow2", f.Name(), data); err != nil {
		return err
	}
	return materialise([]types.BaseVirtualDevice{disk}, false) // at least the capacity of the descriptor
}
