package webhook

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// limitedListener bounds the open connections. netutil.LimitListener only
// blocks: once slow clients hold all connections, the API server's own would
// wait in silence. Here whoever has held one for longest without sending a whole
// request makes room, so that holding connections keeps nobody out. Where none
// has for long, as in a burst of calls, a reserve of a quarter goes on
// accepting; its connections live only for a moment and their requests get 503.
// Only when the reserve is used up as well does Accept wait, and not for long.
type limitedListener struct {
	net.Listener
	limit    int64
	life     time.Duration
	patience time.Duration
	evicted  func() // when set, told of each connection that had to make room
	open     atomic.Int64
	accepted atomic.Int64 // ever
	lastRead atomic.Int64 // when bytes came, in nanoseconds since 1970
	slots    chan struct{}
	closed   chan struct{}
	once     sync.Once

	mu      sync.Mutex
	waiting *list.List // of *limitedConn without a whole request, the longest first
}

// connectionPatience is how long a connection without a whole request is safe
// from having to make room: a review, large as it may be, takes milliseconds.
const connectionPatience = 500 * time.Millisecond

// limitListener accepts limit connections, and a quarter more that live for at
// most life.
func limitListener(inner net.Listener, limit int, life time.Duration) *limitedListener {
	return &limitedListener{
		Listener: inner,
		limit:    int64(limit),
		life:     life,
		patience: connectionPatience,
		slots:    make(chan struct{}, limit+max(limit/4, 1)),
		closed:   make(chan struct{}),
		waiting:  list.New(),
	}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	if err := l.takeSlot(); err != nil {
		return nil, err
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	l.accepted.Add(1)
	limited := &limitedConn{Conn: conn, listener: l}
	over := l.open.Add(1) > l.limit && !l.makeRoom()
	l.wait(limited)
	if over {
		limited.until = time.Now().Add(l.life)
		if err := limited.SetDeadline(limited.until); err != nil {
			_ = limited.Close() // the first read fails and ends it
		}
	}
	return limited, nil
}

// takeSlot waits for one connection to end where there are as many as there may
// be.
func (l *limitedListener) takeSlot() error {
	for {
		select {
		case l.slots <- struct{}{}:
			return nil
		case <-l.closed:
			return net.ErrClosed
		default:
		}
		if l.makeRoom() {
			continue
		}
		again := time.NewTimer(l.patience / 10)
		select {
		case l.slots <- struct{}{}:
			again.Stop()
			return nil
		case <-l.closed:
			again.Stop()
			return net.ErrClosed
		case <-again.C:
		}
	}
}

// makeRoom closes the connection that has been without a whole request for
// longest, if that is for longer than patience.
func (l *limitedListener) makeRoom() bool {
	l.mu.Lock()
	var longest *limitedConn
	if front := l.waiting.Front(); front != nil && time.Since(front.Value.(*limitedConn).since) > l.patience {
		longest = front.Value.(*limitedConn)
	}
	l.mu.Unlock()
	if longest == nil {
		return false
	}
	_ = longest.Close() // whoever serves it finds out by itself
	if l.evicted != nil {
		l.evicted()
	}
	return true
}

// wait notes that the connection is without a whole request from now on.
func (l *limitedListener) wait(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.gone {
		c.since, c.place = time.Now(), l.waiting.PushBack(c)
	}
}

// work notes that a request of the connection is worked on; wait is called
// at its end.
func (l *limitedListener) work(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(c)
}

// leave takes the connection out of those that wait; l.mu is held.
func (l *limitedListener) leave(c *limitedConn) {
	if c.place != nil {
		l.waiting.Remove(c.place)
		c.place = nil
	}
}

// forget notes that the connection is closed.
func (l *limitedListener) forget(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(c)
	c.gone = true
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

	// These belong to the listener and its mutex.
	since time.Time
	place *list.Element // among those that wait, nil while a request is worked on
	gone  bool
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.listener.forget(c)
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
	limited := connectionOf(ctx)
	return limited != nil && !limited.until.IsZero()
}

// workOn keeps the connection of ctx from having to make room until done is
// called.
func workOn(ctx context.Context) (done func()) {
	limited := connectionOf(ctx)
	if limited == nil {
		return func() {}
	}
	limited.listener.work(limited)
	return func() { limited.listener.wait(limited) }
}

// connectionOf gives the connection that the request of ctx came on, nil where
// it came on another kind.
func connectionOf(ctx context.Context) *limitedConn {
	secured, ok := ctx.Value(connectionKey{}).(*tls.Conn)
	if !ok {
		return nil
	}
	limited, _ := secured.NetConn().(*limitedConn)
	return limited
}
