// datastore.go serves the files of datastores over HTTP: GET, HEAD and PUT of
// /folder/<path>?dcPath=<datacenter>&dsName=<datastore>.

package main

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
)

const (
	folderPath = "/folder/"
	bigStore   = int64(1) << 40   // what the simulator gives every datastore
	smallStore = int64(256) << 20 // of the datastore that is nearly too small
)

func datastores() []*simulator.Datastore {
	var out []*simulator.Datastore
	for _, e := range all("Datastore") {
		out = append(out, e.(*simulator.Datastore))
	}
	return out
}

func datastoreNamed(name string) *simulator.Datastore {
	for _, ds := range datastores() {
		if ds.Name == name {
			return ds
		}
	}
	return nil
}

// hostPath turns "[datastore] dir/file" into a path of this machine.
func hostPath(dsPath string) (string, error) {
	var p object.DatastorePath
	if !p.FromString(dsPath) {
		return "", fmt.Errorf("%q is not a datastore path", dsPath)
	}
	ds := datastoreNamed(p.Datastore)
	if ds == nil {
		return "", fmt.Errorf("no datastore %q", p.Datastore)
	}
	return filepath.Join(ds.Summary.Url, filepath.FromSlash(path.Clean("/"+p.Path))), nil
}

// datastorePath is the reverse; what is no path of a datastore stays.
func datastorePath(file string) string {
	for _, ds := range datastores() {
		if rel, ok := strings.CutPrefix(file, ds.Summary.Url+"/"); ok {
			return "[" + ds.Name + "] " + rel
		}
	}
	return file
}

// usedBytes is what a directory takes on this machine.
func usedBytes(dir string) int64 {
	var n int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				n += st.Blocks * 512
			}
		}
		return nil
	})
	return n
}

// reportSpace says how much room the datastores have: next to none while they
// are to be full.
func reportSpace(full bool) {
	for _, ds := range datastores() {
		free := max(0, ds.Summary.Capacity-usedBytes(ds.Summary.Url))
		if full {
			free = 4096
		}
		withLock(ds, func(lk *simulator.Context) {
			ds.Info.GetDatastoreInfo().FreeSpace = free
			update(lk, ds, prop("summary.freeSpace", free))
		})
	}
}

// refreshSpace is reportSpace after something was written or removed.
func (w *world) refreshSpace() { reportSpace(len(w.faults.each("datastore-full")) > 0) }

// requested finds the file that a /folder request is about.
func requested(r *http.Request) (ds *simulator.Datastore, file string, ok bool) {
	q := r.URL.Query()
	dcPath := strings.Trim(q.Get("dcPath"), "/")
	for _, e := range all("Datacenter") {
		dc := e.(*simulator.Datacenter)
		if dc.Name != dcPath && dcPath != "" {
			continue
		}
		ds = datastoreNamed(q.Get("dsName"))
	}
	rel := strings.TrimPrefix(r.URL.Path, folderPath)
	if ds == nil || rel == "" || strings.Contains("/"+rel+"/", "/../") {
		return nil, "", false
	}
	return ds, filepath.Join(ds.Summary.Url, filepath.FromSlash(path.Clean("/"+rel))), true
}

func (w *world) serveFolder(rw http.ResponseWriter, r *http.Request) {
	if !w.mayTransfer(r) {
		rw.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		http.Error(rw, "401 Unauthorized", http.StatusUnauthorized)
		return
	}
	ds, file, ok := requested(r)
	if !ok {
		http.NotFound(rw, r)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if st, err := os.Stat(file); err != nil || st.IsDir() {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "application/octet-stream")
		http.ServeFile(rw, r, file)
	case http.MethodPut:
		w.upload(rw, r, ds, file)
	default:
		http.Error(rw, "405 Method Not Allowed", http.StatusMethodNotAllowed)
	}
}

// mayTransfer wants a login, or a ticket that is then used up.
func (w *world) mayTransfer(r *http.Request) bool {
	if sessionOf(r) != nil {
		return true
	}
	c, err := r.Cookie("vmware_cgi_ticket")
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	ok := w.tickets[c.Value]
	delete(w.tickets, c.Value)
	return ok
}

// upload stores a file in place, so that a transfer that is cut leaves a part.
func (w *world) upload(rw http.ResponseWriter, r *http.Request, ds *simulator.Datastore, file string) {
	if r.ContentLength < 0 {
		http.Error(rw, "411 Length Required", http.StatusLengthRequired)
		return
	}
	fault := w.full(r.URL.Path, ds.Name)
	if fault != nil || r.ContentLength > ds.Summary.FreeSpace {
		http.Error(rw, "500 There is not enough space on the file system", http.StatusInternalServerError)
		return
	}
	status := http.StatusCreated
	if st, err := os.Stat(file); err == nil {
		if st.IsDir() {
			http.Error(rw, "409 Conflict", http.StatusConflict)
			return
		}
		status = http.StatusOK
	}
	f, err := os.Create(file)
	if err != nil { // above all, no such directory
		http.Error(rw, "404 Not Found", http.StatusNotFound)
		return
	}
	defer f.Close() // also if the transfer is cut
	if _, err = io.Copy(f, r.Body); err == nil {
		err = f.Close()
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	w.refreshSpace()
	rw.WriteHeader(status)
}

// cutting serves a transfer; if told to, it breaks the connection in the middle,
// or goes on so slowly that the end is never seen.
func (w *world) cutting(rw http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	if cut := w.faults.take("cut-transfer", r.URL.Path); cut != nil {
		left := int64(cut.number(65536))
		rw, r.Body = &cutWriter{ResponseWriter: rw, left: left}, &cutReader{ReadCloser: r.Body, left: left}
	}
	if slow := w.faults.take("slow-transfer", r.URL.Path); slow != nil {
		left := int64(slow.number(65536))
		rw, r.Body = &slowWriter{ResponseWriter: rw, left: left}, &slowReader{ReadCloser: r.Body, left: left}
	}
	serve(rw, r)
}

type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if int64(len(b)) < c.left {
		c.left -= int64(len(b))
		return c.ResponseWriter.Write(b)
	}
	_, _ = c.ResponseWriter.Write(b[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

type cutReader struct {
	io.ReadCloser
	left int64
}

func (c *cutReader) Read(b []byte) (int, error) {
	if c.left <= 0 {
		panic(http.ErrAbortHandler)
	}
	n, err := c.ReadCloser.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}

// crawl is the time that each byte of a slow transfer takes.
const crawl = 50 * time.Millisecond

type slowWriter struct {
	http.ResponseWriter
	left int64
}

func (s *slowWriter) Write(b []byte) (int, error) {
	fast := min(int64(len(b)), s.left)
	s.left -= fast
	done, err := s.ResponseWriter.Write(b[:fast])
	for err == nil && done < len(b) {
		time.Sleep(crawl)
		var n int
		n, err = s.ResponseWriter.Write(b[done : done+1])
		done += n
		if err == nil {
			err = http.NewResponseController(s.ResponseWriter).Flush()
		}
	}
	return done, err
}

type slowReader struct {
	io.ReadCloser
	left int64
}

func (s *slowReader) Read(b []byte) (int, error) {
	if s.left <= 0 {
		time.Sleep(crawl)
		return s.ReadCloser.Read(b[:min(1, len(b))])
	}
	n, err := s.ReadCloser.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	return n, err
}
