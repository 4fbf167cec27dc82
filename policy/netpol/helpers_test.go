package netpol_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// nameLabel is the label that the API server sets on every namespace.
const nameLabel = corev1.LabelMetadataName

// addresses parses addresses for an Endpoint.
func addresses(texts ...string) []netip.Addr {
	out := make([]netip.Addr, 0, len(texts))
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

// cloneLabels copies l so that a change leaves the original alone.
func cloneLabels(l labels.Set) labels.Set { return labels.Merge(l, nil) }

// parsePort reads "TCP/80".
func parsePort(text string) (netpol.Port, error) {
	protocol, number, ok := strings.Cut(text, "/")
	if !ok {
		return netpol.Port{}, fmt.Errorf("port %q: write PROTOCOL/NUMBER, such as TCP/80", text)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return netpol.Port{}, fmt.Errorf("port %q: %w", text, err)
	}
	return netpol.Port{Protocol: corev1.Protocol(protocol), Number: uint16(n)}, nil
}

// parsePolicies reads NetworkPolicies from YAML documents. Unknown fields are errors, so that a typo cannot pass.
func parsePolicies(t testing.TB, text string) []*networkingv1.NetworkPolicy {
	t.Helper()
	var out []*networkingv1.NetworkPolicy
	for doc := range strings.SplitSeq(text, "\n---\n") {
		if strings.TrimSpace(doc) == "" {
			continue
		}
		np := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte(doc), np); err != nil {
			t.Fatalf("policy: %v\n%s", err, doc)
		}
		out = append(out, np)
	}
	return out
}

// compileAll compiles policies that are expected to be valid.
func compileAll(t testing.TB, nps []*networkingv1.NetworkPolicy) []*netpol.Policy {
	t.Helper()
	out := make([]*netpol.Policy, 0, len(nps))
	for _, np := range nps {
		p, err := netpol.Compile(np)
		if err != nil {
			t.Fatalf("Compile: %v", err)
		}
		out = append(out, p)
	}
	return out
}

// printYAML shows a value in a failure message.
func printYAML(v any) string {
	out, err := yaml.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%+v (no YAML: %v)", v, err)
	}
	return string(out)
}
