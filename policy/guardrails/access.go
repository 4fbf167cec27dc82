package guardrails

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// access is one workload that the label lets the pods connect to.
type access struct {
	to     *cluster.Workload
	ports  string
	policy *netpol.Policy // lets them in
}

// maxAccessPairs bounds the pairs of workloads that are compared, as for the difference that a change makes.
const maxAccessPairs = 400_000

// accesses lists what the pods can connect to with their labels and cannot without, where a rule lets them in for them.
func accesses(c *policy.Change, without, with *cluster.Workload) []access {
	var out []access
	touched := []connectivity.Touched{{Before: without, After: with, Directions: [2]bool{netpol.Egress: true}}}
	connectivity.Changes(c.After, c.After, touched, maxAccessPairs, func(pair *connectivity.Pair) {
		if pair.Peer == nil || pair.Opened.Empty() {
			return
		}
		if p := admitter(c, pair.Peer, c.After.Endpoint(without), c.After.Endpoint(with)); p != nil {
			out = append(out, access{pair.Peer, portWords(pair.Opened), p})
		}
	})
	return out
}

// admitter gives the first policy of the destination with a rule that selects one endpoint and not the other, nil where
// there is none.
func admitter(c *policy.Change, to *cluster.Workload, without, with netpol.Endpoint) *netpol.Policy {
	e := c.After.Endpoint(to)
	for _, p := range c.After.Policies(to.Namespace) {
		if p.Isolates[netpol.Ingress] && p.Selects(e) && slices.ContainsFunc(p.Rules[netpol.Ingress], func(r netpol.Rule) bool {
			return r.MatchesPeer(p.Namespace, with) && !r.MatchesPeer(p.Namespace, without)
		}) {
			return p
		}
	}
	return nil
}

// accessWords names the first destination of which the message may tell and counts the others:
// "ledger/db:5432 (policy ledger/allow-db), +2".
func accessWords(c *policy.Change, found []access) string {
	named := slices.IndexFunc(found, func(a access) bool { return c.MayName(a.to.Namespace) })
	if named < 0 {
		return "pods of other namespaces that let in this label"
	}
	a := &found[named]
	words := fmt.Sprintf("%s/%s%s (policy %s/%s)", a.to.Namespace, a.to.Name, a.ports, a.policy.Namespace, a.policy.Name)
	if n := len(found) - 1; n > 0 {
		words += fmt.Sprintf(", +%d", n)
	}
	return words
}

// withoutAccess takes back the labels.
func withoutAccess(fixed, gained labels.Set) *policy.Fix {
	var kept, left []string
	for _, k := range slices.Sorted(maps.Keys(gained)) {
		if was, had := fixed[k]; had {
			kept = append(kept, k+"="+was)
		} else {
			left = append(left, k+"="+gained[k])
		}
	}
	var say []string
	if len(kept) > 0 {
		say = append(say, "keep "+strings.Join(kept, ","))
	}
	if len(left) > 0 {
		say = append(say, "leave out "+strings.Join(left, ","))
	}
	return &policy.Fix{Say: strings.Join(say, ", "), Labels: fixed}
}
