package netpol_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// compileTier compiles a document of any of the three kinds, and gives what the oracle makes of it.
func compileTier(t testing.TB, doc string) (*netpol.TierPolicy, tierObject, error) {
	t.Helper()
	meta := metav1.TypeMeta{}
	if err := yaml.Unmarshal([]byte(doc), &meta); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	read := func(into any) {
		if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
	}
	switch meta.Kind {
	case "ClusterNetworkPolicy":
		p := &v1alpha2.ClusterNetworkPolicy{}
		read(p)
		compiled, err := netpol.CompileClusterNetworkPolicy(p)
		return compiled, tierObject{meta.Kind, p}, err
	case "AdminNetworkPolicy":
		p := &v1alpha1.AdminNetworkPolicy{}
		read(p)
		compiled, err := netpol.CompileAdminNetworkPolicy(p)
		return compiled, fromAdmin(p), err
	case "BaselineAdminNetworkPolicy":
		p := &v1alpha1.BaselineAdminNetworkPolicy{}
		read(p)
		compiled, err := netpol.CompileBaselineAdminNetworkPolicy(p)
		return compiled, fromBaseline(p), err
	}
	t.Fatalf("no such kind: %q", meta.Kind)
	return nil, tierObject{}, nil
}

// TestCompileTierErrors: what the API server would not have stored is refused, with the field, the value and the remedy.
func TestCompileTierErrors(t *testing.T) {
	const (
		cnp  = "kind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec:\n  tier: Admin\n  priority: 1\n  subject: {namespaces: {}}\n  "
		anp  = "kind: AdminNetworkPolicy\nmetadata: {name: p}\nspec:\n  priority: 1\n  subject: {namespaces: {}}\n  "
		banp = "kind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\nspec:\n  subject: {namespaces: {}}\n  "
		all  = "from: [{namespaces: {}}]"
	)
	for _, x := range []struct{ name, doc, want string }{
		{"tier", `{kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: NetworkPolicy, priority: 1, subject: {namespaces: {}}}}`,
			`ClusterNetworkPolicy p: spec.tier: invalid value "NetworkPolicy": use Admin or Baseline`},
		{"no tier", `{kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {priority: 1, subject: {namespaces: {}}}}`,
			`ClusterNetworkPolicy p: spec.tier: invalid value "": use Admin or Baseline`},
		{"priority too high", `{kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: Admin, priority: 1001, subject: {namespaces: {}}}}`,
			`ClusterNetworkPolicy p: spec.priority: invalid value "1001": use a priority from 0 to 1000`},
		{"priority too low", `{kind: AdminNetworkPolicy, metadata: {name: p}, spec: {priority: -1, subject: {namespaces: {}}}}`,
			`AdminNetworkPolicy p: spec.priority: invalid value "-1": use a priority from 0 to 1000`},
		{"no subject", `{kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: Admin, priority: 1, subject: {}}}`,
			`ClusterNetworkPolicy p: spec.subject: invalid value "": set one of namespaces and pods`},
		{"two subjects", `{kind: AdminNetworkPolicy, metadata: {name: p}, spec: {priority: 1, subject: {namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}}}`,
			`AdminNetworkPolicy p: spec.subject: invalid value "": set one of namespaces and pods`},
		{"subject selector", `{kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {a: "b c"}}}}}`,
			`ClusterNetworkPolicy p: spec.subject.namespaces: values[0][a]: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
		{"action", cnp + "ingress: [{action: Reject, " + all + "}]",
			`ClusterNetworkPolicy p: spec.ingress[0].action: invalid value "Reject": use Accept, Deny or Pass`},
		{"the action of the old kinds", cnp + "ingress: [{action: Allow, " + all + "}]",
			`ClusterNetworkPolicy p: spec.ingress[0].action: invalid value "Allow": use Accept, Deny or Pass`},
		{"the action of the new kind", anp + "ingress: [{action: Accept, " + all + "}]",
			`AdminNetworkPolicy p: spec.ingress[0].action: invalid value "Accept": use Allow, Deny or Pass`},
		{"no peers", cnp + "egress: [{action: Deny, to: []}]",
			`ClusterNetworkPolicy p: spec.egress[0].to: invalid value "[]": name at least one peer; an empty namespaces selector means all pods`},
		{"no peers of the old kinds", anp + "ingress: [{action: Deny, from: []}]",
			`AdminNetworkPolicy p: spec.ingress[0].from: invalid value "[]": name at least one peer; an empty namespaces selector means all pods`},
		{"two kinds of peer in one", cnp + "ingress: [{action: Deny, from: [{namespaces: {}, pods: {namespaceSelector: {}, podSelector: {}}}]}]",
			`ClusterNetworkPolicy p: spec.ingress[0].from[0]: invalid value "several fields": set one field; give the others items of their own`},
		{"networks and nodes in one peer", cnp + "egress: [{action: Deny, to: [{networks: [10.0.0.0/8], nodes: {}}]}]",
			`ClusterNetworkPolicy p: spec.egress[0].to[0]: invalid value "several fields": set one field; give the others items of their own`},
		{"network", cnp + "egress: [{action: Deny, to: [{networks: [10.0.0.0/8, 10.0.0.0]}]}]",
			`ClusterNetworkPolicy p: spec.egress[0].to[0].networks[1]: invalid value "10.0.0.0": use a CIDR such as 10.0.0.0/8 or fd00::/8`},
		{"peer selector", cnp + "egress: [{action: Deny, to: [{pods: {namespaceSelector: {}, podSelector: {matchExpressions: [{key: a, operator: Is}]}}}]}]",
			`ClusterNetworkPolicy p: spec.egress[0].to[0].pods.podSelector: "Is" is not a valid label selector operator`},
		{"empty protocol", cnp + "ingress: [{action: Deny, " + all + ", protocols: [{}]}]",
			`ClusterNetworkPolicy p: spec.ingress[0].protocols[0]: invalid value "{}": set tcp, udp, sctp or destinationNamedPort`},
		{"two protocols in one", cnp + "ingress: [{action: Deny, " + all + ", protocols: [{tcp: {}, udp: {}}]}]",
			`ClusterNetworkPolicy p: spec.ingress[0].protocols[0]: invalid value "several fields": set one field; give the others items of their own`},
		{"port number", cnp + "ingress: [{action: Deny, " + all + ", protocols: [{sctp: {destinationPort: {number: 65536}}}]}]",
			`ClusterNetworkPolicy p: spec.ingress[0].protocols[0].sctp.destinationPort.number: invalid value "65536": use a port from 1 to 65535`},
		{"backwards range", cnp + "ingress: [{action: Deny, " + all + ", protocols: [{udp: {destinationPort: {range: {start: 90, end: 80}}}}]}]",
			`ClusterNetworkPolicy p: spec.ingress[0].protocols[0].udp.destinationPort.range: invalid value "90-80": the end has to be after the start`},
		{"empty port of the old kinds", anp + "ingress: [{action: Deny, " + all + ", ports: [{}]}]",
			`AdminNetworkPolicy p: spec.ingress[0].ports[0]: invalid value "{}": set portNumber, portRange or namedPort`},
		{"two ports in one", anp + "ingress: [{action: Deny, " + all + ", ports: [{namedPort: http, portNumber: {protocol: TCP, port: 80}}]}]",
			`AdminNetworkPolicy p: spec.ingress[0].ports[0]: invalid value "several fields": set one field; give the others items of their own`},
		{"backwards range of the old kinds", anp + "egress: [{action: Deny, to: [{namespaces: {}}], ports: [{portRange: {protocol: TCP, start: 2, end: 1}}]}]",
			`AdminNetworkPolicy p: spec.egress[0].ports[0].portRange: invalid value "2-1": the end has to be after the start`},
		{"baseline by another name", strings.Replace(banp, "name: default", "name: other", 1) + "ingress: []",
			`BaselineAdminNetworkPolicy other: metadata.name: invalid value "other": a cluster has one BaselineAdminNetworkPolicy, named "default"`},
		{"baseline that passes", banp + "egress: [{action: Pass, to: [{namespaces: {}}]}]",
			`BaselineAdminNetworkPolicy default: spec.egress[0].action: invalid value "Pass": no tier follows; use Allow or Deny`},
		{"all problems at once", strings.Replace(cnp, "priority: 1", "priority: 2000", 1) + "egress: [{action: Drop, to: []}]",
			"ClusterNetworkPolicy p: " + `spec.priority: invalid value "2000": use a priority from 0 to 1000` + "\n" +
				`spec.egress[0].action: invalid value "Drop": use Accept, Deny or Pass` + "\n" +
				`spec.egress[0].to: invalid value "[]": name at least one peer; an empty namespaces selector means all pods`},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, _, err := compileTier(t, x.doc)
			if err == nil || p != nil {
				t.Fatalf("got %+v, error %v, want the error %s", p, err, x.want)
			}
			if err.Error() != x.want {
				t.Errorf("got  %s\nwant %s", err, x.want)
			}
		})
	}
}

// TestCompileTier shows what the kinds become.
func TestCompileTier(t *testing.T) {
	for _, x := range []struct{ name, doc, want string }{
		{"the whole of a ClusterNetworkPolicy", `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Baseline
  priority: 7
  subject: {pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: web}}}}
  ingress:
  - {name: one, action: Accept, from: [{namespaces: {matchLabels: {a: b}}}], protocols: [{tcp: {}}, {udp: {destinationPort: {number: 53}}}]}
  egress:
  - {action: Pass, to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}], protocols: [{destinationNamedPort: dns}]}
  - {action: Deny, to: [{networks: [10.0.0.0/8, "fd00::/8"]}, {nodes: {}}, {domainNames: [example.com]}], protocols: [{sctp: {destinationPort: {range: {start: 1, end: 9}}}}]}`,
			`ClusterNetworkPolicy p Baseline 7 namespaces team=red pods app=web
ingress[0] "one" Accept a=b/- on TCP 0-0, UDP 53-53
egress[0] "" Pass <none>/app=db on TCP dns, UDP dns, SCTP dns
egress[1] "" Deny 10.0.0.0/8, fd00::/8 on SCTP 1-9
`},
		{"an AdminNetworkPolicy", `
kind: AdminNetworkPolicy
metadata: {name: p}
spec:
  priority: 7
  subject: {namespaces: {}}
  ingress:
  - {name: one, action: Allow, from: [{namespaces: {}}], ports: [{portNumber: {port: 80}}, {portRange: {protocol: UDP, start: 1, end: 2}}, {namedPort: x}]}
  egress:
  - {action: Pass, to: [{networks: [0.0.0.0/0]}, {nodes: {}}]}`,
			`AdminNetworkPolicy p Admin 7 namespaces <none> pods -
ingress[0] "one" Accept <none>/- on TCP 80-80, UDP 1-2, TCP x, UDP x, SCTP x
egress[0] "" Pass 0.0.0.0/0 on all
`},
		{"a BaselineAdminNetworkPolicy is asked last", `
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  egress: [{name: none, action: Deny, to: [{pods: {namespaceSelector: {}, podSelector: {}}}]}]`,
			`BaselineAdminNetworkPolicy default Baseline 1001 namespaces <none> pods -
egress[0] "none" Deny <none>/<none> on all
`},
		{"an unknown peer: what accepts matches nothing, what does not denies everybody on all ports", `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 0
  subject: {namespaces: {}}
  ingress:
  - {action: Accept, from: [{namespaces: {}}, {}]}
  - {action: Deny, from: [{}, {namespaces: {}}], protocols: [{tcp: {}}]}
  egress:
  - {action: Pass, to: [{}], protocols: [{tcp: {}}]}`,
			`ClusterNetworkPolicy p Admin 0 namespaces <none> pods -
ingress[0] "" Accept nobody on all
ingress[1] "" Deny everyone on all
egress[0] "" Deny everyone on all
`},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, _, err := compileTier(t, x.doc)
			if err != nil {
				t.Fatal(err)
			}
			if got := formatTier(p); got != x.want {
				t.Errorf("got\n%s\nwant\n%s", got, x.want)
			}
		})
	}
}

func formatTier(p *netpol.TierPolicy) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %d namespaces %s pods %s\n", p.Kind, p.Name, p.Tier, p.Priority, p.Namespaces, formatSelector(p.Pods))
	for _, d := range netpol.Directions {
		for i, r := range p.Rules[d] {
			var peers, ports []string
			for _, peer := range r.Peers {
				if peer.Block != nil {
					peers = append(peers, peer.Block.CIDR.String())
				} else {
					peers = append(peers, formatSelector(peer.Namespaces)+"/"+formatSelector(peer.Pods))
				}
			}
			switch {
			case r.Everyone:
				peers = append(peers, "everyone")
			case len(peers) == 0:
				peers = append(peers, "nobody")
			}
			for _, m := range r.Ports {
				if m.Name != "" {
					ports = append(ports, fmt.Sprintf("%s %s", m.Protocol, m.Name))
				} else {
					ports = append(ports, fmt.Sprintf("%s %d-%d", m.Protocol, m.Number, m.End))
				}
			}
			if len(ports) == 0 {
				ports = append(ports, "all")
			}
			fmt.Fprintf(&b, "%s[%d] %q %s %s on %s\n", d.Field(), i, r.Name, r.Action, strings.Join(peers, ", "), strings.Join(ports, ", "))
		}
	}
	return b.String()
}

func formatSelector(s *netpol.Selector) string {
	if s == nil {
		return "-"
	}
	return s.String()
}
