package policy

import (
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Difference is what a change does to connections between live workloads, and between those that it touches and
// addresses outside the cluster. For a pod template it is what its next rollout does.
type Difference struct {
	// Flows are in the order of the touched workloads, direction, peers' namespaces.
	Flows []Flow
	// Cut and Opened count the pairs of workloads, or of a workload and a range of addresses, between which connections
	// are cut or opened.
	Cut, Opened int
	// Extent tells how much of the work was done; what was not is missing in the counts.
	Extent connectivity.Extent
}

// Flow is what happens to connections between one touched workload and its peers in one namespace, or one range of
// addresses.
type Flow struct {
	// Subject is the touched workload as it is after the change.
	Subject *cluster.Workload
	// Direction is the subject's: with Egress it is the source.
	Direction netpol.Direction
	// Namespace of the peers, empty for addresses outside the cluster: then Range holds them.
	Namespace string
	Range     connectivity.Range
	// Peers counts the workloads that fare alike; First is the first of them as the snapshot sorts them.
	Peers int
	First *cluster.Workload
	// Cut and Opened are the ports.
	Cut, Opened connectivity.Ports
}

// Pairs counts the pairs of endpoints that the flow stands for.
func (f *Flow) Pairs() int { return max(f.Peers, 1) }

// maxPairs bounds the pairs of workloads that are compared for one change: some ten milliseconds of work. A bound on time
// would make the answer depend on the machine.
const maxPairs = 400_000

// Difference works out what the change cuts and opens, once.
func (c *Change) Difference() *Difference {
	c.compare.Do(func() {
		touched := c.touched()
		d := &Difference{}
		defer c.difference.Store(d)
		if len(touched) > 0 {
			d.Extent = connectivity.Changes(c.Before, c.After, touched, maxPairs, func(p *connectivity.Pair) { d.add(touched, p) })
		}
	})
	return c.difference.Load()
}

// KnownDifference gives what Difference has worked out, nil where no guardrail asked for it, or none has got its answer yet.
func (c *Change) KnownDifference() *Difference { return c.difference.Load() }

// Compared tells how much of the comparison of connections was done; false where no guardrail asked for it, or none has
// got its answer yet. What was not compared, no finding needs to mention: whoever reports on the change does.
func (c *Change) Compared() (connectivity.Extent, bool) {
	d := c.difference.Load()
	if d == nil {
		return connectivity.Extent{}, false
	}
	return d.Extent, true
}

// touched lists the workloads to compare.
func (c *Change) touched() []connectivity.Touched {
	both := [2]bool{true, true}
	switch c.Trigger {
	case PodWrite, TemplateWrite:
		if c.OldWorkload == nil {
			return nil // it had no connections
		}
		return []connectivity.Touched{{Before: c.OldWorkload, After: c.NewWorkload, Directions: both}}
	case NamespaceWrite:
		var out []connectivity.Touched
		for _, w := range c.After.Live(c.After.Namespace(c.Name)) {
			out = append(out, connectivity.Touched{Before: w, After: w, Directions: both})
		}
		return out
	}
	var out []connectivity.Touched
	for _, s := range c.LiveSubjects() {
		t := connectivity.Touched{Before: s.Workload, After: s.Workload}
		for _, d := range netpol.Directions {
			t.Directions[d] = restricts(c.OldPolicy, d, s.Before.Endpoint) || restricts(c.NewPolicy, d, s.After.Endpoint)
		}
		out = append(out, t)
	}
	return out
}

// restricts reports whether the policy has a say about the pod in direction d.
func restricts(p *netpol.Policy, d netpol.Direction, e netpol.Endpoint) bool {
	return p != nil && p.Isolates[d] && p.Selects(e)
}

// add counts a pair and joins it to the last flow of the same kind.
func (d *Difference) add(touched []connectivity.Touched, p *connectivity.Pair) {
	if !p.Cut.Empty() {
		d.Cut++
	}
	if !p.Opened.Empty() {
		d.Opened++
	}
	f := Flow{Subject: touched[p.Touched].After, Direction: p.Direction, Range: p.Range, Cut: p.Cut, Opened: p.Opened}
	if p.Peer == nil {
		d.Flows = append(d.Flows, f)
		return
	}
	f.Namespace, f.First, f.Peers = p.Peer.Namespace, p.Peer, 1
	for i := len(d.Flows) - 1; i >= 0; i-- {
		last := &d.Flows[i]
		if last.Subject != f.Subject || last.Direction != f.Direction || last.Namespace != f.Namespace {
			break
		}
		if last.Cut.Equal(f.Cut) && last.Opened.Equal(f.Opened) {
			last.Peers++
			return
		}
	}
	d.Flows = append(d.Flows, f)
}
