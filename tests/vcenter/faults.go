// faults.go holds the faults that a test has switched on.

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// faultNames says what each fault's match is compared with.
var faultNames = map[string]string{
	"session-expired":   "method",
	"task-error":        "method",
	"slow-task":         "method",
	"no-privilege":      "method",
	"question":          "name of the VM",
	"lease-unreachable": "name of the VM",
	"datastore-full":    "method or path",
	"cut-transfer":      "path",
	"slow-transfer":     "path",
	"http-502":          "path",
	"http-404":          "path",
	"hold-upload":       "path",
	"rest-expired":      "path",
	"library-error":     "name of the library",
}

// injected is one fault that is switched on.
type injected struct {
	Name  string          `json:"name"`
	Count int             `json:"count"` // how often still; -1: until it is switched off
	Match string          `json:"match,omitempty"`
	Arg   json.RawMessage `json:"arg,omitempty"`
}

func (i *injected) text(otherwise string) string {
	var s string
	if json.Unmarshal(i.Arg, &s) != nil || s == "" {
		return otherwise
	}
	return s
}

func (i *injected) number(otherwise float64) float64 {
	var n float64
	if json.Unmarshal(i.Arg, &n) != nil {
		return otherwise
	}
	return n
}

func (i *injected) seconds() time.Duration { return time.Duration(i.number(5) * float64(time.Second)) }

func (i *injected) fits(name, what string) bool {
	return i.Name == name && i.Count != 0 && strings.Contains(strings.ToLower(what), strings.ToLower(i.Match))
}

type faults struct {
	mu    sync.Mutex
	list  []*injected
	taken chan struct{} // closed when the next occasion is used up
}

// add switches a fault on.
func (f *faults) add(i *injected) error {
	if faultNames[i.Name] == "" {
		return fmt.Errorf("no fault %q", i.Name)
	}
	if i.Count == 0 {
		i.Count = 1
	}
	f.mu.Lock()
	f.list = append(f.list, i)
	f.mu.Unlock()
	if i.Name == "datastore-full" {
		reportSpace(true)
	}
	return nil
}

func (f *faults) clear() {
	f.mu.Lock()
	f.list = nil
	f.mu.Unlock()
	reportSpace(false)
}

// take uses up one occasion of a fault, nil if it is not switched on for what.
func (f *faults) take(name, what string) *injected {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.list {
		if i.fits(name, what) {
			if i.Count > 0 {
				i.Count--
			}
			if f.taken != nil {
				close(f.taken)
				f.taken = nil
			}
			return i
		}
	}
	return nil
}

// met waits until every fault that has a count has been used up, or the one
// who waits has gone.
func (f *faults) met(gone <-chan struct{}) bool {
	for {
		f.mu.Lock()
		left := slices.ContainsFunc(f.list, func(i *injected) bool { return i.Count > 0 })
		if f.taken == nil {
			f.taken = make(chan struct{})
		}
		taken := f.taken
		f.mu.Unlock()
		if !left {
			return true
		}
		select {
		case <-taken:
		case <-gone:
			return false
		}
	}
}

// each lists the faults of a name that are still on.
func (f *faults) each(name string) []injected {
	f.mu.Lock()
	defer f.mu.Unlock()
	var on []injected
	for _, i := range f.list {
		if i.Count != 0 && (name == "" || i.Name == name) {
			on = append(on, *i)
		}
	}
	return on
}

// refusal is the fault with which a call fails at once, nil if it may go on.
func (w *world) refusal(m *simulator.Method, us *types.UserSession) types.BaseMethodFault {
	if !beforeLogin[m.Name] && m.Name != "Logout" && w.faults.take("session-expired", m.Name) != nil {
		dropSession(us.Key)
		return notAuthenticated(m.This)
	}
	if i := w.faults.take("no-privilege", m.Name); i != nil {
		this := m.This
		return &types.NoPermission{Object: &this, PrivilegeId: i.privilege(m.Name)}
	}
	return nil
}

// full says that a datastore has no room, if it was told to.
func (w *world) full(what, datastore string) types.BaseMethodFault {
	if w.faults.take("datastore-full", what) == nil {
		return nil
	}
	if len(w.faults.each("datastore-full")) == 0 {
		reportSpace(false)
	}
	return &types.NoDiskSpace{FileFault: types.FileFault{File: "[" + datastore + "]"}, Datastore: datastore}
}
