package replica

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return listener.Addr().String()
}

func dialLink(t *testing.T, l *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// says sends a text and gives what comes back of it before the deadline.
func says(t *testing.T, c net.Conn, text string, within time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(text))
	n, err := io.ReadFull(c, back)
	return string(back[:n]), err
}

func TestLinkCutsAndFreezes(t *testing.T) {
	l, err := NewLink("https://" + echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := dialLink(t, l)
	if got, err := says(t, c, "hello", time.Minute); got != "hello" || err != nil {
		t.Fatalf("an open link carried %q, %v", got, err)
	}
	if got := l.Received(); got != 5 {
		t.Errorf("%d bytes were received, want 5", got)
	}

	l.Freeze()
	if got, err := says(t, c, "silent", 20*time.Millisecond); got != "" || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a frozen link carried %q, %v", got, err)
	}
	l.Thaw()
	if got, err := readN(c, 6); got != "silent" || err != nil {
		t.Errorf("after the thaw %q came, %v", got, err)
	}

	l.Cut()
	if got, err := says(t, c, "gone", time.Minute); got != "" || err == nil {
		t.Errorf("a cut link carried %q", got)
	}
	if got, err := says(t, dialLink(t, l), "gone", time.Minute); got != "" || err == nil {
		t.Errorf("a cut link took a connection and carried %q", got)
	}
	l.Mend()
	if got, err := says(t, dialLink(t, l), "again", time.Minute); got != "again" || err != nil {
		t.Errorf("a mended link carried %q, %v", got, err)
	}
}

func readN(c net.Conn, n int) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	out := make([]byte, n)
	_, err := io.ReadFull(c, out)
	return string(out), err
}

func TestSlowLinkBoundsItsSpeed(t *testing.T) {
	l, err := NewLink("https://" + echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size, speed = 10 << 10, 100 << 10
	l.Slow(speed)
	c, start := dialLink(t, l), time.Now()
	if got, err := says(t, c, strings.Repeat("x", size), time.Minute); len(got) != size || err != nil {
		t.Fatalf("%d bytes of %d, %v", len(got), size, err)
	}
	// The last step is not waited for.
	if took, least := time.Since(start), size*time.Second/speed-2*linkTick; took < least {
		t.Errorf("%d bytes came within %s, want at least %s", size, took, least)
	}
}
