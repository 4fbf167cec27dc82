package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// rendered is one object of the chart.
type rendered struct{ kind, name, text string }

// render has Helm write what the release holds with the values, besides those that all have.
func (c *certManaged) render(t *testing.T, values ...string) {
	t.Helper()
	args := slices.Concat([]string{"template", release, c.chart, "--namespace", releaseNamespace}, chartValues, values)
	c.objects = nil
	for _, o := range parse(t, c.helmDoes(t, args...).stdout) {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		c.objects = append(c.objects, rendered{o.GetKind(), o.GetName(), string(text)})
	}
}

// apply applies objects of the chart as Helm does, by their kind or their kind and name: "Issuer", "Issuer/bulkhead". Without any it
// applies all.
func (c *certManaged) apply(t *testing.T, which ...string) {
	t.Helper()
	var texts []string
	for _, o := range c.objects {
		if len(which) == 0 || slices.Contains(which, o.kind) || slices.Contains(which, o.kind+"/"+o.name) {
			texts = append(texts, o.text)
		}
	}
	a := c.kubectlAs(t, nil, strings.Join(texts, "---\n"), "apply", "--server-side", "--field-manager=helm", "-f", "-")
	if !a.ok || strings.Count(a.stdout, "\n") != len(texts) || len(texts) < len(which) {
		t.Fatalf("%v: %d objects: %s", which, len(texts), a.text())
	}
}

// installIssuance installs cert-manager's kinds, as its module has them.
func (c *certManaged) installIssuance(t *testing.T) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	c.must(t, "create", "namespace", clusterResources)
	for _, kind := range []string{"certificates", "certificaterequests", "issuers", "clusterissuers"} {
		c.must(t, "create", "-f", filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "cert-manager.io_"+kind+".yaml"))
		eventually(t, kind+" to be served", func(context.Context) error {
			if a := c.kubectlAs(t, nil, "", "get", kind+".cert-manager.io", "-A"); !a.ok {
				return errors.New(a.text())
			}
			return nil
		})
	}
}

// deny does what a controller of approvals does that no policy of its own lets approve.
func (c *certManaged) deny(t *testing.T, request string) {
	t.Helper()
	c.must(t, "patch", "certificaterequest", request, "-n", releaseNamespace, "--subresource=status", "--type=merge", "-p",
		`{"status": {"conditions": [{"type": "Denied", "status": "True", "reason": "policy.example.org", "message": "no policy allows this"}]}}`)
}

// pair is the Secret that cert-manager writes for the release.
func (c *certManaged) pair(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := c.clients.CoreV1().Secrets(releaseNamespace).Get(t.Context(), release+"-serving", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// awaitPair waits until the Secret holds another certificate than old, which is nil where there was none.
func (c *certManaged) awaitPair(t *testing.T, old *corev1.Secret) {
	t.Helper()
	eventually(t, "cert-manager to issue a certificate", func(context.Context) error {
		switch now := c.pair(t); {
		case now == nil:
			return errors.New("there is no Secret")
		case old != nil && serialOf(t, now) == serialOf(t, old):
			return errors.New("it is still the old one")
		}
		return nil
	})
}

func serialOf(t *testing.T, secret *corev1.Secret) string {
	t.Helper()
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.Text(16)
}

// mountedReplica is a replica with a directory that stands for the mounted Secret.
type mountedReplica struct {
	*replica.Replica
	mount    string
	versions int
}

// startMounted starts a replica as the Deployment has it, with nothing in the mounted directory, whether it becomes ready or not.
func (c *certManaged) startMounted(t *testing.T) *mountedReplica {
	t.Helper()
	identity := filepath.Join(c.dir, "release.kubeconfig")
	if err := replica.WriteIdentity(t.Context(), c.clients, c.admin, releaseNamespace, release, identity); err != nil {
		t.Fatal(err)
	}
	args, config := c.installed(t, releaseNamespace, release)
	mount, err := os.MkdirTemp(c.dir, "mount-")
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.Launch(replica.Options{
		Binary: c.binary, Kubeconfig: identity, Config: config, Host: c.host, Log: mount + ".log",
		Args: append(args, "--namespace="+releaseNamespace, "--drain=100ms", "--certificate-dir="+mount),
	})
	if err != nil {
		t.Fatal(err)
	}
	c.parent.Cleanup(func() {
		if err := r.Stop(); err != nil {
			c.parent.Errorf("%v\n%s", err, lastLines(r.LogPath, 20))
		}
	})
	m := &mountedReplica{Replica: r, mount: mount}
	c.live = append(c.live, m)
	return m
}

// mountPair writes the Secret of now where a replica has it mounted, in one step, as the kubelet does.
func (c *certManaged) mountPair(t *testing.T, r *mountedReplica) {
	t.Helper()
	r.versions++
	version := ".." + strconv.Itoa(r.versions)
	if err := os.Mkdir(filepath.Join(r.mount, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range c.pair(t).Data {
		if err := os.WriteFile(filepath.Join(r.mount, version, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(r.mount, name)); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	next := filepath.Join(r.mount, "..data_tmp")
	if err := errors.Join(os.Symlink(version, next), os.Rename(next, filepath.Join(r.mount, "..data"))); err != nil {
		t.Fatal(err)
	}
}

// publish puts the replicas behind the Service.
func (c *certManaged) publish(t *testing.T) {
	t.Helper()
	for k, r := range c.live {
		_, err := c.clients.DiscoveryV1().EndpointSlices(releaseNamespace).Create(t.Context(), c.endpoint(t, r.Replica, release, k), metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
}

// readiness gives the status and the text of /readyz.
func (r *mountedReplica) readiness(ctx context.Context) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ProbeURL+"/readyz", nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// awaitReady waits until the replica is ready.
func (r *mountedReplica) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "the replica to be ready", func(ctx context.Context) error {
		status, body, err := r.readiness(ctx)
		if err == nil && status != http.StatusOK {
			err = errors.New(body)
		}
		return err
	})
}

// wantIssued looks at the metric that tells of cert-manager.
func (r *mountedReplica) wantIssued(ctx context.Context, want float64) error {
	metrics, err := r.Metrics(ctx)
	if err != nil {
		return err
	}
	if got, found := sum(metrics, "bulkhead_certificate_issued"); !found || got != want {
		return fmt.Errorf("bulkhead_certificate_issued is %v (%t), want %v", got, found, want)
	}
	return nil
}

// served gives the serial number of the certificate that the replica shows.
func (r *mountedReplica) served(t *testing.T) string {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // what is shown, whatever it is
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(r.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
}

// awaitServed waits until the replica shows the certificate of the Secret.
func (c *certManaged) awaitServed(t *testing.T, r *mountedReplica) {
	t.Helper()
	want := serialOf(t, c.pair(t))
	eventually(t, "the new certificate to be served", func(context.Context) error {
		if got := r.served(t); got != want {
			return fmt.Errorf("serial %s, want %s", got, want)
		}
		return nil
	})
}
