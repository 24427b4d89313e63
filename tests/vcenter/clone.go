// clone.go is CloneVM_Task, wholly: the simulator's copies no data and knows
// neither snapshots nor linked clones.

package main

import (
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/types"
)

func cloneVM(c *call, j *job, _ *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	if c.w.esx {
		return nil, &types.NotSupported{}
	}
	cl := &cloner{call: c, job: j, source: vm, req: c.body.(*types.CloneVM_Task)}
	clone, fault := cl.run()
	c.w.refreshSpace()
	if fault != nil {
		return nil, fault
	}
	return clone.Self, nil
}

type cloner struct {
	*call
	*job
	source *simulator.VirtualMachine
	req    *types.CloneVM_Task
	from   *types.VirtualMachineConfigInfo // the snapshot's, or the VM's
	linked bool
}

func (cl *cloner) run() (*simulator.VirtualMachine, types.BaseMethodFault) {
	create, fault := cl.prepare()
	if fault != nil {
		return nil, fault
	}
	clone, fault := cl.w.createVM(cl.ctx(), create, "CloneVM_Task")
	if fault != nil {
		return nil, fault
	}
	cl.progress(5)
	cm := cl.w.machine(clone.Self)
	fault = cl.fill(clone)
	if fault == nil {
		fault = cl.customise(cm, clone)
	}
	if fault != nil {
		_ = cm.destroy(cl.ctx(), clone)
		return nil, fault
	}
	postEvent(&types.VmClonedEvent{VmCloneEvent: types.VmCloneEvent{VmEvent: vmEvent(clone)}, SourceVm: *vmEvent(cl.source).Vm})
	if c := cl.req.Spec.Customization; c != nil {
		change(clone, prop("config.tools.pendingCustomization", pendingCustomization(c)))
	}
	if cl.req.Spec.Template {
		withLock(clone, func(*simulator.Context) { clone.MarkAsTemplate(&types.MarkAsTemplate{This: clone.Self}) })
	} else if cl.req.Spec.PowerOn {
		return clone, cm.powerOn(clone, nil)
	}
	return clone, nil
}

func (cl *cloner) ctx() *simulator.Context { return cl.call.ctx }

// prepare checks the request and says what VM to create.
func (cl *cloner) prepare() (*types.CreateVM_Task, types.BaseMethodFault) {
	loc, vm := cl.req.Spec.Location, cl.source
	cl.from = vm.Config
	if s := cl.req.Spec.Snapshot; s != nil {
		snap, ok := get(*s).(*simulator.VirtualMachineSnapshot)
		if !ok || snap.Vm != vm.Self {
			return nil, &types.InvalidArgument{InvalidProperty: "spec.snapshot"}
		}
		cl.from = &snap.Config
	} else if cl.w.machine(vm.Self).running() != nil {
		// A real host would copy the running VM's disks through a snapshot of its own.
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOff)
	}
	cl.linked = loc.DiskMoveType == string(types.VirtualMachineRelocateDiskMoveOptionsCreateNewChildDiskBacking)
	if cl.linked && cl.req.Spec.Snapshot == nil {
		return nil, &types.InvalidArgument{InvalidProperty: "spec.snapshot"} // as vCenter says
	}
	pool := loc.Pool
	if pool == nil {
		if vm.Config.Template || vm.ResourcePool == nil {
			return nil, &types.InvalidArgument{InvalidProperty: "spec.location.pool"}
		}
		pool = vm.ResourcePool
	}
	if fault := cl.checkCustomization(); fault != nil {
		return nil, fault
	}
	var home object.DatastorePath
	home.FromString(cl.from.Files.VmPathName)
	if loc.Datastore != nil {
		ds, ok := get(*loc.Datastore).(*simulator.Datastore)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: *loc.Datastore}
		}
		home.Datastore = ds.Name
	}
	return &types.CreateVM_Task{This: cl.req.Folder, Config: cl.config(home.Datastore), Pool: *pool, Host: loc.Host}, nil
}

// checkCustomization wants settings for each network card, as vCenter does. That is
// all that becomes of them: no VMware Tools are there to carry them out.
func (cl *cloner) checkCustomization() types.BaseMethodFault {
	c := cl.req.Spec.Customization
	if c == nil {
		return nil
	}
	cards := 0
	for _, d := range cl.from.Hardware.Device {
		if _, ok := d.(types.BaseVirtualEthernetCard); ok {
			cards++
		}
	}
	if cl.req.Spec.Config != nil {
		for _, ch := range cl.req.Spec.Config.DeviceChange {
			s := ch.GetVirtualDeviceConfigSpec()
			if _, ok := s.Device.(types.BaseVirtualEthernetCard); ok && s.Operation == types.VirtualDeviceConfigSpecOperationAdd {
				cards++
			}
		}
	}
	if n := len(c.NicSettingMap); n != cards {
		return &types.NicSettingMismatch{NumberOfNicsInSpec: int32(n), NumberOfNicsInVM: int32(cards)}
	}
	return nil
}

// pendingCustomization says what waits for the guest's next start.
func pendingCustomization(c *types.CustomizationSpec) string {
	if c == nil {
		return ""
	}
	name := "windows"
	if linux, ok := c.Identity.(*types.CustomizationLinuxPrep); ok {
		name = "linux-" + linux.Domain
		if fixed, ok := linux.HostName.(*types.CustomizationFixedName); ok {
			name = "linux-" + fixed.Name + "." + linux.Domain
		}
	}
	return "/var/run/vmware-imc/imcf-" + name
}

// config is the source's configuration with new disks.
func (cl *cloner) config(datastore string) types.VirtualMachineConfigSpec {
	src := cl.from
	spec := types.VirtualMachineConfigSpec{
		Name:              cl.req.Name,
		Annotation:        src.Annotation,
		GuestId:           src.GuestId,
		Version:           src.Version,
		Firmware:          src.Firmware,
		NumCPUs:           src.Hardware.NumCPU,
		NumCoresPerSocket: src.Hardware.NumCoresPerSocket,
		MemoryMB:          int64(src.Hardware.MemoryMB),
		BootOptions:       src.BootOptions,
		Files:             &types.VirtualMachineFileInfo{VmPathName: "[" + datastore + "]"},
	}
	if src.VAppConfig != nil {
		vapp := &types.VmConfigSpec{}
		for _, p := range src.VAppConfig.GetVmConfigInfo().Property {
			vapp.Property = append(vapp.Property, types.VAppPropertySpec{
				ArrayUpdateSpec: types.ArrayUpdateSpec{Operation: types.ArrayUpdateOperationAdd}, Info: &p})
		}
		spec.VAppConfig = vapp
	}
	for _, o := range src.ExtraConfig {
		if v := o.GetOptionValue(); v.Key != "govcsim" {
			spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: v.Key, Value: v.Value})
		}
	}
	builtin := object.VirtualDeviceList(esx.VirtualDevice) // which CreateVM adds
	for _, d := range copyDevices(src.Hardware.Device) {
		if builtin.FindByKey(d.GetVirtualDevice().Key) != nil {
			continue
		}
		add := &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: d}
		switch x := d.(type) {
		case *types.VirtualDisk:
			add.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
			if b, ok := x.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				b.Parent, b.FileName, b.Datastore, b.Uuid = nil, "", nil, ""
			}
		case *types.VirtualCdrom, *types.VirtualFloppy:
			if b := fileBacking(d); b != nil && checkFile(b.FileName) != nil {
				continue // the medium has been deleted since
			}
		case types.BaseVirtualEthernetCard:
			card := x.GetVirtualEthernetCard()
			card.MacAddress, card.AddressType, card.ExternalId = "", string(types.VirtualEthernetCardMacTypeAssigned), ""
		}
		spec.DeviceChange = append(spec.DeviceChange, add)
	}
	return spec
}

// fill gives the clone's disks their data.
func (cl *cloner) fill(clone *simulator.VirtualMachine) types.BaseMethodFault {
	devices := copyDevices(clone.Config.Hardware.Device)
	sources := vmDisks(cl.from.Hardware.Device)
	for i, d := range vmDisks(devices) {
		from, err := sources[i], error(nil) // CreateVM keeps their order
		if !cl.linked {
			err = copyDisk(cl.job.ctx, diskPath(d), diskPath(from))
		} else if err = createOverlay(diskPath(d), diskPath(from)); err == nil {
			if b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				b.Parent, _ = from.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			}
		}
		if err != nil {
			return sysErr(err)
		}
	}
	if cl.from.Firmware == string(types.GuestOsDescriptorFirmwareTypeEfi) {
		if err := copyFile(nvramFile(clone), nvramFile(cl.source)); err != nil {
			return sysErr(err)
		}
	}
	change(clone, prop("config.hardware.device", devices))
	cl.progress(80)
	return nil
}

// customise applies what the request changes on top of the copy.
func (cl *cloner) customise(cm *machine, clone *simulator.VirtualMachine) types.BaseMethodFault {
	spec := types.VirtualMachineConfigSpec{}
	if cl.req.Spec.Config != nil {
		spec = *cl.req.Spec.Config
	}
	spec.Name = ""
	spec.DeviceChange = append(append([]types.BaseVirtualDeviceConfigSpec{}, cl.req.Spec.Location.DeviceChange...), spec.DeviceChange...)
	return cm.reconfigure(cl.ctx(), clone, &spec, false, true)
}
