package guardrails

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// endPort: a rule has a range of ports, and the cluster's network plugin is known not to support ranges in the version that
// runs. An update is not blamed for the ranges that it found there.
var endPort = policy.Guardrail{
	Slug:          "endport",
	Summary:       "a range of ports that the network plugin does not support",
	On:            []policy.Trigger{policy.PolicyWrite},
	Needs:         []cluster.Resource{cluster.Nodes}, // their version tells the plugin of some distributions
	DefaultAction: config.Warn,
	LiveOnly:      true, // and no violation is Live
	Check:         checkEndPort,
	Documentation: policy.Documentation{
		Why: `Network plugins learned about ` + "`endPort`" + ` one after the other, some never did, and the API server takes the field for all
of them. A plugin that does not know it opens the first port of the range and no other.`,
		Judged: `Each item of ` + "`ports`" + ` with an ` + "`endPort`" + ` beyond its ` + "`port`" + `, in the directions that ` + "`policyTypes`" + ` names, where the
plugin that enforces NetworkPolicy is known to lack it: Weave Net and OpenShift SDN in every version, Cilium before 1.16, Calico
before 3.20, Antrea before 1.2, kube-router before 1.3. Bulkhead reads the plugin and its version from the DaemonSets of the
system namespaces; ` + "`network.plugin`" + ` in the config names the plugin where it finds none. Where plugin or version is not known
nothing is said, and neither is it of ranges that the stored policy had.`,
		Bad: `# Cilium 1.15
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: ftp}
spec:
  podSelector: {matchLabels: {app: ftp}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{protocol: TCP, port: 32000, endPort: 32003}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: ftp}
spec:
  podSelector: {matchLabels: {app: ftp}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports:
    - {protocol: TCP, port: 32000}
    - {protocol: TCP, port: 32001}
    - {protocol: TCP, port: 32002}
    - {protocol: TCP, port: 32003}
`,
		Fix: `List the ports one by one, or leave out ` + "`port`" + ` where all ports of the protocol are meant.`,
	},
}

func checkEndPort(c *policy.Change, _ any) []policy.Violation {
	n := c.After.Network()
	if n.EndPort != cluster.No {
		return nil
	}
	hit, _ := policy.Worse(selectedSubjects(c))
	var out []policy.Violation
	for _, d := range netpol.Directions {
		if !c.NewPolicy.Isolates[d] {
			continue
		}
		old := portRulesOf(c.OldPolicy, d)
		for i := range c.NewPolicy.Rules[d] {
			for j := range c.NewPolicy.Rules[d][i].Ports {
				m := &c.NewPolicy.Rules[d][i].Ports[j]
				if m.Number == m.End || len(old[*m]) > 0 || len(out) == maxDeadPeers {
					continue
				}
				who := n.Name()
				if n.Version != "" {
					who += " " + n.Version
				}
				at := fmt.Sprintf("%s[%d]", d.Field(), i)
				v := policy.Violation{
					Field: fmt.Sprintf("spec.%s.ports[%d].endPort", at, j), Headline: "a range of ports would not be opened",
					Reason:   fmt.Sprintf("%s ignores endPort: of %d-%d only port %d is opened", who, m.Number, m.End, m.Number),
					Affected: policy.Affect(hit), Fix: withoutRange(c, d, i, j),
				}
				v.Detail = at + ": " + v.Reason
				out = append(out, v)
			}
		}
	}
	return out
}

// withoutRange lists the ports of a range one by one, or allows all ports of the protocol where the range is all of them. Of
// longer ranges it knows no small fix.
func withoutRange(c *policy.Change, d netpol.Direction, rule, item int) *policy.Fix {
	m := &c.NewPolicy.Rules[d][rule].Ports[item]
	var instead []networkingv1.NetworkPolicyPort
	switch {
	case m.Number == 1 && m.End == lastPort:
		protocol := m.Protocol
		instead = []networkingv1.NetworkPolicyPort{{Protocol: &protocol}}
	case m.End-m.Number >= maxShown:
		return nil
	default:
		for n := m.Number; n < m.End; n++ {
			instead = append(instead, policyPort(m.Protocol, n))
		}
		instead = append(instead, policyPort(m.Protocol, m.End))
	}
	fixed := c.Object.DeepCopy()
	var ports *[]networkingv1.NetworkPolicyPort
	if d == netpol.Ingress {
		ports = &fixed.Spec.Ingress[rule].Ports
	} else {
		ports = &fixed.Spec.Egress[rule].Ports
	}
	*ports = slices.Replace(*ports, item, item+1, instead...)
	return &policy.Fix{
		Say: fmt.Sprintf("write in spec.%s[%d]:", d.Field(), rule), YAML: pasteable.YAML(map[string]any{"ports": *ports}), Instead: fixed,
	}
}
