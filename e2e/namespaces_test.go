package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// fromTeam is a policy that lets in what runs in the namespaces of a team.
const fromTeam = "podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: %s}}}]}]"

// denyLabels refuses what baseConfig only warns about.
const denyLabels = baseConfig + "guardrails: {ns-label-impact: {action: Deny}}\n"

// labelsCut begins the finding about a namespace that loses its label team.
func labelsCut(namespace, team string) string {
	return fmt.Sprintf("ns-label-impact: label change on namespace %s (team=%s removed) cuts 1 connection in 1 namespace", namespace, team)
}

// teams makes two namespaces: pods of the first may connect to those of the second, by a label of their namespace that
// no other test knows.
func (s *suite) teams(t *testing.T) (web, team string) {
	t.Helper()
	web, shop := s.newNamespace(t), s.newNamespace(t)
	team = web
	if a := s.kubectl(t, author, "", "label", "namespace", web, "team="+team); !a.ok {
		t.Fatal(a.text())
	}
	s.given(t, web, deployment("front", 2, "app: front"))
	s.given(t, shop, deployment("api", 2, "app: api"), networkPolicy("api", fmt.Sprintf(fromTeam, team)))
	return web, team
}

func (s *suite) namespace(t *testing.T, name string) *corev1.Namespace {
	t.Helper()
	ns, err := s.clients.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// withoutTeam writes the Namespace as it is but for the label team.
func (s *suite) withoutTeam(t *testing.T, name string) string {
	t.Helper()
	ns := s.namespace(t, name)
	ns.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}
	delete(ns.Labels, "team")
	data, err := json.Marshal(ns)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// testNamespaceLabels takes away the label by which another namespace's policy lets pods in, through every door.
func (s *suite) testNamespaceLabels(t *testing.T) {
	web, team := s.teams(t)
	const dry = "--dry-run=server"
	wantWarned(t, "kubectl label", s.dev(t, "", "label", "namespace", web, "team-", dry), labelsCut(web, team))

	s.setConfig(t, denyLabels)
	defer s.setConfig(t, baseConfig)
	door := "/api/v1/namespaces/" + web
	for what, ask := range map[string]func() answer{
		"kubectl label": func() answer { return s.dev(t, "", "label", "namespace", web, "team-") },
		"kubectl patch": func() answer {
			return s.dev(t, "", "patch", "namespace", web, "--type=merge", "-p", `{"metadata":{"labels":{"team":null}}}`)
		},
		"kubectl replace":     func() answer { return s.dev(t, s.withoutTeam(t, web), "replace", "-f", "-") },
		"namespaces/status":   func() answer { return s.dev(t, s.withoutTeam(t, web), "replace", "--raw", door+"/status", "-f", "-") },
		"namespaces/finalize": func() answer { return s.dev(t, s.withoutTeam(t, web), "replace", "--raw", door+"/finalize", "-f", "-") },
		"a false name as well": func() answer {
			return s.dev(t, "", "label", "namespace", web, "--overwrite", "team-", "kubernetes.io/metadata.name=kube-system")
		},
		"Bulkhead's name too": func() answer {
			return s.dev(t, "", "label", "namespace", web, "--overwrite", "team-", "kubernetes.io/metadata.name=bulkhead-system")
		},
	} {
		wantDenied(t, what, ask(), "namespaces", "ns-label-impact: 1 connection would be cut (1 error)\n\n  Namespace "+web+"\n")
	}
	if got := s.namespace(t, web).Labels["team"]; got != team {
		t.Errorf("the label became %q", got)
	}
	confirmed := false
	for _, d := range s.allDecisions(t, web) {
		confirmed = confirmed || d.Resource == "namespaces" && d.Decision == "denied" && d.Confirmation == "confirmed"
	}
	if !confirmed {
		t.Error("no log line says that the denial was confirmed by a live read")
	}

	judged := func() float64 { return s.metric(t, "bulkhead_decisions_total", `resource="namespaces"`) }
	before := judged()
	wantPassed(t, "an annotation", s.dev(t, "", "annotate", "namespace", web, "note=x"))
	wantPassed(t, "a status without another label", s.dev(t, "", "patch", "namespace", web, "--subresource=status", "--type=merge",
		"-p", `{"status":{"conditions":[{"type":"Example","status":"True","reason":"Test"}]}}`))
	if n := judged() - before; n != 0 {
		t.Errorf("%.0f updates that change no label reached Bulkhead", n)
	}
	wantPassed(t, "a label that no policy reads", s.dev(t, "", "label", "namespace", web, "note=x"))
	if n := judged() - before; n != 1 {
		t.Errorf("%.0f updates of labels were judged, want 1", n)
	}
}

// testTerminatingNamespace takes the label away while the namespace is being deleted and something in it holds that up.
func (s *suite) testTerminatingNamespace(t *testing.T) {
	web, _ := s.teams(t)
	s.setConfig(t, denyLabels)
	defer s.setConfig(t, baseConfig)
	s.given(t, web, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hold, finalizers: [bulkhead.dev/e2e]}\n")
	wantPassed(t, "the deletion of a namespace with content", s.dev(t, "", "delete", "namespace", web, "--wait=false"))
	release := func() error {
		_, err := s.clients.CoreV1().ConfigMaps(web).Patch(t.Context(), "hold", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		return err
	}
	door := "/api/v1/namespaces/" + web
	wantPassed(t, "kubectl label while it goes", s.dev(t, "", "label", "namespace", web, "team-"))
	for _, path := range []string{door + "/status", door + "/finalize"} {
		eventually(t, path+" to be written while nobody else does", func(context.Context) error {
			if a := s.dev(t, s.withoutTeam(t, web), "replace", "--raw", path, "-f", "-"); !a.ok {
				return fmt.Errorf("kubectl printed:\n%s", a.text())
			}
			return nil
		})
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace to be gone", func(ctx context.Context) error {
		_, err := s.clients.CoreV1().Namespaces().Get(ctx, web, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %w", err)
	})
}

// labelRounds is how often testLabelOrder applies its file.
const labelRounds = 20

// byLabel is a policy that lets pods reach nothing but what runs in the namespaces with a label dns.
const byLabel = "podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {dns: %s}}}]}]"

// testLabelOrder applies a label of kube-system and the policy that reaches DNS by it from one file. The policy is judged
// milliseconds after the label, by the other replica: one that decides from what it has watched alone denies some of them.
func (s *suite) testLabelOrder(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("web", 2, "app: web"))
	before := s.metric(t, "bulkhead_confirmations_total")
	const applied = "kubectl.kubernetes.io/last-applied-configuration"
	defer s.kubectl(t, author, "", "annotate", "namespace", "kube-system", applied+"-")
	defer s.kubectl(t, author, "", "label", "namespace", "kube-system", "dns-")
	for round := range labelRounds {
		label := fmt.Sprintf("%s-%d", namespace, round)
		file := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: kube-system, labels: {dns: %s}}\n---\n", label)
		if a := s.dev(t, file+networkPolicy("wall", fmt.Sprintf(byLabel, label)), "apply", "-n", namespace, "-f", "-"); !a.ok {
			t.Errorf("a false denial:\n%s", a.text())
		}
		if a := s.kubectl(t, author, "", "delete", "networkpolicy", "wall", "-n", namespace); !a.ok {
			t.Fatal(a.text())
		}
		s.settle(t)
	}
	t.Logf("%d files applied; %.0f denials judged again on live reads", labelRounds, s.metric(t, "bulkhead_confirmations_total")-before)
}

// testSystemNamespaceLabels takes the label away by which a policy reaches the resolver: in kube-system that is warned
// about and never refused. Nothing is stored.
func (s *suite) testSystemNamespaceLabels(t *testing.T) {
	namespace := s.newNamespace(t)
	if a := s.kubectl(t, author, "", "label", "namespace", "kube-system", "dns="+namespace); !a.ok {
		t.Fatal(a.text())
	}
	defer s.kubectl(t, author, "", "label", "namespace", "kube-system", "dns-")
	s.given(t, namespace, deployment("web", 2, "app: web"), networkPolicy("allow-dns", fmt.Sprintf(byLabel, namespace)))
	s.setConfig(t, denyLabels)
	defer s.setConfig(t, baseConfig)
	wantWarned(t, "a label of kube-system", s.dev(t, "", "label", "namespace", "kube-system", "dns-", "--dry-run=server"),
		"ns-label-impact: label change on namespace kube-system (dns="+namespace+" removed) cuts ")
	before := s.metric(t, "bulkhead_decisions_total", `resource="namespaces"`)
	wantPassed(t, "a label of Bulkhead's own namespace", s.dev(t, "", "label", "namespace", "bulkhead-system", "note=x", "--dry-run=server"))
	if n := s.metric(t, "bulkhead_decisions_total", `resource="namespaces"`) - before; n != 0 {
		t.Errorf("%.0f updates of Bulkhead's own namespace reached it", n)
	}
}
