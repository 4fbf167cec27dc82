package guardrails

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// policiesRead reports whether some policy selects the changed pod and would not with the label of the key as instead has it.
// What selects the pod only with that is left out: there the label takes something away, and nobody is to make it stay.
// Those of other namespaces are only asked where the change cuts or opens connections.
func policiesRead(c *policy.Change, key string, instead labels.Set) bool {
	now := c.NewWorkload.Labels
	other := maps.Clone(now)
	if v, ok := instead[key]; ok {
		other[key] = v
	} else {
		delete(other, key)
	}
	tells := func(s *netpol.Selector) bool {
		return s != nil && reads(s, key) && s.Matches(now) && !s.Matches(other)
	}
	e := c.After.Endpoint(c.NewWorkload)
	for _, p := range c.After.Policies(c.Namespace) {
		if tells(&p.Subject) || slices.ContainsFunc(netpol.Directions[:], func(d netpol.Direction) bool {
			return p.Isolates[d] && slices.ContainsFunc(p.Rules[d], func(r netpol.Rule) bool { return peersTell(r.Peers, p.Namespace, e, tells) })
		}) {
			return true
		}
	}
	if d := c.Difference(); d.Cut+d.Opened == 0 {
		return false // most labels are nobody's, and the policies of all namespaces are many
	}
	for n := range c.After.All() {
		coverage := c.After.Coverage(n)
		if _, read := slices.BinarySearch(coverage.ForeignKeys, key); !read {
			continue
		}
		for _, rules := range coverage.Foreign {
			for _, r := range rules {
				if peersTell(r.Rule.Peers, n.Name, e, tells) {
					return true
				}
			}
		}
	}
	return tiersTell(c.After.Tiers(), e, tells)
}

// reads is whether Selector.Keys has the key; it is asked of every policy of the cluster.
func reads(s *netpol.Selector, key string) bool {
	source := s.Source()
	_, ok := source.MatchLabels[key]
	return ok || slices.ContainsFunc(source.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return r.Key == key })
}

// peersTell reports whether the selector of a peer that looks for pods in the endpoint's namespace tells the pods apart; own is
// the namespace of the peers' policy.
func peersTell(peers []netpol.Peer, own string, e netpol.Endpoint, tells func(*netpol.Selector) bool) bool {
	for i := range peers {
		if p := &peers[i]; p.Pods != nil && tells(p.Pods) && p.MatchesNamespace(own, e.Namespace, e) {
			return true
		}
	}
	return false
}

func tiersTell(t *netpol.Tiers, e netpol.Endpoint, tells func(*netpol.Selector) bool) bool {
	if t == nil {
		return false
	}
	for _, p := range slices.Concat(t.Policies[:]...) {
		if p.Pods != nil && tells(p.Pods) && p.Namespaces.Matches(e.NamespaceLabels) {
			return true
		}
		if slices.ContainsFunc(slices.Concat(p.Rules[:]...), func(r netpol.TierRule) bool { return peersTell(r.Peers, "", e, tells) }) {
			return true
		}
	}
	return false
}

// withoutKeys gives the changed pod's labels with those of the keys as they were before the change.
func withoutKeys(c *policy.Change, keys []string) labels.Set {
	out := maps.Clone(c.NewWorkload.Labels)
	for _, k := range keys {
		if was, had := c.OldWorkload.Labels[k]; had {
			out[k] = was
		} else {
			delete(out, k)
		}
	}
	return out
}

// labelList writes the labels of the keys: "a=b, c=d".
func labelList(keys []string, l labels.Set) string {
	var words []string
	for _, k := range keys {
		words = append(words, k+"="+l[k])
	}
	if n := len(words) - maxEdits; n > 0 {
		words = append(words[:maxEdits], fmt.Sprintf("+%d", n))
	}
	return strings.Join(words, ", ")
}
