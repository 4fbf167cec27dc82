package webhook

import (
	"container/list"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestProbesMakeRoom has silent clients hold connections, several times as many as there may be: each probe is answered,
// and the first to come are the first to go.
func TestProbesMakeRoom(t *testing.T) {
	const most = 4
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := &evictingListener{Listener: inner, most: most, open: list.New()}
	server := &http.Server{Handler: Probes(nil, prometheus.NewRegistry())}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	count := func() int {
		listener.mu.Lock()
		defer listener.mu.Unlock()
		return listener.open.Len()
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var held []net.Conn
	for range 5 * most {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
		resp, err := client.Get("http://" + inner.Addr().String() + "/readyz")
		if err != nil {
			t.Fatalf("with %d silent clients: %v", len(held), err)
		}
		resp.Body.Close()
		if n := count(); n > most {
			t.Errorf("%d connections are open, want at most %d", n, most)
		}
	}
	if err := held[0].SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := held[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("the first client is still connected: %v", err)
	}
	for _, conn := range held {
		conn.Close()
	}
	waitFor(t, "closed connections to be forgotten", func() bool { return count() == 0 })
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && !op.Timeout()
}
