// qemuargs.go turns a VirtualMachine's configuration into QEMU's command line.

package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// builder collects the command line.
type builder struct {
	w           *world
	p           *qemuProc
	devices     object.VirtualDeviceList
	args        []string
	boot        map[int32]int    // device key -> place in the boot order
	controllers map[int32]string // key -> QEMU id
	ideUsed     map[string]bool
}

// esc doubles commas, QEMU's way to write one inside an option value.
func esc(s string) string { return strings.ReplaceAll(s, ",", ",,") }

func capped(n, limit int) string {
	if limit > 0 {
		n = min(n, limit)
	}
	return fmt.Sprint(n)
}

func commandLine(vm *simulator.VirtualMachine, w *world, p *qemuProc, dir, sock string) ([]string, error) {
	b := &builder{w: w, p: p, devices: copyDevices(vm.Config.Hardware.Device), controllers: map[int32]string{}, ideUsed: map[string]bool{}}
	// The simulator appends what it edits; a BIOS goes by controller and unit.
	sort.SliceStable(b.devices, func(i, j int) bool {
		return b.devices[i].GetVirtualDevice().Key < b.devices[j].GetVirtualDevice().Key
	})
	b.boot = bootOrder(vm.Config.BootOptions, b.devices)
	b.add("-name", "guest="+esc(vm.Name), "-nodefaults", "-no-user-config",
		"-machine", "pc", "-accel", w.set.accel, "-cpu", w.set.cpu,
		"-smp", capped(int(vm.Config.Hardware.NumCPU), w.set.maxCPU),
		"-m", capped(int(vm.Config.Hardware.MemoryMB), w.set.maxMem),
		"-uuid", vm.Config.Uuid,
		"-vga", "std", "-display", "none",
		"-serial", "file:"+filepath.Join(dir, "serial.log"),
		"-qmp", "unix:"+esc(sock)+",server=on,wait=off",
		"-device", "virtio-rng-pci")
	if vm.Config.Firmware == string(types.GuestOsDescriptorFirmwareTypeEfi) {
		if err := b.efi(nvramFile(vm)); err != nil {
			return nil, err
		}
	}
	for _, d := range b.devices {
		if model := b.controllerModel(d); model != "" {
			id := fmt.Sprintf("c%d", d.GetVirtualDevice().Key)
			b.add("-device", model+",id="+id)
			b.controllers[d.GetVirtualDevice().Key] = id
		}
	}
	for _, d := range b.devices {
		if err := b.device(d); err != nil {
			return nil, err
		}
	}
	return b.args, nil
}

func (b *builder) add(args ...string) { b.args = append(b.args, args...) }

func (b *builder) device(d types.BaseVirtualDevice) error {
	switch x := d.(type) {
	case *types.VirtualDisk:
		if fileBacking(x) != nil {
			return b.disk(x)
		}
	case *types.VirtualCdrom:
		return b.cdrom(x)
	case *types.VirtualFloppy:
		b.floppyDrive(x)
	case types.BaseVirtualEthernetCard:
		return b.nic(x)
	}
	return nil
}

// controllerModel is the QEMU device that stands in for a controller.
func (b *builder) controllerModel(d types.BaseVirtualDevice) string {
	scsi := func(native string) string {
		if b.w.set.diskBus == "native" {
			return native
		}
		return "virtio-scsi-pci"
	}
	switch d.(type) {
	case *types.ParaVirtualSCSIController:
		return scsi("pvscsi")
	case *types.VirtualLsiLogicSASController:
		return scsi("mptsas1068")
	case *types.VirtualLsiLogicController, *types.VirtualBusLogicController:
		return scsi("lsi53c895a") // QEMU has no 53c1030
	case *types.VirtualNVMEController:
		return scsi("") // natively, each disk is its own controller
	case *types.VirtualAHCIController:
		return "ich9-ahci"
	}
	return ""
}

func nicModel(d types.BaseVirtualDevice) string {
	switch d.(type) {
	case *types.VirtualVmxnet3:
		return "vmxnet3"
	case *types.VirtualE1000e:
		return "e1000e"
	case *types.VirtualPCNet32:
		return "pcnet"
	}
	return "e1000"
}

// ide finds a free place on the two IDE buses, the wanted one if possible.
func (b *builder) ide(controller, unit int32) (string, error) {
	bus := controller - 200
	if bus != 0 {
		bus = 1
	}
	unit %= 2
	for range 4 {
		place := fmt.Sprintf("bus=ide.%d,unit=%d", bus, unit)
		if !b.ideUsed[place] {
			b.ideUsed[place] = true
			return place, nil
		}
		if unit = 1 - unit; unit == 0 {
			bus = 1 - bus
		}
	}
	return "", fmt.Errorf("more than four IDE devices")
}

func unitOf(d *types.VirtualDevice) int32 {
	if d.UnitNumber != nil {
		return *d.UnitNumber
	}
	return 0
}

func (b *builder) bootIndex(key int32) string {
	if i, ok := b.boot[key]; ok {
		return fmt.Sprintf(",bootindex=%d", i)
	}
	return ""
}

func (b *builder) isAHCI(key int32) bool {
	_, ok := b.devices.FindByKey(key).(*types.VirtualAHCIController)
	return ok
}

func (b *builder) disk(x *types.VirtualDisk) error {
	file, format, err := diskImage(diskPath(x))
	if err != nil {
		return err
	}
	v := x.GetVirtualDevice()
	node := fmt.Sprintf("d%d", v.Key)
	b.p.disks[v.Key] = node
	b.add("-drive", fmt.Sprintf("if=none,id=%s,file=%s,format=%s,cache=unsafe,discard=unmap", node, esc(file), format))
	drive := ",drive=" + node + b.bootIndex(v.Key)
	ctl, known := b.controllers[v.ControllerKey]
	_, isNVMe := b.devices.FindByKey(v.ControllerKey).(*types.VirtualNVMEController)
	switch {
	case isNVMe && b.w.set.diskBus == "native":
		b.add("-device", "nvme,serial="+node+drive)
	case !known:
		place, err := b.ide(v.ControllerKey, unitOf(v))
		if err != nil {
			return err
		}
		b.add("-device", "ide-hd,"+place+drive)
	case b.isAHCI(v.ControllerKey):
		b.add("-device", fmt.Sprintf("ide-hd,bus=%s.%d%s", ctl, unitOf(v), drive))
	default:
		wwn := ""
		if _, sas := b.devices.FindByKey(v.ControllerKey).(*types.VirtualLsiLogicSASController); sas && b.w.set.diskBus == "native" {
			wwn = fmt.Sprintf(",wwn=%#x", 0x5000c50000000000+uint64(v.Key)) // without it the guest sees no disk
		}
		b.add("-device", fmt.Sprintf("scsi-hd,bus=%s.0,scsi-id=%d%s%s", ctl, unitOf(v), wwn, drive))
	}
	return nil
}

func (b *builder) cdrom(x *types.VirtualCdrom) error {
	v := x.GetVirtualDevice()
	id := fmt.Sprintf("cd%d", v.Key)
	b.p.cdroms[v.Key] = id
	drive := "if=none,media=cdrom,readonly=on,id=" + id
	if f := mediaFile(v); f != "" {
		drive += ",format=raw,file=" + esc(f)
	}
	var place string
	if ctl, ok := b.controllers[v.ControllerKey]; ok && b.isAHCI(v.ControllerKey) {
		place = fmt.Sprintf("bus=%s.%d", ctl, unitOf(v))
	} else {
		var err error
		if place, err = b.ide(v.ControllerKey, unitOf(v)); err != nil {
			return err
		}
	}
	b.add("-drive", drive, "-device", "ide-cd,id=dev-"+id+",drive="+id+","+place+b.bootIndex(v.Key))
	return nil
}

func (b *builder) floppyDrive(x *types.VirtualFloppy) {
	v := x.GetVirtualDevice()
	id := fmt.Sprintf("fd%d", v.Key)
	b.p.floppy[v.Key] = id
	drive := "if=none,id=" + id
	if f := mediaFile(v); f != "" {
		drive += ",format=raw,file=" + esc(f)
	}
	b.add("-drive", drive, "-device", fmt.Sprintf("floppy,id=dev-%s,unit=%d,drive=%s", id, unitOf(v), id))
	if i, ok := b.boot[v.Key]; ok { // a property of the controller, for its drives A and B
		b.add("-global", fmt.Sprintf("isa-fdc.bootindex%c=%d", 'A'+unitOf(v)%2, i))
	}
}

func (b *builder) nic(x types.BaseVirtualEthernetCard) error {
	card := x.GetVirtualEthernetCard()
	id := fmt.Sprintf("n%d", card.Key)
	pt, netdev, err := b.w.net.connect(id, card.MacAddress)
	if err != nil {
		return err
	}
	b.p.ports = append(b.p.ports, pt)
	rom := b.bootIndex(card.Key)
	if rom == "" { // no boot ROM: it costs seconds
		rom = ",romfile="
	}
	b.add("-netdev", netdev, "-device", fmt.Sprintf("%s,netdev=%s,mac=%s%s", nicModel(x.(types.BaseVirtualDevice)), id, card.MacAddress, rom))
	return nil
}

// mediaFile is the image in a CD-ROM or floppy drive, "" if there is none.
func mediaFile(v *types.VirtualDevice) string {
	if v.Connectable != nil && !v.Connectable.StartConnected && !v.Connectable.Connected {
		return ""
	}
	b := fileBacking(v)
	if b == nil || b.FileName == "" {
		return ""
	}
	f, err := hostPath(b.FileName)
	if err == nil {
		_, err = os.Stat(f)
	}
	if err != nil {
		log.Printf("medium missing: %v", err)
		return ""
	}
	return f
}

// bootOrder ranks the devices: what the configuration lists comes first; then,
// as with VMware's BIOS, hard disks, CD-ROMs, floppies. The network only where
// it is listed.
func bootOrder(o *types.VirtualMachineBootOptions, devices object.VirtualDeviceList) map[int32]int {
	idx := map[int32]int{}
	add := func(key int32) {
		if _, ok := idx[key]; !ok {
			idx[key] = len(idx)
		}
	}
	addKind := func(kind types.BaseVirtualDevice) {
		for _, d := range devices.SelectByType(kind) {
			add(d.GetVirtualDevice().Key)
		}
	}
	if o != nil {
		for _, b := range o.BootOrder {
			switch x := b.(type) {
			case *types.VirtualMachineBootOptionsBootableDiskDevice:
				add(x.DeviceKey)
			case *types.VirtualMachineBootOptionsBootableEthernetDevice:
				add(x.DeviceKey)
			case *types.VirtualMachineBootOptionsBootableCdromDevice:
				addKind((*types.VirtualCdrom)(nil))
			case *types.VirtualMachineBootOptionsBootableFloppyDevice:
				addKind((*types.VirtualFloppy)(nil))
			}
		}
	}
	addKind((*types.VirtualDisk)(nil))
	addKind((*types.VirtualCdrom)(nil))
	addKind((*types.VirtualFloppy)(nil))
	return idx
}

// nvramFile is where an EFI machine keeps its variables.
func nvramFile(vm *simulator.VirtualMachine) string {
	vmx, err := hostPath(vm.Config.Files.VmPathName)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(vmx, ".vmx") + ".nvram"
}

// efi gives the guest OVMF and a variable store of its own.
func (b *builder) efi(own string) error {
	for _, base := range []string{"/usr/share/OVMF/OVMF_%s_4M.fd", "/usr/share/OVMF/OVMF_%s.fd"} {
		code, vars := fmt.Sprintf(base, "CODE"), fmt.Sprintf(base, "VARS")
		empty, err := os.ReadFile(vars)
		if err != nil {
			continue
		}
		if st, err := os.Stat(own); err != nil || st.Size() == 0 { // the simulator makes it empty
			if err := os.WriteFile(own, empty, 0o644); err != nil {
				return err
			}
		}
		b.add("-drive", "if=pflash,format=raw,readonly=on,file="+code, "-drive", "if=pflash,format=raw,file="+esc(own))
		return nil
	}
	return fmt.Errorf("firmware efi: no OVMF here (Debian: apt-get install ovmf)")
}
