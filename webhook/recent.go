package webhook

import (
	"container/list"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// recent remembers the changes of policies and of Namespaces' labels that this replica has just allowed and whose events
// may not have come yet. They may also never have been stored, so they only raise a suspicion; a live read settles it.
// Whoever reaches the port can make changes up, so what is kept is bounded in number and in size, and the oldest go
// first.
type recent struct {
	mu      sync.Mutex
	order   *list.List                 // of *recentChange, oldest first
	changes map[string][]*list.Element // the same by namespace, oldest first
	size    int                        // of all together, in bytes
}

type recentChange struct {
	where string // the namespace, or everywhere
	name  string
	new   *netpol.Policy    // nil for a deletion
	label *corev1.Namespace // set for a change of labels instead
	size  int               // in bytes, about
	until time.Time
}

// recentFor is how long a change is remembered: well beyond the usual delay of a watch.
const recentFor = 3 * time.Second

// recentMost bounds the changes remembered in one namespace, recentMostAll in all of them, and recentMostSize what all
// take in bytes. The newest win. A policy of 9,000 rules takes some 2 MiB.
const (
	recentMost     = 16
	recentMostAll  = 2048
	recentMostSize = 16 << 20
)

// everywhere holds the changes of labels, which policies of all namespaces may select on. No namespace has this name.
const everywhere = ""

func newRecent() *recent { return &recent{order: list.New(), changes: map[string][]*list.Element{}} }

// remember notes an allowed change. Those of pods and templates make no difference to others, and a policy that only got an owner
// is still there. Names that no object can have come from no API server, and live reads of them would fail.
func (r *recent) remember(now time.Time, c *policy.Change) {
	if c.Owner != "" {
		return
	}
	change := &recentChange{where: c.Namespace, name: c.Name, new: c.NewPolicy, until: now.Add(recentFor)}
	switch c.Trigger {
	case policy.PolicyWrite, policy.PolicyDelete:
		if len(validation.IsDNS1123Subdomain(c.Name)) > 0 {
			return
		}
	case policy.NamespaceWrite:
		change.where, change.label = everywhere, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Name, Labels: c.NewLabels}}
	default:
		return
	}
	if len(validation.IsDNS1123Label(c.Namespace)) > 0 {
		return
	}
	change.size = sizeOf(change)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes[change.where] = append(r.changes[change.where], r.order.PushBack(change))
	r.size += change.size
	if same := r.changes[change.where]; len(same) > recentMost {
		r.forget(same[0])
	}
	for oldest := r.order.Front(); oldest != nil; oldest = r.order.Front() {
		if now.Before(oldest.Value.(*recentChange).until) && r.order.Len() <= recentMostAll && r.size <= recentMostSize {
			return
		}
		r.forget(oldest)
	}
}

// forget removes the oldest change of a namespace.
func (r *recent) forget(e *list.Element) {
	c := e.Value.(*recentChange)
	r.order.Remove(e)
	r.size -= c.size
	if r.changes[c.where] = slices.Delete(r.changes[c.where], 0, 1); len(r.changes[c.where]) == 0 {
		delete(r.changes, c.where)
	}
}

// alive gives a copy of the changes of a namespace that are still remembered.
func (r *recent) alive(where string, now time.Time) []*recentChange {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*recentChange
	for _, e := range r.changes[where] {
		if c := e.Value.(*recentChange); now.Before(c.until) {
			out = append(out, c)
		}
	}
	return out
}

// sizeOf reckons what a change takes in memory, in bytes: its parts and their text. It errs on the high side.
func sizeOf(c *recentChange) int {
	n := partSize + len(c.name) + len(c.where)
	if c.label != nil {
		n += labelsSize(c.label.Labels)
	}
	if c.new == nil {
		return n
	}
	n += selectorSize(&c.new.Subject)
	for _, rule := range slices.Concat(c.new.Rules[:]...) {
		n += partSize + len(rule.Ports)*partSize/2
		for i := range rule.Peers {
			peer := &rule.Peers[i]
			n += partSize + selectorSize(peer.Namespaces) + selectorSize(peer.Pods)
			if peer.Block != nil {
				n += len(peer.Block.Except) * partSize / 4
			}
		}
	}
	return n
}

// partSize is what one part of a change takes without its text.
const partSize = 128

func selectorSize(s *netpol.Selector) int {
	if s == nil {
		return 0
	}
	source := s.Source()
	n := partSize + 2*labelsSize(source.MatchLabels) // once as written and once compiled
	for i := range source.MatchExpressions {
		n += partSize + len(source.MatchExpressions[i].Key)
		for _, v := range source.MatchExpressions[i].Values {
			n += partSize + 2*len(v)
		}
	}
	return n
}

func labelsSize(set map[string]string) int {
	n := 0
	for k, v := range set {
		n += partSize/2 + len(k) + len(v)
	}
	return n
}

// apply gives s with the remembered changes of the namespace and of all labels in it, and whether there are any. Labels
// that s shows already are none: whoever labels many namespaces would have everything judged twice.
func (r *recent) apply(now time.Time, s *cluster.Snapshot, namespace string) (*cluster.Snapshot, bool) {
	changes := append(r.alive(namespace, now), r.alive(everywhere, now)...)
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
	var out []string
	for _, c := range r.alive(everywhere, now) {
		out = append(out, c.name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
