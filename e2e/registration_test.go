package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// testRegistration edits and deletes the registration under the running replicas, which say so.
func (s *suite) testRegistration(t *testing.T) {
	configurations := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	original, err := configurations.Get(t.Context(), replica.Configuration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	restore := func(ctx context.Context) error {
		fresh := original.DeepCopy()
		fresh.ObjectMeta = metav1.ObjectMeta{Name: original.Name, Labels: original.Labels}
		if now, err := configurations.Get(ctx, original.Name, metav1.GetOptions{}); err == nil {
			fresh.ResourceVersion = now.ResourceVersion
			_, err := configurations.Update(ctx, fresh, metav1.UpdateOptions{})
			return err
		}
		_, err := configurations.Create(ctx, fresh, metav1.CreateOptions{})
		return err
	}
	t.Cleanup(func() { // the tests after this one need it
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := errors.Join(restore(ctx), replica.AwaitRegistration(ctx, s.admin)); err != nil {
			t.Error(err)
		}
	})
	count := func(what string, want float64, labels ...string) {
		t.Helper()
		eventually(t, what, func(ctx context.Context) error {
			return s.everyReplica(ctx, func(metrics string) error {
				if got, found := sum(metrics, "bulkhead_registration_problems", labels...); !found || got != want {
					return fmt.Errorf("%.0f problems (%v), want %.0f", got, found, want)
				}
				return nil
			})
		})
	}
	logged := func(text string) {
		t.Helper()
		for _, r := range s.replicas {
			if log, err := os.ReadFile(r.LogPath); err != nil || !strings.Contains(string(log), text) {
				t.Errorf("%s says nothing of %q (%v)", r.LogPath, text, err)
			}
		}
	}
	policies := func(policy string) float64 {
		return s.metric(t, "bulkhead_registration_failure_policy", `webhook="networkpolicies.bulkhead.dev"`, `policy="`+policy+`"`)
	}
	count("the registration to be as it should be", 0)
	if policies("Fail") != float64(len(s.replicas)) {
		t.Error("the failurePolicy is not shown")
	}

	patch := func(body string) {
		t.Helper()
		wantPassed(t, "the patch", s.dev(t, "", "patch", "validatingwebhookconfiguration", replica.Configuration, "--type=json", "-p", body))
	}
	patch(`[{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE", "DELETE"]},
		{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"},
		{"op": "add", "path": "/webhooks/3/namespaceSelector/matchLabels", "value": {"judged": "true"}}]`)
	count("an operation less", 1, `webhook="networkpolicies.bulkhead.dev"`)
	count("a selector more", 1, `webhook="pods.bulkhead.dev"`)
	count("nothing else", 2)
	logged("networkpolicies.bulkhead.dev: rules lack UPDATE networkpolicies; pods.bulkhead.dev: namespaceSelector leaves out more namespaces")
	if policies("Ignore") != float64(len(s.replicas)) || policies("Fail") != 0 {
		t.Error("the failurePolicy is shown as it was")
	}

	if err := configurations.Delete(t.Context(), replica.Configuration, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	count("all webhooks to be missing", float64(len(original.Webhooks)))
	logged("it does not exist: the API server asks Bulkhead about nothing")

	if err := restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	count("the registration to be as it should be again", 0)
	logged("the registration is as it should be again")
	if policies("Fail") != float64(len(s.replicas)) || *original.Webhooks[0].FailurePolicy != admissionregistrationv1.Fail {
		t.Error("the failurePolicy is not shown again")
	}
}
