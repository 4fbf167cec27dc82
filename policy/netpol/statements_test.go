package netpol_test

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// statement restates one normative sentence of the documentation in our words, with policies for which it decides and
// the outcomes that follow.
type statement struct {
	says     string
	source   string
	policies string
	// outcomes are written as read: "shop/web -> shop/api TCP/8080: allowed", or "refused"; "shop/web Ingress: isolated",
	// or "open"; "shop/web: selected" by the first policy, or "ignored".
	outcomes []string
}

// Where the statements come from. spec, rule, peer, port and block are types of k8s.io/api/networking/v1.
const (
	apiSpec     = "API NetworkPolicySpec."
	apiIngress  = "API NetworkPolicyIngressRule."
	apiEgress   = "API NetworkPolicyEgressRule."
	apiPeer     = "API NetworkPolicyPeer."
	apiPort     = "API NetworkPolicyPort."
	apiBlock    = "API IPBlock."
	apiSelector = "API meta/v1 LabelSelectorRequirement."
	concepts    = "https://kubernetes.io/docs/concepts/services-networking/network-policies/#"
)

// cast is the cluster that all statements talk about.
func cast() map[string]netpol.Endpoint {
	shop := labels.Set{nameLabel: "shop", "team": "sales"}
	monitoring := labels.Set{nameLabel: "monitoring", "team": "platform"}
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	return map[string]netpol.Endpoint{
		"shop/web": {Namespace: "shop", Pod: "web", NamespaceLabels: shop, Labels: labels.Set{"app": "web", "tier": "front"}, Node: "n1",
			Ports:     []netpol.ContainerPort{{Name: "http", Protocol: tcp, Number: 80}},
			Addresses: addresses("10.0.1.1", "fd00:1::1")},
		"shop/api": {Namespace: "shop", Pod: "api", NamespaceLabels: shop, Labels: labels.Set{"app": "api"}, Node: "n1",
			Ports:     []netpol.ContainerPort{{Name: "http", Protocol: tcp, Number: 8080}, {Name: "dns", Protocol: udp, Number: 5353}, {Name: "dns", Protocol: tcp, Number: 5354}},
			Addresses: addresses("10.0.1.2", "fd00:1::2")},
		"shop/db": {Namespace: "shop", Pod: "db", NamespaceLabels: shop, Labels: labels.Set{"app": "db"}, Node: "n2",
			Addresses: addresses("10.0.1.3", "fd00:1::3")},
		"monitoring/prom": {Namespace: "monitoring", Pod: "prom", NamespaceLabels: monitoring, Labels: labels.Set{"app": "prom"}, Node: "n2",
			Addresses: addresses("10.0.2.1", "fd00:2::1")},
		"monitoring/web": {Namespace: "monitoring", Pod: "web", NamespaceLabels: monitoring, Labels: labels.Set{"app": "web"}, Node: "n2",
			Ports:     []netpol.ContainerPort{{Name: "http", Protocol: tcp, Number: 9090}},
			Addresses: addresses("10.0.2.2", "fd00:2::2")},
		"bare/pod": {Namespace: "bare", Pod: "pod", Node: "n2", Addresses: addresses("10.0.3.1")},
		"shop/host": {Namespace: "shop", Pod: "host", NamespaceLabels: shop, Labels: labels.Set{"app": "web"}, Node: "n1", HostNetwork: true,
			Addresses: addresses("192.0.2.1")},
		"node/n1": {IsNode: true, Node: "n1", Addresses: addresses("192.0.2.1")},
		"node/n2": {IsNode: true, Node: "n2", Addresses: addresses("192.0.2.2")},
	}
}

func TestStatements(t *testing.T) {
	for _, statements := range [][]statement{isolationStatements, peerStatements, selectorStatements, portStatements, blockStatements} {
		for _, s := range statements {
			t.Run(s.says, s.check)
		}
	}
}

func (s statement) check(t *testing.T) {
	if s.says == "" || s.source == "" || len(s.outcomes) == 0 {
		t.Fatal("a statement needs words, a source and outcomes")
	}
	nps := parsePolicies(t, s.policies)
	for _, np := range nps {
		if np.Namespace == "" {
			np.Namespace = "shop"
		}
	}
	compiled := compileAll(t, nps)
	for _, outcome := range s.outcomes {
		question, want, _ := strings.Cut(outcome, ": ")
		got, byOracle := answer(t, strings.Fields(question), nps, compiled)
		if got != want {
			t.Errorf("%s: got %s, want %s (%s)", question, got, want, s.source)
		}
		if byOracle != want {
			t.Errorf("oracle: %s: got %s, want %s (%s)", question, byOracle, want, s.source)
		}
	}
}

// answer answers one question of an outcome, by the package and by the oracle.
func answer(t *testing.T, words []string, nps []*networkingv1.NetworkPolicy, compiled []*netpol.Policy) (string, string) {
	t.Helper()
	word := func(b bool, yes, no string) string {
		if b {
			return yes
		}
		return no
	}
	switch {
	case len(words) == 4 && words[1] == "->":
		from, to := member(t, words[0]), member(t, words[2])
		port, err := parsePort(words[3])
		if err != nil {
			t.Fatal(err)
		}
		return word(netpol.Connects(from, to, port, compiled, compiled), "allowed", "refused"),
			word(oracle(nps).connects(from, to, port), "allowed", "refused")
	case len(words) == 2:
		for _, d := range netpol.Directions {
			if d.String() == words[1] {
				e := member(t, words[0])
				return word(netpol.Isolated(d, e, compiled), "isolated", "open"), word(oracle(nps).isolated(d, e), "isolated", "open")
			}
		}
	case len(words) == 1:
		e := member(t, words[0])
		return word(compiled[0].Selects(e), "selected", "ignored"), word(oracleSelects(nps[0], e), "selected", "ignored")
	}
	t.Fatalf("no question: %q", words)
	return "", ""
}

// member finds an end by its name in the cast; an IP address is an end outside the cluster.
func member(t *testing.T, name string) netpol.Endpoint {
	t.Helper()
	if a, err := netip.ParseAddr(name); err == nil {
		return netpol.Endpoint{Addresses: []netip.Addr{a}}
	}
	e, ok := cast()[name]
	if !ok {
		t.Fatalf("%q is no member of the cast and no address", name)
	}
	return e
}
