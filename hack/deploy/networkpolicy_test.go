package main

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
)

// TestNetworkPolicy: reviews come from anywhere, metrics only to whom they are for, and calls go to DNS and the API server alone.
func TestNetworkPolicy(t *testing.T) {
	values := matrix(t)
	for name, want := range map[string][]string{
		"":       {"in 9443 ", "in 8081 monitoring", "out 53,53 ", "out 443,6443 "},
		"narrow": {"in 9443 ", "out 53,53 ", "out 16443 10.0.0.4/32 10.96.0.1/32"},
	} {
		policy := only[*networkingv1.NetworkPolicy](t, rendered(t, installRelease, values[name])).Spec
		var got []string
		for _, r := range policy.Ingress {
			got = append(got, "in "+ports(r.Ports)+" "+peers(r.From))
		}
		for _, r := range policy.Egress {
			got = append(got, "out "+ports(r.Ports)+" "+peers(r.To))
		}
		if !slices.Equal(got, want) || len(policy.PolicyTypes) != 2 {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if found := each[*networkingv1.NetworkPolicy](rendered(t, installRelease, values["off"])); len(found) > 0 {
		t.Errorf("switched off, there is %+v", found)
	}
}

// TestOwnPolicy has Bulkhead judge its own pods and their NetworkPolicy. It has one thing to say, and no more once
// the API server's addresses are set: without them egress to its ports is open.
func TestOwnPolicy(t *testing.T) {
	binary := buildBulkhead(t)
	c, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range matrix(t) {
		manifests, err := Render(c, installRelease, values)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "lint", "-f", "-", "--fail-on", "deny")
		cmd.Stdin = bytes.NewReader(manifests)
		out, err := cmd.Output()
		want := "0 errors, 1 warning;"
		switch {
		case name == "narrow" || name == "off": // the one has the addresses, the other no policy
			want = "0 errors, 0 warnings;"
		case strings.HasPrefix(name, "audit"): // a policy more
			want = "0 errors, 2 warnings;"
		}
		text := string(out)
		if err != nil || !strings.Contains(text, want) || strings.Contains(want, " 0 warnings") == strings.Contains(text, "warning: allow-all-rule: egress[1]") {
			t.Errorf("%q: %v\n%s", name, err, text)
		}
	}
}

func ports(ports []networkingv1.NetworkPolicyPort) string {
	var out []string
	for _, p := range ports {
		out = append(out, p.Port.String())
	}
	return strings.Join(out, ",")
}

func peers(peers []networkingv1.NetworkPolicyPeer) string {
	var out []string
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			out = append(out, p.IPBlock.CIDR)
		case p.NamespaceSelector == nil: // pods of the release's own namespace
			out = append(out, p.PodSelector.MatchLabels["app.kubernetes.io/name"])
		default:
			out = append(out, p.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
		}
	}
	return strings.Join(out, " ")
}
