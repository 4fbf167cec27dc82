package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// limitedListener bounds the open connections. netutil.LimitListener only
// blocks: once slow clients hold all connections, the API server's own would
// wait in silence. Here a reserve of a quarter goes on accepting; its connections
// live only for a moment and their requests get 503. Only when the reserve
// is used up as well does Accept wait, and the reserve frees itself soon.
type limitedListener struct {
	net.Listener
	limit    int64
	life     time.Duration
	open     atomic.Int64
	accepted atomic.Int64 // ever
	slots    chan struct{}
	closed   chan struct{}
	once     sync.Once
}

// limitListener accepts limit connections, and a quarter more that live for at
// most life.
func limitListener(inner net.Listener, limit int, life time.Duration) *limitedListener {
	return &limitedListener{
		Listener: inner,
		limit:    int64(limit),
		life:     life,
		slots:    make(chan struct{}, limit+max(limit/4, 1)),
		closed:   make(chan struct{}),
	}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.accepted.Add(1)
	limited := &limitedConn{Conn: conn, listener: l}
	if l.open.Add(1) > l.limit {
		limited.until = time.Now().Add(l.life)
		if err := limited.SetDeadline(limited.until); err != nil {
			_ = limited.Close() // the first read fails and ends it
		}
	}
	return limited, nil
}

// full says that all connections are taken, which proves that they were accepted.
func (l *limitedListener) full() bool { return l.open.Load() >= l.limit }

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedConn gives its slot back when closed. With until set it is over the
// limit, and no deadline goes beyond that moment, whatever net/http asks for.
type limitedConn struct {
	net.Conn
	listener *limitedListener
	until    time.Time
	once     sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.listener.open.Add(-1)
		<-c.listener.slots
	})
	return err
}

func (c *limitedConn) clamp(t time.Time) time.Time {
	if !c.until.IsZero() && (t.IsZero() || t.After(c.until)) {
		return c.until
	}
	return t
}

func (c *limitedConn) SetDeadline(t time.Time) error      { return c.Conn.SetDeadline(c.clamp(t)) }
func (c *limitedConn) SetReadDeadline(t time.Time) error  { return c.Conn.SetReadDeadline(c.clamp(t)) }
func (c *limitedConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.clamp(t)) }

type connectionKey struct{}

// overLimit says whether the request of ctx came on a connection over the limit.
func overLimit(ctx context.Context) bool {
	secured, ok := ctx.Value(connectionKey{}).(*tls.Conn)
	if !ok {
		return false
	}
	limited, ok := secured.NetConn().(*limitedConn)
	return ok && !limited.until.IsZero()
}
