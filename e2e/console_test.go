package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/console"
)

// consoling is a cluster with one replica of the webhook that answers /denials and one audit with a console, at url, where
// people sign in.
type consoling struct {
	*suite
	url string
}

// TestConsole: the console tells who comes in by the API server's own answers, and shows what kubectl has just been denied.
func TestConsole(t *testing.T) {
	if os.Getenv("BULKHEAD_E2E_KUBECONFIG") != "" {
		t.Skip("the console asks replicas that this test has started")
	}
	c := newConsoling(t)
	t.Run("SignIn", c.testSignIn)
	t.Run("Denial", c.testShownDenial)
	t.Run("Addresses", c.testConsoleAddresses)
}

func newConsoling(t *testing.T) *consoling {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	c := &consoling{suite: &suite{dir: t.TempDir(), host: "127.0.0.1"}}
	var err error
	if c.plane, err = controlplane.Start(ctx, controlplane.Options{Progress: os.Stderr}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, r := range c.replicas {
				t.Logf("the end of a log:\n%s", lastLines(r.LogPath, 30))
			}
		}
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	c.kubeconfig, c.kubectlPath, c.admin = c.plane.KubeconfigPath(), c.plane.KubectlPath(), c.plane.RESTConfig()
	if err := errors.Join(c.connect(), c.plane.InstallDNS(ctx), replica.Install(ctx, c.clients)); err != nil {
		t.Fatal(err)
	}
	if c.binary, err = replica.Build(ctx, "..", c.dir); err != nil {
		t.Fatal(err)
	}
	c.config = filepath.Join(c.dir, "bulkhead.yaml")
	if err := os.WriteFile(c.config, []byte(baseConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	c.startWebhook(t, ctx)
	c.startConsole(t, ctx)
	return c
}

// startWebhook starts a replica that answers /denials, and puts it behind the Service as the chart does.
func (c *consoling) startWebhook(t *testing.T, ctx context.Context) {
	t.Helper()
	c.identity = filepath.Join(c.dir, "bulkhead.kubeconfig")
	if err := replica.WriteIdentity(ctx, c.clients, c.admin, replica.Namespace, replica.ServiceAccount, c.identity); err != nil {
		t.Fatal(err)
	}
	c.grant(t, "bulkhead-denials-asks", replica.Namespace, replica.ServiceAccount, webhook.DenialsRights())
	// An EndpointSlice holds no loopback address.
	host := hostAddress(t)
	address := net.JoinHostPort(host, fmt.Sprint(portOf(t, freeAddress(t))))
	r, err := c.startReplica(ctx, "--denials", "--denials-address="+address, "--certificate-names=bulkhead."+replica.Namespace+".svc")
	if err != nil {
		t.Fatal(err)
	}
	c.replicas = append(c.replicas, r)
	if err := errors.Join(replica.Register(ctx, c.clients, r.URL, nil, true), replica.AwaitRegistration(ctx, c.admin)); err != nil {
		t.Fatal(err)
	}
	name, protocol, listening, ready := "denials", corev1.ProtocolTCP, portOf(t, address), true
	_, err = c.clients.DiscoveryV1().EndpointSlices(replica.Namespace).Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "bulkhead-e2e", Labels: map[string]string{discoveryv1.LabelServiceName: "bulkhead"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Protocol: &protocol, Port: &listening}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{host}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// startConsole starts the audit with a console, under an account that has the rights that its code says it needs.
func (c *consoling) startConsole(t *testing.T, ctx context.Context) {
	t.Helper()
	c.account(t, replica.Namespace, auditAccount)
	cfg, err := config.Parse([]byte(baseConfig), policy.Specs(guardrails.All()))
	if err != nil {
		t.Fatal(err)
	}
	rights := webhook.WatchRights()
	for _, verb := range []string{"get", "create", "update"} {
		rights = append(rights, webhook.Right{Verb: verb, Group: "coordination.k8s.io", Resource: "leases"})
	}
	for _, more := range [][]webhook.Right{
		webhook.TierRights(), webhook.NeedRights(policy.Needs(guardrails.All(), cfg)),
		console.Rights(replica.Namespace, replica.Configuration), console.AuthRights(),
	} {
		rights = append(rights, more...)
	}
	c.grant(t, "bulkhead-audit-e2e", replica.Namespace, auditAccount, rights, "/denials")
	identity := filepath.Join(c.dir, "audit.kubeconfig")
	if err := replica.WriteIdentity(ctx, c.clients, c.admin, replica.Namespace, auditAccount, identity); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	options, err := c.replicaOptions([]string{
		"--console-address=" + address, "--console-auth", "--console-cluster=e2e", "--lease-duration=3s",
	})
	if err != nil {
		t.Fatal(err)
	}
	options.Kubeconfig = identity
	r, err := replica.StartAudit(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	c.replicas, c.url = append(c.replicas, r), "http://"+address
}

// reading is the account that may use the console.
const reading = "reader"

// testSignIn: nobody is led to the form, a wrong token and one without the right are refused in words, one with it comes in.
func (c *consoling) testSignIn(t *testing.T) {
	c.account(t, "default", "stranger")
	c.account(t, "default", reading)
	c.grant(t, "bulkhead-console-e2e", "default", reading, nil, console.Path)
	answer, _, err := c.page(t.Context(), http.MethodGet, "/?decision=denied", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if to := answer.Header.Get("Location"); answer.StatusCode != http.StatusSeeOther || to != "/sign-in?next=%2F%3Fdecision%3Ddenied" {
		t.Errorf("without a token: %d to %q", answer.StatusCode, to)
	}
	for token, want := range map[string]struct {
		status int
		words  string
	}{
		"made-up": {http.StatusUnauthorized, "The API server does not accept this token"},
		c.token(t, "default", "stranger"): {http.StatusForbidden,
			"User system:serviceaccount:default:stranger may not get /console; bind a ClusterRole that grants the verb get on the nonResourceURL /console."},
	} {
		status, body, cookie := c.signIn(t, token)
		if status != want.status || cookie != nil || !strings.Contains(body, want.words) {
			t.Errorf("a token gets %d, want %d with %q, cookie %v:\n%s", status, want.status, want.words, cookie, body)
		}
	}
	eventually(t, "the right to be known", func(ctx context.Context) error {
		status, body, cookie := c.signIn(t, c.token(t, "default", reading))
		if status != http.StatusSeeOther || cookie == nil {
			return fmt.Errorf("%d, cookie %v: %s", status, cookie, body)
		}
		_, page, err := c.page(ctx, http.MethodGet, "/", nil, cookie)
		if err == nil && !strings.Contains(page, "system:serviceaccount:default:"+reading) {
			err = errors.New(page)
		}
		return err
	})
}

// testShownDenial: what kubectl is denied is in the feed in a moment, with the UID of its request, and what it would have cut is
// in the map of its namespace.
func (c *consoling) testShownDenial(t *testing.T) {
	_, _, cookie := c.signIn(t, c.token(t, "default", reading))
	namespace := c.newNamespace(t)
	c.given(t, namespace, deployment("web", 2, "app: web"), deployment("api", 1, "app: api"))
	shows := func(path string, wants ...string) {
		t.Helper()
		eventually(t, path+" to show the denial", func(ctx context.Context) error {
			_, page, err := c.page(ctx, http.MethodGet, path, nil, cookie)
			for _, want := range wants {
				if err == nil && !strings.Contains(page, want) {
					err = fmt.Errorf("it lacks %q:\n%s", want, page)
				}
			}
			return err
		})
	}
	begun := time.Now()
	wantDenied(t, "default-deny", c.dev(t, networkPolicy("default-deny", denyAll), "apply", "-n", namespace, "-f", "-"), "networkpolicies", "dns-cut: ")
	shows("/?namespace="+namespace, "NetworkPolicy default-deny", ">dns-cut<", dev, "grep ", "would cut")
	t.Logf("the denial was shown after %s", time.Since(begun).Round(100*time.Millisecond))
	shows("/namespaces/"+namespace, `class="line cut"`, "Drawn over it is what was denied", ">web<", ">api<")
	shows("/posture", `data-name="`+namespace+`"`)
	answer, report, err := c.page(t.Context(), http.MethodGet, "/report.html", nil, cookie)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(report, namespace) {
		t.Errorf("the report: %v, %v", answer, err)
	}
	if answer, _, err := c.page(t.Context(), http.MethodPost, "/sign-out", nil, cookie); err != nil || answer.StatusCode != http.StatusSeeOther {
		t.Errorf("signing out: %v, %v", answer, err)
	}
	if answer, page, err := c.page(t.Context(), http.MethodGet, "/", nil, cookie); err != nil || answer.StatusCode != http.StatusSeeOther || strings.Contains(page, namespace) {
		t.Errorf("after signing out: %v, %v", answer, err)
	}
}

// testConsoleAddresses: an address that others can reach is refused before anything starts, with the remedy.
func (c *consoling) testConsoleAddresses(t *testing.T) {
	for args, words := range map[string]string{
		"--console-address=0.0.0.0:0":                "add --console-auth",
		"--console-address=0.0.0.0:0 --console-auth": "--console-cert-dir",
		"--console-auth":                             "need --console-address",
		"--console-address=here":                     "write a host and a port",
	} {
		a, code := c.run(t, "", append([]string{"audit", "serve", "--kubeconfig", c.identity, "--config", c.config, "--probe-address=127.0.0.1:0"}, strings.Fields(args)...)...)
		if code != 2 || !strings.Contains(a.text(), words) {
			t.Errorf("%s ends with %d, want 2 with %q:\n%s", args, code, words, a.text())
		}
	}
}
