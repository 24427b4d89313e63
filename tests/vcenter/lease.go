// lease.go is HttpNfcLease: the permission to download a VM's files, or to
// upload those of a new one.

package main

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const nfcPath = "/nfc/"

// nfcLease is our HttpNfcLease; its embedded mo type is what the property
// collector reads.
type nfcLease struct {
	mo.HttpNfcLease

	token    string // the authority for the transfers, which need no login
	dir      string
	host     string // in the URLs; "*" is the host that the client knows
	progress chan struct{}
	ended    chan struct{}
	once     sync.Once

	mu    sync.Mutex
	files map[string]*leaseFile // by name in the URL
}

// leaseFile is one file of a lease.
type leaseFile struct {
	key    string
	send   string                  // the file to send (export)
	device types.BaseVirtualDevice // the device to fill (import)
	disk   *types.VirtualDisk
	store  string // where to put what is no device's (import)
}

var leases sync.Map // token -> *nfcLease

func (w *world) newLease(vmName string) *nfcLease {
	tok := make([]byte, 16)
	_, _ = rand.Read(tok)
	l := &nfcLease{token: hex.EncodeToString(tok), host: "*", files: map[string]*leaseFile{},
		progress: make(chan struct{}, 1), ended: make(chan struct{})}
	l.Self = types.ManagedObjectReference{Type: "HttpNfcLease", Value: "session[" + l.token[:8] + "]" + l.token[8:]}
	l.Mode = string(types.HttpNfcLeaseModePushOrGet)
	l.State = types.HttpNfcLeaseStateInitializing
	if w.faults.take("lease-unreachable", vmName) != nil {
		l.host = closedPort()
	}
	l.dir, _ = os.MkdirTemp(w.set.runDir, "lease-")
	put(l)
	leases.Store(l.token, l)
	go l.watch(w.set.leaseTime)
	return l
}

// watch ends the lease when its client does not report progress for too long.
func (l *nfcLease) watch(limit time.Duration) {
	for {
		select {
		case <-l.ended:
			return
		case <-l.progress:
		case <-time.After(limit):
			if l.State == types.HttpNfcLeaseStateReady {
				log.Printf("lease %s has timed out", l.token)
				l.fail(&types.Timedout{})
				l.end()
				return
			}
		}
	}
}

// say changes the lease's properties, more than once: see job.run.
func (l *nfcLease) say(ch ...types.PropertyChange) {
	change(l, ch...)
	go func() {
		for _, d := range []time.Duration{500 * time.Millisecond, 2 * time.Second} {
			select {
			case <-l.ended:
				return
			case <-time.After(d):
				change(l, ch...)
			}
		}
	}()
}

func (l *nfcLease) ready(info *types.HttpNfcLeaseInfo) {
	l.say(prop("info", info), prop("initializeProgress", int32(100)), prop("state", types.HttpNfcLeaseStateReady))
}

func (l *nfcLease) fail(fault types.BaseMethodFault) {
	l.say(prop("error", &types.LocalizedMethodFault{Fault: fault, LocalizedMessage: faultText(fault)}),
		prop("state", types.HttpNfcLeaseStateError))
}

// url is where a file of the lease is.
func (l *nfcLease) url(name string) string {
	return (&url.URL{Scheme: "https", Host: l.host, Path: nfcPath + l.token + "/" + name}).String()
}

// add offers a file.
func (l *nfcLease) add(name string, f *leaseFile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.files[name] = f
}

func (l *nfcLease) file(name string) *leaseFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files[name]
}

// end takes the files away. The object stays a while, for its last state.
func (l *nfcLease) end() {
	l.once.Do(func() {
		close(l.ended)
		leases.Delete(l.token)
		_ = os.RemoveAll(l.dir)
		time.AfterFunc(10*time.Second, func() { drop(l.Self) })
	})
}

// closedPort is an address where nobody will ever answer: bound, so that nobody
// else gets it, but not listening.
var closedPort = sync.OnceValue(func() string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		var sa syscall.Sockaddr
		if sa, err = syscall.Getsockname(fd); err == nil {
			return "127.0.0.1:" + strconv.Itoa(sa.(*syscall.SockaddrInet4).Port)
		}
	}
	return "127.0.0.1:1"
})

func (c *call) lease() *nfcLease { l, _ := get(c.this).(*nfcLease); return l }

func leaseComplete(c *call) (any, types.BaseMethodFault) {
	l := c.lease()
	if l.State != types.HttpNfcLeaseStateReady {
		return nil, &types.InvalidState{}
	}
	l.end()
	change(l, prop("state", types.HttpNfcLeaseStateDone))
	c.w.refreshSpace()
	return new(types.HttpNfcLeaseCompleteResponse), nil
}

func leaseAbort(c *call) (any, types.BaseMethodFault) {
	l := c.lease()
	l.end()
	change(l, prop("state", types.HttpNfcLeaseStateError))
	return new(types.HttpNfcLeaseAbortResponse), nil
}

func leaseProgress(c *call) (any, types.BaseMethodFault) {
	l := c.lease()
	if l.State != types.HttpNfcLeaseStateReady {
		return nil, &types.InvalidState{}
	}
	change(l, prop("transferProgress", c.body.(*types.HttpNfcLeaseProgress).Percent))
	select {
	case l.progress <- struct{}{}:
	default:
	}
	return new(types.HttpNfcLeaseProgressResponse), nil
}

// leaseManifest has the checksums of what an export sends.
func leaseManifest(c *call) (any, types.BaseMethodFault) {
	l := c.lease()
	if l.State != types.HttpNfcLeaseStateReady {
		return nil, &types.InvalidState{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	res := &types.HttpNfcLeaseGetManifestResponse{}
	for _, f := range l.files {
		if f.send == "" {
			continue
		}
		e, err := f.manifest()
		if err != nil {
			return nil, sysErr(err)
		}
		res.Returnval = append(res.Returnval, e)
	}
	return res, nil
}

func (f *leaseFile) manifest() (types.HttpNfcLeaseManifestEntry, error) {
	e := types.HttpNfcLeaseManifestEntry{Key: f.key, ChecksumType: string(types.HttpNfcLeaseManifestEntryChecksumTypeSha256), Disk: f.disk != nil}
	in, err := os.Open(f.send)
	if err != nil {
		return e, err
	}
	defer in.Close()
	s1, s256 := sha1.New(), sha256.New()
	if e.Size, err = io.Copy(io.MultiWriter(s1, s256), in); err != nil {
		return e, err
	}
	e.Sha1, e.Checksum = hex.EncodeToString(s1.Sum(nil)), hex.EncodeToString(s256.Sum(nil))
	if f.disk != nil {
		e.Capacity, e.PopulatedSize = diskBytes(f.disk), populated(f.disk)
	}
	return e, nil
}

// populated is how much of a disk has been written to.
func populated(d *types.VirtualDisk) (n int64) {
	file, _, err := diskImage(diskPath(d))
	if err != nil {
		return 0
	}
	chain, _ := imageChain(file)
	for _, layer := range chain {
		n += layer.ActualSize
	}
	return min(n, diskBytes(d))
}

// serveNFC sends a lease's files, or takes those of an import.
func (w *world) serveNFC(rw http.ResponseWriter, r *http.Request) {
	token, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, nfcPath), "/")
	v, ok := leases.Load(token)
	if !ok {
		http.NotFound(rw, r)
		return
	}
	l := v.(*nfcLease)
	f := l.file(name)
	switch {
	case f == nil:
		http.NotFound(rw, r)
	case (f.device != nil || f.store != "") && (r.Method == http.MethodPut || r.Method == http.MethodPost):
		if fault := w.full(r.URL.Path, "datastore"); fault != nil {
			http.Error(rw, "500 There is not enough space on the file system", http.StatusInternalServerError)
		} else if err := l.receive(f, r); err != nil {
			log.Printf("import %s: %v", name, err)
			http.Error(rw, err.Error(), http.StatusInternalServerError)
		} else {
			rw.WriteHeader(http.StatusCreated)
		}
	case f.send != "" && r.Method == http.MethodGet:
		sendFile(rw, f.send)
	default:
		http.Error(rw, "405 Method Not Allowed", http.StatusMethodNotAllowed)
	}
}

// sendFile sends without a length, as hosts do: they convert on the way.
func sendFile(rw http.ResponseWriter, name string) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	rw.Header().Set("Content-Type", "application/x-vnd.vmware-streamVmdk")
	rw.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(rw).Flush()
	if _, err := io.Copy(rw, f); err != nil {
		log.Printf("export: %v", err)
	}
}
