// front.go stands in front of the simulator's HTTP handler. It answers the
// methods of world.go's tables and the transfers itself, injects the faults,
// counts and traces; everything else goes on to the simulator.

package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type front struct {
	w     *world
	inner http.Handler
	trace *tracer
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, u := time.Now(), *r.URL // the simulator edits it
	in := &countingReader{ReadCloser: r.Body}
	r.Body = in
	rec := &recorder{ResponseWriter: w}
	method := ""
	defer func() {
		f.w.stats.transfer(area(u.Path), in.n, rec.n)
		if method == "" {
			f.trace.http(start, r, u.String(), in.n, rec)
		}
	}()
	if f.w.faults.take("http-502", u.Path) != nil {
		http.Error(rec, "<html><body><h1>502 Bad Gateway</h1>the proxy could not reach the server</body></html>", http.StatusBadGateway)
		return
	}
	switch {
	case r.Method == http.MethodPost && area(u.Path) == "sdk":
		method = f.soap(rec, r, start)
	case strings.HasPrefix(u.Path, nfcPath):
		f.w.cutting(rec, r, f.w.serveNFC)
	case strings.HasPrefix(u.Path, folderPath):
		f.w.cutting(rec, r, f.w.serveFolder)
	case u.Path == "/screen":
		f.w.serveScreen(rec, r)
	case area(u.Path) == "rest":
		f.serveREST(rec, r)
	case u.Path == "/pbm/sdk": // the simulator knows the place by its other name
		r.URL.Path = "/pbm"
		f.inner.ServeHTTP(rec, r)
	default:
		f.inner.ServeHTTP(rec, r)
	}
}

// area is the part of the URL space that a path belongs to, for the counts.
func area(path string) string {
	switch first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); first {
	case "sdk", "folder", "nfc", "screen":
		return first
	case "rest", "api":
		return "rest"
	}
	return "other"
}

// beforeLogin are the methods that need no session. (The simulator would also
// let properties be read.)
var beforeLogin = set("RetrieveServiceContent", "RetrieveInternalContent", "Login", "LoginByToken",
	"LoginExtensionByCertificate", "CloneSession", "CurrentTime")

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// soap answers one SOAP call and returns its method's name.
func (f *front) soap(rec *recorder, r *http.Request, start time.Time) string {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(rec, err.Error(), http.StatusBadRequest)
		return "?"
	}
	rec.keep = 64 << 10
	method, err := simulator.UnmarshalBody(types.TypeFunc(), body)
	if err != nil {
		method = &simulator.Method{Name: "?"}
	}
	f.w.stats.called(method.Name)
	args := f.trace.args(method)
	defer func() {
		if p := recover(); p != nil { // a bug here or in the simulator: say so, as a fault
			log.Printf("panic in %s: %v\n%s", method.Name, p, debug.Stack())
			sendFault(rec, &types.SystemError{Reason: fmt.Sprint(p)})
		}
		f.trace.soap(start, r, method, args, rec)
	}()
	if err == nil && f.answered(rec, r, method) {
		return method.Name
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	f.inner.ServeHTTP(&texter{rec, method.Name}, r)
	return method.Name
}

// answered answers a call unless the simulator has to.
func (f *front) answered(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	us := sessionOf(r)
	if us == nil {
		if beforeLogin[m.Name] || m.Name == "Fetch" && m.This.Type == "ServiceInstance" {
			return false
		}
		sendFault(w, notAuthenticated(m.This))
		return true
	}
	if fault := f.w.refusal(m, us); fault != nil {
		sendFault(w, fault)
		return true
	}
	c := &call{w: f.w, ctx: fresh(), user: us.UserName, this: m.This, name: m.Name, body: m.Body}
	c.ctx.Session = &simulator.Session{UserSession: *us, Registry: simulator.NewRegistry(), Map: registry()}
	key := m.This.Type + "." + m.Name
	if a := answers[key]; a != nil && get(m.This) != nil {
		res, fault := a(c)
		if fault != nil {
			log.Printf("%s %s: %s: %s", m.Name, m.This.Value, typeOf(fault), faultText(fault))
			sendFault(w, fault)
		} else {
			sendAnswer(w, res)
		}
		return true
	}
	t := tasks[key]
	if t == nil && strings.HasSuffix(m.Name, "_Task") && simulatorMethod(m.This, m.Name).IsValid() {
		t = simulatorTask
	}
	if t == nil || get(m.This) == nil {
		return false
	}
	sendTask(w, m.Name, c.startCall(t))
	return true
}

func notAuthenticated(on types.ManagedObjectReference) types.BaseMethodFault {
	return &types.NotAuthenticated{NoPermission: types.NoPermission{Object: &on, PrivilegeId: "System.View"}}
}

// sessionOf is the login that a request's cookie stands for.
func sessionOf(r *http.Request) *types.UserSession {
	cookie, err := r.Cookie(soap.SessionCookieName)
	if err != nil {
		return nil
	}
	list := sessions()
	for i := range list {
		if list[i].Key == cookie.Value {
			return &list[i]
		}
	}
	return nil
}

// sessions are all present logins.
func sessions() []types.UserSession {
	s := &simulator.Session{Registry: simulator.NewRegistry(), Map: registry()}
	m, ok := s.Get(registry().SessionManager().Reference()).(*simulator.SessionManager)
	if !ok {
		return nil
	}
	return m.SessionList
}

// dropSession ends a login from outside, as a timeout or an administrator does.
func dropSession(key string) {
	c := fresh()
	c.Session = &simulator.Session{} // nobody may end the session that he uses
	registry().SessionManager().TerminateSession(c, &types.TerminateSession{SessionId: []string{key}})
}

// serviceTicket keeps the tickets that the simulator only hands out.
func serviceTicket(c *call) (any, types.BaseMethodFault) {
	sm := registry().SessionManager()
	res, fault := delegate(c.ctx, sm, func(*simulator.Context) soap.HasFault {
		return sm.AcquireGenericServiceTicket(c.body.(*types.AcquireGenericServiceTicket))
	})
	if fault != nil {
		return nil, fault
	}
	ticket := res.(types.SessionManagerGenericServiceTicket)
	c.w.mu.Lock()
	c.w.tickets[ticket.Id] = true
	c.w.mu.Unlock()
	return &types.AcquireGenericServiceTicketResponse{Returnval: ticket}, nil
}

var (
	noText  = []byte("<faultstring></faultstring>")
	faultRE = regexp.MustCompile(`<detail>\s*<\w+Fault [^>]*:type="(\w+)"`)
)

// texter mends the simulator's answers, each of which it writes with one call:
// its faults mostly have no words, and a property that is not set is answered
// in the way of another method.
type texter struct {
	http.ResponseWriter
	method string
}

func (t *texter) Write(b []byte) (int, error) {
	n := len(b)
	if t.method == "Fetch" && bytes.Contains(b, []byte("<RetrievePropertiesExResponse")) {
		b = []byte(soapHead + `<FetchResponse xmlns="urn:vim25"></FetchResponse>` + soapTail)
	}
	b = bytes.Replace(b, []byte("<faultstring>Login failure</faultstring>"), noText, 1)
	if i := bytes.Index(b, noText); i > 0 {
		if m := faultRE.FindSubmatch(b); m != nil {
			text := plainText[string(m[1])]
			if text == "" {
				text = string(m[1])
			}
			b = bytes.Replace(b, noText, []byte("<faultstring>"+text+"</faultstring>"), 1)
		}
	}
	_, err := t.ResponseWriter.Write(b)
	return n, err
}
