// library.go does what the simulator's content library leaves out: the files of
// an update stay apart until it is complete, are stored as they came and compared
// with their checksums, replace those of the same name, and count the version.

package main

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vapi/library"
	"github.com/vmware/govmomi/vapi/rest"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	libraryData   = "/rest/com/vmware/cis/data/"
	libraryUpdate = "/rest/com/vmware/content/library/item/update-session/id:"
	libraryFile   = "/rest/com/vmware/content/library/item/updatesession/file/id:"
)

// shelves is what is under way in update sessions, by their ids.
type shelves struct {
	held    chan string // uploads that hang, as they begin to
	mu      sync.Mutex
	updates map[string]*shelf
}

type shelf struct {
	files   []library.File
	removed map[string]bool
	wrong   string // why the update will fail
}

func (s *shelves) of(id string) *shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.updates == nil {
		s.updates = map[string]*shelf{}
	}
	if s.updates[id] == nil {
		s.updates[id] = &shelf{removed: map[string]bool{}}
	}
	return s.updates[id]
}

func (w *world) shelfDir(id string) string { return filepath.Join(w.set.runDir, "updates", id) }

// serveLibrary answers what the simulator does not; false: it may go on.
func (f *front) serveLibrary(rw http.ResponseWriter, r *http.Request) bool {
	action := r.URL.Query().Get("~action")
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, libraryData) && r.Method == http.MethodPut && !strings.EqualFold(path.Ext(p), ".ova"):
		f.w.cutting(rw, r, f.w.receiveFile)
	case strings.HasPrefix(p, libraryFile) && action == "remove":
		f.w.removeFile(rw, r, strings.TrimPrefix(p, libraryFile))
	case strings.HasPrefix(p, libraryUpdate) && action == "complete":
		return f.w.completeUpdate(rw, r, strings.TrimPrefix(p, libraryUpdate))
	default:
		if strings.HasPrefix(p, libraryUpdate) && r.Method == http.MethodDelete {
			_ = os.RemoveAll(f.w.shelfDir(strings.TrimPrefix(p, libraryUpdate)))
		}
		return false
	}
	return true
}

// library is the simulator's handler of the REST API, whose state has no door.
func (w *world) library() (reflect.Value, sync.Locker) {
	h, _ := service.ServeMux.Handler(&http.Request{Method: http.MethodGet, URL: mustParse("/rest/")})
	return reflect.ValueOf(h).Elem(), h.(sync.Locker)
}

// mayChange wants a session of the REST API.
func (w *world) mayChange(rw http.ResponseWriter, r *http.Request) bool {
	h, lock := w.library()
	lock.Lock()
	defer lock.Unlock()
	sessions := h.FieldByName("Session").Interface().(map[string]*rest.Session)
	if sessions[r.Header.Get("vmware-api-session-id")] == nil {
		rw.WriteHeader(http.StatusUnauthorized)
		return false
	}
	return true
}

type updating struct {
	session *library.Session
	library *library.Library
	files   map[string]*library.UpdateFile
}

// updates lists the update sessions; the lock is held.
func updates(h reflect.Value) map[string]updating {
	out := map[string]updating{}
	for it := h.FieldByName("Update").MapRange(); it.Next(); {
		u := it.Value()
		out[it.Key().String()] = updating{
			u.FieldByName("Session").Interface().(*library.Session),
			u.FieldByName("Library").Interface().(*library.Library),
			u.FieldByName("File").Interface().(map[string]*library.UpdateFile),
		}
	}
	return out
}

func (w *world) receiveFile(rw http.ResponseWriter, r *http.Request) {
	if !w.mayChange(rw, r) {
		return
	}
	if w.faults.take("hold-upload", r.URL.Path) != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		w.shelves.held <- path.Base(r.URL.Path)
		<-r.Context().Done() // the client has gone
		panic(http.ErrAbortHandler)
	}
	id, name := path.Base(path.Dir(r.URL.Path)), path.Base(r.URL.Path)
	h, lock := w.library()
	lock.Lock()
	var session string
	var file *library.UpdateFile
	for sid, u := range updates(h) {
		if u.files[id] != nil {
			session, file = sid, u.files[id]
		}
	}
	lock.Unlock()
	if file == nil {
		http.NotFound(rw, r)
		return
	}
	sums := map[string]hash.Hash{"MD5": md5.New(), "SHA1": sha1.New(), "SHA256": sha256.New(), "SHA512": sha512.New()}
	n, err := store(filepath.Join(w.shelfDir(session), name), r.Body, sums)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	s := w.shelves.of(session)
	lock.Lock()
	defer lock.Unlock()
	file.Status, file.BytesTransferred = "READY", n
	if c := file.Checksum; c != nil && c.Checksum != "" {
		sum := sums[c.Algorithm]
		if sum == nil || fmt.Sprintf("%x", sum.Sum(nil)) != c.Checksum {
			s.wrong = fmt.Sprintf("the checksum of %s is not %s", name, c.Checksum)
		}
	}
	cached := true
	s.files = append(s.files, library.File{Name: name, Size: &n, Cached: &cached, Version: "1"})
	delete(s.removed, name)
}

// store writes a file and hashes it.
func store(to string, body io.Reader, sums map[string]hash.Hash) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	f, err := os.Create(to)
	if err != nil {
		return 0, err
	}
	defer f.Close() // also if the transfer is cut
	out := []io.Writer{f}
	for _, sum := range sums {
		out = append(out, sum)
	}
	n, err := io.Copy(io.MultiWriter(out...), body)
	if err == nil {
		err = f.Close()
	}
	return n, err
}

func (w *world) removeFile(rw http.ResponseWriter, r *http.Request, session string) {
	var spec struct {
		Name string `json:"file_name"`
	}
	if !w.mayChange(rw, r) {
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&spec); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	w.shelves.of(session).removed[spec.Name] = true
}

// completeUpdate puts a session's files in force; the simulator does the rest.
func (w *world) completeUpdate(rw http.ResponseWriter, r *http.Request, id string) bool {
	if !w.mayChange(rw, r) {
		return true
	}
	h, lock := w.library()
	lock.Lock()
	defer lock.Unlock()
	u, ok := updates(h)[id]
	if !ok {
		return false
	}
	s := w.shelves.of(id)
	if i := w.faults.take("library-error", u.library.Name); i != nil {
		s.wrong = i.text("the library is out of order")
	}
	if err := w.shelve(h, u, s); err != nil && s.wrong == "" {
		s.wrong = err.Error()
	}
	if s.wrong != "" {
		u.session.State = "ERROR"
		u.session.ErrorMessage = &rest.LocalizableMessage{DefaultMessage: s.wrong}
	}
	return false
}

// shelve moves the files of a complete update into the item's directory.
func (w *world) shelve(h reflect.Value, u updating, s *shelf) error {
	for _, f := range u.files {
		staged := func(g library.File) bool { return g.Name == f.Name }
		if !strings.EqualFold(path.Ext(f.Name), ".ova") && f.SourceType == "PUSH" && !some(s.files, staged) {
			return fmt.Errorf("%s was not uploaded", f.Name)
		}
	}
	if s.wrong != "" {
		return nil
	}
	content := h.FieldByName("Library").MapIndex(reflect.ValueOf(u.library.ID)).Elem()
	it := content.FieldByName("Item").MapIndex(reflect.ValueOf(u.session.LibraryItemID)).Elem()
	meta := it.FieldByName("Item").Interface().(*library.Item)
	ds := get(types.ManagedObjectReference{Type: "Datastore", Value: u.library.Storage[0].DatastoreID}).(*simulator.Datastore)
	dir := filepath.Join(ds.Summary.Url, "contentlib-"+u.library.ID, meta.ID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var kept []library.File
	for _, f := range it.FieldByName("File").Interface().([]library.File) {
		replaced := some(s.files, func(g library.File) bool { return g.Name == f.Name })
		if !replaced && !s.removed[f.Name] {
			kept = append(kept, f)
		} else if err := os.Remove(filepath.Join(dir, f.Name)); err != nil {
			return err
		}
	}
	for _, f := range s.files {
		if err := os.Rename(filepath.Join(w.shelfDir(u.session.ID), f.Name), filepath.Join(dir, f.Name)); err != nil {
			return err
		}
	}
	it.FieldByName("File").Set(reflect.ValueOf(append(kept, s.files...)))
	version, _ := strconv.Atoi(meta.ContentVersion)
	meta.ContentVersion = strconv.Itoa(version + 1)
	return nil
}

func some(files []library.File, f func(library.File) bool) bool {
	for _, file := range files {
		if f(file) {
			return true
		}
	}
	return false
}
