package replica

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestServiceFollowsReadiness(t *testing.T) {
	var unready atomic.Bool
	probes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if unready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer probes.Close()
	s, err := NewService("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.probes, s.spreads = 5*time.Millisecond, 5*time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	carried := func() string {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got, _ := says(t, c, "hello", time.Minute)
		return got
	}
	if got := carried(); got != "" {
		t.Errorf("without endpoints %q came back", got)
	}

	r := &Replica{URL: "https://" + echo(t), ProbeURL: probes.URL}
	if err := s.Add(r); err != nil {
		t.Fatal(err)
	}
	if err := s.AwaitServing(ctx, r, true); err != nil {
		t.Fatal(err)
	}
	if got := carried(); got != "hello" {
		t.Errorf("%q came back", got)
	}
	unready.Store(true)
	if err := s.AwaitServing(ctx, r, false); err != nil {
		t.Fatal(err)
	}
	if got := carried(); got != "" {
		t.Errorf("%q came back from a replica that is not ready", got)
	}
	unready.Store(false)
	if err := s.AwaitServing(ctx, r, true); err != nil {
		t.Fatal(err)
	}
	s.Remove(r)
	if err := s.AwaitServing(ctx, r, false); err != nil {
		t.Fatal(err)
	}
	if n := s.Accepted(); n != 3 {
		t.Errorf("%d connections were accepted, want 3", n)
	}
}
