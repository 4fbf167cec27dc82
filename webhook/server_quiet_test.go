package webhook

import (
	"context"
	"net"
	"testing"
	"time"
)

// TestQuietKnowsWhatWouldBeLost takes a connection through the states in which
// closing it would lose a request, and those in which it would not.
func TestQuietKnowsWhatWouldBeLost(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := limitListener(inner, 4, time.Second)
	defer listener.Close()
	if !listener.quiet(time.Hour) {
		t.Error("without any connection it is not quiet")
	}
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !listener.quiet(time.Hour) {
		t.Error("with an idle connection it is not quiet")
	}

	if _, err := client.Write([]byte("P")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the byte that nobody read", func() bool { return !listener.quiet(0) })
	if _, err := conn.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	if !listener.quiet(0) {
		t.Error("all is read, and it is not quiet")
	}
	if listener.quiet(time.Hour) {
		t.Error("quiet for an hour, with a byte that just came")
	}

	limited := conn.(*limitedConn)
	listener.work(limited)
	if listener.quiet(0) {
		t.Error("quiet while a request is worked on")
	}
	listener.wait(limited)
	if !listener.quiet(0) {
		t.Error("not quiet after the request")
	}

	// The descriptor can be looked at while a read waits, as net/http's does.
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		_, _ = conn.Read(make([]byte, 8))
	}()
	if !listener.quiet(0) {
		t.Error("not quiet while a read waits")
	}
	client.Close()
	<-reading
	if !listener.quiet(0) {
		t.Error("the end of the connection counts as a request")
	}
	conn.Close()
	if limited.unread() {
		t.Error("a closed connection has something to read")
	}
}

// TestAwaitQuietIsBounded has a client that never lets it become quiet.
func TestAwaitQuietIsBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := limitListener(inner, 4, time.Second)
	defer listener.Close()
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := client.Write([]byte("P")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the byte that nobody read", func() bool { return !listener.quiet(0) })

	awaitQuiet(context.Background(), listener, 0, 20*time.Millisecond)
	ended, end := context.WithCancel(context.Background())
	end()
	awaitQuiet(ended, listener, 0, time.Hour)

	done := make(chan struct{})
	go func() {
		defer close(done)
		awaitQuiet(context.Background(), listener, 0, time.Hour)
	}()
	if _, err := conn.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	<-done
}
