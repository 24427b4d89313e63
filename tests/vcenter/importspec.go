// importspec.go adds to the simulator's CreateImportSpec what it leaves out of a
// descriptor: the firmware and the file with its variables.

package main

import (
	"strings"

	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

func createImportSpec(c *call) (any, types.BaseMethodFault) {
	req := c.body.(*types.CreateImportSpec)
	manager, ok := get(c.this).(*simulator.OvfManager)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: c.this}
	}
	value, fault := delegate(c.ctx, manager, func(lk *simulator.Context) soap.HasFault { return manager.CreateImportSpec(lk, req) })
	if fault != nil {
		return nil, fault
	}
	res := &types.CreateImportSpecResponse{Returnval: value.(types.OvfCreateImportSpecResult)}
	env, err := ovf.Unmarshal(strings.NewReader(req.OvfDescriptor))
	spec, ok := res.Returnval.ImportSpec.(*types.VirtualMachineImportSpec)
	if err != nil || !ok || env.VirtualSystem == nil || len(env.VirtualSystem.VirtualHardware) == 0 {
		return res, nil
	}
	hardware := env.VirtualSystem.VirtualHardware[0]
	for _, setting := range hardware.Config {
		switch setting.Key {
		case "firmware":
			spec.ConfigSpec.Firmware = setting.Value
		case "bootOptions.efiSecureBootEnabled":
			spec.ConfigSpec.BootOptions = &types.VirtualMachineBootOptions{EfiSecureBootEnabled: types.NewBool(setting.Value == "true")}
		}
	}
	for _, setting := range hardware.ExtraConfig {
		id, isFile := strings.CutPrefix(setting.Value, "ovf:/file/")
		if setting.Key != "nvram" || !isFile {
			continue
		}
		for _, file := range env.References {
			if file.ID != id {
				continue
			}
			res.Returnval.FileItem = append(res.Returnval.FileItem, types.OvfFileItem{
				DeviceId: "/" + spec.ConfigSpec.Name + "/nvram", Path: file.Href, Size: int64(file.Size)})
			spec.ConfigSpec.ExtraConfig = append(spec.ConfigSpec.ExtraConfig,
				&types.OptionValue{Key: "nvram", Value: spec.ConfigSpec.Name + ".nvram"})
		}
	}
	return res, nil
}

// wantsNVRAM says whether a VM that is imported brings its firmware's variables.
func wantsNVRAM(vm *simulator.VirtualMachine) bool {
	if vm.Config.Firmware != string(types.GuestOsDescriptorFirmwareTypeEfi) {
		return false
	}
	for _, o := range vm.Config.ExtraConfig {
		if o.GetOptionValue().Key == "nvram" {
			return true
		}
	}
	return false
}
