package connectivity_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestSideAgreesWithOracle asks one view about all pairs, so that what it remembers of one is no answer to another.
func TestSideAgreesWithOracle(t *testing.T) {
	forAll(t, worlds/3, func(d draw, w *world) string {
		s := w.snapshot(nil)
		x, v := newSide(s), connectivity.NewView(s)
		var all []*cluster.Workload
		for n := range s.All() {
			all = append(all, s.Candidates(n)...)
		}
		mix(d, all)
		ports := d.probes(8)
		for _, subject := range all {
			for _, peer := range all {
				for _, dir := range netpol.Directions {
					got := v.Side(dir, subject, peer)
					for _, port := range ports {
						want := s.Tiers().Admitted(dir, s.Endpoint(subject), s.Endpoint(peer), port, x.policies)
						if got.Contains(port) != want {
							return fmt.Sprintf("%s of %s with %s on %v: %s, the oracle says %v", dir, workloadKey(subject), workloadKey(peer), port, got, want)
						}
					}
				}
			}
		}
		return ""
	})
}

func TestNamesForPeople(t *testing.T) {
	node := &connectivity.Node{Namespace: "shop", Kind: "Deployment", Name: "api"}
	outside := connectivity.Range{First: netip.MustParseAddr("10.0.0.0"), Last: netip.MustParseAddr("10.255.255.255")}
	for got, want := range map[string]string{
		node.String():    "shop/api",
		outside.String(): "10.0.0.0-10.255.255.255",
		connectivity.Endpoint{Node: node}.String():     "shop/api",
		connectivity.Endpoint{Range: outside}.String(): "10.0.0.0-10.255.255.255",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestSplit: a node with two kinds of pods becomes two nodes of the same name.
func TestSplit(t *testing.T) {
	s := snapshotOf(t, `
{kind: Pod, metadata: {namespace: shop, name: c-0, labels: {v: "1"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}}
---
{kind: Pod, metadata: {namespace: shop, name: c-1, labels: {v: "2"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}}
---
{kind: Pod, metadata: {namespace: shop, name: c-2, labels: {v: "2"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}, spec: {hostNetwork: true, containers: []}}
---
{kind: Pod, metadata: {namespace: shop, name: c-3, labels: {v: "1"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}}`)
	compareLines(t, "nodes", formatNodes(connectivity.Nodes(s)), `shop/StatefulSet/c pods 4 isolated [false false] host false kinds 3`)
	compareLines(t, "parts", formatNodes(connectivity.Nodes(s)[0].Split()), `
		shop/StatefulSet/c pods 2 isolated [false false] host false kinds 1
		shop/StatefulSet/c pods 1 isolated [false false] host false kinds 1
		shop/StatefulSet/c pods 1 isolated [false false] host true kinds 1`)
}
