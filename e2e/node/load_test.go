//go:build node && linux

package node

import (
	"context"
	"sync"
	"testing"
	"time"
)

const (
	// pace is how often a request is made, as long as less than atOnce are under way: a machine that is busy otherwise is not to drown.
	pace   = 5 * time.Millisecond
	atOnce = 10
	// perRequest bounds a request: more than the API server gives the webhook.
	perRequest = 15 * time.Second
)

// load asks for the judgement of NetworkPolicies, through the API server, until it is stopped.
type load struct {
	stop   context.CancelFunc
	begun  time.Time
	asking sync.WaitGroup

	mu     sync.Mutex
	made   int
	failed []error
	worst  time.Duration
}

// startLoad starts the requests. With failurePolicy Fail each that no replica answers is one that fails.
func (s *suite) startLoad(t *testing.T) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{stop: cancel, begun: time.Now()}
	ticker := time.NewTicker(pace)
	t.Cleanup(func() { cancel(); ticker.Stop() })
	for range atOnce {
		l.asking.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					l.ask(t, s)
				}
			}
		})
	}
	return l
}

func (l *load) ask(t *testing.T, s *suite) {
	ctx, cancel := context.WithTimeout(t.Context(), perRequest)
	defer cancel()
	begun := time.Now()
	err := s.ask(ctx, "load")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	l.worst = max(l.worst, time.Since(begun))
	if err != nil {
		l.failed = append(l.failed, err)
	}
}

// end stops the requests, waits for those under way, and fails the test where one failed or fewer than least were made.
func (l *load) end(t *testing.T, during string, least int) {
	t.Helper()
	l.stop()
	l.asking.Wait()
	took := time.Since(l.begun)
	t.Logf("during %s: %d requests in %.1f s, %d failed, the slowest took %d ms", during, l.made, took.Seconds(), len(l.failed), l.worst.Milliseconds())
	for i, err := range l.failed {
		if i == 5 {
			break
		}
		t.Errorf("during %s: %v", during, err)
	}
	if len(l.failed) > 0 || l.made < least {
		t.Fatalf("during %s %d of %d requests failed; none may, of %d or more", during, len(l.failed), l.made, least)
	}
}
