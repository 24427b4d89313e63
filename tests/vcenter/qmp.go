// qmp.go is a small client of the QEMU Machine Protocol.

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"
)

type qmpClient struct {
	mu      sync.Mutex // one command at a time
	conn    net.Conn
	replies chan qmpMsg
	dead    chan struct{}
}

type qmpMsg struct {
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// dialQMP connects to QEMU's socket (which may not exist yet) and negotiates.
func dialQMP(path string, wait time.Duration, alive func() bool, onEvent func(name string, data json.RawMessage)) (*qmpClient, error) {
	var conn net.Conn
	var err error
	for end := time.Now().Add(wait); ; {
		if conn, err = net.Dial("unix", path); err == nil {
			break
		}
		if !alive() {
			return nil, fmt.Errorf("qemu exited at once (see qemu.log)")
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no QMP socket after %s: %w", wait, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	q := &qmpClient{conn: conn, replies: make(chan qmpMsg, 4), dead: make(chan struct{})}
	go func() {
		defer close(q.dead)
		dec := json.NewDecoder(conn)
		for {
			var m qmpMsg
			if dec.Decode(&m) != nil {
				return
			}
			switch {
			case m.Event != "":
				onEvent(m.Event, m.Data)
			case m.Return != nil || m.Error != nil:
				q.replies <- m
			} // the greeting is neither
		}
	}()
	_, err = q.do("qmp_capabilities", nil)
	return q, err
}

// do runs one command and returns what QEMU returned.
func (q *qmpClient) do(cmd string, args any) (json.RawMessage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	req := map[string]any{"execute": cmd}
	if args != nil {
		req["arguments"] = args
	}
	b, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	if _, err = q.conn.Write(append(b, '\n')); err != nil {
		return nil, err
	}
	select {
	case m := <-q.replies:
		if m.Error != nil {
			return nil, fmt.Errorf("qmp %s: %s: %s", cmd, m.Error.Class, m.Error.Desc)
		}
		return m.Return, nil
	case <-q.dead:
		return nil, fmt.Errorf("qmp %s: qemu went away", cmd)
	case <-time.After(30 * time.Second):
		return nil, fmt.Errorf("qmp %s: no answer in 30 s", cmd)
	}
}

func (q *qmpClient) close() { q.conn.Close() }
