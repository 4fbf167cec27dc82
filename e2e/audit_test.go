package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

// testAuditLog looks for the annotations in the API server's audit log. It writes a request's line before it answers.
func (s *suite) testAuditLog(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	cfg, err := config.Parse([]byte(baseConfig), policy.Specs(guardrails.All()))
	if err != nil {
		t.Fatal(err)
	}
	const udpOnly = "podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}]}]"
	for _, test := range []struct {
		name, spec string
		user       string
		want       map[string]string
	}{
		{"denied", denyAll, dev, map[string]string{"decision": "denied", "guardrails": "dns-cut=Deny", "violations": "dns-cut: 2 live pods (app=api) lose DNS"}},
		{"warned", udpOnly, dev, map[string]string{"decision": "warned", "guardrails": "dns-tcp=Warn", "violations": "dns-tcp: ", "would-deny": "dns-tcp"}},
		{"exempt", denyAll, author, map[string]string{"decision": "exempt", "exemption": "config-user"}},
		{"allowed", allowDNS, dev, map[string]string{"decision": "allowed"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := s.kubectl(t, test.user, networkPolicy(test.name, test.spec), "create", "-n", namespace, "-f", "-")
			if a.ok != (test.want["decision"] != "denied") {
				t.Fatalf("kubectl printed:\n%s", a.text())
			}
			got := s.auditAnnotations(t, namespace, test.name)
			s.wantOneLine(t, namespace, test.name, test.user, test.want)
			test.want["config-hash"] = cfg.Hash()
			for k, want := range test.want {
				if value := got["networkpolicies.bulkhead.dev/"+k]; !strings.HasPrefix(value, want) {
					t.Errorf("the annotation %s is %q, want %q", k, value, want)
				}
			}
			if value, is := got["networkpolicies.bulkhead.dev/would-deny"]; is && test.want["would-deny"] == "" {
				t.Errorf("the annotation would-deny is %q, want none", value)
			}
		})
	}
}

// wantOneLine looks for the decision in Bulkhead's own log: one line that says who asked and, with the same words as the audit log,
// what was decided and why.
func (s *suite) wantOneLine(t *testing.T, namespace, name, user string, want map[string]string) {
	t.Helper()
	found := 0
	for _, l := range s.allDecisions(t, namespace) {
		if l.Name != name {
			continue
		}
		found++
		if l.UID == "" || l.User != user || l.Decision != want["decision"] || !strings.HasPrefix(l.Guardrails, want["guardrails"]) ||
			!strings.HasPrefix(l.Violations, want["violations"]) || l.WouldDeny != want["would-deny"] {
			t.Errorf("the log says %+v, want %v", l, want)
		}
	}
	if found != 1 {
		t.Errorf("the decision about %s is logged %d times", name, found)
	}
}

// auditAnnotations gives what the audit log notes about the creation of a policy.
func (s *suite) auditAnnotations(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	file, err := os.Open(s.plane.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb        string `json:"verb"`
			ObjectRef   struct{ Resource, Namespace, Name string }
			Annotations map[string]string `json:"annotations"`
		}
		if !strings.Contains(lines.Text(), namespace) {
			continue
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		// The request's path ends at the collection; where the audit log lacks the name, the annotations have it.
		if event.Verb == "create" && event.ObjectRef.Resource == "networkpolicies" && event.ObjectRef.Namespace == namespace && event.ObjectRef.Name == name {
			return event.Annotations
		}
	}
	t.Fatalf("the audit log lacks the creation of %s/%s (%v)", namespace, name, lines.Err())
	return nil
}
