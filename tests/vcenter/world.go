// world.go is what all parts share, and the table of the methods answered here.

package main

import (
	"log"
	"reflect"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type world struct {
	set     settings
	net     *network
	faults  faults
	stats   stats
	shelves shelves
	esx     bool // a host without a vCenter

	mu       sync.Mutex
	outlet   *outlet
	machines map[types.ManagedObjectReference]*machine
	tickets  map[string]bool // of AcquireGenericServiceTicket, each good for one transfer
	creating sync.Mutex      // the check for a name and the creation are one step
}

// call is one SOAP call that is answered here.
type call struct {
	w    *world
	ctx  *simulator.Context
	user string
	this types.ManagedObjectReference
	name string
	body types.AnyType
}

type (
	// answerFunc answers at once, with a *types.XyzResponse.
	answerFunc func(*call) (any, types.BaseMethodFault)
	// taskFunc is the work of a *_Task method; the result is the task's.
	taskFunc func(*call, *job) (types.AnyType, types.BaseMethodFault)
)

// answers and tasks are the methods that the simulator does not get to see, by
// the type of "_this" and their name.
var (
	answers map[string]answerFunc
	tasks   map[string]taskFunc
)

func init() {
	answers = map[string]answerFunc{
		"VirtualMachine.ShutdownGuest":                      shutdownGuest,
		"VirtualMachine.RebootGuest":                        rebootGuest,
		"VirtualMachine.PutUsbScanCodes":                    putUsbScanCodes,
		"VirtualMachine.AnswerVM":                           answerVM,
		"VirtualMachine.ExportVm":                           exportVM,
		"VirtualMachine.MarkAsTemplate":                     markAsTemplate,
		"VirtualMachineSnapshot.ExportSnapshot":             exportSnapshot,
		"ResourcePool.ImportVApp":                           importVApp,
		"OvfManager.CreateDescriptor":                       createDescriptor,
		"HttpNfcLease.HttpNfcLeaseComplete":                 leaseComplete,
		"HttpNfcLease.HttpNfcLeaseAbort":                    leaseAbort,
		"HttpNfcLease.HttpNfcLeaseProgress":                 leaseProgress,
		"HttpNfcLease.HttpNfcLeaseGetManifest":              leaseManifest,
		"Task.CancelTask":                                   cancelTask,
		"SessionManager.AcquireGenericServiceTicket":        serviceTicket,
		"AuthorizationManager.HasPrivilegeOnEntities":       hasPrivilegeOnEntities,
		"AuthorizationManager.HasUserPrivilegeOnEntities":   hasUserPrivilegeOnEntities,
		"AuthorizationManager.FetchUserPrivilegeOnEntities": fetchUserPrivilegeOnEntities,
	}
	tasks = map[string]taskFunc{
		"Folder.CreateVM_Task":                         createVMTask,
		"VirtualMachine.CloneVM_Task":                  onVM(cloneVM),
		"VirtualMachine.PowerOnVM_Task":                onVM(powerOnVM),
		"VirtualMachine.PowerOffVM_Task":               onVM(powerOffVM),
		"VirtualMachine.ResetVM_Task":                  onVM(resetVM),
		"VirtualMachine.SuspendVM_Task":                notSupported,
		"VirtualMachine.CreateScreenshot_Task":         onVM(createScreenshot),
		"VirtualMachine.ReconfigVM_Task":               onVM(reconfigVM),
		"VirtualMachine.Rename_Task":                   onVM(renameVM),
		"VirtualMachine.Destroy_Task":                  onVM(destroyVM),
		"VirtualMachine.CreateSnapshot_Task":           onVM(createSnapshot),
		"VirtualMachine.CreateSnapshotEx_Task":         onVM(createSnapshotEx),
		"VirtualDiskManager.CopyVirtualDisk_Task":      copyVirtualDisk,
		"VirtualMachine.RevertToCurrentSnapshot_Task":  onVM(revertToCurrent),
		"VirtualMachine.RemoveAllSnapshots_Task":       onVM(removeAllSnapshots),
		"VirtualMachineSnapshot.RevertToSnapshot_Task": onSnapshot(revertToSnapshot),
		"VirtualMachineSnapshot.RemoveSnapshot_Task":   onSnapshot(removeSnapshot),
	}
}

func notSupported(*call, *job) (types.AnyType, types.BaseMethodFault) {
	return nil, &types.NotSupported{}
}

// onVM makes a task of work on a machine: one piece at a time, as in vCenter.
func onVM(f func(*call, *job, *machine, *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault)) taskFunc {
	return func(c *call, j *job) (types.AnyType, types.BaseMethodFault) {
		m := c.w.machine(c.this)
		m.op.Lock()
		defer m.op.Unlock()
		vm := m.vm()
		if vm == nil {
			return nil, &types.ManagedObjectNotFound{Obj: c.this}
		}
		return f(c, j, m, vm)
	}
}

// onSnapshot is onVM for the machine of a snapshot.
func onSnapshot(f func(*call, *job, *machine, *simulator.VirtualMachine, *simulator.VirtualMachineSnapshot) (types.AnyType, types.BaseMethodFault)) taskFunc {
	return func(c *call, j *job) (types.AnyType, types.BaseMethodFault) {
		snap, ok := get(c.this).(*simulator.VirtualMachineSnapshot)
		if !ok {
			return nil, &types.ManagedObjectNotFound{Obj: c.this}
		}
		m := c.w.machine(snap.Vm)
		m.op.Lock()
		defer m.op.Unlock()
		vm := m.vm()
		if vm == nil || get(c.this) == nil {
			return nil, &types.ManagedObjectNotFound{Obj: c.this}
		}
		return f(c, j, m, vm, snap)
	}
}

// simulatorTask does a *_Task method of the simulator's as a task of ours, so
// that its faults have texts and it can be made slow or fail.
func simulatorTask(c *call, _ *job) (types.AnyType, types.BaseMethodFault) {
	obj := get(c.this)
	method := simulatorMethod(c.this, c.name)
	res, fault := delegate(c.ctx, obj, func(lk *simulator.Context) soap.HasFault {
		args := []reflect.Value{reflect.ValueOf(c.body)}
		if method.Type().NumIn() == 2 {
			args = append([]reflect.Value{reflect.ValueOf(lk)}, args...)
		}
		return method.Call(args)[0].Interface().(soap.HasFault)
	})
	if ff, ok := fault.(types.BaseFileFault); ok {
		ff.GetFileFault().File = datastorePath(ff.GetFileFault().File)
	}
	return res, fault
}

// simulatorMethod finds a method as the simulator does: Go's linters do not
// like the underscore of Foo_Task.
func simulatorMethod(ref types.ManagedObjectReference, name string) reflect.Value {
	obj := get(ref)
	if obj == nil {
		return reflect.Value{}
	}
	if s, ok := strings.CutSuffix(name, "_Task"); ok {
		name = s + "Task"
	}
	return reflect.ValueOf(obj).MethodByName(name)
}

// taskName is what a task says it does: PowerOnVM_Task is "powerOn".
func taskName(method string) string {
	n := strings.TrimSuffix(strings.TrimSuffix(method, "_Task"), "VM")
	return strings.ToLower(n[:1]) + n[1:]
}

// startCall starts the task of a *_Task method, made slow or broken if asked.
func (c *call) startCall(f taskFunc) types.ManagedObjectReference {
	slow, fail := c.w.faults.take("slow-task", c.name), c.w.faults.take("task-error", c.name)
	return startTask(c.user, c.this, taskName(c.name), func(j *job) (types.AnyType, types.BaseMethodFault) {
		if slow != nil {
			if fault := j.sleep(slow.seconds()); fault != nil {
				return nil, fault
			}
		}
		if fail != nil {
			return nil, &types.GenericVmConfigFault{Reason: fail.text("The operation failed, as it was told to.")}
		}
		res, fault := f(c, j)
		if fault != nil {
			log.Printf("%s %s: %s: %s", c.name, c.this.Value, typeOf(fault), faultText(fault))
		}
		return res, fault
	})
}
