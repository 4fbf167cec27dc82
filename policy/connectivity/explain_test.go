package connectivity_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestExplainAgreesWithConnections: the verdict on every pair of endpoints is the edge, and what the policies are said to
// match adds up to it.
func TestExplainAgreesWithConnections(t *testing.T) {
	forAll(t, worlds/3, func(d draw, w *world) string {
		w.addresses = false
		s := w.snapshot(nil)
		edges := tableOf(edgesOf(s, w.options()))
		nodes := connectivity.Nodes(s)
		for _, from := range nodes {
			for _, to := range nodes {
				want := edges.between[[2]string{nodeKey(from), nodeKey(to)}]
				if problem := explainPair(d, s, from, to, want); problem != "" && from != to {
					return problem
				}
			}
			for _, a := range w.probeAddresses() {
				outside := connectivity.Endpoint{Range: connectivity.Range{First: a, Last: a}}
				leave, come := connectivity.Ports{}, connectivity.Ports{}
				for _, part := range from.Split() {
					end := connectivity.Endpoint{Node: part}
					out, in := connectivity.Explain(s, end, outside, nil), connectivity.Explain(s, outside, end, nil)
					leave, come = leave.Union(out.Allowed), come.Union(in.Allowed)
					for _, x := range []*connectivity.Explanation{out, in} {
						if problem := addsUp(x, connectivity.AllPorts()); problem != "" {
							return problem
						}
					}
				}
				key := nodeKey(from)
				if !leave.Equal(at(edges.leave[key], a)) || !come.Equal(at(edges.come[key], a)) {
					return fmt.Sprintf("%s and %s: explained as %s and %s, the edges are %s and %s",
						key, a, leave, come, at(edges.leave[key], a), at(edges.come[key], a))
				}
			}
		}
		return ""
	})
}

func explainPair(d draw, s *cluster.Snapshot, from, to *connectivity.Node, want connectivity.Ports) string {
	all := connectivity.Ports{}
	port := pick(d, probePorts()...)
	asked := connectivity.PortsOf(connectivity.PortRange{Protocol: port.Protocol, First: port.Number, Last: port.Number})
	some := false
	for _, x := range from.Split() {
		for _, y := range to.Split() {
			a, b := connectivity.Endpoint{Node: x}, connectivity.Endpoint{Node: y}
			e := connectivity.Explain(s, a, b, nil)
			if problem := addsUp(e, connectivity.AllPorts()); problem != "" {
				return problem
			}
			all = all.Union(e.Allowed)
			one := connectivity.Explain(s, a, b, &port)
			if problem := addsUp(one, asked); problem != "" {
				return problem
			}
			if *one.Port != port || !one.Allowed.Equal(e.Allowed.Intersect(asked)) {
				return fmt.Sprintf("%s -> %s on %v: explained as %s, on all ports as %s", a, b, port, one.Allowed, e.Allowed)
			}
			some = some || !one.Allowed.Empty()
		}
	}
	if !all.Equal(want) || some != want.Contains(port) {
		return fmt.Sprintf("%s -> %s: explained as %s, the edge is %s", nodeKey(from), nodeKey(to), all, want)
	}
	return ""
}

// addsUp works the verdict out again from the rules that are said to match.
func addsUp(e *connectivity.Explanation, asked connectivity.Ports) string {
	if both := e.Sides[netpol.Egress].Allowed.Intersect(e.Sides[netpol.Ingress].Allowed); !e.Allowed.Equal(both) {
		return fmt.Sprintf("allowed %s, both sides allow %s\n%s", e.Allowed, both, formatExplanation(e))
	}
	for _, d := range netpol.Directions {
		side := &e.Sides[d]
		if want := sideOf(side, asked); !side.Allowed.Equal(want) {
			return fmt.Sprintf("the %s side allows %s, its rules add up to %s\n%s", d, side.Allowed, want, formatExplanation(e))
		}
		for _, p := range side.Policies {
			if !side.Governed || p.Tier == "NetworkPolicy" && !side.Isolated || p.Tier == "Baseline" && side.Isolated {
				return fmt.Sprintf("a policy of the tier %s is asked in vain\n%s", p.Tier, formatExplanation(e))
			}
			for _, r := range p.Rules {
				if r.Why == "" || !r.Matched.Minus(asked).Empty() || r.Matched.Empty() == strings.HasPrefix(r.Why, "matches") {
					return "a rule that is not explained\n" + formatExplanation(e)
				}
			}
		}
	}
	return ""
}

func sideOf(side *connectivity.Side, asked connectivity.Ports) connectivity.Ports {
	if !side.Governed {
		return asked
	}
	by := map[string]connectivity.Ports{} // tier and action
	for _, p := range side.Policies {
		for _, r := range p.Rules {
			key := p.Tier + " " + r.Action
			by[key] = by[key].Union(r.Matched)
		}
	}
	accepted := by["Admin Accept"]
	left := asked.Minus(accepted).Minus(by["Admin Deny"])
	if side.Isolated {
		return accepted.Union(left.Intersect(by["NetworkPolicy Allow"]))
	}
	return accepted.Union(left.Minus(by["Baseline Deny"]))
}

// formatExplanation writes an explanation as indented lines.
func formatExplanation(e *connectivity.Explanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s -> %s: %s\n", endKey(e.From), endKey(e.To), e.Allowed)
	for _, d := range []netpol.Direction{netpol.Egress, netpol.Ingress} {
		side := &e.Sides[d]
		fmt.Fprintf(&b, "%s governed %v isolated %v: %s\n", d, side.Governed, side.Isolated, side.Allowed)
		for _, p := range side.Policies {
			fmt.Fprintf(&b, "%s %s %s/%s\n", p.Tier, p.Kind, p.Namespace, p.Name)
			for _, r := range p.Rules {
				fmt.Fprintf(&b, "%s %q %s %s: %s\n", r.Field, r.Name, r.Action, r.Matched, r.Why)
			}
		}
	}
	return b.String()
}

const explained = `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}, spec: {containers: [{name: c, image: c, ports: [{name: http, containerPort: 8080}]}]}}
---
{kind: Pod, metadata: {namespace: shop, name: web, labels: {app: web}}}
---
{kind: Pod, metadata: {namespace: shop, name: agent}, spec: {hostNetwork: true, containers: []}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: http}, {port: 22}]
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: https}]
  - from: [{podSelector: {matchLabels: {app: db}}}]
  - ports: [{port: 9090}]
---
kind: NetworkPolicy
metadata: {namespace: shop, name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
kind: ClusterNetworkPolicy
metadata: {name: no-ssh}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {}}
  ingress:
  - {name: ssh, action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 22}}}]}
  - {action: Pass, from: [{namespaces: {}}], protocols: [{udp: {}}]}
  - {action: Accept, from: [{namespaces: {}}], protocols: [{udp: {}}, {tcp: {destinationPort: {range: {start: 20, end: 25}}}}]}
---
kind: ClusterNetworkPolicy
metadata: {name: baseline}
spec:
  tier: Baseline
  priority: 5
  subject: {namespaces: {}}
  egress:
  - {action: Deny, to: [{networks: [0.0.0.0/0]}], protocols: [{sctp: {}}]}
`

func TestExplain(t *testing.T) {
	s := snapshotOf(t, explained)
	nodes := nodesByKey(connectivity.Nodes(s))
	for _, x := range []struct {
		from, to string
		port     *netpol.Port
		want     string
	}{
		{from: "shop/Pod/web", to: "shop/Pod/api", want: `
			shop/Pod/web -> shop/Pod/api: TCP 20-21, 23-25, 8080, 9090
			Egress governed true isolated false: TCP, UDP
			Baseline ClusterNetworkPolicy /baseline
			spec.egress[0] "" Deny SCTP: matches SCTP
			Ingress governed true isolated true: TCP 20-21, 23-25, 8080, 9090
			Admin ClusterNetworkPolicy /no-ssh
			spec.ingress[0] "ssh" Deny TCP 22: matches TCP 22
			spec.ingress[1] "" Pass UDP: matches UDP
			spec.ingress[2] "" Accept TCP 20-21, 23-25: matches TCP 20-21, 23-25
			NetworkPolicy NetworkPolicy shop/api
			spec.ingress[0] "" Allow TCP 8080: matches TCP 8080
			spec.ingress[1] "" Allow none: the peer matches, but the pods name no such port
			spec.ingress[2] "" Allow none: is for pods app=db of its own namespace
			spec.ingress[3] "" Allow TCP 9090: matches TCP 9090
			NetworkPolicy NetworkPolicy shop/deny`},
		{from: "shop/Pod/web", to: "shop/Pod/api", port: &netpol.Port{Protocol: "TCP", Number: 22}, want: `
			shop/Pod/web -> shop/Pod/api: none
			Egress governed true isolated false: TCP 22
			Baseline ClusterNetworkPolicy /baseline
			spec.egress[0] "" Deny none: the peer matches, the port does not: the rule is for SCTP
			Ingress governed true isolated true: none
			Admin ClusterNetworkPolicy /no-ssh
			spec.ingress[0] "ssh" Deny TCP 22: matches TCP 22
			spec.ingress[1] "" Pass none: earlier rules have decided
			spec.ingress[2] "" Accept none: earlier rules have decided
			NetworkPolicy NetworkPolicy shop/api
			spec.ingress[0] "" Allow none: earlier rules have decided
			spec.ingress[1] "" Allow none: earlier rules have decided
			spec.ingress[2] "" Allow none: is for pods app=db of its own namespace
			spec.ingress[3] "" Allow none: earlier rules have decided
			NetworkPolicy NetworkPolicy shop/deny`},
		{from: "shop/Pod/agent", to: "shop/Pod/api", want: `
			shop/Pod/agent -> shop/Pod/api: TCP 9090
			Egress governed false isolated false: all ports
			Ingress governed true isolated true: TCP 9090
			Admin ClusterNetworkPolicy /no-ssh
			spec.ingress[0] "ssh" Deny none: is for all pods of all namespaces, and no selector matches a pod on its node's network
			spec.ingress[1] "" Pass none: is for all pods of all namespaces, and no selector matches a pod on its node's network
			spec.ingress[2] "" Accept none: is for all pods of all namespaces, and no selector matches a pod on its node's network
			NetworkPolicy NetworkPolicy shop/api
			spec.ingress[0] "" Allow none: is for pods app=web of its own namespace, and no selector matches a pod on its node's network
			spec.ingress[1] "" Allow none: is for pods app=web of its own namespace, and no selector matches a pod on its node's network
			spec.ingress[2] "" Allow none: is for pods app=db of its own namespace, and no selector matches a pod on its node's network
			spec.ingress[3] "" Allow TCP 9090: matches TCP 9090
			NetworkPolicy NetworkPolicy shop/deny`},
	} {
		t.Run(x.from+" "+x.to, func(t *testing.T) {
			e := connectivity.Explain(s, connectivity.Endpoint{Node: nodes[x.from]}, connectivity.Endpoint{Node: nodes[x.to]}, x.port)
			compareLines(t, "explanation", lines(formatExplanation(e)), x.want)
		})
	}
}
