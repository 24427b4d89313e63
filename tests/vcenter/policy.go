// policy.go notes under which storage policies a machine was made: nothing lies
// on any storage here.

package main

import (
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// policyKeys are the entries of a machine's extra configuration that tell the
// policies of its directory and of its new disks.
const (
	policyKey       = "double.policy"
	diskPoliciesKey = "double.diskPolicies"
)

func policies(specs []types.BaseVirtualMachineProfileSpec) []string {
	var ids []string
	for _, s := range specs {
		if p, ok := s.(*types.VirtualMachineDefinedProfileSpec); ok {
			ids = append(ids, p.ProfileId)
		}
	}
	return ids
}

// notePolicies writes down the policies of a machine and of the disks among its changes.
func notePolicies(vm *simulator.VirtualMachine, home []types.BaseVirtualMachineProfileSpec, changes []types.BaseVirtualDeviceConfigSpec) {
	var disks []string
	for _, c := range changes {
		disks = append(disks, policies(c.GetVirtualDeviceConfigSpec().Profile)...)
	}
	// a clone has its source's entries
	var extra []types.BaseOptionValue
	for _, o := range vm.Config.ExtraConfig {
		if key := o.GetOptionValue().Key; key != policyKey && key != diskPoliciesKey {
			extra = append(extra, o)
		}
	}
	for key, ids := range map[string][]string{policyKey: policies(home), diskPoliciesKey: disks} {
		if len(ids) > 0 {
			extra = append(extra, &types.OptionValue{Key: key, Value: strings.Join(ids, " ")})
		}
	}
	change(vm, prop("config.extraConfig", extra))
}
