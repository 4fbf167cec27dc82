package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// certificateLoad is what goes on while certificates change: changes of NetworkPolicies that pass, through the API server, and
// handshakes with each replica that trust what caBundle holds.
type certificateLoad struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	begun   time.Time

	mu                   sync.Mutex
	requests, handshakes int
	failures             []string
}

// callers is more than the 25 idle connections that the API server keeps to a webhook, so that new ones are made all the time.
const callers = 32

func (c *certManaged) startLoad(t *testing.T) *certificateLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &certificateLoad{cancel: cancel, begun: time.Now()}
	t.Cleanup(cancel)
	config := rest.CopyConfig(c.admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: tenantUser}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var policy networkingv1.NetworkPolicy
	if err := yaml.Unmarshal([]byte(networkPolicy("load", allowDNS)), &policy); err != nil {
		t.Fatal(err)
	}
	for range callers {
		l.running.Go(func() {
			for ctx.Err() == nil {
				_, err := client.NetworkingV1().NetworkPolicies(c.tenant).Create(context.Background(), &policy, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				l.note(&l.requests, "request", err)
			}
		})
	}
	for _, r := range c.live {
		address := strings.TrimPrefix(r.URL, "https://")
		l.running.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				l.note(&l.handshakes, "handshake", c.handshake(context.Background(), address))
				<-tick.C
			}
		})
	}
	return l
}

// handshake connects as the API server does that has seen caBundle of this moment.
func (c *certManaged) handshake(ctx context.Context, address string) error {
	registered, err := c.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, release, metav1.GetOptions{})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(registered.Webhooks[0].ClientConfig.CABundle)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: roots, ServerName: release + "." + releaseNamespace + ".svc", MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// note counts what was tried and keeps what failed.
func (l *certificateLoad) note(counter *int, what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*counter++
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%s after %s: %v", what, time.Since(l.begun).Round(time.Millisecond), err))
	}
}

// stop ends the load and fails the test for each request that failed.
func (l *certificateLoad) stop(t *testing.T, renewals int) {
	t.Helper()
	l.cancel()
	l.running.Wait()
	took := time.Since(l.begun)
	t.Logf("%d renewals in %.0f s: %d failures of %d requests (%.0f/s) and %d handshakes", renewals, took.Seconds(),
		len(l.failures), l.requests, float64(l.requests)/took.Seconds(), l.handshakes)
	if len(l.failures) > 0 {
		t.Errorf("among the failures:\n%s", strings.Join(l.failures[:min(10, len(l.failures))], "\n"))
	}
	if l.requests < 1000 || l.handshakes < 100 {
		t.Error("that was no load")
	}
}
