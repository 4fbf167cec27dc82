package netpol_test

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestCompileRefuses: what the API server does not store does not compile, and the error names field, value and remedy.
func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct {
		why, spec string
		want      []string
	}{
		{"unknown policy type", `{policyTypes: [Inward]}`, []string{"spec.policyTypes[0]", `"Inward"`, "use Ingress or Egress"}},
		{"three policy types", `{policyTypes: [Ingress, Egress, Egress]}`, []string{"spec.policyTypes:", "once each"}},
		{"empty peer", `{ingress: [{from: [{}]}]}`, []string{"spec.ingress[0].from[0]", "set ipBlock, podSelector or namespaceSelector"}},
		{"ipBlock with podSelector", `{egress: [{}, {to: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}`, []string{"spec.egress[1].to[0]", "stands alone"}},
		{"ipBlock with namespaceSelector", `{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}, namespaceSelector: {}}]}]}`, []string{"spec.egress[0].to[0]", "stands alone"}},
		{"address without mask", `{ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]}`, []string{"spec.ingress[0].from[0].ipBlock.cidr", `"10.0.0.1"`, "use a CIDR"}},
		{"missing cidr", `{ingress: [{from: [{ipBlock: {}}]}]}`, []string{"spec.ingress[0].from[0].ipBlock.cidr", `""`}},
		{"mask too long", `{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}`, []string{"ipBlock.cidr", `"10.0.0.0/33"`}},
		{"exception outside the block", `{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 11.0.0.0/16]}}]}]}`, []string{"spec.egress[0].to[0].ipBlock.except[1]", `"11.0.0.0/16"`, "strict part of 10.0.0.0/8"}},
		{"exception equal to the block", `{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}`, []string{"except[0]", "strict part"}},
		{"exception wider than the block", `{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [0.0.0.0/0]}}]}]}`, []string{"except[0]", "strict part"}},
		{"exception of the other family", `{egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: ["fd00::/8"]}}]}]}`, []string{"except[0]", "strict part"}},
		{"exception that is no CIDR", `{egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [here]}}]}]}`, []string{"except[0]", `"here"`, "use a CIDR"}},
		{"unknown protocol", `{ingress: [{ports: [{protocol: ICMP}]}]}`, []string{"spec.ingress[0].ports[0].protocol", `"ICMP"`, "use TCP, UDP or SCTP"}},
		{"protocol in lower case", `{ingress: [{ports: [{protocol: tcp}]}]}`, []string{"ports[0].protocol", `"tcp"`}},
		{"empty protocol", `{ingress: [{ports: [{protocol: ""}]}]}`, []string{"ports[0].protocol", `""`}},
		{"port 0", `{ingress: [{ports: [{port: 0}]}]}`, []string{"ports[0].port", `"0"`, "from 1 to 65535"}},
		{"port 65536", `{ingress: [{ports: [{port: 65536}]}]}`, []string{"ports[0].port", `"65536"`}},
		{"negative port", `{ingress: [{ports: [{port: -1}]}]}`, []string{"ports[0].port", `"-1"`}},
		{"empty port name", `{ingress: [{ports: [{port: ""}]}]}`, []string{"ports[0].port", `""`, "at least one letter"}},
		{"number as port name", `{ingress: [{ports: [{port: "80"}]}]}`, []string{"ports[0].port", `"80"`, "at least one letter"}},
		{"port name too long", `{ingress: [{ports: [{port: abcdefghijklmnop}]}]}`, []string{"ports[0].port", "15"}},
		{"endPort without port", `{egress: [{ports: [{endPort: 90}]}]}`, []string{"spec.egress[0].ports[0].endPort", `"90"`, "needs a numeric port"}},
		{"endPort with named port", `{egress: [{ports: [{port: http, endPort: 90}]}]}`, []string{"ports[0].endPort", "cannot go with a named port"}},
		{"endPort below port", `{egress: [{ports: [{port: 90, endPort: 89}]}]}`, []string{"ports[0].endPort", `"89"`, "at least the port, 90"}},
		{"endPort too big", `{egress: [{ports: [{port: 90, endPort: 65536}]}]}`, []string{"ports[0].endPort", `"65536"`, "from 1 to 65535"}},
		{"unknown selector operator", `{podSelector: {matchExpressions: [{key: app, operator: Is, values: [web]}]}}`, []string{"spec.podSelector", "Is"}},
		{"In without values", `{ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In}]}}]}]}`, []string{"spec.ingress[0].from[0].podSelector"}},
		{"Exists with values", `{ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: app, operator: Exists, values: [x]}]}}]}]}`, []string{"spec.ingress[0].from[0].namespaceSelector"}},
		{"key that is no label key", `{podSelector: {matchLabels: {"a b": c}}}`, []string{"spec.podSelector", "a b"}},
		{"all problems at once", `{policyTypes: [x], ingress: [{ports: [{port: 0}]}], egress: [{to: [{}]}]}`, []string{"spec.policyTypes[0]", "spec.ingress[0].ports[0].port", "spec.egress[0].to[0]"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			np := parsePolicies(t, "metadata: {namespace: shop, name: broken}\nspec: "+c.spec)[0]
			p, err := netpol.Compile(np)
			if err == nil {
				t.Fatalf("compiled: %+v", p)
			}
			for _, part := range append(c.want, "NetworkPolicy shop/broken") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not contain %q", err, part)
				}
			}
		})
	}
}
