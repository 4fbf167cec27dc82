package guardrails

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// portPod is a workload on which an item of a rule's ports is resolved: a destination of the rule.
type portPod struct {
	*cluster.Workload
	// declared are the container ports of the pods and of the templates that the next rollout makes them from.
	declared []netpol.ContainerPort
	// services are the ports of the Services that select the pods.
	services []servicePort
	// listensOn are the ports that are declared, and those to which Services translate theirs.
	listensOn connectivity.Ports
	// fresh says that the old policy does not have the same item for it.
	fresh bool
}

// servicePort is a port of a Service and the one that its pods listen on, 0 where that is not known.
type servicePort struct {
	service *cluster.Service
	port    cluster.ServicePort
	target  uint16
}

// portItem is one item of a rule's ports with its destinations: live pods, or templates where nothing runs.
type portItem struct {
	direction  netpol.Direction
	rule, item int
	match      *netpol.PortMatch
	pods       []portPod
}

// String writes the item's place as messages do: "ingress[0]".
func (i *portItem) String() string { return fmt.Sprintf("%s[%d]", i.direction.Field(), i.rule) }

func (i *portItem) field() string { return fmt.Sprintf("spec.%s.ports[%d].port", i, i.item) }

// whose says whose pods the destinations are: "selected" or "peer".
func (i *portItem) whose() string {
	if i.direction == netpol.Ingress {
		return "selected"
	}
	return "peer"
}

// workloads lists the destinations for which keep holds.
func (i *portItem) workloads(keep func(*portPod) bool) []*cluster.Workload {
	var out []*cluster.Workload
	for j := range i.pods {
		if keep(&i.pods[j]) {
			out = append(out, i.pods[j].Workload)
		}
	}
	return out
}

// fresh reports whether the change brings the item for some of the destinations for which keep holds.
func (i *portItem) fresh(keep func(*portPod) bool) bool {
	return slices.ContainsFunc(i.pods, func(p portPod) bool { return p.fresh && keep(&p) })
}

// mayName reports whether a message may tell of all destinations.
func (i *portItem) mayName(c *policy.Change) bool {
	return !slices.ContainsFunc(i.pods, func(p portPod) bool { return !c.MayName(p.Namespace) })
}

// replacedBy writes the rule's ports with another port in the item's place.
func (i *portItem) replacedBy(c *policy.Change, port intstr.IntOrString) *policy.Fix {
	fixed := c.Object.DeepCopy()
	var ports []networkingv1.NetworkPolicyPort
	if i.direction == netpol.Ingress {
		ports = fixed.Spec.Ingress[i.rule].Ports
	} else {
		ports = fixed.Spec.Egress[i.rule].Ports
	}
	ports[i.item].Port = &port
	return &policy.Fix{Say: fmt.Sprintf("write in spec.%s:", i), YAML: pasteable.YAML(map[string]any{"ports": ports}), Instead: fixed}
}

// portFinder looks for the destinations of one change's rules.
type portFinder struct {
	change *policy.Change
	budget int // of workloads to look at
	// templates has the container ports of each pod template.
	templates map[*cluster.Namespace]map[cluster.Owner][]netpol.ContainerPort
	pods      map[*cluster.Workload]portPod // without fresh
	had       map[portOn]bool
	old       map[netpol.Direction]portRules
	selected  []*cluster.Workload // the destinations of every ingress rule
}

// portOn is an item of ports on one destination.
type portOn struct {
	direction netpol.Direction
	match     netpol.PortMatch
	workload  *cluster.Workload
}

// portRules are a policy's rules of one direction by the items of their ports. Policies have thousands of either.
type portRules map[netpol.PortMatch][]*netpol.Rule

func portRulesOf(p *netpol.Policy, d netpol.Direction) portRules {
	out := portRules{}
	if p == nil || !p.Isolates[d] {
		return out
	}
	for i := range p.Rules[d] {
		r := &p.Rules[d][i]
		for _, m := range r.Ports {
			if same := out[m]; len(same) == 0 || same[len(same)-1] != r {
				out[m] = append(same, r)
			}
		}
	}
	return out
}

// portItems lists the items for which wanted holds, of the rules that name pods as destinations: ingress rules, and egress
// rules with selector peers alone. Rules for DNS and for every pod of the cluster are left out. Items without destinations
// are left out too, and all that come once 200,000 workloads have been looked at.
func portItems(c *policy.Change, wanted func(*netpol.PortMatch) bool) []portItem {
	f := &portFinder{
		change: c, budget: maxLookedAt, selected: running(workloadsOf(selectedSubjects(c))),
		templates: map[*cluster.Namespace]map[cluster.Owner][]netpol.ContainerPort{}, pods: map[*cluster.Workload]portPod{},
		had: map[portOn]bool{}, old: map[netpol.Direction]portRules{},
	}
	var out []portItem
	for _, d := range netpol.Directions {
		if !c.NewPolicy.Isolates[d] {
			continue
		}
		for i := range c.NewPolicy.Rules[d] {
			rule := &c.NewPolicy.Rules[d][i]
			if !slices.ContainsFunc(rule.Ports, func(m netpol.PortMatch) bool { return wanted(&m) }) {
				continue
			}
			found := f.destinations(d, rule)
			for j := range rule.Ports {
				if f.budget -= len(found); f.budget < 0 {
					return out
				}
				if m := &rule.Ports[j]; wanted(m) && len(found) > 0 {
					out = append(out, portItem{d, i, j, m, f.resolve(d, m, found)})
				}
			}
		}
	}
	return out
}

// destinations lists the pods that are the destinations of the rule.
func (f *portFinder) destinations(d netpol.Direction, rule *netpol.Rule) []*cluster.Workload {
	c := f.change
	if d == netpol.Ingress {
		return f.selected
	}
	if r := c.After.Resolver(); matchesEveryPod(rule) || len(r.Backends) > 0 && isDNSRule(rule, r) ||
		slices.ContainsFunc(rule.Peers, func(p netpol.Peer) bool { return p.Block != nil }) {
		return nil
	}
	var out []*cluster.Workload
	seen := map[*cluster.Workload]bool{}
	for i := range rule.Peers {
		for w := range peerWorkloads(c.After, c.Namespace, &rule.Peers[i], &f.budget) {
			if !w.HostNetwork && !seen[w] {
				seen[w] = true
				out = append(out, w)
			}
		}
	}
	return running(out)
}

// running gives the workloads with live pods; where there are none all of them, which are templates then.
func running(workloads []*cluster.Workload) []*cluster.Workload {
	var out []*cluster.Workload
	for _, w := range workloads {
		if w.Live() {
			out = append(out, w)
		}
	}
	if len(out) > 0 {
		return out
	}
	return workloads
}

// resolve gives the workloads as destinations of an item.
func (f *portFinder) resolve(d netpol.Direction, m *netpol.PortMatch, workloads []*cluster.Workload) []portPod {
	out := make([]portPod, 0, len(workloads))
	for _, w := range workloads {
		p, known := f.pods[w]
		if !known {
			p = f.portPod(w)
			f.pods[w] = p
		}
		p.fresh = !f.hadPort(d, m, w)
		out = append(out, p)
	}
	return out
}

func (f *portFinder) portPod(w *cluster.Workload) portPod {
	n := f.change.After.Namespace(w.Namespace)
	if f.templates[n] == nil {
		f.templates[n] = map[cluster.Owner][]netpol.ContainerPort{}
		for _, t := range n.Templates {
			f.templates[n][cluster.Owner{Kind: t.Kind, Name: t.Name}] = t.Ports
		}
	}
	p := portPod{Workload: w, declared: slices.Clone(w.Ports)}
	var listens []connectivity.PortRange
	for _, o := range w.Owners() {
		p.declared = append(p.declared, f.templates[n][cluster.Owner{Kind: o.Kind, Name: o.Name}]...)
	}
	slices.SortFunc(p.declared, comparePorts)
	for _, d := range p.declared {
		listens = append(listens, connectivity.PortRange{Protocol: d.Protocol, First: d.Number, Last: d.Number})
	}
	for _, svc := range n.Services {
		if !serves(svc, w) {
			continue
		}
		for _, port := range svc.Ports {
			target := port.TargetPort(w)
			p.services = append(p.services, servicePort{svc, port, target})
			listens = append(listens, connectivity.PortRange{Protocol: port.Protocol, First: target, Last: target})
		}
	}
	p.listensOn = connectivity.PortsOf(listens...)
	return p
}

func comparePorts(a, b netpol.ContainerPort) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.Protocol), string(b.Protocol)), cmp.Compare(a.Number, b.Number))
}

// hadPort reports whether the old policy has the same item of ports in a rule of which the workload is a destination.
func (f *portFinder) hadPort(d netpol.Direction, m *netpol.PortMatch, w *cluster.Workload) bool {
	key := portOn{d, *m, w}
	had, known := f.had[key]
	if !known {
		had = f.findPort(&key)
		f.had[key] = had
	}
	return had
}

func (f *portFinder) findPort(k *portOn) bool {
	c := f.change
	e := c.Before.Endpoint(k.workload)
	if c.OldPolicy == nil || k.direction == netpol.Ingress && !c.OldPolicy.Selects(e) {
		return false
	}
	if f.old[k.direction] == nil {
		f.old[k.direction] = portRulesOf(c.OldPolicy, k.direction)
	}
	rules := f.old[k.direction][k.match]
	if k.direction == netpol.Ingress {
		return len(rules) > 0
	}
	f.budget -= len(rules)
	return slices.ContainsFunc(rules, func(r *netpol.Rule) bool { return r.MatchesPeer(c.Namespace, e) })
}
