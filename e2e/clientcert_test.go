package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// testClientCertificates runs replicas that demand client certificates. The API server shows one to the first replica's
// address, and none to the second's.
func (s *suite) testClientCertificates(t *testing.T) {
	if s.shown == nil {
		t.Skip("the API server has to be started with a client certificate, and this one runs already")
	}
	file := filepath.Join(t.TempDir(), "client-ca.crt")
	replaceFile(t, file, s.shown.ca.pem())
	address := s.shown.address.Addr().String()
	if err := s.shown.address.Close(); err != nil {
		t.Fatal(err)
	}
	known := s.startExtra(t, replica.Options{Args: []string{"--client-ca-file", file, "--webhook-address", address}})
	known.URL = "https://" + address
	unknown := s.startExtra(t, replica.Options{Args: []string{"--client-ca-file", file}})

	t.Run("API server that shows one", func(t *testing.T) { s.testShown(t, known) })
	t.Run("API server that shows none", func(t *testing.T) { s.testNotShown(t, unknown) })
	t.Run("names and authorities", func(t *testing.T) { s.testWhoMayAsk(t, known) })
	t.Run("rotation", func(t *testing.T) { s.testClientCARotation(t, known, file) })
}

// startExtra starts a replica beside the suite's own, which is stopped at the end of the test. Of the options it takes
// Args and Env.
func (s *suite) startExtra(t *testing.T, o replica.Options) *replica.Replica {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o.Binary, o.Kubeconfig, o.Config, o.Host, o.Log = s.binary, s.identity, s.config, s.host, filepath.Join(t.TempDir(), "bulkhead.log")
	r, err := replica.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("the replica ended with %v\n%s", err, lastLines(r.LogPath, 20))
		}
	})
	return r
}

// testShown has the API server ask the replica to which it shows its certificate: changes are judged.
func (s *suite) testShown(t *testing.T, r *replica.Replica) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	s.register(t, namespace, r.URL, "networking.k8s.io", "networkpolicies")
	eventually(t, "the replica to be asked", func(context.Context) error {
		a := s.dev(t, networkPolicy("allow-dns", allowDNS), "create", "-n", namespace, "-f", "-", "--dry-run=server")
		if !a.ok {
			return errors.New(a.text())
		}
		if len(decisions(t, r, namespace)) == 0 {
			return errors.New("it logged no decision")
		}
		return nil
	})
	a := s.dev(t, networkPolicy("default-deny", denyAll), "create", "-n", namespace, "-f", "-")
	if a.ok || !strings.Contains(a.stderr, "denied the request: "+losesDNS) {
		t.Errorf("default-deny was to be denied, and kubectl printed:\n%s", a.text())
	}
}

// testNotShown has the API server ask a replica without a certificate: the failurePolicy decides.
func (s *suite) testNotShown(t *testing.T, r *replica.Replica) {
	namespace := s.newNamespace(t)
	name := s.register(t, namespace, r.URL, "networking.k8s.io", "networkpolicies")
	attempts := 0
	create := func() answer {
		attempts++
		return s.dev(t, networkPolicy(fmt.Sprintf("attempt-%d", attempts), allowDNS), "create", "-n", namespace, "-f", "-")
	}
	var said string
	eventually(t, "failurePolicy Fail to refuse", func(context.Context) error {
		a := create()
		said = a.stderr
		return refusedUnjudged(a, "tls: certificate required")
	})
	t.Logf("kubectl prints under failurePolicy Fail:\n%s", said)
	s.failOpen(t, name)
	eventually(t, "failurePolicy Ignore to let pass", func(context.Context) error {
		if a := create(); !a.ok {
			return errors.New(a.text())
		}
		return nil
	})
	if n := len(decisions(t, r, namespace)); n != 0 {
		t.Errorf("the replica decided about %d requests of somebody without a certificate", n)
	}
}

// testWhoMayAsk shows the replica certificates of other names and other authorities.
func (s *suite) testWhoMayAsk(t *testing.T, r *replica.Replica) {
	stranger, err := newClientCA("webhook-client-ca") // even of the same name
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		ca      *clientCA // nil for no certificate
		subject string
		refusal string // how the handshake fails, empty where it does not
	}{
		{"the API server's name", s.shown.ca, apiServerName, ""},
		{"another name of the same authority", s.shown.ca, "system:node:node-1", "tls: bad certificate"},
		{"no name", s.shown.ca, "", "tls: bad certificate"},
		{"another authority", stranger, apiServerName, "tls: unknown certificate authority"},
		{"no certificate", nil, "", "tls: certificate required"},
	} {
		t.Run(tt.name, func(t *testing.T) { s.wantRefusal(t, r, tt.ca, tt.subject, tt.refusal) })
	}
	metrics, err := r.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := sum(metrics, "bulkhead_http_refusals_total", `reason="client-name"`); n < 2 {
		t.Errorf("%.0f refused names were counted, want 2 or more", n)
	}
	if log := lastLines(r.LogPath, 1000); !strings.Contains(log, `"commonName":"system:node:node-1"`) {
		t.Error("the log does not name the certificate that was refused")
	}
}

// testClientCARotation exchanges the authority while the replica runs: first both are trusted, then only the new one.
func (s *suite) testClientCARotation(t *testing.T, r *replica.Replica, file string) {
	next, err := newClientCA("next-webhook-client-ca")
	if err != nil {
		t.Fatal(err)
	}
	const unknown = "tls: unknown certificate authority"
	s.wantRefusal(t, r, next, apiServerName, unknown)
	replaceFile(t, file, []byte("half a fi"))
	s.wantRefusal(t, r, s.shown.ca, apiServerName, "") // the last good ones stay
	replaceFile(t, file, bytes.Join([][]byte{s.shown.ca.pem(), next.pem()}, nil))
	s.wantRefusal(t, r, s.shown.ca, apiServerName, "")
	s.wantRefusal(t, r, next, apiServerName, "")
	replaceFile(t, file, next.pem())
	s.wantRefusal(t, r, next, apiServerName, "")
	s.wantRefusal(t, r, s.shown.ca, apiServerName, unknown)
}

// wantRefusal asks for a review with a certificate, nil for none, and fails unless it is refused so, or answered where
// refusal is empty.
func (s *suite) wantRefusal(t *testing.T, r *replica.Replica, ca *clientCA, subject, refusal string) {
	t.Helper()
	trust, err := s.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ca != nil {
		pair, err := ca.pair(subject)
		if err != nil {
			t.Fatal(err)
		}
		// Shown whether or not the server's list of authorities has it.
		trust.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	client := clientOf(trust)
	defer client.CloseIdleConnections()
	err = (&siege{replica: r}).review(t.Context(), client)
	switch {
	case refusal == "" && err != nil:
		t.Errorf("%q was to be answered: %v", subject, err)
	case refusal != "" && (err == nil || !strings.Contains(err.Error(), refusal)):
		t.Errorf("%q was to be refused with %q: %v", subject, refusal, err)
	}
}

// replaceFile replaces a file in one step, as the kubelet does.
func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
