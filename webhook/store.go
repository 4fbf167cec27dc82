package webhook

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// Store keeps a snapshot of the cluster up to date. Readers take the current one without waiting; a writer publishes
// the next one a moment after something changed.
type Store struct {
	logger   *slog.Logger
	rewanted chan struct{} // needs changed
	snapshot atomic.Pointer[cluster.Snapshot]
	ready    chan struct{} // closed with the first snapshot
	listing  listing

	mu      sync.Mutex // guards all below
	builder *cluster.Builder
	unseen  map[string]bool      // resources whose first complete list has not come yet
	contact map[string]time.Time // resource -> when the API server last said anything about it
	invalid invalidPolicies
	objects map[string]*networkingv1.NetworkPolicy // nil unless they are kept
	needs   []cluster.Resource                     // that the enabled guardrails have
	wake    chan struct{}
}

// publishEvery bounds how often a snapshot is made while events pour in. A snapshot copies a little of each namespace
// that changed; readers are never more than this behind the watch.
const publishEvery = 2 * time.Millisecond

// NewStore makes a Store that has a snapshot once each of the resources has been listed.
func NewStore(o cluster.Options, resources []string, logger *slog.Logger) *Store {
	s := &Store{
		logger: logger, ready: make(chan struct{}), rewanted: make(chan struct{}, 1), builder: cluster.NewBuilder(o), unseen: map[string]bool{},
		contact: map[string]time.Time{}, invalid: invalidPolicies{}, wake: make(chan struct{}, 1),
	}
	for _, r := range resources {
		s.unseen[r] = true
	}
	return s
}

// Snapshot gives the cluster as it was a moment ago, nil before everything has been listed once.
func (s *Store) Snapshot() *cluster.Snapshot { return s.snapshot.Load() }

// Ready is closed once there is a snapshot.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Missing lists the resources whose first list has not come yet.
func (s *Store) Missing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.unseen))
}

// Age tells for each resource how long ago the API server last said anything about it: an event, a bookmark, a list.
func (s *Store) Age(now time.Time) map[string]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]time.Duration, len(s.contact))
	for r, at := range s.contact {
		out[r] = now.Sub(at)
	}
	return out
}

// Invalid counts stored policies that do not parse; they select nothing.
func (s *Store) Invalid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, names := range s.invalid {
		n += len(names)
	}
	return n
}

// SetOptions changes what the config says about the cluster.
func (s *Store) SetOptions(o cluster.Options) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.builder.SetOptions(o)
	s.poke()
}

// edit changes what the store holds under the lock and wakes the publisher.
func (s *Store) edit(resource string, change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.contact[resource] = time.Now()
	s.poke()
}

// listed is edit for a complete list.
func (s *Store) listed(resource string, change func()) {
	s.edit(resource, func() {
		change()
		delete(s.unseen, resource)
	})
}

// await makes the first snapshot wait for a resource until it is listed or settled.
func (s *Store) await(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unseen[resource] = true
}

// settle ends the wait for a resource that the cluster does not have, or that cannot be listed now.
func (s *Store) settle(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unseen, resource)
	s.poke()
}

// forget drops all that the store holds of a resource that the cluster has no longer.
func (s *Store) forget(f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.replace(s, nil)
	delete(s.unseen, f.name())
	delete(s.contact, f.name())
	s.listing.end(f.name())
	s.poke()
}

// heard notes that the API server said that nothing changed.
func (s *Store) heard(resource string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contact[resource] = time.Now()
}

func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run publishes snapshots until ctx ends. Nothing is published before every resource has been listed: a decision on a
// half-filled cluster would be wrong in both directions.
func (s *Store) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		s.publish()
		select {
		case <-ctx.Done():
			return
		case <-time.After(publishEvery):
		}
	}
}

func (s *Store) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.unseen) > 0 {
		return
	}
	next := s.builder.Snapshot()
	if s.snapshot.Swap(next) == nil {
		stats := next.Stats()
		s.logger.Info("first snapshot", "namespaces", stats.Namespaces, "policies", stats.Policies, "pods", stats.Pods,
			"workloads", stats.Workloads, "templates", stats.Templates, "services", stats.Services)
		close(s.ready)
		s.listing.end(firstSnapshot)
	}
}
