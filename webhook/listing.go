package webhook

import "sync"

// listing knows which resources are being listed as a whole, by a streamed list: at the start, and again when the API server no longer
// knows where a watch was. A list that breaks off counts until one of the same resource is complete.
type listing struct {
	mu      sync.Mutex
	under   map[string]bool
	changed func(busy bool)
}

// firstSnapshot stands for all lists together until there is a snapshot, streamed or not.
const firstSnapshot = ""

// OnListing has f told when the first of several lists begins, and when the last one is complete; at once where there is no snapshot
// yet. It is called one call at a time, and has to be set before Watch and Run.
func (s *Store) OnListing(f func(busy bool)) {
	s.listing.changed = f
	if s.Snapshot() == nil {
		s.listing.begin(firstSnapshot)
	}
}

func (l *listing) begin(resource string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under[resource] {
		return
	}
	if l.under == nil {
		l.under = map[string]bool{}
	}
	l.under[resource] = true
	if len(l.under) == 1 && l.changed != nil {
		l.changed(true)
	}
}

func (l *listing) end(resource string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.under[resource] {
		return
	}
	delete(l.under, resource)
	if len(l.under) == 0 && l.changed != nil {
		l.changed(false)
	}
}
