// restart.go makes the server go away and come back, as vCenter does when its
// service restarts: the machines run on, but connections, sessions, leases and
// all that was known of tasks are gone.

package main

import (
	"crypto/tls"
	"errors"
	"log"
	"net"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// outlet is where clients reach the server.
type outlet struct {
	srv  *simulator.Server
	open net.Listener // none while the server is away
}

// restart closes the server at once and opens it again after a while. What its
// tasks have begun goes on, as it does on the hosts.
func (w *world) restart(away time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.outlet
	if out == nil || out.open == nil {
		return errors.New("the server is away")
	}
	addr := out.open.Addr().String()
	if err := out.open.Close(); err != nil {
		return err
	}
	out.open = nil
	forget()
	out.srv.CloseClientConnections()
	log.Printf("restart: away for %s", away)
	time.AfterFunc(away, func() { w.reopen(addr) })
	return nil
}

func (w *world) reopen(addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal("restart: ", err)
	}
	forget() // those that slipped in while connections were closed
	w.outlet.open = l
	go func() { _ = w.outlet.srv.Config.Serve(tls.NewListener(l, w.outlet.srv.TLS)) }()
	log.Print("restart: there again")
}

// forget drops what lives no longer than the service: sessions with all that
// belongs to them, tasks, leases.
func forget() {
	for _, s := range sessions() {
		dropSession(s.Key)
	}
	jobs.Range(func(ref, _ any) bool {
		drop(ref.(types.ManagedObjectReference))
		return true
	})
	leases.Range(func(_, l any) bool {
		l.(*nfcLease).end()
		drop(l.(*nfcLease).Self)
		return true
	})
}
