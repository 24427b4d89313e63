// Command vcenter-double is a vCenter endpoint without a vCenter: govmomi's
// simulator for inventory, sessions, tasks, properties and datastores, and
// QEMU for the virtual machines.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	_ "github.com/vmware/govmomi/pbm/simulator" // storage policies
	"github.com/vmware/govmomi/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator" // the REST API: tags, content library
	"github.com/vmware/govmomi/vim25/types"
)

// options is the command line.
type options struct {
	inv                     inventory
	set                     settings
	listen, user, pass, tls string
	guestNet, trace, dir    string
	esx                     bool
}

func flags() *options {
	o := &options{}
	flag.StringVar(&o.listen, "l", "127.0.0.1:0", "address to listen on (TLS)")
	flag.StringVar(&o.user, "username", "administrator@vsphere.local", "login")
	flag.StringVar(&o.pass, "password", "password", "its password")
	flag.StringVar(&o.tls, "tls", "self", "certificate: self (self-signed) or ca (of a throw-away authority)")
	flag.BoolVar(&o.esx, "esx", false, "be an ESXi host without a vCenter")
	flag.StringVar(&o.dir, "dir", "", "keep the datastores and the certificate here (default: a temporary directory, removed at exit)")
	flag.StringVar(&o.trace, "trace", "", "write one line per request to this file")
	flag.StringVar(&o.guestNet, "guest-net", "127.77.0", "first three numbers of the guests' addresses")

	flag.StringVar(&o.inv.datacenter, "datacenter", "Packer", "name")
	flag.StringVar(&o.inv.cluster, "cluster", "Packer", "name")
	flag.StringVar(&o.inv.host, "host", "127.0.0.1", "name, also where it is said to be reached")
	flag.StringVar(&o.inv.datastore, "datastore", "Packer", "name")
	flag.StringVar(&o.inv.small, "small-datastore", "small", "name of a second, empty datastore of 256 MiB; none if empty")
	flag.StringVar(&o.inv.network, "network", "VM Network", "name")
	flag.StringVar(&o.inv.portgroup, "portgroup", "DVPG", "name of a distributed port group; none if empty")
	flag.StringVar(&o.inv.pool, "pool", "", "name of a resource pool to make in the cluster; none by default")
	flag.StringVar(&o.inv.folder, "folder", "Packer", "name of a VM folder to make; none if empty")
	flag.StringVar(&o.inv.bareVM, "bare-vm", "", "name of a VM without a snapshot to make; none by default")

	flag.StringVar(&o.set.qemu, "qemu", "qemu-system-x86_64", "program")
	flag.StringVar(&o.set.accel, "accel", "tcg,thread=multi", "QEMU accelerator")
	flag.StringVar(&o.set.cpu, "cpu", "max", "QEMU CPU model")
	flag.StringVar(&o.set.diskBus, "disk-bus", "virtio-scsi", "what SCSI controllers become: virtio-scsi (sda..., as on ESXi) or native (lsi53c895a, mptsas1068, pvscsi)")
	flag.IntVar(&o.set.maxMem, "max-mem", 0, "cap on a guest's memory, MiB")
	flag.IntVar(&o.set.maxCPU, "max-cpus", 0, "cap on a guest's CPUs")
	flag.DurationVar(&o.set.keyGap, "key-gap", 15*time.Millisecond, "pause after each key press and each release")
	flag.DurationVar(&o.set.leaseTime, "lease-timeout", 300*time.Second, "how long an export or import may go without a report of progress")
	flag.Parse()
	return o
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if err := run(flags()); err != nil {
		log.Fatal("vcenter-double: ", err)
	}
}

// readiness is the line that says that we are up.
type readiness struct {
	URL        string `json:"url"`
	Thumbprint string `json:"thumbprint"`
	SHA256     string `json:"sha256"`
	CA         string `json:"ca"`
	Control    string `json:"control"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	Dir        string `json:"dir"`
}

func run(o *options) error {
	stop := stopping()
	var err error
	if o.set.runDir, err = os.MkdirTemp("", "vcenter-double-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.set.runDir)
	if o.dir == "" {
		o.dir = o.set.runDir
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	o.inv.dir = filepath.Join(o.dir, "datastores")
	if err := os.MkdirAll(o.inv.dir, 0o755); err != nil {
		return err
	}
	w := &world{set: o.set, esx: o.esx, machines: map[types.ManagedObjectReference]*machine{}, tickets: map[string]bool{}, shelves: shelves{held: make(chan string, 16)}}
	if w.net, err = newNetwork(o.guestNet); err != nil {
		return err
	}
	defer w.stopAll()
	model := newModel(o.esx)
	if err := model.Create(); err != nil {
		return err
	}
	defer model.Remove()
	service = model.Service
	if err := (&founder{ctx: context.Background(), inv: o.inv, w: w}).found(o.esx); err != nil {
		return fmt.Errorf("inventory: %w", err)
	}
	id, err := newIdentity(o.tls, o.listen, filepath.Join(o.dir, "ca.pem"))
	if err != nil {
		return err
	}
	control, controlURL, err := w.control()
	if err != nil {
		return err
	}
	defer control.Close()
	srv, err := serve(o, w, id)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.outlet = &outlet{srv: srv, open: srv.Listener}
	w.mu.Unlock()
	defer srv.CloseClientConnections() // Close would wait for those who wait for updates
	if err := announce(srv.URL.Host); err != nil {
		return err
	}
	line, err := json.Marshal(readiness{"https://" + srv.URL.Host + "/sdk", id.sha1(), id.sha256(), id.caFile, controlURL, o.user, o.pass, o.dir})
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	log.Printf("%s: stopping", <-stop)
	return nil
}

// serve starts the simulator's server with our handler in front of its own.
func serve(o *options, w *world, id *identity) (*simulator.Server, error) {
	var out io.Writer
	if o.trace != "" {
		f, err := os.Create(o.trace)
		if err != nil {
			return nil, err
		}
		out = f
	}
	service.Listen = &url.URL{Host: o.listen, User: url.UserPassword(o.user, o.pass)}
	service.TLS = &tls.Config{Certificates: []tls.Certificate{id.cert}}
	service.RegisterEndpoints = !o.esx // a host has no REST API
	fr := &front{w: w, trace: &tracer{start: time.Now(), out: out}}
	// Nobody knows the address yet: the handler can still be changed.
	srv := service.NewServer()
	fr.inner = srv.Config.Handler
	srv.Config.Handler = fr
	return srv, nil
}

// stopping tells why to stop: a signal, or the end of the parent. (Linux's
// parent-death signal would come when the thread ends that started us.)
func stopping() <-chan string {
	why := make(chan string, 2)
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	parent := os.Getppid()
	go func() { why <- (<-sig).String() }()
	go func() {
		for os.Getppid() == parent {
			time.Sleep(200 * time.Millisecond)
		}
		why <- "the parent is gone"
	}()
	return why
}
