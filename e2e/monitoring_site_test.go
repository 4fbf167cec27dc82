package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// monitored is a cluster with two replicas that show their metrics over TLS, a third one whose certificate cert-manager is to issue,
// the audit, and a Prometheus that scrapes them all and the API server.
type monitored struct {
	*suite
	parent     *testing.T // what lives through all subtests ends with it
	pair       [2]*monitoredReplica
	issued     *monitoredReplica
	mount      *mount // of the third replica's certificate
	audit      *auditProcess
	prometheus *prometheus
	denying    string // a namespace whose default-deny is denied
	namespace  string // where all other changes are made
}

// monitoredReplica is a replica that keeps its addresses and its config when it is started again.
type monitoredReplica struct {
	*replica.Replica
	options replica.Options
	link    *replica.Link
	webhook string // the addresses
	metrics string
	running bool
}

// monitoredConfig judges, has series by namespace, and asks for Events, which the roles of deploy/install.yaml do not grant.
const monitoredConfig = baseConfig + "metrics: {namespaceLabel: true}\nevents: {decisions: [Denied], perMinute: 600}\n"

func newMonitored(t *testing.T) *monitored {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	m := &monitored{suite: &suite{dir: t.TempDir(), host: "127.0.0.1"}, parent: t}
	t.Cleanup(func() {
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	if err := m.findCluster(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	if m.binary, err = replica.Build(ctx, "..", m.dir); err != nil {
		t.Fatal(err)
	}
	m.identity = filepath.Join(m.dir, "bulkhead.kubeconfig")
	if err := errors.Join(replica.Install(ctx, m.clients),
		replica.WriteIdentity(ctx, m.clients, m.admin, replica.Namespace, replica.ServiceAccount, m.identity)); err != nil {
		t.Fatal(err)
	}
	m.namespace, m.denying = m.newNamespace(t), m.newNamespace(t)
	m.given(t, m.namespace, deployment("api", 2, "app: api"))
	var workloads []string
	for i := range 12 { // so many that a large policy takes guardrails long
		workloads = append(workloads, deployment(fmt.Sprintf("web-%d", i), 1, fmt.Sprintf("app: web-%d", i)))
	}
	m.given(t, m.denying, workloads...)
	m.given(t, m.newNamespace(t), deployment("old", 2, "app: old"), // what was stored before anybody judged
		networkPolicy("default-deny", denyAll), networkPolicy("typo", "podSelector: {matchLabels: {app: odl}}, policyTypes: [Ingress]"),
		networkPolicy("open", "podSelector: {}, policyTypes: [Ingress], ingress: [{}]"))
	var urls []string
	for i := range m.pair {
		m.pair[i] = m.newReplica(t, m.identity)
		m.start(t, m.pair[i])
		m.ready(t, m.pair[i])
		urls = append(urls, "https://"+m.pair[i].webhook)
	}
	if m.balancer, err = startBalancer(m.clients, m.host, urls); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(replica.Register(ctx, m.clients, m.balancer.url, nil, true), replica.AwaitRegistration(ctx, m.admin)); err != nil {
		t.Fatal(err)
	}
	m.newIssued(t)
	m.startAudit(t)
	m.prometheus = startPrometheus(t, m.scrapeConfigs(t))
	return m
}

// newReplica gives a replica that has not been started.
func (m *monitored) newReplica(t *testing.T, kubeconfig string, args ...string) *monitoredReplica {
	t.Helper()
	link, err := replica.NewLink(m.admin.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close() })
	through, err := link.Kubeconfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	r := &monitoredReplica{link: link, webhook: freeAddress(t), metrics: freeAddress(t)}
	config := filepath.Join(t.TempDir(), "bulkhead.yaml")
	r.write(t, config, monitoredConfig)
	r.options = replica.Options{
		Binary: m.binary, Kubeconfig: through, Config: config, Host: m.host, Log: filepath.Join(t.TempDir(), "bulkhead.log"),
		Args: slices.Concat([]string{"--webhook-address", r.webhook, "--metrics-address", r.metrics, "--drain", "1s"}, args),
		Env:  []string{"GOMEMLIMIT=" + chartMemoryLimit, "GOGC=200"},
	}
	t.Cleanup(func() {
		if r.running {
			r.kill(t)
		}
		if t.Failed() {
			t.Logf("the end of a replica's log:\n%s", lastLines(r.options.Log, 20))
		}
	})
	return r
}

// write replaces a file in one step, as the kubelet does.
func (r *monitoredReplica) write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := errors.Join(os.WriteFile(next, []byte(text), 0o600), os.Rename(next, path)); err != nil {
		t.Fatal(err)
	}
}

// start runs the replica and does not wait for it.
func (m *monitored) start(t *testing.T, r *monitoredReplica) {
	t.Helper()
	started, err := replica.Launch(r.options)
	if err != nil {
		t.Fatal(err)
	}
	r.Replica, r.running = started, true
}

func (m *monitored) ready(t *testing.T, r *monitoredReplica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// kill ends the replica as a node that fails does.
func (r *monitoredReplica) kill(t *testing.T) {
	t.Helper()
	r.running = false
	if err := r.Kill(); err != nil {
		t.Error(err)
	}
}

// newIssued starts the third replica. Its certificate, which cert-manager has not issued, expires within a day.
func (m *monitored) newIssued(t *testing.T) {
	t.Helper()
	short := newIssuer(t).issue(t, time.Now().Add(12*time.Hour))
	m.mount = newMount(t, short)
	m.issued = m.newReplica(t, m.kubeconfig, "--certificate-dir", m.mount.path, "--certificate-name", "bulkhead", "--webhook-configuration", "")
	m.start(t, m.issued)
	m.ready(t, m.issued)
}

// auditProcess is "bulkhead audit serve".
type auditProcess struct {
	address string
	args    []string
	command *exec.Cmd
}

// startAudit runs the audit as the administrator: the roles of its own are the chart's, which other tests are about.
func (m *monitored) startAudit(t *testing.T) {
	t.Helper()
	address := freeAddress(t)
	config := filepath.Join(t.TempDir(), "bulkhead.yaml")
	if err := os.WriteFile(config, []byte(monitoredConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	m.audit = &auditProcess{address: address, args: []string{
		"audit", "serve", "--kubeconfig", m.kubeconfig, "--config", config, "--namespace", replica.Namespace, "--probe-address", address,
		"--sweep", "5s", "--grace", "0s", "--lease-duration", "3s", "--reports",
	}}
	m.audit.start(t, m.binary)
	t.Cleanup(func() { m.audit.kill() })
}

func (a *auditProcess) start(t *testing.T, binary string) {
	t.Helper()
	a.command = exec.Command(binary, a.args...)
	if err := a.command.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill ends the audit as a node that fails does.
func (a *auditProcess) kill() {
	_ = a.command.Process.Kill()
	_ = a.command.Wait() // killed
}

// scrapeConfigs are those of Prometheus: replicas over TLS with the CA that they share, as the chart's ServiceMonitor has it.
func (m *monitored) scrapeConfigs(t *testing.T) string {
	t.Helper()
	secret, err := m.balancer.secret(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, text []byte) string {
		path := filepath.Join(m.dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("replicas-ca.crt", secret.Data["ca.crt"])
	raw, err := clientcmd.LoadFromFile(m.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := clientcmdapi.FlattenConfig(raw); err != nil {
		t.Fatal(err)
	}
	in := raw.Contexts[raw.CurrentContext]
	cluster, who := raw.Clusters[in.Cluster], raw.AuthInfos[in.AuthInfo]
	return fmt.Sprintf(`
- job_name: bulkhead
  scheme: https
  honor_labels: true
  tls_config: {ca_file: %s}
  static_configs: [{targets: [%s, %s], labels: {namespace: bulkhead-system}}]
- job_name: bulkhead-issued
  scheme: https
  honor_labels: true
  tls_config: {insecure_skip_verify: true}
  static_configs: [{targets: [%s], labels: {namespace: bulkhead-system}}]
- job_name: bulkhead-audit
  honor_labels: true
  static_configs: [{targets: [%s], labels: {namespace: bulkhead-system}}]
- job_name: apiserver
  scheme: https
  tls_config: {ca_file: %s, cert_file: %s, key_file: %s}
  static_configs: [{targets: [%s]}]
`, ca, m.pair[0].metrics, m.pair[1].metrics, m.issued.metrics, m.audit.address,
		file("api-ca.crt", cluster.CertificateAuthorityData), file("admin.crt", who.ClientCertificateData), file("admin.key", who.ClientKeyData),
		strings.TrimPrefix(m.admin.Host, "https://"))
}

// wantPlainRefused: where metrics have a port of their own, that of the probes has none, and theirs answers nothing without TLS.
func (m *monitored) wantPlainRefused(t *testing.T) {
	t.Helper()
	text, err := m.pair[0].Metrics(t.Context())
	if err != nil || strings.Contains(text, "bulkhead_") {
		t.Errorf("the port of the probes shows metrics: %v", err)
	}
	conn, err := net.Dial("tcp", m.pair[0].metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("GET /metrics HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 64)
	if n, _ := conn.Read(answer); strings.Contains(string(answer[:n]), "200") {
		t.Errorf("metrics without TLS: %q", answer[:n])
	}
}
