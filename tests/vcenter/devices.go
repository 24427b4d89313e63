// devices.go names new virtual devices the way vCenter does. Clients add
// devices under temporary negative keys; the simulator turns those into odd
// ones (disk 203, "ethernet--7"), where a real vCenter has a fixed scheme.

package main

import (
	"crypto/rand"
	"fmt"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// namer gives out keys and labels.
type namer struct {
	have object.VirtualDeviceList
	bus  map[int32]int32  // controller key -> bus number
	kind map[int32]string // controller key -> kind
}

func (n *namer) note(d types.BaseVirtualDevice) {
	v := d.GetVirtualDevice()
	n.have = append(n.have, d)
	n.bus[v.Key], n.kind[v.Key] = busOf(d), controllerKind(d)
}

func (n *namer) free(k int32) int32 {
	for n.have.FindByKey(k) != nil {
		k++
	}
	return k
}

// adoptDevices gives the devices that spec adds their keys and labels, and NICs
// their MAC addresses. have is what the VM has already.
func adoptDevices(have []types.BaseVirtualDevice, spec *types.VirtualMachineConfigSpec) {
	n := &namer{bus: map[int32]int32{}, kind: map[int32]string{}}
	for _, d := range have {
		n.note(d)
	}
	rename := map[int32]int32{}
	for _, controllers := range []bool{true, false} { // then what hangs on them
		for _, c := range spec.DeviceChange {
			s := c.GetVirtualDeviceConfigSpec()
			if s.Device == nil || s.Operation != types.VirtualDeviceConfigSpecOperationAdd ||
				controllers != (controllerKind(s.Device) != "") {
				continue
			}
			v := s.Device.GetVirtualDevice()
			if to, ok := rename[v.ControllerKey]; ok {
				v.ControllerKey = to
			}
			key, label := n.name(s.Device)
			if label == "" {
				continue
			}
			rename[v.Key] = key
			v.Key = key
			n.note(s.Device)
			if v.DeviceInfo == nil {
				v.DeviceInfo = &types.Description{Label: label}
			}
		}
	}
	renameBootOrder(spec.BootOptions, rename)
	addressNics(spec.DeviceChange)
}

// name is the key and the label of a device that is being added, no label if
// the simulator's are good enough.
func (n *namer) name(d types.BaseVirtualDevice) (key int32, label string) {
	v := d.GetVirtualDevice()
	unit, on, own := unitOf(v), n.bus[v.ControllerKey], busOf(d)
	number := func(kind types.BaseVirtualDevice) int { return 1 + len(n.have.SelectByType(kind)) }
	switch d.(type) {
	case types.BaseVirtualSCSIController:
		key = n.free(1000 + own)
		return key, fmt.Sprintf("SCSI controller %d", key-1000)
	case *types.VirtualAHCIController:
		key = n.free(15000 + own)
		return key, fmt.Sprintf("SATA controller %d", key-15000)
	case *types.VirtualNVMEController:
		key = n.free(31000 + own)
		return key, fmt.Sprintf("NVME controller %d", key-31000)
	case *types.VirtualUSBXHCIController:
		return n.free(14000), "USB xHCI controller"
	case *types.VirtualUSBController:
		return n.free(7000), "USB controller"
	case *types.VirtualDisk:
		key = map[string]int32{"ide": 3000 + 2*on + unit, "sata": 16000 + 30*on + unit, "nvme": 32000 + 15*on + unit}[n.kind[v.ControllerKey]]
		if key == 0 {
			key = 2000 + 16*on + unit
		}
		return n.free(key), fmt.Sprintf("Hard disk %d", number(d))
	case *types.VirtualCdrom:
		key = 3000 + 2*on + unit
		if n.kind[v.ControllerKey] == "sata" {
			key = 16000 + 30*on + unit
		}
		return n.free(key), fmt.Sprintf("CD/DVD drive %d", number(d))
	case *types.VirtualFloppy:
		key = n.free(8000 + unit)
		return key, fmt.Sprintf("Floppy drive %d", key-7999)
	case *types.VirtualSerialPort:
		key = n.free(9000)
		return key, fmt.Sprintf("Serial port %d", key-8999)
	case types.BaseVirtualEthernetCard:
		key = n.free(4000)
		return key, fmt.Sprintf("Network adapter %d", key-3999)
	}
	return 0, ""
}

// renameBootOrder is for a boot order that comes with the devices it names.
func renameBootOrder(o *types.VirtualMachineBootOptions, rename map[int32]int32) {
	if o == nil {
		return
	}
	for _, b := range o.BootOrder {
		var key *int32
		switch x := b.(type) {
		case *types.VirtualMachineBootOptionsBootableDiskDevice:
			key = &x.DeviceKey
		case *types.VirtualMachineBootOptionsBootableEthernetDevice:
			key = &x.DeviceKey
		default:
			continue
		}
		if to, ok := rename[*key]; ok {
			*key = to
		}
	}
}

// addressNics gives NICs addresses. The simulator would derive them from three
// hex digits of the VM's UUID.
func addressNics(changes []types.BaseVirtualDeviceConfigSpec) {
	for _, c := range changes {
		s := c.GetVirtualDeviceConfigSpec()
		x, ok := s.Device.(types.BaseVirtualEthernetCard)
		if !ok || s.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			continue
		}
		if card := x.GetVirtualEthernetCard(); card.MacAddress == "" {
			b := make([]byte, 3)
			_, _ = rand.Read(b)
			card.MacAddress = fmt.Sprintf("00:50:56:%02x:%02x:%02x", b[0]&0x3f|0x80, b[1], b[2])
		}
	}
}

func busOf(d types.BaseVirtualDevice) int32 {
	if c, ok := d.(types.BaseVirtualController); ok {
		return c.GetVirtualController().BusNumber
	}
	return 0
}

func controllerKind(d types.BaseVirtualDevice) string {
	switch d.(type) {
	case types.BaseVirtualSCSIController:
		return "scsi"
	case *types.VirtualIDEController:
		return "ide"
	case *types.VirtualAHCIController:
		return "sata"
	case *types.VirtualNVMEController:
		return "nvme"
	case types.BaseVirtualController:
		return "other"
	}
	return ""
}
