package guardrails

import (
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// portUndeclared: a rule has a numeric port that none of its destinations is known to listen on, though each of them says what
// it listens on. Declarations are informational, so it never denies.
var portUndeclared = policy.Guardrail{
	Slug:          "port-undeclared",
	Summary:       "a rule allows a port that none of the pods declares",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Audit,
	NotYet:        true,
	LiveOnly:      true, // and no violation is Live
	Check:         checkPortUndeclared,
	Documentation: policy.Documentation{
		Why: `A slip in a port's number, or in its protocol, leaves a rule that allows a port on which nobody listens, and shuts the one
on which somebody does.`,
		Judged: `Each numeric port or range of ports, in the directions that ` + "`policyTypes`" + ` names, on the live pods that are the rule's
destinations, or on pod templates where nothing runs: does any of them declare a ` + "`containerPort`" + ` of that number and protocol, or
a probe of theirs call it, or any Service send a port of its own there? A pod may listen on ports that it does not declare, so this never denies, and nothing is
said where one of the pods declares no port at all. Left alone are rules with an ` + "`ipBlock`" + ` among the peers, for DNS, for every pod
of the cluster, ports of Services, of which ` + "`service-port`" + ` tells, and items that the stored policy had for the same pods. What
the pods of other namespaces declare is told only where the config discloses it.`,
		Bad: `# the pods app=api declare containerPort 8080
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{protocol: TCP, port: 8008}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{protocol: TCP, port: 8080}]
`,
		Fix: "Use a port that the pods listen on, or declare it in the pod template's `ports`.",
	},
}

func checkPortUndeclared(c *policy.Change, _ any) []policy.Violation {
	var out []policy.Violation
	for _, item := range portItems(c, func(m *netpol.PortMatch) bool { return m.Number != 0 }) {
		if len(out) == maxDeadPeers {
			break
		}
		written := connectivity.PortsOf(connectivity.PortRange{Protocol: item.match.Protocol, First: item.match.Number, Last: item.match.End})
		if !item.fresh(func(*portPod) bool { return true }) || item.mayListen(written) || item.ofService() {
			continue
		}
		v := policy.Violation{Field: item.field(), Headline: "a rule would allow a port that no pod declares"}
		who := "nothing selected"
		if item.direction == netpol.Egress {
			who = "no peer"
		} else {
			v.Affected = policy.Affect(item.workloads(func(*portPod) bool { return true }))
		}
		v.Reason = fmt.Sprintf("%s declares %s", who, written)
		if item.mayName(c) {
			v.Reason += fmt.Sprintf(" (declared: %s)", item.declaredWords())
		}
		v.Detail = item.String() + ": " + v.Reason
		out = append(out, v)
	}
	return out
}

// mayListen reports whether some of the item's destinations are known to listen on one of the ports, or say nothing.
func (i *portItem) mayListen(ports connectivity.Ports) bool {
	return slices.ContainsFunc(i.pods, func(p portPod) bool { return p.listensOn.Empty() || !p.listensOn.Intersect(ports).Empty() })
}

// ofService reports whether a Service of the destinations has the item's port as its own.
func (i *portItem) ofService() bool {
	return isOnePort(i.match) && slices.ContainsFunc(i.pods, func(p portPod) bool {
		return slices.ContainsFunc(p.services, func(s servicePort) bool {
			return s.port.Number == i.match.Number && s.port.Protocol == i.match.Protocol
		})
	})
}

// declaredWords lists the ports on which the destinations are known to listen: those of the item's protocol by their numbers.
func (i *portItem) declaredWords() string {
	var all []connectivity.PortRange
	for _, p := range i.pods {
		all = append(all, p.listensOn.Ranges()...)
	}
	ports := connectivity.PortsOf(all...)
	var numbers []uint16
	for _, r := range ports.Ranges() {
		if r.Protocol != i.match.Protocol {
			return portsWords(ports)
		}
		for n := int(r.First); n <= int(r.Last); n++ {
			numbers = append(numbers, uint16(n))
		}
	}
	return numberWords(numbers)
}
