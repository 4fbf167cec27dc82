package guardrails

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// exceptDefeated: an ipBlock excepts a range and another rule that applies to the same pods allows it on the same ports.
// What the rules of the pods' policies allowed before the change is left alone, unless the change is an update that adds
// the exception to close what its block allowed: that closes nothing then.
var exceptDefeated = policy.Guardrail{
	Slug:          "except-defeated",
	Summary:       "a range that one rule excepts is allowed by another one",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	Check:         checkExceptDefeated,
	Documentation: policy.Documentation{
		Why: `Policies and their rules add up, and none of them denies. ` + "`except`" + ` takes a range out of its own ` + "`ipBlock`" + ` and out of
nothing else: as soon as another rule, or another policy on the same pods, allows the range, the exception is gone.`,
		Judged: `Each ` + "`except`" + ` in the policies of a pod that the policy selects, against the other ` + "`ipBlock`" + `s and the rules without
` + "`from`" + ` or ` + "`to`" + ` that apply to the same pod in the same direction on some of the same ports and protocols; a named port counts
by its number on the pod. What the rules allowed before the change is no news: the change has to allow the range, or a part of
it, which is then named. An update that adds the exception is judged too where the range stays allowed by another rule, because it
closes nothing.

Left alone are peers by selector, which are no ranges; rules for DNS alone; and a rule that allows only a part of the range on only
some of the ports, which is a hole made on purpose. With the action Deny it denies only where running pods that were
isolated before get access that they did not have. A policy that takes more than 200,000 comparisons is not judged to the end.`,
		Bad: `# the second rule allows 10.0.0.0/8 after all
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-internet}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}
    ports: [{protocol: TCP, port: 443}]
  - ports: [{protocol: TCP, port: 443}, {protocol: TCP, port: 80}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-internet}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}
    ports: [{protocol: TCP, port: 443}, {protocol: TCP, port: 80}]
`,
		Fix: `Except the range in every rule that contains it, or remove the rule that allows it. A rule without ` + "`to`" + ` or ` + "`from`" + `
allows every address: give it one. Where the range is meant to be allowed, remove the exception, so that nobody relies on it.`,
	},
}

// maxRangePairs bounds the pairs of ranges that are compared for one request: some ten milliseconds.
const maxRangePairs = 200_000

// exception is one item of an except.
type exception struct {
	spot
	excepted netip.Prefix
	// added says that the change adds it to a block that allowed the range before.
	added bool
}

// exceptChecker judges one change.
type exceptChecker struct {
	change   *policy.Change
	resolver *cluster.Resolver
	budget   int // of comparisons
	ranges   [2]map[*netpol.Policy][]spot
	found    []*defeat // at most maxDeadPeers, in the order of the subjects and their policies
}

func newExceptChecker(c *policy.Change, r *cluster.Resolver) *exceptChecker {
	return &exceptChecker{
		change: c, resolver: r, budget: maxRangePairs,
		ranges: [2]map[*netpol.Policy][]spot{{}, {}}, // by netpol.Direction
	}
}

func checkExceptDefeated(c *policy.Change, _ any) []policy.Violation {
	x := newExceptChecker(c, c.After.Resolver())
	for _, d := range netpol.Directions {
		if len(x.of(c.NewPolicy, d)) == 0 {
			continue
		}
		groups := alike(selectedSubjects(c), d)
		if len(groups) == 0 {
			groups = [][]*policy.Subject{{alone(c)}}
		}
		for _, g := range groups {
			x.judge(d, g)
		}
	}
	var out []policy.Violation
	for _, f := range x.found {
		out = append(out, f.violation(c))
	}
	return out
}

// alike groups the subjects that have the same policies on both sides and, where named ports are resolved on them, the same
// ports: what is true of one of them in direction d is true of all.
func alike(subjects []*policy.Subject, d netpol.Direction) [][]*policy.Subject {
	var out [][]*policy.Subject
	at := map[string]int{}
	for _, s := range subjects {
		var key strings.Builder
		for _, p := range s.Before.Policies {
			key.WriteString(p.Name + "/")
		}
		for _, p := range s.After.Policies {
			key.WriteString("/" + p.Name)
		}
		if d == netpol.Ingress {
			fmt.Fprint(&key, s.After.Endpoint.Ports)
		}
		i, ok := at[key.String()]
		if !ok {
			i = len(out)
			at[key.String()] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], s)
	}
	return out
}

// alone stands for the pods of a policy that comes before its pods: it alone applies to them. It has no workload.
func alone(c *policy.Change) *policy.Subject {
	s := &policy.Subject{After: policy.Coverage{Policies: []*netpol.Policy{c.NewPolicy}}}
	if c.OldPolicy != nil {
		s.Before.Policies = []*netpol.Policy{c.OldPolicy}
	}
	return s
}

// of is ranges, remembered.
func (x *exceptChecker) of(p *netpol.Policy, d netpol.Direction) []spot {
	out, ok := x.ranges[d][p]
	if !ok {
		out = ranges(p, d)
		x.ranges[d][p] = out
	}
	return out
}

// judge looks for exceptions that other rules defeat, in the policies of subjects that are alike.
func (x *exceptChecker) judge(d netpol.Direction, group []*policy.Subject) {
	for _, p := range group[0].After.Policies {
		for _, at := range x.of(p, d) {
			b := at.block()
			if b == nil {
				continue
			}
			for i, excepted := range b.Except {
				if x.budget -= len(b.Except); x.budget < 0 {
					return
				}
				if !inAnother(b.Except, i) {
					x.judgeException(group, &exception{at, excepted, x.adds(&at, excepted)})
				}
			}
		}
	}
}

// inAnother reports whether another exception of the list holds the i-th one; of equal ones the first counts.
func inAnother(except []netip.Prefix, i int) bool {
	return slices.ContainsFunc(except[:i], func(e netip.Prefix) bool { return holdsPrefix(e, except[i]) }) ||
		slices.ContainsFunc(except[i+1:], func(e netip.Prefix) bool { return holdsPrefix(e, except[i]) && e != except[i] })
}

// adds reports whether the change is an update that takes the range out of a block that allowed some of it.
func (x *exceptChecker) adds(at *spot, excepted netip.Prefix) bool {
	if at.policy != x.change.NewPolicy || x.change.OldPolicy == nil {
		return false
	}
	allowed := false
	for _, old := range x.of(x.change.OldPolicy, at.direction) {
		b := old.block()
		x.spend(b)
		if b == nil || b.CIDR != at.block().CIDR {
			continue
		}
		if slices.ContainsFunc(b.Except, func(e netip.Prefix) bool { return holdsPrefix(e, excepted) }) {
			return false
		}
		allowed = true
	}
	return allowed
}

// judgeException compares the exception with the rules that the change brings, and with all of the subject's where the
// exception itself is what it brings. The subjects are alike.
func (x *exceptChecker) judgeException(group []*policy.Subject, e *exception) {
	s := group[0]
	declared := s.After.Endpoint.Ports
	ports := portsOf(e.at(), e.direction, declared)
	policies := []*netpol.Policy{x.change.NewPolicy}
	if e.added {
		policies = s.After.Policies
	}
	for _, p := range policies {
		for _, by := range x.of(p, e.direction) {
			if x.spend(by.block()); x.budget < 0 {
				return
			}
			if by == e.spot || e.direction == netpol.Egress && isDNSRule(by.at(), x.resolver) {
				continue
			}
			addresses := by.addresses(e.excepted)
			both := portsOf(by.at(), e.direction, declared).Intersect(ports)
			if len(addresses) == 0 || both.Empty() || isHole(&by, e, both, ports) {
				continue
			}
			opened := []allowance{{addresses, both}}
			if !e.added {
				opened = x.withoutBefore(opened, s, e)
			}
			if len(opened) > 0 {
				x.record(group, e, &by, opened, ports)
			}
		}
	}
}

// isHole reports whether the rule allows only a part of the excepted range, on only some of the ports.
func isHole(by *spot, e *exception, both, ports connectivity.Ports) bool {
	b := by.block()
	return b != nil && b.CIDR.Bits() > e.excepted.Bits() && !both.Equal(ports)
}

// withoutBefore takes away what the rules of the subject's policies allowed before the change. Once the budget is used up
// nothing is left: what is not known is no violation.
func (x *exceptChecker) withoutBefore(opened []allowance, s *policy.Subject, e *exception) []allowance {
	for _, p := range s.Before.Policies {
		for _, before := range x.of(p, e.direction) {
			if x.spend(before.block()); x.budget < 0 {
				return nil
			}
			allowed := allowance{addresses: before.addresses(e.excepted)}
			if len(allowed.addresses) == 0 {
				continue
			}
			allowed.ports = portsOf(before.at(), e.direction, s.Before.Endpoint.Ports)
			var left []allowance
			for _, a := range opened {
				x.budget -= len(a.addresses)
				left = append(left, a.minus(allowed)...)
			}
			if opened = left; len(opened) == 0 {
				return nil
			}
		}
	}
	return opened
}

// spend counts the comparisons that one look at the block takes; b is nil for a rule without peers.
func (x *exceptChecker) spend(b *netpol.IPBlock) {
	x.budget--
	if b != nil {
		x.budget -= len(b.Except)
	}
}
