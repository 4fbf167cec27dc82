package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// TestMonitoring has the real Prometheus scrape real replicas, the audit and the API server. Every alert is fired by a real fault and
// resolved by mending it; then every panel and recording rule has shown something, and every metric is as the reference says.
func TestMonitoring(t *testing.T) {
	if os.Getenv("BULKHEAD_E2E_KUBECONFIG") != "" {
		t.Skip("another cluster's API server need not show its metrics")
	}
	m := newMonitored(t)
	m.traffic(t)
	m.wantPlainRefused(t)
	for _, scene := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Faults", m.testFaults}, {"Outage", m.testOutage}, {"AllAlerts", m.testAllAlerts},
		{"Panels", m.testPanels}, {"Recordings", m.testRecordings}, {"Reference", m.testReference},
	} {
		if !t.Run(scene.name, scene.run) && scene.name != "Panels" {
			break // what follows would wait for what cannot come
		}
	}
}

// testFaults breaks what can be broken at the same time, sees what it is about fire, mends it and sees that resolved.
func (m *monitored) testFaults(t *testing.T) {
	a, b := m.pair[0], m.pair[1]
	configurations := m.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	registered, err := configurations.Get(t.Context(), replica.Configuration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}

	// The API server no longer hears of b nor b of it, the registration is edited, a's config is broken, the audit dies.
	b.link.Freeze()
	broken := registered.DeepCopy()
	for i := range broken.Webhooks {
		*broken.Webhooks[i].TimeoutSeconds = 3
	}
	if _, err := configurations.Update(t.Context(), broken, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.write(t, a.options.Config, "maximumAction: Perhaps\n")
	stops := []func(){m.flood(t), m.ask(t, a, "", "nothing")}
	m.prometheus.awaitFiring(t, "BulkheadAuditReportsFail")
	m.audit.kill()
	m.prometheus.awaitFiring(t, "BulkheadEventsLost", "BulkheadErrors", "BulkheadDenialSpike", "BulkheadSlow", "BulkheadCallsSlow",
		"BulkheadConfirmationsFail", "BulkheadRegistrationBroken", "BulkheadConfigRejected",
		"BulkheadCertificateExpires", "BulkheadCertificateExpiresSoon", "BulkheadCertificateNotIssued")
	for _, stop := range stops {
		stop()
	}
	stop := m.overload(t, a) // not at the same time: it takes all processors
	m.prometheus.awaitFiring(t, "BulkheadGuardrailFails", "BulkheadGuardrailOverruns")
	stop()
	m.prometheus.awaitFiring(t, "BulkheadAuditNoLeader", "BulkheadReplicaDown", "BulkheadAuditNotScanning")
	m.prometheus.awaitFiring(t, "BulkheadSnapshotStale")

	b.link.Thaw()
	now, err := configurations.Get(t.Context(), replica.Configuration, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now.Webhooks = registered.Webhooks
	if _, err := configurations.Update(t.Context(), now, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	a.write(t, a.options.Config, monitoredConfig)
	m.installReports(t)
	m.grantEvents(t)
	m.audit.start(t, m.binary)
	m.issue(t)
	m.prometheus.awaitQuiet(t, m.names()...)
}

// testOutage takes all replicas away, then brings one back that was told of no registration.
func (m *monitored) testOutage(t *testing.T) {
	for _, r := range append(m.pair[:], m.issued) {
		r.kill(t)
	}
	m.prometheus.awaitFiring(t, "BulkheadDown", "BulkheadReplicaDown", "BulkheadCallsFail", "BulkheadFailOpen")
	m.start(t, m.issued)
	m.prometheus.awaitFiring(t, "BulkheadRegistrationUnseen")
	for i := range m.pair {
		m.start(t, m.pair[i])
	}
	for _, r := range append(m.pair[:], m.issued) {
		m.ready(t, r)
	}
	m.prometheus.awaitQuiet(t, m.names()...)
}

// testAllAlerts: none was forgotten.
func (m *monitored) testAllAlerts(t *testing.T) { m.prometheus.awaitFiring(t, m.names()...) }

// names are those of all alerts.
func (m *monitored) names() []string {
	var out []string
	for _, a := range board.Alerts(board.Production()) {
		out = append(out, a.Name)
	}
	return out
}

// grantEvents gives the right to write Events that the config needs.
func (m *monitored) grantEvents(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{
		{"create", "clusterrole", "events", "--verb=create,patch", "--resource=events.events.k8s.io"},
		{"create", "clusterrolebinding", "events", "--clusterrole=events", "--serviceaccount=" + replica.Namespace + ":" + replica.ServiceAccount},
	} {
		if a := m.kubectl(t, author, "", args...); !a.ok {
			t.Fatal(a.text())
		}
	}
}

// installReports installs the kinds of OpenReports, as their module has them.
func (m *monitored) installReports(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"reports", "clusterreports"} {
		m.applyFile(t, filepath.Join(moduleDir(t, "github.com/openreports/reports-api"), "config", "crd", "openreports.io_"+kind+".yaml"))
	}
}

// issue has the real cert-manager issue the third replica's certificate, and mounts it as the kubelet would.
func (m *monitored) issue(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"certificates", "certificaterequests", "issuers", "clusterissuers"} {
		m.applyFile(t, filepath.Join(moduleDir(t, "github.com/cert-manager/cert-manager"), "deploy", "crds", "cert-manager.io_"+kind+".yaml"))
	}
	if err := m.plane.StartCertManager(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cert-manager to be asked for a certificate", func(context.Context) error {
		if a := m.kubectl(t, author, issuance, "apply", "-n", replica.Namespace, "-f", "-"); !a.ok {
			return errors.New(a.text())
		}
		return nil
	})
	eventually(t, "cert-manager to issue a certificate", func(ctx context.Context) error {
		secret, err := m.clients.CoreV1().Secrets(replica.Namespace).Get(ctx, "bulkhead-serving", metav1.GetOptions{})
		if err != nil {
			return err
		}
		m.mount.put(t, secret.Data["tls.crt"], secret.Data["tls.key"])
		return nil
	})
}

const issuance = `apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: itself}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: bulkhead}
spec: {secretName: bulkhead-serving, ipAddresses: [127.0.0.1], duration: 2160h, issuerRef: {name: itself}}
`

func (m *monitored) applyFile(t *testing.T, path string) {
	t.Helper()
	if a := m.kubectl(t, author, "", "apply", "--server-side", "-f", path); !a.ok {
		t.Fatalf("kubectl apply -f %s: %s", path, a.text())
	}
}

// moduleDir is where a module of go.mod lies.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(fmt.Errorf("go list -m %s: %w", module, err))
	}
	return strings.TrimSpace(string(dir))
}
