// qemu.go looks after one QEMU process.

package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
)

// settings are the command line's choices about guests.
type settings struct {
	qemu      string
	accel     string
	cpu       string
	diskBus   string // "native", "virtio-scsi"
	maxMem    int    // MiB, 0 = as configured
	maxCPU    int
	keyGap    time.Duration
	leaseTime time.Duration
	runDir    string
}

// qemuProc is one running guest.
type qemuProc struct {
	cmd    *exec.Cmd
	qmp    *qmpClient
	ports  []*port
	done   chan struct{} // closed when the process is gone
	cdroms map[int32]string
	floppy map[int32]string
	disks  map[int32]string // device key -> QEMU node name

	mu   sync.Mutex
	boot time.Time // the last power on or reset
}

func (p *qemuProc) booted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.boot = time.Now()
}

func (p *qemuProc) bootTime() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.boot
}

func (p *qemuProc) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

type spawnJob struct {
	cmd *exec.Cmd
	err chan error
}

var (
	spawner   sync.Once
	spawnJobs = make(chan spawnJob)
)

// startChild starts cmd so that it dies with this program. Linux binds the
// parent-death signal to the thread that forked, hence one thread that stays.
func startChild(cmd *exec.Cmd) error {
	spawner.Do(func() {
		go func() {
			runtime.LockOSThread()
			for job := range spawnJobs {
				job.err <- job.cmd.Start()
			}
		}()
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	j := spawnJob{cmd, make(chan error)}
	spawnJobs <- j
	return <-j.err
}

// ownGroup keeps signals to our process group (Ctrl-C, timeout(1)) from
// helpers that run while we clean up.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// launch starts the guest, from where a memory snapshot left it if there is one.
func launch(vm *simulator.VirtualMachine, w *world, m *machine, from *memorySnapshot) (_ *qemuProc, err error) {
	dir, err := directory(vm)
	if err != nil {
		return nil, err
	}
	p := &qemuProc{boot: time.Now(), done: make(chan struct{}),
		cdroms: map[int32]string{}, floppy: map[int32]string{}, disks: map[int32]string{}}
	waited := false // once true, the waiter gives the ports back
	defer func() {
		if err != nil && !waited {
			p.disconnect(w.net)
		}
	}()
	sock := filepath.Join(w.set.runDir, vm.Self.Value+".qmp")
	_ = os.Remove(sock)
	args, err := commandLine(vm, w, p, dir, sock)
	if err != nil {
		return nil, err
	}
	if from != nil {
		args = append(args, "-incoming", "exec:cat <"+shellQuote(from.file))
	}
	logName := filepath.Join(dir, "qemu.log")
	logFile, err := os.OpenFile(logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	fmt.Fprintf(logFile, "%s %s %s\n", time.Now().Format(time.RFC3339), w.set.qemu, strings.Join(args, " "))
	p.cmd = exec.Command(w.set.qemu, args...)
	p.cmd.Stdout, p.cmd.Stderr = logFile, logFile
	if err = startChild(p.cmd); err != nil {
		return nil, err
	}
	waited = true
	go func() {
		werr := p.cmd.Wait()
		log.Printf("%s (%s): qemu pid %d is gone: %v", vm.Self.Value, vm.Name, p.cmd.Process.Pid, werr)
		p.disconnect(w.net)
		_ = os.Remove(sock)
		close(p.done)
		m.onExit(p)
	}()
	p.qmp, err = dialQMP(sock, 15*time.Second, p.alive, func(name string, data json.RawMessage) { m.onEvent(p, name, data) })
	if err == nil && from != nil {
		err = p.goOn()
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
		return nil, fmt.Errorf("%w: %s", err, tail(logName, 400))
	}
	log.Printf("%s (%s): qemu pid %d", vm.Self.Value, vm.Name, p.cmd.Process.Pid)
	return p, nil
}

func (p *qemuProc) disconnect(n *network) {
	for _, pt := range p.ports {
		n.disconnect(pt)
	}
}

// stop ends the guest at once, as pulling the plug does.
func (p *qemuProc) stop() {
	_, _ = p.qmp.do("quit", nil)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func tail(file string, n int) string {
	b, _ := os.ReadFile(file)
	return string(b[max(0, len(b)-n):])
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
