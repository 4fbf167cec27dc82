package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// testCertificate takes away what Bulkhead keeps up by itself: the caBundle, which it also filled in to begin with, and
// the Secret.
func (s *suite) testCertificate(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	judged := func(when string) {
		t.Helper()
		for range s.replicas {
			a := s.dev(t, networkPolicy("default-deny", denyAll), "create", "-n", namespace, "-f", "-")
			wantDenied(t, "default-deny "+when, a, "networkpolicies", losesDNS)
		}
	}
	s.awaitBundle(t)
	judged("with the caBundle that Bulkhead filled in")

	configurations := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	for what, bundle := range map[string][]byte{"emptied": nil, "replaced": s.foreignBundle(t)} {
		repairs := s.metric(t, "bulkhead_certificate_rotations_total")
		eventually(t, "the caBundle to be "+what, func(ctx context.Context) error { // Bulkhead may write in between
			c, err := configurations.Get(ctx, replica.Configuration, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for i := range c.Webhooks {
				c.Webhooks[i].ClientConfig.CABundle = bundle
			}
			_, err = configurations.Update(ctx, c, metav1.UpdateOptions{})
			return err
		})
		s.awaitBundle(t)
		asked, cancel := context.WithTimeout(t.Context(), patience)
		err := replica.AwaitRegistration(asked, s.admin)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		judged("after the caBundle was " + what)
		if s.metric(t, "bulkhead_certificate_rotations_total") <= repairs {
			t.Errorf("no repair was counted after the caBundle was %s", what)
		}
	}

	secrets := s.clients.CoreV1().Secrets(replica.Namespace)
	if err := secrets.Delete(t.Context(), replica.Secret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	judged("right after the Secret was deleted")
	eventually(t, "the Secret to be there again", func(ctx context.Context) error {
		_, err := secrets.Get(ctx, replica.Secret, metav1.GetOptions{})
		return err
	})
	s.awaitBundle(t)
	judged("after the Secret came back")
	for i, r := range s.replicas {
		metrics, err := r.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if expiry, _ := sum(metrics, "bulkhead_certificate_expiry_timestamp_seconds"); expiry == 0 {
			t.Errorf("replica %d exports no expiry of its certificate", i)
		}
	}
}

// foreignBundle is a CA that has nothing to do with Bulkhead: the cluster's own.
func (s *suite) foreignBundle(t *testing.T) []byte {
	t.Helper()
	root, err := s.clients.CoreV1().ConfigMaps("default").Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return []byte(root.Data["ca.crt"])
}

// awaitBundle waits until every webhook of the registration trusts what the Secret says.
func (s *suite) awaitBundle(t *testing.T) {
	t.Helper()
	eventually(t, "the caBundle to be the Secret's", func(ctx context.Context) error {
		secret, err := s.clients.CoreV1().Secrets(replica.Namespace).Get(ctx, replica.Secret, metav1.GetOptions{})
		if err != nil {
			return err
		}
		c, err := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, replica.Configuration, metav1.GetOptions{})
		if err != nil {
			return err
		}
		want := secret.Data["ca.crt"]
		if len(want) == 0 {
			return errors.New("the Secret has no ca.crt")
		}
		for i := range c.Webhooks {
			if !bytes.Equal(c.Webhooks[i].ClientConfig.CABundle, want) {
				return fmt.Errorf("that of %s differs", c.Webhooks[i].Name)
			}
		}
		return nil
	})
}
