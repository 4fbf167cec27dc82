package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// site is an installation of Bulkhead: replicas behind a Service, with a link to the API server that can be cut, and a
// registration for namespaces of its own in which everything fails closed.
type site struct {
	*suite  // with the site's own identity and replicas
	name    string
	link    *replica.Link
	service *replica.Service
	args    []string // further flags of the replicas
	issuer  *issuer  // nil where the replicas sign their certificate themselves
}

// siteLabel is on the namespaces of a site, which the API server asks no other site about.
const siteLabel = "bulkhead-e2e-site"

// newSite starts an installation with so many replicas. With an issuer they serve the files of a directory; there can be
// only one installation without.
func (a *availability) newSite(t *testing.T, name string, replicas int, by *issuer, directory string) *site {
	t.Helper()
	s := &site{name: name, issuer: by, suite: &suite{
		plane: a.plane, kubeconfig: a.kubeconfig, kubectlPath: a.kubectlPath, host: a.host, dir: a.dir, binary: a.binary, config: a.config,
		admin: a.admin, clients: a.clients, author: a.author,
	}}
	if by != nil {
		s.args = []string{"--certificate-dir", directory}
	}
	var err error
	if s.link, err = replica.NewLink(a.plane.URL()); err != nil {
		t.Fatal(err)
	}
	if s.service, err = replica.NewService(s.host); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t) })
	if s.identity, err = s.link.Kubeconfig(a.identity); err != nil {
		t.Fatal(err)
	}
	for range replicas {
		s.replicas = append(s.replicas, s.add(t))
	}
	s.awaitServing(t)
	if replicas > 0 {
		probe := s.namespaceOf(t) // before anybody is asked whether it may have its label
		s.registerSite(t)
		s.awaitAsked(t, probe)
	}
	return s
}

// add starts a replica and lets the Service find it.
func (s *site) add(t *testing.T) *replica.Replica {
	t.Helper()
	r, err := s.startReplica(t.Context(), s.args...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.service.Add(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// awaitServing waits until the Service sends new connections to every replica.
func (s *site) awaitServing(t *testing.T) {
	t.Helper()
	for _, r := range s.replicas {
		s.awaitEndpoint(t, r, true)
	}
}

// awaitEndpoint waits until the Service sends new connections to a replica, or no longer does.
func (s *site) awaitEndpoint(t *testing.T, r *replica.Replica, serving bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.service.AwaitServing(ctx, r, serving); err != nil {
		t.Fatal(err)
	}
}

// end takes the installation away.
func (s *site) end(t *testing.T) {
	if t.Failed() {
		for i, r := range s.replicas {
			t.Logf("the end of the log of replica %d of %s:\n%s", i, s.name, lastLines(r.LogPath, 20))
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	errs := []error{s.unregister(ctx)}
	var stopping sync.WaitGroup
	stopped := make([]error, len(s.replicas))
	for i, r := range s.replicas {
		stopping.Go(func() { stopped[i] = r.Stop() })
	}
	stopping.Wait()
	errs = append(errs, stopped...)
	if s.service != nil {
		errs = append(errs, s.service.Close())
	}
	if err := errors.Join(append(errs, s.link.Close())...); err != nil {
		t.Error(err)
	}
}

// configuration is the name of the registration. Replicas that sign their certificate themselves may fill in one alone.
func (s *site) configuration() string {
	if s.issuer == nil {
		return replica.Configuration
	}
	return replica.Configuration + "-" + s.name
}

// registerSite has the API server ask the site about its namespaces, and refuse there what it cannot ask about.
func (s *site) registerSite(t *testing.T) {
	t.Helper()
	fail := admissionregistrationv1.Fail
	s.registerAs(t, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.FailurePolicy = &fail
		w.NamespaceSelector.MatchLabels = map[string]string{siteLabel: s.name}
	})
}

// registerAs registers the site as the chart does, but for what is changed in each entry.
func (s *site) registerAs(t *testing.T, change func(*admissionregistrationv1.ValidatingWebhook)) {
	t.Helper()
	c := webhook.Registration(webhook.RegistrationOptions{
		Name: s.configuration(), Namespace: replica.Namespace, URL: s.service.URL, FailClosed: true,
	})
	for i := range c.Webhooks {
		change(&c.Webhooks[i])
		if s.issuer != nil {
			c.Webhooks[i].ClientConfig.CABundle = s.issuer.pem()
		}
	}
	if _, err := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), c, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitAsked waits until the API server really asks the site about a namespace of it.
func (s *site) awaitAsked(t *testing.T, probe string) {
	t.Helper()
	attempts := 0
	eventually(t, "the API server to ask the installation "+s.name, func(context.Context) error {
		attempts++
		a := s.dev(t, networkPolicy(fmt.Sprintf("attempt-%d", attempts), ignored), "create", "-n", probe, "--dry-run=server", "-f", "-")
		if !strings.Contains(a.stderr, "rules-ignored") {
			return fmt.Errorf("kubectl printed %s", a.text())
		}
		return nil
	})
}

func (s *site) unregister(ctx context.Context) error {
	configurations := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	return ignoreNotFound(configurations.Delete(ctx, s.configuration(), metav1.DeleteOptions{}))
}

// namespaceOf makes a namespace that the site is asked about.
func (s *site) namespaceOf(t *testing.T) string {
	t.Helper()
	name := s.newNamespace(t)
	if a := s.kubectl(t, author, "", "label", "namespace", name, siteLabel+"="+s.name); !a.ok {
		t.Fatal(a.text())
	}
	return name
}

// put creates objects in a namespace, past Bulkhead, and waits until they run.
func (s *site) put(t *testing.T, namespace, text string) {
	t.Helper()
	for _, o := range parse(t, text) {
		o.SetNamespace(namespace)
		s.create(t, o)
		s.awaitRunning(t, o)
	}
}

// roll replaces every replica as a Deployment with maxSurge 1 does: the next one starts, and once it is ready the old one
// goes. Nobody waits for what either means to have reached everybody. It gives how many were replaced.
func (s *site) roll(t *testing.T) int {
	t.Helper()
	var stopping sync.WaitGroup
	stopped := make([]error, len(s.replicas))
	old := slices.Clone(s.replicas)
	for i, r := range old {
		s.replicas[i] = s.add(t)
		s.service.Remove(r)
		stopping.Go(func() { stopped[i] = s.finishing(t.Context(), r) })
	}
	stopping.Wait()
	if err := errors.Join(stopped...); err != nil {
		t.Error(err)
	}
	return len(old)
}

// trust is the TLS configuration of a client of the site, as the API server's would be now.
func (s *site) trust(ctx context.Context) (*tls.Config, error) {
	c, err := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, s.configuration(), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return trusting(c.Webhooks[0].ClientConfig.CABundle)
}

// secret is what replicas share that sign their certificate themselves.
func (s *site) secret(ctx context.Context) (*corev1.Secret, error) {
	return s.clients.CoreV1().Secrets(replica.Namespace).Get(ctx, replica.Secret, metav1.GetOptions{})
}
