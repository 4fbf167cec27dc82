package webhook

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// brief ends soon: for self-checks that have to do without an answer.
func brief(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestFullServerIsReady has silent clients take every connection, the reserve included.
func TestFullServerIsReady(t *testing.T) {
	const limit = 4
	server := startServer(t, ServerOptions{MaxConnections: limit, HeaderTimeout: time.Minute, OverLimitTimeout: time.Minute},
		func(s *Server) { s.listener.patience = time.Hour })
	for range 3 * limit {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	waitFor(t, "all connections to be taken", func() bool { return server.listener.open.Load() == limit+limit/4 })
	if err := TLSSelfDial(brief(t), server.Addr().String(), server.ca.pem); err == nil {
		t.Fatal("the test does not fill the server: its own dial got through")
	}
	if err := server.selfCheck(brief(t), server.ca.pem); err != nil {
		t.Errorf("a server that is full is not ready: %v", err)
	}
	if err := server.selfCheck(brief(t), newServerCA(t).pem); err == nil {
		t.Error("a full server is ready with a certificate that nobody trusts")
	}
}

func TestSelfCheckFindsWhatIsWrong(t *testing.T) {
	server := startServer(t, ServerOptions{})
	check := server.SelfCheck(t.Context(), server.ca.pem)
	if err := check(); err != nil {
		t.Errorf("a fresh server: %v", err)
	}
	if err := server.selfCheck(t.Context(), newServerCA(t).pem); err == nil || !strings.Contains(err.Error(), "own TLS address") {
		t.Errorf("another CA: %v", err)
	}
	// A listener that nobody accepts from answers no dial, and no connection proves that it would.
	deaf, err := NewServer(ServerOptions{Address: "127.0.0.1:0", Handler: server.options.Handler, GetCertificate: server.options.GetCertificate})
	if err != nil {
		t.Fatal(err)
	}
	if err := deaf.Listen(); err != nil {
		t.Fatal(err)
	}
	defer deaf.listener.Close()
	if err := deaf.selfCheck(brief(t), server.ca.pem); err == nil {
		t.Error("a server that accepts nothing is ready")
	}
	server.wait(t)
	if err := server.selfCheck(brief(t), server.ca.pem); err == nil {
		t.Error("a server that has stopped is ready")
	}
}

// heldCheck is a check whose runs end when the test says so.
type heldCheck struct {
	runs    atomic.Int32
	results chan error
}

func (h *heldCheck) run() error { h.runs.Add(1); return <-h.results }

func TestOneSelfCheckServesAll(t *testing.T) {
	held := &heldCheck{results: make(chan error)}
	var clock atomic.Int64
	clock.Store(1000)
	s := &sharedCheck{check: held.run, now: func() time.Time { return time.Unix(clock.Load(), 0) }}
	later := func(d time.Duration) { clock.Add(int64(d / time.Second)) }
	all := func() (asked *sync.WaitGroup, failed *atomic.Int32) {
		asked, failed = &sync.WaitGroup{}, &atomic.Int32{}
		for range 50 {
			asked.Go(func() {
				if s.ask() != nil {
					failed.Add(1)
				}
			})
		}
		return asked, failed
	}
	wait := func(runs int32) {
		t.Helper()
		waitFor(t, "the check to run", func() bool { return held.runs.Load() == runs })
	}

	asked, failed := all()
	wait(1)
	held.results <- errors.New("not yet")
	asked.Wait()
	if held.runs.Load() != 1 || failed.Load() != 50 {
		t.Errorf("the first failed: %d runs, %d of 50 were told", held.runs.Load(), failed.Load())
	}
	if s.ask() == nil || held.runs.Load() != 1 {
		t.Error("a failure does not hold for a moment")
	}
	later(selfCheckFor)
	asked, failed = all()
	wait(2)
	held.results <- nil
	asked.Wait()
	if failed.Load() != 0 {
		t.Errorf("%d of 50 were told of the failure before", failed.Load())
	}

	later(selfCheckFor) // what was good still is while the next one runs
	asked, failed = all()
	asked.Wait()
	wait(3)
	if failed.Load() != 0 {
		t.Errorf("%d of 50 were told of a failure", failed.Load())
	}
	later(selfCheckStale) // but not for ever
	asked, failed = all()
	held.results <- errors.New("broken")
	asked.Wait()
	if held.runs.Load() != 3 || failed.Load() != 50 {
		t.Errorf("after a long run: %d runs, %d of 50 were told", held.runs.Load(), failed.Load())
	}
}
