package guardrails

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// step is the length of the longest prefix that the random policies hold: all addresses that begin with the same step
// bits fare alike.
const step = 4

// portCuts are where the random ports begin and end.
var portCuts = [...]uint16{1, 80, 81, 1023, 1024, lastPort}

// TestReachIsWhatTheRulesAllow compares reachOf with asking for each address and each port by itself.
func TestReachIsWhatTheRulesAllow(t *testing.T) {
	r := seeded(t)
	whole := 0
	for range 800 {
		var policies []*netpol.Policy
		var text strings.Builder
		for i := range 1 + r.IntN(3) {
			np := randomEgress(r, fmt.Sprint("p", i))
			p, err := netpol.Compile(np)
			if err != nil {
				t.Fatal(err)
			}
			policies = append(policies, p)
			data, _ := yaml.Marshal(np.Spec)
			text.Write(data)
		}
		got, want := reachOf(policies, netpol.Egress), askedReach(policies)
		if got != want {
			t.Fatalf("got %+v, want %+v of\n%s", got, want, text.String())
		}
		if want.ipv4 || want.ipv6 {
			whole++
		}
	}
	if whole < 40 {
		t.Errorf("only %d of the random policies reach every address: the test proves too little", whole)
	}
}

func randomEgress(r *rand.Rand, name string) *networkingv1.NetworkPolicy {
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	if r.IntN(20) == 0 {
		np.Spec.PolicyTypes[0] = networkingv1.PolicyTypeIngress
	}
	for range r.IntN(4) {
		rule := networkingv1.NetworkPolicyEgressRule{}
		for range r.IntN(8) {
			rule.To = append(rule.To, randomEgressPeer(r))
		}
		for range r.IntN(3) {
			rule.Ports = append(rule.Ports, randomEgressPort(r))
		}
		np.Spec.Egress = append(np.Spec.Egress, rule)
	}
	return np
}

func randomEgressPeer(r *rand.Rand) networkingv1.NetworkPolicyPeer {
	everything, some := &metav1.LabelSelector{}, &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	switch r.IntN(12) {
	case 0:
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: everything}
	case 1:
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: everything, PodSelector: some}
	case 2:
		return networkingv1.NetworkPolicyPeer{NamespaceSelector: some, PodSelector: everything}
	case 3:
		return networkingv1.NetworkPolicyPeer{PodSelector: everything}
	}
	root := netip.IPv4Unspecified()
	if r.IntN(4) == 0 {
		root = netip.IPv6Unspecified()
	}
	cidr := netip.PrefixFrom(nth(root, r.IntN(1<<step)), min(r.IntN(step), r.IntN(step))).Masked()
	block := &networkingv1.IPBlock{CIDR: cidr.String()}
	if r.IntN(4) == 0 {
		if x := netip.PrefixFrom(nth(root, r.IntN(1<<step)), step); cidr.Contains(x.Addr()) {
			block.Except = []string{x.String()}
		}
	}
	return networkingv1.NetworkPolicyPeer{IPBlock: block}
}

// nth gives the first address of the n-th of the longest prefixes.
func nth(root netip.Addr, n int) netip.Addr {
	bytes := root.AsSlice()
	bytes[0] = byte(n << (8 - step))
	a, _ := netip.AddrFromSlice(bytes)
	return a
}

func randomEgressPort(r *rand.Rand) networkingv1.NetworkPolicyPort {
	protocol := corev1.ProtocolTCP
	if r.IntN(5) == 0 {
		protocol = corev1.ProtocolUDP
	}
	out := networkingv1.NetworkPolicyPort{Protocol: &protocol}
	if r.IntN(3) == 0 {
		return out
	}
	i := r.IntN(len(portCuts))
	first, last := intstr.FromInt32(int32(portCuts[i])), int32(portCuts[i+r.IntN(len(portCuts)-i)])
	if r.IntN(6) == 0 {
		first = intstr.FromString("http")
		return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &first}
	}
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &first, EndPort: &last}
}

// askedReach asks for every address by its first step bits, for a pod that only an empty selector matches, and on the
// ports around which the random ones begin and end.
func askedReach(policies []*netpol.Policy) reach {
	subject := netpol.Endpoint{Namespace: "shop"}
	all := func(peers ...netpol.Endpoint) bool {
		for _, peer := range peers {
			for _, n := range portCuts {
				for _, port := range [...]uint16{max(n, 2) - 1, n, min(n, lastPort-1) + 1} {
					if !netpol.Admitted(netpol.Egress, subject, peer, netpol.Port{Protocol: corev1.ProtocolTCP, Number: port}, policies) {
						return false
					}
				}
			}
		}
		return true
	}
	var ipv4, ipv6 []netpol.Endpoint
	for n := range 1 << step {
		ipv4, ipv6 = append(ipv4, address(nth(netip.IPv4Unspecified(), n))), append(ipv6, address(nth(netip.IPv6Unspecified(), n)))
	}
	return reach{pods: all(netpol.Endpoint{Namespace: "elsewhere"}), ipv4: all(ipv4...), ipv6: all(ipv6...)}
}

func TestBaselineParameters(t *testing.T) {
	checkParameters(t, "baseline-nullified", map[string]string{
		"{}": "",
		"{protected: [default-deny, 'deny-*'], owners: {users: [ada], groups: [platform-team]}}": "",
		"{protected: ['']}":             "protected[0]",
		"{protected: ['deny-[']}":       "protected[0]",
		"{owners: {users: ['']}}":       "owners.users[0]",
		"{owners: {groups: [a, '']}}":   "owners.groups[1]",
		"{owners: {accounts: [a]}}":     "accounts",
		"{protect: [default-deny]}":     "protect",
		"{protected: default-deny}":     "protected",
		"{owners: [platform-team]}":     "owners",
		"{protected: [a], owners: {} }": "",
	})
}

func TestTenantParameters(t *testing.T) {
	checkParameters(t, "tenant-crossing", map[string]string{
		"{}": "",
		"{tenantLabel: example.com/tenant, shared: [platform]}": "",
		"{tenantLabel: 'not a key'}":                            "tenantLabel",
		"{tenantLabel: tenant, shared: ['']}":                   "shared[0]",
		"{tenantLabel: tenant, shared: ['a b']}":                "shared[0]",
		"{tenantLabel: tenant, shared: [a, b, a]}":              "shared[2]",
		"{tenant: tenant}":                                      "tenant",
	})
}

// checkParameters parses each of the parameters and looks for the field that the error has to name, "" for no error.
func checkParameters(t *testing.T, slug string, tests map[string]string) {
	t.Helper()
	for parameters, want := range tests {
		file := "apiVersion: " + config.APIVersion + "\nkind: " + config.Kind + "\nguardrails:\n  " + slug + ":\n    parameters: " + parameters + "\n"
		_, err := config.Parse([]byte(file), policy.Specs(All()))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", parameters, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got error %v, want one about %q", parameters, err, want)
		}
	}
}
