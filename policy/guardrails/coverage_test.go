package guardrails

import (
	"fmt"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// ingress compiles a policy with one ingress rule, written in YAML's flow style.
func ingress(t *testing.T, rule string) *netpol.Policy {
	t.Helper()
	np := &networkingv1.NetworkPolicy{}
	manifest := fmt.Sprintf("{metadata: {namespace: shop, name: p}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [%s]}}", rule)
	if err := yaml.UnmarshalStrict([]byte(manifest), np); err != nil {
		t.Fatal(err)
	}
	p, err := netpol.Compile(np)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCovered(t *testing.T) {
	const web = "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}"
	for _, test := range []struct {
		lost, have string
		want       bool
	}{
		{web, web, true},
		{web, "{}", true},
		{web, "{ports: [{port: 80}]}", true},
		{web, "{ports: [{port: 81}]}", false},
		{web, "{ports: [{protocol: UDP, port: 80}]}", false},
		{web, "{ports: [{protocol: TCP}]}", true},
		{web, "{ports: [{port: 79, endPort: 80}]}", true},
		{web, "{ports: [{port: http}]}", false},
		{web, "{from: [{podSelector: {}}]}", true},
		{web, "{from: [{namespaceSelector: {}}]}", true},
		{web, "{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}", true},
		{web, "{from: [{namespaceSelector: {matchLabels: {a: b}}}]}", false},
		{web, "{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}", false},
		{"{}", web, false},
		{"{}", "{ports: [{protocol: TCP}]}", false},
		{"{ports: [{port: http}]}", "{ports: [{port: http}]}", true},
		{"{ports: [{protocol: TCP}]}", "{ports: [{port: 1, endPort: 65535}]}", false},
		{"{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}", "{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}", true},
		{"{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}", "{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}", false},
		{"{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}", "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.2.0/24]}}]}", false},
		{"{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}", "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.2.0.0/16]}}]}", true},
		{"{from: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.1.2.0/23]}}]}", "{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.2.0/24]}}]}", true},
		{"{from: [{ipBlock: {cidr: 'fd00::/8'}}]}", "{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}", false},
		{"{from: [{ipBlock: {cidr: 10.0.0.0/9}}, {ipBlock: {cidr: 10.128.0.0/9}}]}", "{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}", true},
	} {
		if got := covered(ingress(t, test.lost).Rules[netpol.Ingress], []*netpol.Policy{ingress(t, test.have)}, netpol.Ingress); got != test.want {
			t.Errorf("%s covered by %s: %v, want %v", test.lost, test.have, got, test.want)
		}
	}
}

func TestCoveredTakesAllPoliciesTogether(t *testing.T) {
	lost := ingress(t, "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}, {port: 443}]}")
	have := []*netpol.Policy{
		ingress(t, "{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}"),
		ingress(t, "{from: [{podSelector: {}}], ports: [{port: 443}]}"),
	}
	if !covered(lost.Rules[netpol.Ingress], have, netpol.Ingress) {
		t.Error("two policies that cover a rule together do not count")
	}
	if covered(lost.Rules[netpol.Ingress], have[:1], netpol.Ingress) {
		t.Error("one policy that covers half of a rule counts")
	}
}
