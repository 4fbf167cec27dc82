package guardrails

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// defeat is what is said about one field: exceptions that one rule of the policy allows, or one exception of the policy that
// rules of others allow.
type defeat struct {
	field      string
	exceptions []exception
	by         []spot
	parts      [][]netip.Prefix   // what is allowed of the exceptions
	ports      connectivity.Ports // on which it is
	about      connectivity.Ports // those of the rules with the exceptions
	morePorts  bool               // the rule that allows them has other ports as well
	subjects   []*policy.Subject
	live       bool
}

// record adds to what is said about a field. The subjects are alike.
func (x *exceptChecker) record(group []*policy.Subject, e *exception, by *spot, opened []allowance, ports connectivity.Ports) {
	c := x.change
	field := by.field()
	if by.policy != c.NewPolicy {
		field = e.field() + ".except"
	}
	i := slices.IndexFunc(x.found, func(f *defeat) bool { return f.field == field })
	if i < 0 {
		if i = len(x.found); i == maxDeadPeers {
			return
		}
		x.found = append(x.found, &defeat{field: field})
	}
	f := x.found[i]
	x.budget -= len(f.exceptions)
	if !slices.ContainsFunc(f.exceptions, func(o exception) bool { return o.spot == e.spot && o.excepted == e.excepted }) {
		f.exceptions = append(f.exceptions, *e)
	}
	if !slices.Contains(f.by, *by) {
		f.by = append(f.by, *by)
	}
	for _, o := range opened {
		f.parts = append(f.parts, o.addresses)
		f.ports = f.ports.Union(o.ports)
	}
	f.about = f.about.Union(ports)
	f.morePorts = f.morePorts || !portsOf(by.at(), by.direction, group[0].After.Endpoint.Ports).Minus(ports).Empty()
	for _, s := range group {
		f.live = f.live || s.Live() && !e.added && s.Before.Isolated(e.direction)
	}
	if n := len(f.subjects); group[0].Workload != nil && (n == 0 || f.subjects[n-1] != group[len(group)-1]) {
		f.subjects = append(f.subjects, group...) // groups are judged one after the other
	}
}

func (f *defeat) violation(c *policy.Change) policy.Violation {
	workloads, live := policy.Worse(f.subjects)
	it, part := f.allowed()
	by := f.by[0].in(c)
	if n := len(f.by) - 1; n > 0 {
		by += fmt.Sprintf(", +%d", n)
	} else if f.by[0].item < 0 {
		by += ", which has no " + peersField(f.by[0].direction)
	}
	v := policy.Violation{
		Field: f.field, Live: f.live, Affected: policy.Affect(workloads), Fix: f.fix(c),
		Detail: fmt.Sprintf("except %s in %s is re-allowed %sby %s", f.excepted(), f.exceptions[0].in(c), part, by),
	}
	on := ""
	if !f.ports.Equal(f.about) {
		on = " on " + f.ports.String()
	}
	if len(workloads) == 0 {
		if part+on != "" {
			v.Detail += ": " + it + on
		}
		return v
	}
	from, to := policy.Count(workloads), it
	if f.by[0].direction == netpol.Ingress {
		from, to = to, from
	}
	v.Detail += fmt.Sprintf(": %s can reach %s%s", from, to, on)
	if live {
		from, to = policy.Plural(policy.LivePods(workloads), "live pod"), f.excepted()
		if f.by[0].direction == netpol.Ingress {
			from, to = to, from
		}
		v.Headline = fmt.Sprintf("%s could reach %s", from, to)
	}
	return v
}

// maxRanges bounds how many ranges one line names.
const maxRanges = 2

// excepted names the excepted ranges, those of the first one's ipBlock first.
func (f *defeat) excepted() string {
	all := f.ranges()
	return rangeNames(slices.DeleteFunc(slices.Clone(all), func(p netip.Prefix) bool {
		return !slices.Contains(f.exceptions[0].block().Except, p)
	}), len(all))
}

// ranges lists the excepted ranges, each once.
func (f *defeat) ranges() []netip.Prefix {
	var out []netip.Prefix
	for _, e := range f.exceptions {
		if !slices.Contains(out, e.excepted) {
			out = append(out, e.excepted)
		}
	}
	return out
}

// allowed names what of the exceptions is allowed: "it" and "them" for all of it.
func (f *defeat) allowed() (it, part string) {
	all := f.ranges()
	switch parts := shortest(f.parts...); {
	case !slices.Equal(parts, shortest(all)):
		return rangeNames(parts, len(parts)), "in part "
	case len(all) > 1:
		return "them", ""
	}
	return "it", ""
}

// rangeNames writes the first of the ranges and how many more there are of count: "10.0.0.0/8, 172.16.0.0/12, +1".
func rangeNames(ranges []netip.Prefix, count int) string {
	var names []string
	for _, p := range ranges[:min(len(ranges), maxRanges)] {
		names = append(names, p.String())
	}
	if n := count - len(names); n > 0 {
		names = append(names, fmt.Sprintf("+%d", n))
	}
	return strings.Join(names, ", ")
}

// peersField is where the rules of direction d have their peers.
func peersField(d netpol.Direction) string {
	if d == netpol.Ingress {
		return "from"
	}
	return "to"
}

// fix excepts the ranges from the ipBlock that allows them, or takes out one that allows nothing but what the policy itself
// excepts. It knows none where a rule of another policy, one without peers, or one for more ports than the exception is about
// allows them.
func (f *defeat) fix(c *policy.Change) *policy.Fix {
	by := &f.by[0]
	b := by.block()
	if by.policy != c.NewPolicy || b == nil || f.morePorts {
		return nil
	}
	fixed := c.Object.DeepCopy()
	for _, e := range f.exceptions {
		if holdsPrefix(e.excepted, b.CIDR) {
			if e.policy != c.NewPolicy {
				return nil
			}
			return &policy.Fix{Say: "remove spec." + by.remove(&fixed.Spec), Instead: fixed}
		}
	}
	at := place{by.direction, by.rule, by.item, nil}
	block := at.in(&fixed.Spec).IPBlock
	block.Except = nil
	for _, p := range slices.Concat(b.Except, f.ranges()) {
		if !slices.ContainsFunc(f.ranges(), func(x netip.Prefix) bool { return x != p && holdsPrefix(x, p) }) {
			block.Except = append(block.Except, p.String())
		}
	}
	return &policy.Fix{
		Say: fmt.Sprintf("write in spec.%s:", at), YAML: pasteable.YAML(map[string]*networkingv1.IPBlock{"ipBlock": block}), Instead: fixed,
	}
}
