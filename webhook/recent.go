package webhook

import (
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// recent remembers the policy changes that this replica has just allowed and whose events may not have come yet. They
// may also never have been stored, so they only raise a suspicion; a live read settles it.
type recent struct {
	mu      sync.Mutex
	changes map[string][]recentChange // by namespace, oldest first
	swept   time.Time                 // when namespaces without a living change were last forgotten
}

type recentChange struct {
	name  string
	new   *netpol.Policy // nil for a deletion
	until time.Time
}

// recentFor is how long a change is remembered: well beyond the usual delay of a watch.
const recentFor = 3 * time.Second

// recentMost bounds the changes remembered in one namespace, the newest win.
const recentMost = 16

func newRecent() *recent { return &recent{changes: map[string][]recentChange{}} }

// remember notes an allowed change of a NetworkPolicy.
func (r *recent) remember(now time.Time, c *policy.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := alive(r.changes[c.Namespace], now)
	if len(kept) >= recentMost {
		kept = kept[1:]
	}
	r.changes[c.Namespace] = append(kept, recentChange{name: c.Name, new: c.NewPolicy, until: now.Add(recentFor)})
	if now.Sub(r.swept) < recentFor {
		return
	}
	r.swept = now
	for namespace, changes := range r.changes {
		if len(alive(changes, now)) == 0 {
			delete(r.changes, namespace)
		}
	}
}

// alive gives a copy of the changes that are still remembered.
func alive(changes []recentChange, now time.Time) []recentChange {
	var out []recentChange
	for _, c := range changes {
		if now.Before(c.until) {
			out = append(out, c)
		}
	}
	return out
}

// apply gives s with the remembered changes of the namespace in it, and whether there are any.
func (r *recent) apply(now time.Time, s *cluster.Snapshot, namespace string) (*cluster.Snapshot, bool) {
	r.mu.Lock()
	changes := alive(r.changes[namespace], now)
	r.mu.Unlock()
	for _, c := range changes {
		if c.new != nil {
			s = s.WithPolicy(c.new)
		} else {
			s = s.WithoutPolicy(namespace, c.name)
		}
	}
	return s, len(changes) > 0
}
