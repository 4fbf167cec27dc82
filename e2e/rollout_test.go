package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// testReplicas has two replicas restarted, killed, and their certificate rotated under load.
func (a *availability) testReplicas(t *testing.T) {
	s := a.newSite(t, "replicas", 2, nil, "")
	to := s.newTarget(t)
	t.Run("Restarts", func(t *testing.T) {
		for range a.extent.runs {
			a.rollUnderLoad(t, s, to)
		}
	})
	t.Run("Kill", func(t *testing.T) { a.testKill(t, s, to) })
	t.Run("Rotation", func(t *testing.T) { a.testRotation(t, s, to) })
}

// rollUnderLoad restarts every replica, until there were enough restarts and enough requests. None may fail.
func (a *availability) rollUnderLoad(t *testing.T, s *site, to *target) {
	t.Helper()
	connections := s.service.Accepted()
	l := startLoad(to, a.extent.rate)
	restarts := 0
	for restarts < a.extent.restarts || int(l.done.Load()) < a.extent.requests {
		restarts += s.roll(t)
	}
	r := l.stop()
	a.report.figure(t, fmt.Sprintf("%d restarts", restarts), "%s; %d connections of the API server", r, s.service.Accepted()-connections)
	r.wantNoFailures(t)
}

// finishing sends a replica half a request, ends it, and sends the other half only after it has stopped to listen. The
// answer has to come all the same.
func (s *site) finishing(ctx context.Context, r *replica.Replica) error {
	trust, err := s.trust(ctx)
	if err != nil {
		return errors.Join(err, r.Stop())
	}
	address := strings.TrimPrefix(r.URL, "https://")
	conn, err := (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", address)
	if err != nil {
		return errors.Join(err, r.Stop())
	}
	defer conn.Close()
	half := len(emptyReview) / 2
	_, err = fmt.Fprintf(conn, "POST %s?timeout=30s HTTP/1.1\r\nHost: bulkhead\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		webhook.Path, len(emptyReview), emptyReview[:half])
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop() }()
	err = errors.Join(err, awaitRefusal(ctx, address))
	_, writeErr := io.WriteString(conn, emptyReview[half:])
	resp, readErr := http.ReadResponse(bufio.NewReader(conn), nil)
	if err := errors.Join(err, writeErr, readErr); err != nil {
		return fmt.Errorf("a request that was under way when the replica was told to end: %w", errors.Join(err, <-stopped))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"allowed":true`) {
		err = errors.Join(err, fmt.Errorf("a request that was under way when the replica was told to end got HTTP %d: %s", resp.StatusCode, body))
	}
	return errors.Join(err, <-stopped)
}

// awaitRefusal waits until nobody listens at the address.
func awaitRefusal(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if ctx.Err() != nil {
			return fmt.Errorf("%s still takes connections: %w", address, ctx.Err())
		}
		if err != nil {
			return nil
		}
		_ = conn.Close()
		<-tick.C
	}
}

// testKill kills a replica under load. Requests that it had and those that are sent to it until the Service knows fail;
// no others, and none of them as if it had been judged.
func (a *availability) testKill(t *testing.T, s *site, to *target) {
	l := startLoad(to, a.extent.rate)
	l.awaitRequests(t, a.extent.rate)
	victim := s.replicas[0]
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	s.awaitEndpoint(t, victim, false)
	known := time.Since(killed)
	l.awaitRequests(t, loadWorkers) // what was under way
	r := l.stop()
	for _, why := range slices.Sorted(maps.Keys(r.why)) {
		if !strings.Contains(why, "failed calling webhook") {
			t.Errorf("%d times %s", r.why[why], why)
		}
	}
	during := 0
	for _, at := range r.at {
		if at.Before(killed) {
			t.Error("a request failed before the replica was killed")
		}
		during++
	}
	a.report.figure(t, "one of two replicas killed", "%s; all within the %.1f s until the Service knew", r, known.Seconds())
	a.report.figure(t, "share that failed meanwhile", "%.1f%%", 100*float64(during)/max(1, known.Seconds()*r.perSecond))
	s.replicas = s.replicas[1:]

	l = startLoad(to, a.extent.rate)
	l.awaitRequests(t, a.extent.rate)
	s.replicas = append(s.replicas, s.add(t))
	s.awaitServing(t)
	l.awaitRequests(t, a.extent.rate)
	r = l.stop()
	a.report.figure(t, "on the replica left, then with its successor", "%s", r)
	r.wantNoFailures(t)
}
