package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// manyRules is how many empty rules can be created but not changed: the review of an update holds them twice, and that is more parts of
// JSON than Bulkhead takes.
const manyRules = 90_000

// testSize updates a policy whose review is too large to be taken: HTTP 413 leaves failurePolicy to decide. Its creation is judged.
func (s *suite) testSize(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	policies := s.clients.NetworkingV1().NetworkPolicies(namespace)
	np := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "large"}}
	np.Spec.PodSelector.MatchLabels = map[string]string{"app": "nobody"}
	np.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	np.Spec.Ingress = make([]networkingv1.NetworkPolicyIngressRule, manyRules)
	if _, err := policies.Create(t.Context(), np, metav1.CreateOptions{}); err != nil {
		t.Fatalf("a policy of many rules: %v", err)
	}
	judged := false
	for _, d := range s.allDecisions(t, namespace) {
		judged = judged || d.Name == "large" && strings.Contains(d.Guardrails, "allow-all-rule=")
	}
	if !judged {
		t.Errorf("it was not judged: %+v", s.allDecisions(t, namespace))
	}
	spec, err := json.Marshal(map[string]any{"spec": map[string]any{"podSelector": map[string]any{"matchLabels": map[string]string{"app": "api"}}}})
	if err != nil {
		t.Fatal(err)
	}
	update := func() error {
		_, err := policies.Patch(t.Context(), "large", types.MergePatchType, spec, metav1.PatchOptions{})
		return err
	}
	refused := func() float64 {
		return s.metric(t, "bulkhead_http_refusals_total", `code="413"`)
	}
	before := refused()
	switch err := update(); {
	case err == nil:
		t.Error("failurePolicy Fail let an update pass that nobody judged")
	case !strings.Contains(err.Error(), "failed calling webhook") || strings.Contains(err.Error(), "denied the request"):
		t.Errorf("it was refused with %v", err)
	default:
		t.Logf("under Fail: %v", err)
	}
	if refused() <= before {
		t.Error("the refusal was not counted")
	}

	s.setFailurePolicy(t, "Ignore")
	defer s.setFailurePolicy(t, "Fail")
	eventually(t, "failurePolicy Ignore to let pass", func(context.Context) error { return update() })
	if got := s.policy(t, namespace, "large").Spec.PodSelector.MatchLabels["app"]; got != "api" {
		t.Errorf("the update is not stored: %q", got)
	}
}

// setFailurePolicy changes that of Bulkhead's own webhook for policies, and waits until the API server knows.
func (s *suite) setFailurePolicy(t *testing.T, policy string) {
	t.Helper()
	wantPassed(t, "the patch", s.dev(t, "", "patch", "validatingwebhookconfiguration", replica.Configuration, "--type=json", "-p",
		fmt.Sprintf(`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": %q}]`, policy)))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	if err := replica.AwaitRegistration(ctx, s.admin); err != nil {
		t.Error(errors.New("the API server does not ask any more"), err)
	}
}
