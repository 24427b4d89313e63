// memory.go keeps the memory of a running guest with a snapshot, by QEMU's
// migration to a file, and lets a guest go on from there.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// memorySnapshot is a guest that stands still.
type memorySnapshot struct {
	file  string // QEMU's migration stream
	nvram string // the EFI variables at that time, "" without EFI
}

func (p *qemuProc) pause() error {
	_, err := p.qmp.do("stop", nil)
	return err
}

func (p *qemuProc) cont() error {
	_, err := p.qmp.do("cont", nil)
	return err
}

// query returns the status that a QMP command reports.
func (p *qemuProc) query(cmd string) (status, problem string, err error) {
	var r struct {
		Status string `json:"status"`
		Error  string `json:"error-desc"`
	}
	out, err := p.qmp.do(cmd, nil)
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	return r.Status, r.Error, err
}

// keepMemory saves a paused guest, whose disks have got overlays already: the
// layers beneath are as the guest left them.
func (m *machine) keepMemory(vm *simulator.VirtualMachine, p *qemuProc, snap types.ManagedObjectReference) (*memorySnapshot, error) {
	dir, err := directory(vm)
	if err != nil {
		return nil, err
	}
	mem := &memorySnapshot{file: filepath.Join(dir, fmt.Sprintf("%s-%s.vmem", vm.Name, snap.Value))}
	if _, err = p.qmp.do("migrate-set-parameters", map[string]any{"max-bandwidth": int64(16) << 30}); err != nil {
		return nil, err
	}
	if _, err = p.qmp.do("migrate", map[string]string{"uri": "exec:cat >" + shellQuote(mem.file)}); err != nil {
		return nil, err
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		status, problem, err := p.query("query-migrate")
		switch {
		case err != nil:
			return nil, err
		case status == "completed":
			return mem, mem.keepNvram(vm)
		case status == "failed" || status == "cancelled":
			return nil, fmt.Errorf("the memory could not be kept: %s %s", status, problem)
		case time.Now().After(end):
			_, _ = p.qmp.do("migrate_cancel", nil)
			return nil, fmt.Errorf("keeping the memory took too long")
		}
	}
}

// goOn waits until the memory is loaded, and lets the guest run.
func (p *qemuProc) goOn() error {
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		status, _, err := p.query("query-status")
		switch {
		case err != nil:
			return err
		case status != "inmigrate":
			return p.cont()
		case time.Now().After(end):
			return fmt.Errorf("loading the memory took too long")
		}
	}
}

func (s *memorySnapshot) keepNvram(vm *simulator.VirtualMachine) error {
	if vm.Config.Firmware != string(types.GuestOsDescriptorFirmwareTypeEfi) {
		return nil
	}
	s.nvram = s.file + ".nvram"
	return copyFile(s.nvram, nvramFile(vm))
}

func (s *memorySnapshot) restoreNvram(vm *simulator.VirtualMachine) error {
	if s.nvram == "" {
		return nil
	}
	return copyFile(nvramFile(vm), s.nvram)
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
