// guest.go stands for VMware Tools: it reports the guest's addresses while its
// SSH server answers, and presses the buttons that Tools would.

package main

import (
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// watchGuest reports the guest's addresses as long as its process lives.
func (m *machine) watchGuest(p *qemuProc) {
	seen, boot := "", p.bootTime()
	for tick := 0; ; tick++ {
		pause := 250 * time.Millisecond
		if seen != "" { // each look is a connection to the guest's sshd
			pause = 5 * time.Second
		}
		select {
		case <-p.done:
			return
		case <-time.After(pause):
		}
		if b := p.bootTime(); b != boot {
			seen, boot = "", b
		}
		addrs := map[string]string{}
		for _, pt := range p.ports {
			if sshAnswers(pt.addr) {
				addrs[strings.ToLower(pt.mac)] = pt.addr
			}
		}
		if len(addrs) == 0 {
			continue
		}
		if now := fmt.Sprint(addrs); now != seen {
			log.Printf("%s: guest has %v", m.ref.Value, addrs)
			seen = now
		}
		// Said again each time: a waiting client can miss a change, see job.run.
		if vm := m.vm(); vm != nil && m.running() == p && p.bootTime() == boot {
			setGuest(vm, addrs)
		}
	}
}

// setGuest fills guest.*; no addresses mean that no tools run.
func setGuest(vm *simulator.VirtualMachine, addrs map[string]string) {
	status, state := types.VirtualMachineToolsStatusToolsNotRunning, "notRunning"
	running := string(types.VirtualMachineToolsRunningStatusGuestToolsNotRunning)
	if len(addrs) != 0 {
		status, state = types.VirtualMachineToolsStatusToolsOk, "running"
		running = string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	}
	withLock(vm, func(lk *simulator.Context) {
		nics, first := guestNics(vm.Config.Hardware.Device, addrs)
		update(lk, vm,
			prop("guest.net", nics),
			prop("guest.ipAddress", first),
			prop("guest.guestState", state),
			prop("guest.toolsStatus", status),
			prop("guest.toolsRunningStatus", running),
			prop("guest.toolsVersionStatus2", "guestToolsUnmanaged"),
			prop("summary.guest.ipAddress", first),
			prop("summary.guest.toolsStatus", status),
			prop("summary.guest.toolsRunningStatus", running))
	})
}

func guestNics(devices []types.BaseVirtualDevice, addrs map[string]string) (nics []types.GuestNicInfo, first string) {
	for _, d := range devices {
		x, ok := d.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		card := x.GetVirtualEthernetCard()
		nic := types.GuestNicInfo{MacAddress: card.MacAddress, Connected: true, DeviceConfigId: card.Key, Network: networkName(card)}
		if a := addrs[strings.ToLower(card.MacAddress)]; a != "" {
			if first == "" {
				first = a
			}
			nic.IpAddress = []string{a}
			nic.IpConfig = &types.NetIpConfigInfo{IpAddress: []types.NetIpConfigInfoIpAddress{{
				IpAddress: a, PrefixLength: 24, State: "preferred", Origin: "dhcp",
			}}}
		}
		nics = append(nics, nic)
	}
	return nics, first
}

// networkName is the name of the network that a NIC is on.
func networkName(card *types.VirtualEthernetCard) string {
	switch b := card.Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}
		if pg, ok := get(ref).(*simulator.DistributedVirtualPortgroup); ok {
			return pg.Name
		}
	}
	return ""
}

// guestProcess is the process of a guest whose tools are to do something.
func (c *call) guestProcess(tools bool) (*qemuProc, types.BaseMethodFault) {
	vm := getVM(c.this)
	p := c.w.machine(c.this).running()
	if p == nil {
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOn)
	}
	if tools && vm.Guest.IpAddress == "" {
		return nil, &types.ToolsUnavailable{}
	}
	return p, nil
}

// shutdownGuest presses the ACPI power button.
func shutdownGuest(c *call) (any, types.BaseMethodFault) {
	p, fault := c.guestProcess(true)
	if fault != nil {
		return nil, fault
	}
	if _, err := p.qmp.do("system_powerdown", nil); err != nil {
		return nil, sysErr(err)
	}
	return new(types.ShutdownGuestResponse), nil
}

// rebootGuest presses Ctrl-Alt-Del, which init systems answer with a reboot.
func rebootGuest(c *call) (any, types.BaseMethodFault) {
	p, fault := c.guestProcess(true)
	if fault != nil {
		return nil, fault
	}
	on := true
	_, err := typeKeys(p.qmp, types.UsbScanCodeSpec{KeyEvents: []types.UsbScanCodeSpecKeyEvent{{
		UsbHidCode: 0x4c<<16 | 7, // Delete
		Modifiers:  &types.UsbScanCodeSpecModifierType{LeftControl: &on, LeftAlt: &on},
	}}}, 50*time.Millisecond)
	if err != nil {
		return nil, sysErr(err)
	}
	return new(types.RebootGuestResponse), nil
}

// putUsbScanCodes types, and returns how many of the events it took.
func putUsbScanCodes(c *call) (any, types.BaseMethodFault) {
	p, fault := c.guestProcess(false)
	if fault != nil {
		return nil, fault
	}
	n, err := typeKeys(p.qmp, c.body.(*types.PutUsbScanCodes).Spec, c.w.set.keyGap)
	if err != nil {
		log.Printf("%s: %v", c.this.Value, err)
		if n == 0 {
			return nil, &types.InvalidArgument{InvalidProperty: "spec"}
		}
	}
	return &types.PutUsbScanCodesResponse{Returnval: n}, nil
}
