package webhook

import (
	"container/list"
	"net"
	"sync"
)

// probeConnections is how many connections the port of probes and metrics holds.
const probeConnections = 512

// ProbeListener bounds the connections of the port of probes and metrics. Beyond the bound the oldest one gives way: a
// probe takes a moment, and what has been there for longest is most likely somebody who holds connections. Waiting for one
// to end instead would let whoever holds them make a replica unready.
func ProbeListener(inner net.Listener) net.Listener {
	return &evictingListener{Listener: inner, most: probeConnections, open: list.New()}
}

type evictingListener struct {
	net.Listener
	most int

	mu   sync.Mutex
	open *list.List // of *evictableConn, oldest first
}

func (l *evictingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &evictableConn{Conn: conn, listener: l}
	if oldest := l.add(c); oldest != nil {
		_ = oldest.Close() // whoever serves it finds out by itself
	}
	return c, nil
}

// add notes a connection and gives the one that has to give way, nil where none has to.
func (l *evictingListener) add(c *evictableConn) *evictableConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.place = l.open.PushBack(c)
	if l.open.Len() <= l.most {
		return nil
	}
	return l.open.Front().Value.(*evictableConn)
}

type evictableConn struct {
	net.Conn
	listener *evictingListener
	place    *list.Element
}

func (c *evictableConn) Close() error {
	c.listener.mu.Lock()
	c.listener.open.Remove(c.place) // nothing where it has been removed
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
