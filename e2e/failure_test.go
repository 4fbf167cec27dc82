package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// register sends a resource of one namespace to a server, beside Bulkhead's own registration, until the test ends.
func (s *suite) register(t *testing.T, namespace, url, group, resource string) string {
	t.Helper()
	configurations := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	own, err := configurations.Get(t.Context(), replica.Configuration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	url += webhook.Path
	none, fail, timeout := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail, int32(5)
	name := "bulkhead-e2e-" + resource
	_, err = configurations.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         "e2e.bulkhead.dev",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: own.Webhooks[0].ClientConfig.CABundle},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
			}},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			FailurePolicy:     &fail, SideEffects: &none, TimeoutSeconds: &timeout, AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := configurations.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return name
}

// failOpen makes a registration let pass what the server does not answer.
func (s *suite) failOpen(t *testing.T, name string) {
	t.Helper()
	a := s.dev(t, "", "patch", "validatingwebhookconfiguration", name, "--type=json", "-p",
		`[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]`)
	wantPassed(t, "the patch of "+name, a)
}

// refusedUnjudged says whether the API server refused a request since nobody could judge it, which is no denial.
func refusedUnjudged(a answer, why string) error {
	switch {
	case a.ok:
		return errors.New("it passed")
	case strings.Contains(a.stderr, "denied the request"):
		return fmt.Errorf("it was denied as if it had been judged: %s", a.text())
	case !strings.Contains(a.stderr, "Error from server (InternalError): ") || !strings.Contains(a.stderr, "failed calling webhook") || !strings.Contains(a.stderr, why):
		return fmt.Errorf("kubectl printed %s", a.text())
	}
	return nil
}

// testFailurePolicy sends Bulkhead what it does not judge. Its real HTTP 500 leaves the failurePolicy to decide.
func (s *suite) testFailurePolicy(t *testing.T) {
	namespace := s.newNamespace(t)
	failed := func() float64 {
		return s.metric(t, "bulkhead_decisions_total", `decision="failed"`, `resource="other"`)
	}
	before := failed()
	name := s.register(t, namespace, s.balancer.url, "", "configmaps")
	attempts := 0
	create := func() answer {
		attempts++
		return s.dev(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: attempt-%d}\n", attempts), "create", "-n", namespace, "-f", "-")
	}
	eventually(t, "failurePolicy Fail to refuse", func(context.Context) error {
		return refusedUnjudged(create(), `none that Bulkhead judges; remove it from the webhook's rules`)
	})
	if failed() <= before {
		t.Error("the failure was not counted")
	}
	before = failed()
	s.failOpen(t, name)
	eventually(t, "failurePolicy Ignore to let pass", func(context.Context) error {
		if a := create(); !a.ok {
			return errors.New(a.text())
		}
		return nil
	})
	if failed() <= before {
		t.Error("the request passed without Bulkhead being asked")
	}
}

// testUnreachable takes a registered replica down.
func (s *suite) testUnreachable(t *testing.T) {
	namespace := s.newNamespace(t)
	r, err := s.startReplica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	name := s.register(t, namespace, r.URL, "networking.k8s.io", "networkpolicies")
	attempts := 0
	create := func() answer {
		attempts++
		return s.dev(t, networkPolicy(fmt.Sprintf("attempt-%d", attempts), allowDNS), "create", "-n", namespace, "-f", "-")
	}
	eventually(t, "the replica to be asked", func(context.Context) error {
		if a := create(); !a.ok {
			return errors.New(a.text())
		}
		if len(decisions(t, r, namespace)) == 0 {
			return errors.New("it logged no decision")
		}
		return nil
	})
	if err := r.Stop(); err != nil {
		t.Errorf("the replica ended with %v\n%s", err, lastLines(r.LogPath, 20))
	}
	if err := refusedUnjudged(create(), "connection refused"); err != nil {
		t.Errorf("failurePolicy Fail with the replica gone: %v", err)
	}
	s.failOpen(t, name)
	eventually(t, "failurePolicy Ignore to let pass", func(context.Context) error {
		if a := create(); !a.ok {
			return errors.New(a.text())
		}
		return nil
	})
}
