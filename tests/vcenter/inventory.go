// inventory.go makes the inventory, with the same API calls as an
// administrator's tool would use.

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// inventory is the names of what there is; an empty name is not made.
type inventory struct {
	datacenter, cluster, host, datastore, small, network, portgroup, pool, folder, bareVM string

	dir string // of the datastores
}

// founder makes the inventory.
type founder struct {
	ctx context.Context
	c   *vim25.Client
	inv inventory
	w   *world
}

func (f *founder) wait(t *object.Task, err error) (*types.TaskInfo, error) {
	if err != nil {
		return nil, err
	}
	return t.WaitForResult(f.ctx, nil)
}

// newModel is an empty vCenter, or an ESXi host.
func newModel(esx bool) *simulator.Model {
	model := simulator.VPX()
	if esx {
		model = simulator.ESX()
		model.ServiceContent.About.FullName = "VMware ESXi 8.0.3 build-24022510"
	} else {
		model.ServiceContent.About.FullName = "VMware vCenter Server 8.0.3 build-24022515"
	}
	about := &model.ServiceContent.About
	about.Version, about.ApiVersion, about.Build = "8.0.3", "8.0.3.0", "24022515"
	model.Datacenter, model.Cluster, model.ClusterHost, model.Host = 0, 0, 0, 0
	model.Machine, model.Portgroup, model.Datastore, model.Pool = 0, 0, 0, 0
	return model
}

func (f *founder) found(esx bool) error {
	var err error
	if f.c, err = vim25.NewClient(f.ctx, service); err != nil {
		return err
	}
	dc, cluster, host, err := f.standalone()
	if !esx {
		dc, cluster, host, err = f.hosts()
	}
	if err != nil {
		return err
	}
	if err := f.stores(host); err != nil {
		return err
	}
	folders, err := dc.Folders(f.ctx)
	if err != nil {
		return err
	}
	if err := f.networks(folders, host, esx); err != nil {
		return err
	}
	pool, err := cluster.ResourcePool(f.ctx)
	if err != nil {
		return err
	}
	if f.inv.pool != "" {
		if _, err := pool.Create(f.ctx, f.inv.pool, types.DefaultResourceConfigSpec()); err != nil {
			return err
		}
	}
	home := folders.VmFolder
	if f.inv.folder != "" && !esx {
		if home, err = home.CreateFolder(f.ctx, f.inv.folder); err != nil {
			return err
		}
	}
	if f.inv.bareVM != "" {
		return f.bare(home.Reference(), pool.Reference())
	}
	return nil
}

// hosts makes a datacenter with a cluster of one host.
func (f *founder) hosts() (*object.Datacenter, *object.ComputeResource, *object.HostSystem, error) {
	dc, err := object.NewRootFolder(f.c).CreateDatacenter(f.ctx, f.inv.datacenter)
	if err != nil {
		return nil, nil, nil, err
	}
	folders, err := dc.Folders(f.ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	cluster, err := folders.HostFolder.CreateCluster(f.ctx, f.inv.cluster, types.ClusterConfigSpecEx{})
	if err != nil {
		return nil, nil, nil, err
	}
	info, err := f.wait(cluster.AddHost(f.ctx, types.HostConnectSpec{HostName: f.inv.host}, true, nil, nil))
	if err != nil {
		return nil, nil, nil, err
	}
	return dc, &cluster.ComputeResource, object.NewHostSystem(f.c, info.Result.(types.ManagedObjectReference)), nil
}

// announce says where the hosts are reached, for leases: they are this server.
func announce(address string) error {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	for _, h := range all("HostSystem") {
		change(h, prop("summary.config.port", int32(port)))
	}
	return nil
}

// standalone finds what an ESXi host has of itself.
func (f *founder) standalone() (*object.Datacenter, *object.ComputeResource, *object.HostSystem, error) {
	for _, h := range all("HostSystem") {
		host := h.(*simulator.HostSystem)
		for _, dc := range all("Datacenter") {
			return object.NewDatacenter(f.c, dc.Reference()), object.NewComputeResource(f.c, *host.Parent), object.NewHostSystem(f.c, host.Self), nil
		}
	}
	return nil, nil, nil, fmt.Errorf("the model has no host")
}

func (f *founder) stores(host *object.HostSystem) error {
	dss, err := host.ConfigManager().DatastoreSystem(f.ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{f.inv.datastore, f.inv.small} {
		if name == "" {
			continue
		}
		dir := filepath.Join(f.inv.dir, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		ds, err := dss.CreateLocalDatastore(f.ctx, name, dir)
		if err != nil {
			return err
		}
		if name == f.inv.small {
			change(get(ds.Reference()), prop("summary.capacity", smallStore), prop("summary.freeSpace", smallStore))
		}
	}
	return nil
}

// networks makes the host's network and a distributed port group.
func (f *founder) networks(folders *object.DatacenterFolders, host *object.HostSystem, esx bool) error {
	if f.inv.network != "VM Network" { // which every host has
		ns, err := host.ConfigManager().NetworkSystem(f.ctx)
		if err != nil {
			return err
		}
		if err := ns.AddPortGroup(f.ctx, types.HostPortGroupSpec{Name: f.inv.network, VswitchName: "vSwitch0"}); err != nil {
			return err
		}
	}
	if esx || f.inv.portgroup == "" {
		return nil
	}
	info, err := f.wait(folders.NetworkFolder.CreateDVS(f.ctx, types.DVSCreateSpec{
		ConfigSpec: &types.VMwareDVSConfigSpec{DVSConfigSpec: types.DVSConfigSpec{Name: "DVS"}}}))
	if err != nil {
		return err
	}
	dvs := object.NewDistributedVirtualSwitch(f.c, info.Result.(types.ManagedObjectReference))
	if _, err = f.wait(dvs.AddPortgroup(f.ctx, []types.DVPortgroupConfigSpec{{
		Name: f.inv.portgroup, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding), NumPorts: 8}})); err != nil {
		return err
	}
	_, err = f.wait(dvs.Reconfigure(f.ctx, &types.DVSConfigSpec{Host: []types.DistributedVirtualSwitchHostMemberConfigSpec{{
		Operation: string(types.ConfigSpecOperationAdd), Host: host.Reference()}}}))
	return err
}

// bare makes a VM with an empty disk and no snapshot.
func (f *founder) bare(folder, pool types.ManagedObjectReference) error {
	var devices object.VirtualDeviceList
	scsi, err := devices.CreateSCSIController("pvscsi")
	if err != nil {
		return err
	}
	devices = append(devices, scsi)
	disk := devices.CreateDisk(scsi.(types.BaseVirtualController), types.ManagedObjectReference{}, "")
	disk.CapacityInKB = 64 << 10
	devices = append(devices, disk)
	add, err := devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	if err != nil {
		return err
	}
	vm, fault := f.w.createVM(fresh(), &types.CreateVM_Task{This: folder, Pool: pool, Config: types.VirtualMachineConfigSpec{
		Name: f.inv.bareVM, GuestId: string(types.VirtualMachineGuestOsIdentifierOtherLinux64Guest), NumCPUs: 1, MemoryMB: 256,
		Files: &types.VirtualMachineFileInfo{VmPathName: "[" + f.inv.datastore + "]"}, DeviceChange: add,
	}}, "CreateVM_Task")
	if fault != nil {
		return fmt.Errorf("%s: %s", f.inv.bareVM, faultText(fault))
	}
	return materialise(vm.Config.Hardware.Device, false)
}
