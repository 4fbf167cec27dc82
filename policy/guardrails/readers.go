package guardrails

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// policiesRead reports whether some policy tells the changed pod from one that has the label of the key as instead has it.
func policiesRead(c *policy.Change, key string, instead labels.Set) bool {
	now := c.NewWorkload.Labels
	other := maps.Clone(now)
	if v, ok := instead[key]; ok {
		other[key] = v
	} else {
		delete(other, key)
	}
	tells := func(s *netpol.Selector) bool {
		return s != nil && slices.Contains(s.Keys(), key) && s.Matches(now) != s.Matches(other)
	}
	e := c.After.Endpoint(c.NewWorkload)
	for n := range c.After.All() {
		for _, p := range n.Policies {
			if n.Name == c.Namespace && tells(&p.Subject) || peersTell(p, e, tells) {
				return true
			}
		}
	}
	return tiersTell(c.After.Tiers(), e, tells)
}

// peersTell reports whether the selector of a peer that looks for pods in the endpoint's namespace tells the pods apart.
func peersTell(p *netpol.Policy, e netpol.Endpoint, tells func(*netpol.Selector) bool) bool {
	for _, d := range netpol.Directions {
		if !p.Isolates[d] {
			continue
		}
		for i := range p.Rules[d] {
			for j := range p.Rules[d][i].Peers {
				peer := &p.Rules[d][i].Peers[j]
				if peer.Pods != nil && tells(peer.Pods) && peer.MatchesNamespace(p.Namespace, e.Namespace, e) {
					return true
				}
			}
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
		for _, r := range slices.Concat(p.Rules[:]...) {
			for i := range r.Peers {
				peer := &r.Peers[i]
				if peer.Pods != nil && tells(peer.Pods) && peer.MatchesNamespace("", e.Namespace, e) {
					return true
				}
			}
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
