// registry.go is the way into the simulator's registry of managed objects. A
// lock is held on behalf of a *simulator.Context and is reentrant for it, so
// that work in the background must bring a context of its own.

package main

import (
	"reflect"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// service is the one simulator of this process.
var service *simulator.Service

// fresh is a context that shares no lock with anyone.
func fresh() *simulator.Context {
	c := *service.Context
	return &c
}

func registry() *simulator.Registry { return service.Context.Map }

// get returns the object behind ref, nil if there is none.
func get(ref types.ManagedObjectReference) mo.Reference { return registry().Get(ref) }

func getVM(ref types.ManagedObjectReference) *simulator.VirtualMachine {
	vm, _ := get(ref).(*simulator.VirtualMachine)
	return vm
}

// put registers an object of ours.
func put(obj mo.Reference) { registry().Put(obj) }

// drop unregisters an object of ours.
func drop(ref types.ManagedObjectReference) { registry().Remove(fresh(), ref) }

// all lists the inventory entities of one kind.
func all(kind string) []mo.Entity { return registry().All(kind) }

// withLock runs f while obj is locked; f's argument is the context that holds
// the lock, for update.
func withLock(obj mo.Reference, f func(lk *simulator.Context)) {
	c := fresh()
	registry().WithLock(c, obj, func() { f(c) })
}

// update changes properties of a locked object and wakes every WaitForUpdates
// that watches them.
func update(lk *simulator.Context, obj mo.Reference, changes ...types.PropertyChange) {
	registry().Update(lk, obj, changes)
}

// change is update for an object that is not locked yet.
func change(obj mo.Reference, changes ...types.PropertyChange) {
	withLock(obj, func(lk *simulator.Context) { update(lk, obj, changes...) })
}

func prop(name string, val any) types.PropertyChange {
	return types.PropertyChange{Name: name, Val: val}
}

// postEvent files a vCenter event.
func postEvent(ev types.BaseEvent) {
	m := registry().EventManager()
	c := fresh()
	registry().WithLock(c, m, func() { m.PostEvent(c, &types.PostEvent{EventToPost: ev}) })
}

// delegate calls one of the simulator's own methods on obj, under obj's lock as
// the SOAP dispatcher would, waits for the task if it started one, and returns
// the result or the fault.
func delegate(ctx *simulator.Context, obj mo.Reference, call func(*simulator.Context) soap.HasFault) (types.AnyType, types.BaseMethodFault) {
	c := *ctx
	ref := obj.Reference()
	c.Caller = &ref
	body := func() soap.HasFault {
		defer registry().AcquireLock(&c, obj)() // also if it panics
		return call(&c)
	}()
	if f := body.Fault(); f != nil {
		if mf, ok := f.VimFault().(types.BaseMethodFault); ok {
			return nil, mf
		}
		return nil, &types.SystemError{Reason: f.String}
	}
	res := reflect.ValueOf(body).Elem().FieldByName("Res").Elem().FieldByName("Returnval")
	if !res.IsValid() {
		return nil, nil
	}
	tref, ok := res.Interface().(types.ManagedObjectReference)
	if !ok {
		return res.Interface(), nil
	}
	task, ok := get(tref).(*simulator.Task)
	if !ok {
		return tref, nil
	}
	task.Wait()
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return task.Info.Result, nil
}

// vmEvent is what every event about a VM says.
func vmEvent(vm *simulator.VirtualMachine) types.VmEvent {
	named := func(e mo.Entity) types.EntityEventArgument {
		return types.EntityEventArgument{Name: e.Entity().Name}
	}
	ev := types.Event{
		CreatedTime: time.Now(),
		Vm:          &types.VmEventArgument{EntityEventArgument: types.EntityEventArgument{Name: vm.Name}, Vm: vm.Self},
	}
	if vm.Runtime.Host != nil {
		if h, ok := get(*vm.Runtime.Host).(*simulator.HostSystem); ok {
			ev.Host = &types.HostEventArgument{EntityEventArgument: named(h), Host: h.Self}
			if cr, ok := get(*h.Parent).(mo.Entity); ok {
				ev.ComputeResource = &types.ComputeResourceEventArgument{EntityEventArgument: named(cr), ComputeResource: cr.Reference()}
			}
		}
	}
	for _, dc := range all("Datacenter") {
		ev.Datacenter = &types.DatacenterEventArgument{EntityEventArgument: named(dc), Datacenter: dc.Reference()}
	}
	return types.VmEvent{Event: ev}
}
