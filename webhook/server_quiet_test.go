package webhook

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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

// TestDrainWaitsForWhatIsOnItsWay has a request arrive bit by bit on an idle connection while the drain is long over: it is
// answered, and only then is the connection closed.
func TestDrainWaitsForWhatIsOnItsWay(t *testing.T) {
	drained := make(chan struct{})
	server := startServer(t, ServerOptions{OnDrain: func() { close(drained) }})
	conn := server.dial(t)
	request := fmt.Sprintf("POST /validate?timeout=5s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(plainReview), plainReview)
	answers := bufio.NewReader(conn)
	ask := func(send func(string)) *http.Response {
		send(request)
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("a request got no answer: %v", err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		return response
	}
	write := func(text string) {
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if response := ask(write); response.StatusCode != http.StatusOK || response.Close {
		t.Fatalf("the first request got %d, close: %t", response.StatusCode, response.Close)
	}

	server.stop()
	<-drained
	// The drain takes a millisecond here, and each part comes well within the time that nothing may come.
	parts := time.NewTicker(20 * time.Millisecond)
	defer parts.Stop()
	response := ask(func(text string) {
		write(text[:8])
		for range 10 {
			<-parts.C
			write(text[8:9])
			text = text[1:]
		}
		write(text[8:])
	})
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("the request on its way got %d, close: %t", response.StatusCode, response.Close)
	}
	server.wait(t)
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
