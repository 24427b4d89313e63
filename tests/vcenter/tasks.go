// tasks.go runs vCenter tasks in the background.

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// job is the running side of a task.
type job struct {
	ctx  context.Context // ended by CancelTask
	stop context.CancelFunc
	task *simulator.Task
	done atomic.Bool
}

var (
	taskSeq atomic.Int64
	jobs    sync.Map // task reference -> *job
)

func (j *job) set(ch ...types.PropertyChange) { change(j.task, ch...) }

func (j *job) progress(pct int32) { j.set(prop("info.progress", pct)) }

// sleep waits, or says that the task was cancelled meanwhile.
func (j *job) sleep(d time.Duration) types.BaseMethodFault {
	select {
	case <-time.After(d):
		return nil
	case <-j.ctx.Done():
		return &types.RequestCanceled{}
	}
}

// startTask creates a vCenter task on ref and runs f in the background without
// a lock: f takes the ones it needs.
func startTask(user string, ref types.ManagedObjectReference, name string, f func(j *job) (types.AnyType, types.BaseMethodFault)) types.ManagedObjectReference {
	task := simulator.CreateTask(taskEntity(ref), name, nil)
	task.Info.DescriptionId = descriptionID(ref.Type, name)
	task.Self = types.ManagedObjectReference{Type: "Task", Value: fmt.Sprintf("task-q%d", taskSeq.Add(1))}
	task.Info.Key, task.Info.Task = task.Self.Value, task.Self
	task.Info.Cancelable = true
	task.Info.Reason = &types.TaskReasonUser{UserName: user}
	if e, ok := get(*task.Info.Entity).(mo.Entity); ok {
		task.Info.EntityName = e.Entity().Name
	}
	j := &job{task: task}
	j.ctx, j.stop = context.WithCancel(context.Background())
	jobs.Store(task.Self, j)
	put(task)
	j.set(prop("info.startTime", time.Now()), prop("info.state", types.TaskInfoStateRunning))
	go j.run(f)
	return task.Self
}

// descriptionID is vCenter's id of a task; not all are as regular as most.
func descriptionID(kind, name string) string {
	if kind == "Folder" && name == "create" {
		name = "createVm"
	}
	return kind + "." + name
}

// taskEntity is the inventory entity that a task on ref is about.
func taskEntity(ref types.ManagedObjectReference) types.ManagedObjectReference {
	switch x := get(ref).(type) {
	case mo.Entity:
		return ref
	case *simulator.VirtualMachineSnapshot:
		return x.Vm
	}
	for _, dc := range all("Datacenter") {
		return dc.Reference()
	}
	return ref
}

func (j *job) run(f func(j *job) (types.AnyType, types.BaseMethodFault)) {
	res, fault := guarded(j, f)
	j.done.Store(true)
	state, lf := types.TaskInfoStateSuccess, any(nil)
	if fault != nil {
		state, res = types.TaskInfoStateError, nil
		lf = types.LocalizedMethodFault{Fault: fault, LocalizedMessage: faultText(fault)}
	}
	_, cancelled := fault.(*types.RequestCanceled)
	j.set(prop("info.completeTime", time.Now()), prop("info.cancelled", cancelled),
		prop("info.result", res), prop("info.error", lf), prop("info.state", state))
	// The simulator's WaitForUpdatesEx loses a change that happens between its
	// first read and the registration of its listener.
	for _, d := range []time.Duration{500 * time.Millisecond, 2 * time.Second, 8 * time.Second} {
		time.Sleep(d)
		j.set(prop("info.state", state))
	}
	jobs.Delete(j.task.Self)
}

// guarded turns a panic, here or in the simulator, into a fault of the task.
func guarded(j *job, f func(j *job) (types.AnyType, types.BaseMethodFault)) (res types.AnyType, fault types.BaseMethodFault) {
	defer func() {
		if p := recover(); p != nil {
			log.Printf("panic in %s: %v\n%s", j.task.Info.Name, p, debug.Stack())
			res, fault = nil, &types.SystemError{Reason: fmt.Sprint(p)}
		}
		j.stop()
	}()
	res, fault = f(j)
	if _, ok := fault.(*types.SystemError); ok && j.ctx.Err() != nil {
		fault = &types.RequestCanceled{} // it failed because it was told to stop
	}
	return res, fault
}

func cancelTask(c *call) (any, types.BaseMethodFault) {
	v, ok := jobs.Load(c.this)
	if !ok || v.(*job).done.Load() {
		return nil, &types.InvalidState{}
	}
	v.(*job).stop()
	return new(types.CancelTaskResponse), nil
}

// sysErr wraps an error of the host (qemu, file system) as a vCenter fault.
func sysErr(err error) types.BaseMethodFault {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return &types.RequestCanceled{}
	}
	return &types.SystemError{Reason: err.Error()}
}
