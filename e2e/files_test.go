package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// readyNow says why a replica is not ready.
func readyNow(ctx context.Context, r *replica.Replica) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ProbeURL+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("it is not ready: %s", body)
	}
	return err
}

// testFiles has the replicas serve a certificate of somebody else's from a mounted directory, under load: it is replaced,
// half of it is, and an expired one is put there.
func (a *availability) testFiles(t *testing.T) {
	by := newIssuer(t)
	current := by.issue(t, time.Now().Add(time.Hour))
	m := newMount(t, current)
	s := a.newSite(t, "files", 2, by, m.path)
	to := s.newTarget(t)
	var wear *wearing
	if a.extent.together {
		wear = s.startWear(t, to, a.extent.sample)
	}
	l := startLoad(to, a.extent.calm)
	broken := 0
	// One that does not match, then the whole of it; every other time an expired one in between.
	refused := func(what string, cert, key []byte) {
		failed := s.metric(t, rotations, `step="failed"`)
		m.put(t, cert, key)
		broken++
		eventually(t, "both replicas to refuse "+what, func(ctx context.Context) error {
			if n := s.metric(t, rotations, `step="failed"`); n < failed+2 {
				return fmt.Errorf("%.0f refusals were counted, want 2", n-failed)
			}
			return s.everyServes(ctx, current.leaf)
		})
	}
	for i := range a.extent.swaps {
		next := by.issue(t, time.Now().Add(time.Duration(i+2)*time.Hour))
		refused("a certificate without its key", next.cert, current.key)
		if i%2 == 0 {
			expired := by.issue(t, time.Now().Add(-time.Minute))
			refused("an expired certificate", expired.cert, expired.key)
		}
		m.put(t, next.cert, next.key)
		eventually(t, "both replicas to take the next certificate", func(ctx context.Context) error { return s.everyServes(ctx, next.leaf) })
		current = next
	}
	r := l.stop()
	a.report.figure(t, fmt.Sprintf("%d replaced, %d broken or expired", a.extent.swaps, broken), "%s", r)
	r.wantNoFailures(t)
	if wear != nil {
		wear.report(t, a.report)
	}
}
