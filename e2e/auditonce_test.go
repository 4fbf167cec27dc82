package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// auditOnce is what the test reads of an audit's JSON.
type auditOnce struct {
	Namespaces []struct {
		Name        string
		DefaultDeny struct{ Ingress, Egress bool }
		Posture     struct {
			Policies, Pods, WithoutDNS int
			Isolated                   struct{ Ingress, Egress int }
			SelectNothing              []string
		}
		Findings []struct {
			Guardrail, Action, Kind, Name, Owner, Field, Detail string
			WouldDeny, NotYet                                   bool
			Pods                                                int
		}
	}
	Incomplete []string
}

// testAuditOnce audits what was stored past Bulkhead: a default-deny that cuts DNS, and a policy for pods that there are not. It
// is asked by somebody who may read everything and by somebody who may not, and changes nothing.
func (s *suite) testAuditOnce(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("default-deny", denyAll),
		networkPolicy("typo", "podSelector: {matchLabels: {app: apii}}"))
	live := s.liveFlags(t, s.kubeconfig)

	a, code := s.run(t, "", append([]string{"audit", "-n", namespace, "-o", "json", "--fail-on", "deny"}, live...)...)
	if code != 1 || !strings.Contains(a.stderr, "1 finding fails the audit (--fail-on deny)") {
		t.Errorf("it ended with %d and said:\n%s", code, a.stderr)
	}
	s.checkAudit(t, namespace, a.stdout)

	a, code = s.run(t, "", append([]string{"audit", "-n", namespace}, live...)...)
	if want := "NetworkPolicy default-deny  spec.egress\n         2 live pods (app=api) lose DNS: "; code != 0 || !strings.Contains(a.stdout, want) {
		t.Errorf("it ended with %d and printed, without %q:\n%s", code, want, a.text())
	}

	a, code = s.run(t, "", append([]string{"audit", "-n", namespace, "--if-denied", "selector-no-pods"}, live...)...)
	if want := "Talk to the owners of " + namespace + " (1) first"; code != 0 || !strings.Contains(a.stdout, want) {
		t.Errorf("it ended with %d and printed, without %q:\n%s", code, want, a.text())
	}

	s.grantReader(t)
	partly, err := s.kubeconfigFor(reader)
	if err != nil {
		t.Fatal(err)
	}
	a, code = s.run(t, "", append([]string{"audit", "-n", namespace, "--guardrail", "dns-cut"}, s.liveFlags(t, partly)...)...)
	if code != 0 || !strings.Contains(a.stdout, "incomplete: "+noServices+"\n") || strings.Contains(a.stdout, "lose DNS") {
		t.Errorf("without the right to list Services it ended with %d and printed:\n%s", code, a.text())
	}
}

// checkAudit compares the JSON of an audit of the namespace with what was stored there.
func (s *suite) checkAudit(t *testing.T, namespace, text string) {
	t.Helper()
	var r auditOnce
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if len(r.Namespaces) != 1 || r.Namespaces[0].Name != namespace || len(r.Incomplete) != 0 {
		t.Fatalf("the audit of %s is\n%s", namespace, text)
	}
	n := &r.Namespaces[0]
	p := &n.Posture
	if !n.DefaultDeny.Ingress || !n.DefaultDeny.Egress || p.Policies != 2 || p.Pods != 2 || p.WithoutDNS != 2 || p.Isolated.Ingress != 2 ||
		p.Isolated.Egress != 2 || strings.Join(p.SelectNothing, " ") != "typo" {
		t.Errorf("the posture is %+v, default-deny %+v", n.Posture, n.DefaultDeny)
	}
	found := map[string]bool{}
	for _, f := range n.Findings {
		switch {
		case f.Guardrail == "dns-cut" && f.Kind == "NetworkPolicy" && f.Name == "default-deny":
			found["policy"] = f.Action == "Deny" && f.WouldDeny && strings.HasPrefix(f.Detail, "2 live pods (app=api) lose DNS")
		case f.Guardrail == "dns-cut" && f.Kind == "Pod" && f.Name == "api":
			found["pods"] = f.Action == "Warn" && f.Owner == "Deployment" && f.Pods == 2
		case f.Guardrail == "dns-cut" && f.Kind == "Deployment" && f.Name == "api":
			found["template"] = f.Action == "Warn"
		case f.Guardrail == "selector-no-pods" && f.Name == "typo":
			found["typo"] = f.Action == "Warn" && f.WouldDeny && f.NotYet
		}
	}
	for _, what := range []string{"policy", "pods", "template", "typo"} {
		if !found[what] {
			t.Errorf("the finding about the %s is missing, or wrong, in\n%s", what, text)
		}
	}
}

// liveFlags name the cluster of the kubeconfig file.
func (s *suite) liveFlags(t *testing.T, kubeconfig string) []string {
	t.Helper()
	cfg, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--kubeconfig", kubeconfig, "--context", cfg.CurrentContext}
}
