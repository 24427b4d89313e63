// net.go connects guests. Each NIC is on QEMU's user network and gets a
// loopback address of its own, <prefix>.N, whose port 22 leads to the guest, so
// that a client goes to <guest.ipAddress>:22 as on a real network. Binding port
// 22 needs root, or net.ipv4.ip_unprivileged_port_start<=22.

package main

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

type network struct {
	prefix string // the first three numbers of the addresses

	mu   sync.Mutex
	used map[string]bool
}

func newNetwork(prefix string) (*network, error) {
	if ip := net.ParseIP(prefix + ".1").To4(); ip == nil || ip[0] != 127 {
		return nil, fmt.Errorf("-guest-net %s: want three numbers of a loopback address, such as 127.77.3", prefix)
	}
	return &network{prefix: prefix, used: map[string]bool{}}, nil
}

// port is one NIC's connection.
type port struct {
	mac  string
	addr string
}

// connect prepares a connection and returns QEMU's -netdev value.
func (n *network) connect(id, mac string) (*port, string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := 10; i < 250; i++ {
		a := fmt.Sprintf("%s.%d", n.prefix, i)
		if n.used[a] {
			continue
		}
		l, err := net.Listen("tcp", a+":22") // somebody else's?
		if err != nil {
			if strings.Contains(err.Error(), "permission") {
				return nil, "", err
			}
			continue
		}
		l.Close()
		n.used[a] = true
		return &port{mac: mac, addr: a}, fmt.Sprintf("user,id=%s,hostfwd=tcp:%s:22-:22", id, a), nil
	}
	return nil, "", fmt.Errorf("no address is left in %s.0/24", n.prefix)
}

func (n *network) disconnect(p *port) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, p.addr)
}

// sshAnswers says whether an SSH server greets on port 22. QEMU takes every
// connection, whether the guest listens or not: one that was made before the
// guest's network was up hangs, and so others are tried meanwhile.
func sshAnswers(addr string) bool {
	const tries = 3
	answers := make(chan bool, tries)
	for range tries {
		go func() { answers <- sshGreets(addr, tries*time.Second) }()
		select {
		case greets := <-answers:
			return greets
		case <-time.After(time.Second):
		}
	}
	return false
}

func sshGreets(addr string, patience time.Duration) bool {
	c, err := net.DialTimeout("tcp", addr+":22", time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 4)
	n, _ := c.Read(b)
	return n >= 4 && string(b) == "SSH-"
}
