// machine.go is the real side of a VirtualMachine: its QEMU process and power.

package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// machine is what there is of a VM beside the simulator's object.
type machine struct {
	w    *world
	ref  types.ManagedObjectReference
	op   sync.Mutex // one operation at a time, as vCenter does
	mu   sync.Mutex
	proc *qemuProc
	shot int
	ask  chan int32                                       // the answer to a pending question
	kept map[types.ManagedObjectReference]*memorySnapshot // by snapshot
}

// machine returns the machine of a VM, making it at first use.
func (w *world) machine(ref types.ManagedObjectReference) *machine {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.machines[ref]
	if m == nil {
		m = &machine{w: w, ref: ref, kept: map[types.ManagedObjectReference]*memorySnapshot{}}
		w.machines[ref] = m
	}
	return m
}

func (m *machine) vm() *simulator.VirtualMachine { return getVM(m.ref) }

func (m *machine) running() *qemuProc {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

func badState(vm *simulator.VirtualMachine, want types.VirtualMachinePowerState) types.BaseMethodFault {
	return &types.InvalidPowerState{
		InvalidState:   types.InvalidState{},
		RequestedState: want, ExistingState: vm.Runtime.PowerState,
	}
}

// directory is the VM's directory on this machine.
func directory(vm *simulator.VirtualMachine) (string, error) {
	vmx, err := hostPath(vm.Config.Files.VmPathName)
	return filepath.Dir(vmx), err
}

func powerOnVM(c *call, j *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	if vm.Config.Template {
		return nil, &types.NotSupported{}
	}
	if m.running() != nil {
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOn)
	}
	if c.w.faults.take("question", vm.Name) != nil {
		if fault := m.question(j, vm); fault != nil {
			return nil, fault
		}
	}
	return nil, m.powerOn(vm, nil)
}

// powerOn starts the guest; with a memory snapshot it goes on from there.
func (m *machine) powerOn(vm *simulator.VirtualMachine, from *memorySnapshot) types.BaseMethodFault {
	if err := materialise(vm.Config.Hardware.Device, false); err != nil {
		return sysErr(err)
	}
	p, err := launch(vm, m.w, m, from)
	if err != nil {
		return sysErr(err)
	}
	m.mu.Lock()
	m.proc = p
	m.mu.Unlock()
	boot := time.Now()
	change(vm, prop("runtime.powerState", types.VirtualMachinePowerStatePoweredOn),
		prop("runtime.bootTime", &boot),
		prop("summary.runtime.powerState", types.VirtualMachinePowerStatePoweredOn),
		prop("summary.runtime.bootTime", &boot))
	if !p.alive() { // then onExit may have run before the state was "on"
		m.onExit(p)
		return sysErr(fmt.Errorf("qemu exited at once, see qemu.log in the VM's directory"))
	}
	connectMedia(vm, true)
	postEvent(&types.VmPoweredOnEvent{VmEvent: vmEvent(vm)})
	go m.watchGuest(p)
	return nil
}

// onEvent gets QEMU's asynchronous messages.
func (m *machine) onEvent(p *qemuProc, name string, data json.RawMessage) {
	switch name {
	case "RESET": // what the guest said before is not true any more
		log.Printf("%s: %s %s", m.ref.Value, name, data)
		p.booted()
		if vm := m.vm(); vm != nil && m.running() == p {
			go setGuest(vm, nil)
		}
	case "SHUTDOWN", "GUEST_PANICKED", "POWERDOWN":
		log.Printf("%s: %s %s", m.ref.Value, name, data)
	}
}

// onExit runs when the guest's process has gone: a shutdown inside the guest,
// a power off, or a crash. All of them leave the VM powered off.
func (m *machine) onExit(p *qemuProc) {
	m.mu.Lock()
	if m.proc != p { // done already
		m.mu.Unlock()
		return
	}
	m.proc = nil
	m.mu.Unlock()
	vm := m.vm()
	if vm == nil {
		return
	}
	setGuest(vm, nil)
	connectMedia(vm, false)
	change(vm, prop("runtime.powerState", types.VirtualMachinePowerStatePoweredOff),
		prop("summary.runtime.powerState", types.VirtualMachinePowerStatePoweredOff))
}

// off pulls the plug and waits until the state says so.
func (m *machine) off() {
	if p := m.running(); p != nil {
		p.stop()
		m.onExit(p)
	}
}

func powerOffVM(_ *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	if m.running() == nil {
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOff)
	}
	m.off()
	postEvent(&types.VmPoweredOffEvent{VmEvent: vmEvent(vm)})
	return nil, nil
}

func resetVM(_ *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	p := m.running()
	if p == nil {
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOn)
	}
	_, err := p.qmp.do("system_reset", nil)
	return nil, sysErr(err)
}

// connectMedia makes the devices' connected flags follow the power state.
func connectMedia(vm *simulator.VirtualMachine, on bool) {
	withLock(vm, func(lk *simulator.Context) {
		devices := copyDevices(vm.Config.Hardware.Device)
		for _, d := range devices {
			if c := d.GetVirtualDevice().Connectable; c != nil {
				c.Connected = on && c.StartConnected
			}
		}
		update(lk, vm, prop("config.hardware.device", devices))
	})
}

// question blocks a power-on until AnswerVM, as hosts do when a VM's files were
// copied behind their back.
func (m *machine) question(j *job, vm *simulator.VirtualMachine) types.BaseMethodFault {
	answer := make(chan int32, 1)
	m.mu.Lock()
	m.ask = answer
	m.mu.Unlock()
	text := "This virtual machine might have been moved or copied. Did you move it, or did you copy it?"
	choice := func(key, label string) types.BaseElementDescription {
		return &types.ElementDescription{Description: types.Description{Label: label, Summary: label}, Key: key}
	}
	q := types.VirtualMachineQuestionInfo{
		Id:   fmt.Sprint(time.Now().UnixNano()),
		Text: "msg.uuid.altered:" + text,
		Choice: types.ChoiceOption{
			ChoiceInfo:   []types.BaseElementDescription{choice("0", "button.uuid.cancel"), choice("1", "button.uuid.movedTheVM"), choice("2", "button.uuid.copiedTheVM")},
			DefaultIndex: 2,
		},
		Message: []types.VirtualMachineMessage{{Id: "msg.uuid.altered", Text: text}},
	}
	set := func(val any) { change(vm, prop("runtime.question", val), prop("summary.runtime.question", val)) }
	set(&q)
	defer func() {
		m.mu.Lock()
		m.ask = nil
		m.mu.Unlock()
		set(nil)
	}()
	select {
	case a := <-answer:
		if a == 0 {
			return &types.GenericVmConfigFault{Reason: "Cancelling power on: the question was answered with cancel."}
		}
		return nil
	case <-j.ctx.Done():
		return &types.RequestCanceled{}
	}
}

func answerVM(c *call) (any, types.BaseMethodFault) {
	req := c.body.(*types.AnswerVM)
	vm := getVM(c.this)
	m := c.w.machine(c.this)
	m.mu.Lock()
	defer m.mu.Unlock()
	q := vm.Runtime.Question
	if m.ask == nil || q == nil || req.QuestionId != q.Id {
		return nil, &types.InvalidArgument{InvalidProperty: "questionId"}
	}
	var n int32
	if _, err := fmt.Sscan(req.AnswerChoice, &n); err != nil || n < 0 || n > 2 {
		return nil, &types.InvalidArgument{InvalidProperty: "answerChoice"}
	}
	select {
	case m.ask <- n:
	default: // answered already
	}
	return new(types.AnswerVMResponse), nil
}

// screenshot writes the guest's screen as a PNG.
func (m *machine) screenshot(file string) error {
	p := m.running()
	if p == nil {
		return os.ErrNotExist
	}
	_, err := p.qmp.do("screendump", map[string]string{"filename": file, "format": "png"})
	return err
}

func createScreenshot(_ *call, _ *job, m *machine, vm *simulator.VirtualMachine) (types.AnyType, types.BaseMethodFault) {
	if m.running() == nil {
		return nil, badState(vm, types.VirtualMachinePowerStatePoweredOn)
	}
	m.shot++
	var name object.DatastorePath
	name.FromString(vm.Config.Files.VmPathName)
	name.Path = path.Join(path.Dir(name.Path), fmt.Sprintf("%s-%d.png", vm.Name, m.shot))
	file, err := hostPath(name.String())
	if err == nil {
		err = m.screenshot(file)
	}
	if err != nil {
		return nil, sysErr(err)
	}
	return name.String(), nil
}

// serveScreen is GET /screen?id=vm-1.
func (w *world) serveScreen(rw http.ResponseWriter, r *http.Request) {
	if sessionOf(r) == nil {
		http.Error(rw, "401 Unauthorized", http.StatusUnauthorized)
		return
	}
	ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: r.URL.Query().Get("id")}
	if getVM(ref) == nil {
		http.NotFound(rw, r)
		return
	}
	file := filepath.Join(w.set.runDir, fmt.Sprintf("screen-%s-%d.png", ref.Value, time.Now().UnixNano()))
	defer os.Remove(file)
	if err := w.machine(ref).screenshot(file); err != nil {
		http.Error(rw, "the virtual machine is not powered on", http.StatusServiceUnavailable)
		return
	}
	rw.Header().Set("Content-Type", "image/png")
	http.ServeFile(rw, r, file)
}

// stopAll ends every guest, at exit.
func (w *world) stopAll() {
	w.mu.Lock()
	var procs []*qemuProc
	for _, m := range w.machines {
		if p := m.running(); p != nil {
			procs = append(procs, p)
		}
	}
	w.mu.Unlock()
	for _, p := range procs {
		p.stop()
	}
}
