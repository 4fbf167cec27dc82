package guardrails

import (
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// namedPort: a rule names a port, and none of the pods on which the name is resolved, or only some of them, have a container
// port of that name and protocol. Where the selector takes all pods of a namespace some are enough, and so they are where the
// others have another one of the rule's names.
var namedPort = policy.Guardrail{
	Slug:          "named-port",
	Summary:       "a port's name exists on none, or only on some, of the pods that it is resolved on",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	NotYet:        true,
	Check:         checkNamedPort,
	Documentation: policy.Documentation{
		Why: `A named port stands for the container port of that name and protocol on the destination: the selected pods of an ingress
rule, the peers of an egress rule. Where a pod has no such name the rule allows nothing there, without any error.`,
		Judged: `Each named port, in the directions that ` + "`policyTypes`" + ` names, on the live pods that are the rule's destinations, or on
pod templates where nothing runs. A name that only the pods' template has, so that the next rollout brings it, counts. Where the
selector takes all pods of a namespace, the name is meant for those that have it, and one is enough; and where each of the pods has
one of the names that a rule lists, each name is meant for those that have it. A name in an egress rule for
` + "`ipBlock`" + `s alone stands for nothing. Left alone are rules for DNS, for every pod of the cluster, and items that the stored policy
had for the same pods.`,
		Bad: `# the pods app=db call their port postgres
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: api}}}]
    ports: [{protocol: TCP, port: sql}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: api}}}]
    ports: [{protocol: TCP, port: postgres}]
`,
		Fix: "Use a name that all of the pods have, or the port's number.",
	},
}

func checkNamedPort(c *policy.Change, _ any) []policy.Violation {
	out := namesForAddresses(c)
	for _, item := range portItems(c, func(m *netpol.PortMatch) bool { return m.Name != "" }) {
		if len(out) == maxDeadPeers {
			break
		}
		lacks := func(p *portPod) bool { return !item.names(p, item.match.Name) }
		missing := item.workloads(lacks)
		if len(missing) == 0 || !item.fresh(lacks) || len(missing) < len(item.pods) && (takesAll(c, &item) || item.oneOfSeveral(c)) {
			continue
		}
		v := policy.Violation{
			Field: item.field(), Headline: "a named port would be found on too few pods",
			Reason: fmt.Sprintf("port %s exists on %s", item.match.Name, item.found(c, len(missing))),
		}
		if item.direction == netpol.Ingress {
			v.Affected = policy.Affect(missing)
		}
		if item.mayName(c) {
			v.Reason += item.instead()
			if better, ok := item.better(); ok {
				v.Reason += "; use " + better.String()
				v.Fix = item.replacedBy(c, better)
			}
		}
		v.Detail = item.String() + " " + v.Reason
		out = append(out, v)
	}
	return out
}

// names reports whether the pods have a port of that name, of the item's protocol.
func (i *portItem) names(p *portPod, name string) bool {
	return slices.ContainsFunc(p.declared, func(d netpol.ContainerPort) bool { return d.Name == name && d.Protocol == i.match.Protocol })
}

// oneOfSeveral reports whether each of the pods that lack the name has another one that the rule names: the rule lists what
// one or the other of them calls its port.
func (i *portItem) oneOfSeveral(c *policy.Change) bool {
	ports := c.NewPolicy.Rules[i.direction][i.rule].Ports
	return !slices.ContainsFunc(i.pods, func(p portPod) bool {
		return !slices.ContainsFunc(ports, func(m netpol.PortMatch) bool {
			other := portItem{i.direction, i.rule, i.item, &m, i.pods}
			return m.Name != "" && other.names(&p, m.Name)
		})
	})
}

// takesAll reports whether the item's destinations are all pods of some namespaces.
func takesAll(c *policy.Change, i *portItem) bool {
	if i.direction == netpol.Ingress {
		return c.NewPolicy.Subject.Everything()
	}
	return slices.ContainsFunc(c.NewPolicy.Rules[i.direction][i.rule].Peers, func(p netpol.Peer) bool {
		return p.Pods == nil || p.Pods.Everything()
	})
}

// found counts the destinations that have the name where the message may: "0 of 3 selected pods".
func (i *portItem) found(c *policy.Change, missing int) string {
	rule := &c.NewPolicy.Rules[i.direction][i.rule]
	if i.direction == netpol.Egress && slices.ContainsFunc(rule.Peers, func(p netpol.Peer) bool { return !tellsNumbers(c, &p) }) {
		if missing == len(i.pods) {
			return "none of the peer pods"
		}
		return "only some of the peer pods"
	}
	lacking := policy.LivePods(i.workloads(func(p *portPod) bool { return !i.names(p, i.match.Name) }))
	all, noun := policy.LivePods(i.workloads(func(*portPod) bool { return true })), " pod"
	if all == 0 {
		all, lacking, noun = len(i.pods), missing, " template"
	}
	return fmt.Sprintf("%d of %s", all-lacking, policy.Plural(all, i.whose()+noun))
}

// namesForAddresses finds named ports in egress rules for ipBlocks alone: outside the cluster nothing has a name.
func namesForAddresses(c *policy.Change) []policy.Violation {
	var out []policy.Violation
	if !c.NewPolicy.Isolates[netpol.Egress] {
		return nil
	}
	for i := range c.NewPolicy.Rules[netpol.Egress] {
		rule := &c.NewPolicy.Rules[netpol.Egress][i]
		for j := range rule.Ports {
			m := &rule.Ports[j]
			if m.Name == "" || !onlyBlocks(rule) || hadForAddresses(c, m) || len(out) == maxDeadPeers {
				continue
			}
			item := portItem{netpol.Egress, i, j, m, nil}
			reason := fmt.Sprintf("port %s stands for nothing: ipBlock peers have no named ports, use the number", m.Name)
			out = append(out, policy.Violation{
				Field: item.field(), Headline: "a named port would be found nowhere", Detail: item.String() + " " + reason, Reason: reason,
			})
		}
	}
	return out
}

func onlyBlocks(r *netpol.Rule) bool {
	return len(r.Peers) > 0 && !slices.ContainsFunc(r.Peers, func(p netpol.Peer) bool { return p.Block == nil })
}

func hadForAddresses(c *policy.Change, m *netpol.PortMatch) bool {
	return c.OldPolicy != nil && c.OldPolicy.Isolates[netpol.Egress] &&
		slices.ContainsFunc(c.OldPolicy.Rules[netpol.Egress], func(r netpol.Rule) bool { return onlyBlocks(&r) && slices.Contains(r.Ports, *m) })
}
