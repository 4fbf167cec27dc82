package webhook

import (
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// recent remembers the changes of policies and of Namespaces' labels that this replica has just allowed and whose events
// may not have come yet. They may also never have been stored, so they only raise a suspicion; a live read settles it.
type recent struct {
	mu      sync.Mutex
	changes map[string][]recentChange // by namespace, oldest first
	swept   time.Time                 // when namespaces without a living change were last forgotten
}

type recentChange struct {
	name  string
	new   *netpol.Policy    // nil for a deletion
	label *corev1.Namespace // set for a change of labels instead
	until time.Time
}

// recentFor is how long a change is remembered: well beyond the usual delay of a watch.
const recentFor = 3 * time.Second

// recentMost bounds the changes remembered in one namespace, the newest win.
const recentMost = 16

// everywhere holds the changes of labels, which policies of all namespaces may select on. No namespace has this name.
const everywhere = ""

func newRecent() *recent { return &recent{changes: map[string][]recentChange{}} }

// remember notes an allowed change. Those of pods and templates make no difference to others.
func (r *recent) remember(now time.Time, c *policy.Change) {
	where, change := c.Namespace, recentChange{name: c.Name, new: c.NewPolicy, until: now.Add(recentFor)}
	switch c.Trigger {
	case policy.PolicyWrite, policy.PolicyDelete:
	case policy.NamespaceWrite:
		where, change.label = everywhere, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Name, Labels: c.NewLabels}}
	default:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := alive(r.changes[where], now)
	if len(kept) >= recentMost {
		kept = kept[1:]
	}
	r.changes[where] = append(kept, change)
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

// apply gives s with the remembered changes of the namespace and of all labels in it, and whether there are any. Labels
// that s shows already are none: whoever labels many namespaces would have everything judged twice.
func (r *recent) apply(now time.Time, s *cluster.Snapshot, namespace string) (*cluster.Snapshot, bool) {
	r.mu.Lock()
	changes := append(alive(r.changes[namespace], now), alive(r.changes[everywhere], now)...)
	r.mu.Unlock()
	some := false
	for _, c := range changes {
		switch {
		case c.label != nil && maps.Equal(s.NamespaceLabels(c.name), c.label.Labels):
			continue
		case c.label != nil:
			s = s.WithNamespace(c.label)
		case c.new != nil:
			s = s.WithPolicy(c.new)
		default:
			s = s.WithoutPolicy(namespace, c.name)
		}
		some = true
	}
	return s, some
}

// relabelled names the namespaces whose labels this replica has just allowed to change, in order and each once.
func (r *recent) relabelled(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, c := range alive(r.changes[everywhere], now) {
		out = append(out, c.name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
