package connectivity_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// mutated gives the world after up to three changes of any kind.
func (d draw) mutated(w *world) *world {
	out := w.clone()
	for i := range d.IntN(4) {
		d.mutate(out, i)
	}
	return out
}

func (d draw) mutate(w *world, i int) {
	switch d.IntN(8) {
	case 0:
		w.policies = append(w.policies, d.policy(pick(d, w.names...), fmt.Sprintf("added%d", i)))
	case 1:
		if len(w.policies) > 0 {
			w.policies = without(w.policies, d.IntN(len(w.policies)))
		}
	case 2:
		if len(w.policies) > 0 {
			at := d.IntN(len(w.policies))
			w.policies[at] = d.policy(w.policies[at].Namespace, w.policies[at].Name)
		}
	case 3:
		w.namespaces[pick(d, w.names...)] = d.labels()
	case 4:
		w.pods = append(w.pods, d.pod(w, 10+i))
	case 5:
		w.pods = without(w.pods, d.IntN(len(w.pods)))
		if len(w.pods) == 0 {
			w.pods = append(w.pods, d.pod(w, 20))
		}
	case 6:
		at := d.IntN(len(w.pods))
		p := *w.pods[at]
		p.labels = labels.Merge(p.labels, d.labels())
		w.pods[at] = &p
	case 7:
		w.tiers = append(w.tiers, d.tierPolicy(fmt.Sprintf("added%d", i)))
	}
}

// TestCompareIsTheDifferenceOfTwoGraphs: what is cut was there before and is not after, port by port; what is opened is
// the reverse; and the nodes are those of both.
func TestCompareIsTheDifferenceOfTwoGraphs(t *testing.T) {
	forAll(t, worlds*2/3, func(d draw, w *world) string {
		changed := d.mutated(w)
		before, after := w.snapshot(nil), changed.snapshot(nil)
		diff := connectivity.Compare(context.Background(), before, after, w.options())
		for _, edges := range [][]connectivity.Edge{diff.Cut, diff.Opened} {
			if problem := checkForm(edges); problem != "" {
				return problem
			}
		}
		if problem := checkBothNodes(diff, connectivity.Nodes(before), connectivity.Nodes(after)); problem != "" {
			return problem + "\nafter:\n" + changed.String()
		}
		c := comparison{
			before: tableOf(edgesOf(before, w.options())), after: tableOf(edgesOf(after, w.options())),
			cut: tableOf(diff.Cut), opened: tableOf(diff.Opened), w: w, changed: changed,
		}
		problem := c.between(diff.Nodes)
		if problem == "" {
			problem = c.beyond(diff.Nodes)
		}
		if problem == "" && c.unchanged != diff.Unchanged {
			problem = fmt.Sprintf("%d unchanged, want %d", diff.Unchanged, c.unchanged)
		}
		if problem != "" {
			return problem + "\nafter:\n" + changed.String()
		}
		return ""
	})
}

func checkBothNodes(diff *connectivity.Difference, before, after []*connectivity.Node) string {
	was, is := nodesByKey(before), nodesByKey(after)
	var both, added, removed []string
	for _, n := range diff.Nodes {
		both = append(both, nodeKey(n))
		a, b := was[nodeKey(n)] != nil, is[nodeKey(n)] != nil
		switch {
		case a && !b:
			removed = append(removed, nodeKey(n))
		case b && !a:
			added = append(added, nodeKey(n))
		case !a:
			return "a node of neither cluster: " + nodeKey(n)
		}
		if b && formatNode(n) != formatNode(is[nodeKey(n)]) {
			return fmt.Sprintf("node %s, want it as it is after: %s", formatNode(n), formatNode(is[nodeKey(n)]))
		}
	}
	if len(both) != len(was)+len(added) {
		return fmt.Sprintf("nodes %v, want all of %d and %d", both, len(was), len(is))
	}
	if !slices.IsSortedFunc(diff.Nodes, func(a, b *connectivity.Node) int {
		return slices.Compare([]string{a.Namespace, a.Name, a.Kind}, []string{b.Namespace, b.Name, b.Kind})
	}) {
		return fmt.Sprintf("nodes are not sorted: %v", both)
	}
	for _, x := range []struct {
		what string
		want []string
		got  []*connectivity.Node
	}{{"added", added, diff.Added}, {"removed", removed, diff.Removed}} {
		var got []string
		for _, n := range x.got {
			got = append(got, nodeKey(n))
		}
		if !slices.Equal(got, x.want) {
			return fmt.Sprintf("%s %v, want %v", x.what, got, x.want)
		}
	}
	return ""
}

// comparison is a difference and what it was made of.
type comparison struct {
	before, after, cut, opened *table
	w, changed                 *world
	unchanged                  int
}

func (c *comparison) between(nodes []*connectivity.Node) string {
	for _, x := range nodes {
		for _, y := range nodes {
			pair := [2]string{nodeKey(x), nodeKey(y)}
			had, has := c.before.between[pair], c.after.between[pair]
			if problem := minus(had, has, c.cut.between[pair], c.opened.between[pair]); problem != "" {
				return strings.Join(pair[:], " -> ") + problem
			}
			if !had.Empty() && had.Equal(has) {
				c.unchanged++
			}
		}
	}
	return ""
}

// minus checks set arithmetic port by port.
func minus(had, has, cut, opened connectivity.Ports) string {
	for _, port := range probePorts() {
		if want := had.Contains(port) && !has.Contains(port); cut.Contains(port) != want {
			return fmt.Sprintf(": before %s, after %s, cut %s", had, has, cut)
		}
		if want := !had.Contains(port) && has.Contains(port); opened.Contains(port) != want {
			return fmt.Sprintf(": before %s, after %s, opened %s", had, has, opened)
		}
	}
	return ""
}

// beyond goes through the addresses at which something may change, in order, so that runs of addresses that are allowed
// the same before and after are counted once.
func (c *comparison) beyond(nodes []*connectivity.Node) string {
	both := &world{policies: slices.Concat(c.w.policies, c.changed.policies), tiers: slices.Concat(c.w.tiers, c.changed.tiers)}
	addresses := both.probeAddresses()
	for _, n := range nodes {
		key := nodeKey(n)
		for _, lists := range [][4][]connectivity.Reach{
			{c.before.leave[key], c.after.leave[key], c.cut.leave[key], c.opened.leave[key]},
			{c.before.come[key], c.after.come[key], c.cut.come[key], c.opened.come[key]},
		} {
			run := connectivity.Ports{}
			for i, a := range addresses {
				if i > 0 && addresses[i-1].Is4() && a.Is6() {
					run = connectivity.Ports{}
				}
				had, has := at(lists[0], a), at(lists[1], a)
				if problem := minus(had, has, at(lists[2], a), at(lists[3], a)); problem != "" {
					return fmt.Sprintf("%s and %s%s", key, a, problem)
				}
				same := connectivity.Ports{}
				if had.Equal(has) {
					same = had
				}
				if !same.Empty() && !same.Equal(run) {
					c.unchanged++
				}
				run = same
			}
		}
	}
	return ""
}

// TestCompareOfEqualClusters: nothing changes, and everything that connects is counted.
func TestCompareOfEqualClusters(t *testing.T) {
	forAll(t, worlds/10, func(_ draw, w *world) string {
		s := w.snapshot(nil)
		diff := connectivity.Compare(context.Background(), s, s, w.options())
		edges := edgesOf(s, w.options())
		if len(diff.Cut)+len(diff.Opened)+len(diff.Added)+len(diff.Removed)+len(diff.Partial) > 0 || diff.Unchanged != len(edges) {
			return fmt.Sprintf("%+v, want %d unchanged and nothing else", diff, len(edges))
		}
		return ""
	})
}

const compareBefore = `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: old, labels: {app: old}}}
---
{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}}
---
{kind: Pod, metadata: {namespace: shop, name: web, labels: {app: web}}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 80, endPort: 89}, {port: 443}]
`

const compareAfter = `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: new, labels: {app: new}}}
---
{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}}
---
{kind: Pod, metadata: {namespace: shop, name: web, labels: {app: web}}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: 85}, {port: 443, protocol: UDP}, {port: 443}]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
`

func TestCompare(t *testing.T) {
	diff := connectivity.Compare(context.Background(), snapshotOf(t, compareBefore), snapshotOf(t, compareAfter), connectivity.Options{})
	compareLines(t, "nodes", formatNodes(diff.Nodes), `
		shop/Pod/api pods 1 isolated [true true] host false kinds 1
		shop/Pod/new pods 1 isolated [false false] host false kinds 1
		shop/Pod/old pods 1 isolated [false false] host false kinds 1
		shop/Pod/web pods 1 isolated [false false] host false kinds 1`)
	compareLines(t, "added", formatNodes(diff.Added), `shop/Pod/new pods 1 isolated [false false] host false kinds 1`)
	compareLines(t, "removed", formatNodes(diff.Removed), `shop/Pod/old pods 1 isolated [false false] host false kinds 1`)
	compareLines(t, "cut", formatEdges(diff.Cut), `
		shop/Pod/old -> shop/Pod/web: all ports
		shop/Pod/old -> 0.0.0.0-255.255.255.255: all ports
		shop/Pod/old -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
		shop/Pod/web -> shop/Pod/api: TCP 80-84, 86-89
		shop/Pod/web -> shop/Pod/old: all ports
		0.0.0.0-255.255.255.255 -> shop/Pod/old: all ports
		::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> shop/Pod/old: all ports`)
	compareLines(t, "opened", formatEdges(diff.Opened), `
		shop/Pod/api -> 10.0.0.0-10.0.255.255: all ports
		shop/Pod/api -> 10.2.0.0-10.255.255.255: all ports
		shop/Pod/new -> shop/Pod/web: all ports
		shop/Pod/new -> 0.0.0.0-255.255.255.255: all ports
		shop/Pod/new -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
		shop/Pod/web -> shop/Pod/api: UDP 443
		shop/Pod/web -> shop/Pod/new: all ports
		0.0.0.0-255.255.255.255 -> shop/Pod/new: all ports
		::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> shop/Pod/new: all ports`)
	if want := 4; diff.Unchanged != want { // web with either family, in either direction
		t.Errorf("%d unchanged, want %d", diff.Unchanged, want)
	}
}
