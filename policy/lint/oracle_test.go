package lint_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// resolver is the DNS that the manifests hold, so that the oracle need not assume one.
const resolver = "---\napiVersion: v1\nkind: Service\nmetadata: {name: kube-dns, namespace: kube-system}\n" +
	"spec: {selector: {k8s-app: kube-dns}, ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}\n" +
	"---\napiVersion: v1\nkind: Pod\nmetadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}\nspec: {dnsPolicy: Default}\n"

// someOrder reports whether the policies can be applied to s in some order so that nothing is said about any of them. It
// tries all orders.
func someOrder(t *testing.T, cfg *config.Config, s *cluster.Snapshot, policies []*networkingv1.NetworkPolicy) bool {
	t.Helper()
	if len(policies) == 0 {
		return true
	}
	for i, np := range policies {
		after, clean := apply(t, cfg, s, np, false)
		if clean && someOrder(t, cfg, after, append(append([]*networkingv1.NetworkPolicy{}, policies[:i]...), policies[i+1:]...)) {
			return true
		}
	}
	return false
}

// apply gives the cluster with the policy, and whether nothing is said about creating it.
func apply(t *testing.T, cfg *config.Config, s *cluster.Snapshot, np *networkingv1.NetworkPolicy, complete bool) (after *cluster.Snapshot, clean bool) {
	t.Helper()
	c, err := policy.PolicyChange(s, nil, np)
	if err != nil {
		t.Fatal(err)
	}
	c.Disclose, c.TypesWritten, c.Complete, clean = true, true, complete, true // as randomPolicies writes them
	for _, f := range policy.Evaluate(cfg, guardrails.All(), c).Findings {
		clean = clean && f.Action.Rank() < config.Warn.Rank()
	}
	return c.After, clean
}

// cleanAsLast reports whether nothing is said about any of the policies where all others are there before it.
func cleanAsLast(t *testing.T, cfg *config.Config, all *cluster.Snapshot, policies []*networkingv1.NetworkPolicy) bool {
	t.Helper()
	for _, np := range policies {
		if _, clean := apply(t, cfg, all.WithoutPolicy(np.Namespace, np.Name), np, true); !clean {
			return false
		}
	}
	return true
}

// TestAgainstAllOrders: where some order of the policies is clean, and each of them as the last one, so is the lint; and a pod that is without DNS in the
// end is in a finding that says so.
func TestAgainstAllOrders(t *testing.T) {
	rng := random(t)
	cfg := settings(t, "")
	clean, cut := 0, 0
	for range 60 {
		base := resolver + deployment + database
		text := strings.Join(randomPolicies(rng, 1+rng.IntN(3)), "")
		objects := read(t, "new.yaml", base+text)
		var policies []*networkingv1.NetworkPolicy
		for i := range objects {
			if np := objects[i].NetworkPolicy(); np != nil {
				policies = append(policies, np)
			}
		}
		r := lint.Run(t.Context(), &lint.Input{Objects: objects, Config: cfg, Guardrails: guardrails.All(), Alone: true})
		all := manifest.Build(manifest.Running(objects), cluster.Options{})
		ordered := someOrder(t, cfg, manifest.Build(manifest.Running(read(t, "base.yaml", base)), cluster.Options{}), policies)
		if last := cleanAsLast(t, cfg, all, policies); (!ordered || !last) != (len(r.Findings) > 0) {
			t.Fatalf("clean in some order: %v, each as the last one: %v, but the lint says %q:\n%s", ordered, last, said(r), text)
		} else if ordered && last {
			clean++
		}
		cut += checkCut(t, r, all, text)
	}
	if clean < 2 || cut < 2 {
		t.Errorf("%d clean and %d cut of 60: the policies are no test", clean, cut)
	}
}

// checkCut fails where a workload that runs has no DNS in s and no finding says so; it gives the number of such workloads.
func checkCut(t *testing.T, r *lint.Report, s *cluster.Snapshot, text string) int {
	t.Helper()
	n := 0
	for _, w := range s.Live(s.Namespace("shop")) {
		isolated, reached := false, false
		for _, p := range s.Policies("shop") {
			if !p.Isolates[netpol.Egress] || !p.Selects(s.Endpoint(w)) {
				continue
			}
			isolated = true
			for i := range p.Rules[netpol.Egress] {
				rule := &p.Rules[netpol.Egress][i]
				reached = reached || len(rule.Peers) == 0 && rule.MatchesPort(netpol.Endpoint{}, netpol.Port{Protocol: corev1.ProtocolUDP, Number: 53})
			}
		}
		if !isolated || reached {
			continue
		}
		n++
		found := false
		for i := range r.Findings {
			for _, a := range r.Findings[i].Affected {
				found = found || r.Findings[i].Guardrail == "dns-cut" && a.Name == w.Name && r.Findings[i].Action == config.Deny
			}
		}
		if !found {
			t.Fatalf("%s has no DNS, but the lint says %q:\n%s", w.Name, said(r), text)
		}
	}
	return n
}
