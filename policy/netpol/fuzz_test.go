package netpol_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// fuzzLimit is the input size in bytes above which a fuzz target does not look: size is a matter of other tests.
const fuzzLimit = 64 << 10

// FuzzCompile: no input panics, and what compiles means what the oracle says.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/truthtables/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		x := fixture{}
		if err := yaml.Unmarshal(raw, &x); err != nil {
			f.Fatal(err)
		}
		for _, s := range x.Steps {
			for _, np := range s.Apply {
				f.Add([]byte(printYAML(np)))
			}
		}
	}
	for _, statements := range [][]statement{isolationStatements, peerStatements, selectorStatements, portStatements, blockStatements} {
		for _, s := range statements {
			f.Add([]byte(s.policies))
		}
	}
	f.Add([]byte(`{"spec":{"ingress":[{"ports":[{"port":"","endPort":-1,"protocol":""}],"from":[{"ipBlock":{"cidr":"::ffff:0:0/90","except":["::ffff:1.2.3.4/97"]}}]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > fuzzLimit {
			return
		}
		np := &networkingv1.NetworkPolicy{}
		if yaml.Unmarshal(data, np) != nil {
			return
		}
		if np.Namespace == "" {
			np.Namespace = "default"
		}
		p, err := netpol.Compile(np)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		p.PodKeys()
		ends, ports := interesting(np)
		for _, from := range ends {
			for _, to := range ends {
				for _, port := range ports {
					s := scenario{Policies: []*networkingv1.NetworkPolicy{np}, From: from, To: to, Port: port}
					if difference(s, []*netpol.Policy{p}) != "" {
						t.Fatal(report(s))
					}
				}
			}
		}
	})
}

// FuzzSelector: no input panics, and what compiles matches the labels that the oracle says it matches.
func FuzzSelector(f *testing.F) {
	f.Add([]byte(`{}`), []byte(`{app: web}`))
	f.Add([]byte(`{matchLabels: {app: web}}`), []byte(`{app: web, tier: front}`))
	f.Add([]byte(`{matchExpressions: [{key: app, operator: In, values: [web, api]}]}`), []byte(`{app: api}`))
	f.Add([]byte(`{matchExpressions: [{key: app, operator: NotIn, values: [""]}]}`), []byte(`{}`))
	f.Add([]byte(`{matchExpressions: [{key: example.com/app, operator: Exists}, {key: b, operator: DoesNotExist}]}`), []byte(`{example.com/app: ""}`))
	f.Fuzz(func(t *testing.T, selector, labelled []byte) {
		if len(selector)+len(labelled) > fuzzLimit {
			return
		}
		source, l := metav1.LabelSelector{}, map[string]string{}
		if yaml.Unmarshal(selector, &source) != nil || yaml.Unmarshal(labelled, &l) != nil {
			return
		}
		s, err := netpol.CompileSelector(source)
		if err != nil {
			return
		}
		_, _, _ = s.String(), s.Keys(), s.Everything()
		for _, l := range []map[string]string{l, {}, source.MatchLabels} {
			if got, want := s.Matches(l), oracleSelector(source, l); got != want {
				t.Errorf("Matches(%v) is %v, the oracle says %v:\n%s", l, got, want, printYAML(source))
			}
		}
	})
}

// interesting gives ends and ports that the policy is about, and some that it is not. The numbers are bounded so that a
// big policy does not take long.
func interesting(np *networkingv1.NetworkPolicy) ([]netpol.Endpoint, []netpol.Port) {
	ns := np.Namespace
	ends := []netpol.Endpoint{
		{Namespace: ns, Labels: np.Spec.PodSelector.MatchLabels, Addresses: addresses("10.0.0.1")},
		{Namespace: "other"},
		{Addresses: addresses("203.0.113.7", "2001:db8::7")},
		{Namespace: ns, HostNetwork: true, Node: "n1"},
		{IsNode: true, Node: "n1"},
	}
	ports := []netpol.Port{{Protocol: corev1.ProtocolTCP, Number: 80}, {Protocol: corev1.ProtocolUDP, Number: 53}}
	about := func(peers []networkingv1.NetworkPolicyPeer, items []networkingv1.NetworkPolicyPort) {
		for _, p := range peers {
			if len(ends) < 12 {
				ends = append(ends, namedBy(ns, p, items))
			}
		}
		for _, p := range items {
			if len(ports) < 8 {
				ports = append(ports, portsAround(p)...)
			}
		}
	}
	for _, r := range np.Spec.Ingress {
		about(r.From, r.Ports)
	}
	for _, r := range np.Spec.Egress {
		about(r.To, r.Ports)
	}
	return ends, ports
}

// namedBy gives an end that the peer is likely to match and that declares the named ports.
func namedBy(ns string, p networkingv1.NetworkPolicyPeer, items []networkingv1.NetworkPolicyPort) netpol.Endpoint {
	e := netpol.Endpoint{Namespace: ns}
	if p.PodSelector != nil {
		e.Labels = p.PodSelector.MatchLabels
	}
	if p.NamespaceSelector != nil {
		e.Namespace, e.NamespaceLabels = "other", labels.Set(p.NamespaceSelector.MatchLabels)
	}
	if p.IPBlock != nil {
		if prefix, err := netip.ParsePrefix(p.IPBlock.CIDR); err == nil {
			e = netpol.Endpoint{Addresses: []netip.Addr{prefix.Addr()}}
		}
	}
	for _, item := range items {
		if item.Port != nil && item.Port.Type == intstr.String && item.Protocol != nil {
			e.Ports = append(e.Ports, netpol.ContainerPort{Name: item.Port.StrVal, Protocol: *item.Protocol, Number: 80})
		}
	}
	return e
}

// portsAround gives the edges of a port item and their neighbours.
func portsAround(p networkingv1.NetworkPolicyPort) []netpol.Port {
	protocol := corev1.ProtocolTCP
	if p.Protocol != nil {
		protocol = *p.Protocol
	}
	if p.Port == nil || p.Port.Type == intstr.String {
		return []netpol.Port{{Protocol: protocol, Number: 80}}
	}
	first, last := p.Port.IntVal, p.Port.IntVal
	if p.EndPort != nil {
		last = *p.EndPort
	}
	return []netpol.Port{
		{Protocol: protocol, Number: uint16(first)}, {Protocol: protocol, Number: uint16(first - 1)},
		{Protocol: protocol, Number: uint16(last)}, {Protocol: protocol, Number: uint16(last + 1)},
	}
}
