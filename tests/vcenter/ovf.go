// ovf.go is OvfManager.CreateDescriptor: the OVF of a VM, for the files that
// the client has downloaded.

package main

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func createDescriptor(c *call) (any, types.BaseMethodFault) {
	req := c.body.(*types.CreateDescriptor)
	vm := getVM(req.Obj)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: req.Obj}
	}
	text, err := ovfDescriptor(vm, req.Cdp)
	if err != nil {
		return nil, sysErr(err)
	}
	return &types.CreateDescriptorResponse{Returnval: types.OvfCreateDescriptorResult{
		OvfDescriptor:     text,
		IncludeImageFiles: types.NewBool(false),
	}}, nil
}

type ovfItem struct {
	ID, Type               int
	Name, Sub, Description string
	Parent, Address        string // of a device on a controller
	Units, Quantity        string
	Host, Connection       string
	AddressOnParent        string
}

type ovfFile struct {
	ID, Href string
	Size     int64
}

type ovfDisk struct {
	ID, File            string
	Capacity, Populated int64
}

// ovfData is what the template shows.
type ovfData struct {
	Name, VMX, GuestID, Annotation, Firmware string
	OSID                                     int
	Cores                                    int32
	Nvram                                    string // the file's id
	Files                                    []ovfFile
	Disks                                    []ovfDisk
	Networks                                 []string
	Items                                    []ovfItem
	Extra                                    []types.OptionValue

	vm    *simulator.VirtualMachine
	cdp   types.OvfCreateDescriptorParams
	ids   map[int32]string // controller key -> InstanceID
	count map[int]int      // items by type
}

func ovfDescriptor(vm *simulator.VirtualMachine, cdp types.OvfCreateDescriptorParams) (string, error) {
	hw := vm.Config.Hardware
	d := &ovfData{
		Name: vm.Name, VMX: vm.Config.Version, GuestID: vm.Config.GuestId,
		Annotation: vm.Config.Annotation, Firmware: vm.Config.Firmware,
		OSID: cimOS(vm.Config.GuestId), vm: vm, cdp: cdp, ids: map[int32]string{}, count: map[int]int{},
	}
	if hw.NumCoresPerSocket != nil {
		d.Cores = *hw.NumCoresPerSocket
	}
	if cdp.Name != "" {
		d.Name = cdp.Name
	}
	d.item(ovfItem{Type: 3, Name: fmt.Sprintf("%d virtual CPU(s)", hw.NumCPU), Description: "Number of Virtual CPUs", Units: "hertz * 10^6", Quantity: fmt.Sprint(hw.NumCPU)})
	d.item(ovfItem{Type: 4, Name: fmt.Sprintf("%dMB of memory", hw.MemoryMB), Description: "Memory Size", Units: "byte * 2^20", Quantity: fmt.Sprint(hw.MemoryMB)})
	for _, dev := range hw.Device {
		d.controller(dev)
	}
	for _, dev := range hw.Device {
		d.device(dev)
	}
	for _, f := range cdp.OvfFiles {
		if strings.HasSuffix(f.DeviceId, "/nvram") {
			d.Nvram = d.file(f)
		}
	}
	for _, opt := range cdp.ExportOption {
		if opt == "extraconfig" {
			for _, o := range vm.Config.ExtraConfig {
				d.Extra = append(d.Extra, *o.GetOptionValue())
			}
		}
	}
	var b bytes.Buffer
	err := ovfTemplate.Execute(&b, d)
	return b.String(), err
}

// item adds a piece of hardware and returns its id.
func (d *ovfData) item(i ovfItem) string {
	i.ID = len(d.Items) + 1
	d.Items = append(d.Items, i)
	return fmt.Sprint(i.ID)
}

// next numbers the items of a type.
func (d *ovfData) next(kind int) int {
	d.count[kind]++
	return d.count[kind]
}

func (d *ovfData) file(f types.OvfFile) string {
	id := fmt.Sprintf("file%d", len(d.Files)+1)
	d.Files = append(d.Files, ovfFile{id, f.Path, f.Size})
	return id
}

func (d *ovfData) controller(dev types.BaseVirtualDevice) {
	bus := busOf(dev)
	item := ovfItem{Address: fmt.Sprint(bus)}
	scsi := func(sub string) {
		item.Type, item.Sub, item.Name, item.Description = 6, sub, fmt.Sprintf("SCSI Controller %d", bus), "SCSI Controller"
	}
	switch dev.(type) {
	case *types.VirtualIDEController:
		item.Type, item.Name, item.Description = 5, fmt.Sprintf("VirtualIDEController %d", bus), "IDE Controller"
	case *types.VirtualLsiLogicController:
		scsi("lsilogic")
	case *types.VirtualLsiLogicSASController:
		scsi("lsilogicsas")
	case *types.ParaVirtualSCSIController:
		scsi("VirtualSCSI")
	case *types.VirtualBusLogicController:
		scsi("buslogic")
	case *types.VirtualAHCIController:
		item.Type, item.Sub, item.Name, item.Description = 20, "vmware.sata.ahci", fmt.Sprintf("SATA Controller %d", bus), "SATA Controller"
	case *types.VirtualNVMEController:
		item.Type, item.Sub, item.Name, item.Description = 20, "vmware.nvme.controller", fmt.Sprintf("NVME Controller %d", bus), "NVME Controller"
	default:
		return
	}
	d.ids[dev.GetVirtualDevice().Key] = d.item(item)
}

func (d *ovfData) device(dev types.BaseVirtualDevice) {
	v := dev.GetVirtualDevice()
	unit := fmt.Sprint(unitOf(v))
	switch x := dev.(type) {
	case *types.VirtualDisk:
		n := d.next(17)
		d.Disks = append(d.Disks, d.disk(x, fmt.Sprintf("vmdisk%d", n)))
		d.item(ovfItem{Type: 17, Name: fmt.Sprintf("Hard Disk %d", n), Parent: d.ids[v.ControllerKey], AddressOnParent: unit, Host: fmt.Sprintf("ovf:/disk/vmdisk%d", n)})
	case *types.VirtualCdrom:
		d.item(ovfItem{Type: 15, Name: fmt.Sprintf("CD-ROM %d", d.next(15)), Sub: "vmware.cdrom.remotepassthrough", Parent: d.ids[v.ControllerKey], AddressOnParent: unit})
	case types.BaseVirtualEthernetCard:
		n, net := d.next(10), networkName(x.GetVirtualEthernetCard())
		if !slices.Contains(d.Networks, net) {
			d.Networks = append(d.Networks, net)
		}
		sub := strings.Replace(strings.TrimPrefix(typeOf(dev), "Virtual"), "Vmxnet3", "VmxNet3", 1)
		d.item(ovfItem{Type: 10, Name: fmt.Sprintf("Network adapter %d", n), Sub: sub,
			Description: sub + " ethernet adapter on \"" + net + "\"", Connection: net, AddressOnParent: fmt.Sprint(6 + n)})
	}
}

func (d *ovfData) disk(x *types.VirtualDisk, id string) ovfDisk {
	disk := ovfDisk{ID: id, Capacity: diskBytes(x)}
	for _, f := range d.cdp.OvfFiles {
		if f.DeviceId != deviceID(d.vm, d.vm.Config.Hardware.Device, x) {
			continue
		}
		disk.File = d.file(f)
		if disk.Populated = f.PopulatedSize; disk.Populated == 0 {
			disk.Populated = populated(x)
		}
	}
	return disk
}

// cimOS is CIM's number of the operating system family.
func cimOS(guest string) int {
	g := strings.ToLower(guest)
	for _, x := range []struct {
		prefix string
		id     int
	}{{"centos", 107}, {"rhel", 80}, {"debian", 96}, {"ubuntu", 94}, {"vmwarephoton", 101}, {"windows", 103}, {"sles", 85}} {
		if strings.HasPrefix(g, x.prefix) {
			return x.id
		}
	}
	if strings.Contains(g, "linux") {
		return 101
	}
	return 1
}

//go:embed ovf.xml.tmpl
var ovfText string

var ovfTemplate = template.Must(template.New("ovf").Funcs(template.FuncMap{"x": func(v any) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(fmt.Sprint(v)))
	return b.String(), err
}}).Parse(ovfText))
