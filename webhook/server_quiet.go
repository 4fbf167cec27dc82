package webhook

import (
	"context"
	"syscall"
	"time"
)

const (
	// quietFor is how long nothing may have come before idle connections are closed;
	// a burst that takes every connection of an API server's pool lasts less.
	quietFor = 250 * time.Millisecond
	// quietWithin bounds the wait for that: a client that sends a byte now and then
	// keeps no replica alive. It is part of ShutdownTimeout.
	quietWithin = 8 * time.Second
	quietCheck  = 5 * time.Millisecond
)

// awaitQuiet waits until no request is worked on, none lies unread in a
// connection and none came for a while, or until ctx or the bound ends.
//
// HTTP/1.1 has no way to tell a client that an idle connection is about to be
// closed (RFC 9112, section 9.6): a request that is sent in that moment fails,
// and an API server does not repeat it, since it is a POST. http.Server.Shutdown
// closes whatever has no request read, even one whose bytes have arrived. The
// connections that a pool still holds after the drain are those it takes last, in
// a burst; so the moment to close them is one without.
func awaitQuiet(ctx context.Context, l *limitedListener, quiet, within time.Duration) {
	bound := time.NewTimer(within)
	defer bound.Stop()
	check := time.NewTicker(quietCheck)
	defer check.Stop()
	for !l.quiet(quiet) {
		select {
		case <-ctx.Done():
			return
		case <-bound.C:
			return
		case <-check.C:
		}
	}
}

// quiet says that nothing was read for so long, nothing lies unread, and every
// open connection waits for a request.
func (l *limitedListener) quiet(since time.Duration) bool {
	if time.Since(time.Unix(0, l.lastRead.Load())) < since {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if int64(l.waiting.Len()) < l.open.Load() {
		return false
	}
	for e := l.waiting.Front(); e != nil; e = e.Next() {
		if e.Value.(*limitedConn).unread() {
			return false
		}
	}
	return true
}

func (c *limitedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.listener.lastRead.Store(time.Now().UnixNano())
	}
	return n, err
}

// unread says whether the kernel holds bytes of the connection that nobody read.
// A Read may be waiting meanwhile, so that the descriptor is only looked at.
func (c *limitedConn) unread() bool {
	conn, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	waits := false
	_ = raw.Control(func(descriptor uintptr) { waits = readable(descriptor) }) // closed: nothing to read
	return waits
}
