// rest.go stands in front of the simulator's REST API: sessions as vCenter 7 has
// them, the faults, the counts.

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/vapi/rest"
)

const (
	newSession = "/api/session"
	oldSession = "/rest/com/vmware/cis/session"
)

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// serveREST answers a request of /rest or /api.
func (f *front) serveREST(rw http.ResponseWriter, r *http.Request) {
	f.w.stats.called(restName(r))
	if f.w.faults.take("http-404", r.URL.Path) != nil {
		http.NotFound(rw, r)
		return
	}
	if f.w.faults.take("rest-expired", r.URL.Path) != nil {
		f.w.dropREST(r.Header.Get("vmware-api-session-id"))
	}
	switch {
	case r.URL.Path == newSession:
		f.serveSession(rw, r)
	case !f.serveLibrary(rw, r):
		f.inner.ServeHTTP(rw, r)
	}
}

// restName is a request as the counts name it: without ids, with its action.
func restName(r *http.Request) string {
	name, _, _ := strings.Cut(r.URL.Path, "/id:")
	if strings.HasPrefix(name, libraryData) {
		name = strings.TrimSuffix(libraryData, "/")
	}
	if action := r.URL.Query().Get("~action"); action != "" {
		name += "?" + action
	}
	return r.Method + " " + name
}

// dropREST ends a session, as a timeout does.
func (w *world) dropREST(id string) {
	h, lock := w.library()
	lock.Lock()
	defer lock.Unlock()
	delete(h.FieldByName("Session").Interface().(map[string]*rest.Session), id)
}

// answer is what the simulator says, kept.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// serveSession is the session of vCenter 7, made of that of 6.5: its answers are
// not wrapped.
func (f *front) serveSession(rw http.ResponseWriter, r *http.Request) {
	r.URL.Path = oldSession
	a := &answer{header: http.Header{}, status: http.StatusOK}
	f.inner.ServeHTTP(a, r)
	var told struct {
		Value any `json:"value"`
	}
	switch {
	case a.status != http.StatusOK:
		rw.WriteHeader(a.status)
	case r.Method == http.MethodDelete:
		rw.WriteHeader(http.StatusNoContent)
	case json.Unmarshal(a.body.Bytes(), &told) != nil:
		http.Error(rw, a.body.String(), http.StatusInternalServerError)
	default:
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(rw).Encode(told.Value)
	}
}
