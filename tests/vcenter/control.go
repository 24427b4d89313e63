// control.go is the port through which a test switches faults on and off and
// reads the counts. It is plain HTTP on loopback.

package main

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"time"
)

func (w *world) control() (*http.Server, string, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fault", func(rw http.ResponseWriter, r *http.Request) {
		f := &injected{}
		err := json.NewDecoder(r.Body).Decode(f)
		if err == nil {
			err = w.faults.add(f)
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		rw.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /faults", func(rw http.ResponseWriter, _ *http.Request) { sendJSON(rw, w.faults.each("")) })
	mux.HandleFunc("DELETE /faults", func(rw http.ResponseWriter, _ *http.Request) {
		w.faults.clear()
		rw.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /met", func(rw http.ResponseWriter, r *http.Request) {
		if w.faults.met(r.Context().Done()) {
			rw.WriteHeader(http.StatusNoContent)
		}
	})
	mux.HandleFunc("POST /restart", func(rw http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.ParseFloat(r.URL.Query().Get("seconds"), 64)
		if err == nil {
			err = w.restart(time.Duration(seconds * float64(time.Second)))
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		rw.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /calls", func(rw http.ResponseWriter, _ *http.Request) {
		w.stats.mu.Lock()
		defer w.stats.mu.Unlock()
		sendJSON(rw, map[string]any{"calls": w.stats.calls, "http": w.stats.http})
	})
	mux.HandleFunc("DELETE /calls", func(rw http.ResponseWriter, _ *http.Request) {
		w.stats.reset()
		rw.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /held", func(rw http.ResponseWriter, r *http.Request) {
		select {
		case name := <-w.shelves.held:
			sendJSON(rw, name)
		case <-r.Context().Done():
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	srv := &http.Server{Handler: mux}
	go func() { _ = srv.Serve(l) }()
	return srv, "http://" + l.Addr().String(), nil
}

func sendJSON(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(rw)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}
