package guardrails

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// oneSided: a rule of the new policy allows connections that the peers' own policies refuse. What the union of the rules
// allowed before the change is not judged, nor is what some rule of the other side admits.
var oneSided = policy.Guardrail{
	Slug:          "one-sided",
	Summary:       "one side of a connection allows what the other side denies",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	Check:         checkOneSided,
	Documentation: policy.Documentation{
		Why: `A connection needs both ends: the egress rules of the source and the ingress rules of the destination. Whoever writes
one half and not the other has a policy that looks right and a connection that times out.`,
		Judged: `Each peer that a rule of the policy selects, and that no rule selected for these pods and ports before: do the
policies at the peers, live pods and pod templates, let the same connection through? Peers that no policy isolates in that
direction do, and so do those that another of their rules admits. A rule between all pods of namespaces, or for all pods of its
own, says nothing of each of them: it is reported only where it lets not one connection through. Rules without peers and
ipBlocks are left alone. At most 2,000 pairs of workloads are looked at, and at most
200,000 workloads are gone through in search of them. One half has to come first: while the peers have no rules of their own yet, but a
default-deny and what lets all pods of their namespace ask DNS, or certain other namespaces in, their half counts as still to come. In
manifests that ` + "`bulkhead lint`" + ` judges as a whole it does not.`,
		Bad: `# pods app=db admit nobody: their policy db-ingress has no rule for app=api
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api-egress}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: db}}}]
    ports: [{protocol: TCP, port: 5432}]
`,
		Good: `# the other half
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db-ingress}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: api}}}]
    ports: [{protocol: TCP, port: 5432}]
`,
		Fix: `Add the missing rule at the other end, or have its owner add it. If that is on its way in another change, nothing has to
be done.`,
	},
}

// maxSides bounds the pairs of workloads that are looked at for one change: some ten milliseconds of work. The
// guardrail's documentation tells the number.
const maxSides = 2000

// maxThrough bounds the workloads that are gone through in search of the peers, for the same reason.
const maxThrough = 200_000

func checkOneSided(c *policy.Change, _ any) []policy.Violation {
	h := &bothSides{
		c: c, before: connectivity.NewView(c.Before), after: connectivity.NewView(c.After), left: maxSides,
		running: map[*cluster.Namespace]map[cluster.Owner]bool{},
	}
	for _, s := range selectedSubjects(c) {
		if !h.runs(c.After.Namespace(c.Namespace), s.Workload) {
			h.subjects = append(h.subjects, s)
		}
	}
	var out []policy.Violation
	for _, d := range netpol.Directions {
		if !c.NewPolicy.Isolates[d] {
			continue
		}
		for i := range c.NewPolicy.Rules[d] {
			rule := &c.NewPolicy.Rules[d][i]
			for j := range rule.Peers {
				if rule.Peers[j].Block != nil || len(out) == maxDeadPeers {
					continue
				}
				if x := h.look(place{d, i, j, &rule.Peers[j]}, rule); x != nil {
					out = append(out, oneSidedViolation(c, x))
				}
			}
		}
	}
	return out
}

// bothSides compares the two sides of connections.
type bothSides struct {
	c             *policy.Change
	before, after *connectivity.View
	subjects      []*policy.Subject
	left          int // how many more pairs may be looked at
	through       int // how many workloads have been gone through
	running       map[*cluster.Namespace]map[cluster.Owner]bool
}

// runs reports whether w is a template whose pods are there: it says nothing that they do not say.
func (h *bothSides) runs(n *cluster.Namespace, w *cluster.Workload) bool {
	if !w.Template {
		return false
	}
	owners, done := h.running[n]
	if !done {
		owners = map[cluster.Owner]bool{}
		for _, live := range h.c.After.Live(n) {
			for _, o := range live.Owners() {
				owners[cluster.Owner{Kind: o.Kind, Name: o.Name}] = true
			}
		}
		h.running[n] = owners
	}
	return owners[cluster.Owner{Kind: w.Kind, Name: w.Name}]
}

// halfOpen is one peer of the policy with the connections that the other side refuses.
type halfOpen struct {
	place
	subjects []*policy.Subject // that are refused, each once
	seen     map[*policy.Subject]bool
	peers    []*cluster.Workload // that refuse, each once
	// stated are the ports that the rule allows, refused those that the other side does not.
	stated, refused connectivity.Ports
}

// look gives what is refused of the connections that one peer of a rule allows; nil where that is nothing to tell of.
func (h *bothSides) look(at place, rule *netpol.Rule) *halfOpen {
	x := &halfOpen{place: at, seen: map[*policy.Subject]bool{}}
	broad := isBroad(h.c.NewPolicy, at.peer)
	for n := range h.c.After.PeerNamespaces(h.c.Namespace, at.peer) {
		for w := range candidates(h.c.After, n) {
			if h.through++; h.through > maxThrough {
				if broad {
					return nil
				}
				return x.orNil()
			}
			// The namespace matches already.
			if w.HostNetwork || at.peer.Pods != nil && !at.peer.Pods.Matches(w.Labels) || h.runs(n, w) {
				continue
			}
			for _, s := range h.subjects {
				if h.left--; h.left < 0 {
					if broad {
						return nil // the pairs that are left may get through
					}
					return x.orNil()
				}
				if through := h.add(x, s, w, rule); through && broad {
					return nil
				}
			}
		}
	}
	return x.orNil()
}

func (x *halfOpen) orNil() *halfOpen {
	if x.refused.Empty() {
		return nil
	}
	return x
}

// isBroad reports whether the rule speaks of all pods of some namespaces at either end, rather than of certain ones.
func isBroad(p *netpol.Policy, peer *netpol.Peer) bool {
	return p.Subject.Everything() || peer.Pods == nil || peer.Pods.Everything() || peer.Namespaces != nil && peer.Namespaces.Everything()
}

// add looks at one pair of workloads and reports whether any connection of theirs that the rule allows gets through.
func (h *bothSides) add(x *halfOpen, s *policy.Subject, peer *cluster.Workload, rule *netpol.Rule) (through bool) {
	if peer.Pods < 2 && peer.Same(s.Workload) {
		return false // a pod always reaches itself
	}
	destination := peer
	if x.direction == netpol.Ingress {
		destination = s.Workload
	}
	d := x.direction
	stated := h.after.Side(d, s.Workload, peer).Intersect(destinationPorts(rule, destination.Ports))
	other := h.after.Side(netpol.Ingress+netpol.Egress-d, peer, s.Workload)
	fresh := stated
	if s.Before.Isolated(d) {
		fresh = stated.Minus(h.before.Side(d, s.Workload, peer))
	}
	if refused := fresh.Minus(other); !refused.Empty() && !h.unwritten(netpol.Ingress+netpol.Egress-d, peer) {
		x.stated, x.refused = x.stated.Union(stated), x.refused.Union(refused)
		if !x.seen[s] {
			x.seen[s], x.subjects = true, append(x.subjects, s)
		}
		if n := len(x.peers); n == 0 || x.peers[n-1] != peer {
			x.peers = append(x.peers, peer)
		}
	}
	return !stated.Intersect(other).Empty()
}

// unwritten reports whether all that the peer has in direction d is what a platform puts into every namespace, a default-deny
// and openings for itself: the peer's own rules are still to come, and one half of a connection has to be written first.
func (h *bothSides) unwritten(d netpol.Direction, peer *cluster.Workload) bool {
	e := h.c.After.Endpoint(peer)
	if h.c.Complete || len(h.c.After.Tiers().Selecting(netpol.AdminTier, e)) > 0 || h.c.NewPolicy.Isolates[d] && h.c.NewPolicy.Selects(e) {
		return false // what a tier denies no rule brings back, and this very policy could have had the rule
	}
	shut := false
	for _, p := range h.c.After.Policies(peer.Namespace) {
		if !p.Isolates[d] || !p.Selects(e) {
			continue
		}
		if !h.baseline(p, d) {
			return false
		}
		shut = shut || len(p.Rules[d]) == 0
	}
	return shut
}

// baseline reports whether the policy selects all pods of its namespace and lets through, in direction d, nothing but their
// DNS or certain other namespaces, such as that of Prometheus.
func (h *bothSides) baseline(p *netpol.Policy, d netpol.Direction) bool {
	resolver := h.c.After.Resolver()
	return p.Subject.Everything() && !slices.ContainsFunc(p.Rules[d], func(r netpol.Rule) bool {
		if d == netpol.Egress {
			return !isDNSRule(&r, resolver)
		}
		return len(r.Peers) == 0 || slices.ContainsFunc(r.Peers, func(peer netpol.Peer) bool {
			return peer.Namespaces == nil || peer.Namespaces.Everything()
		})
	})
}
