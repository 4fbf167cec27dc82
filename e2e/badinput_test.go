package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// serve runs "bulkhead serve" to its end, which has to come by itself, and gives its exit code and what it wrote to
// standard error.
func (s *suite) serve(t *testing.T, flags ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// What comes last holds: the flags of the test replace these.
	args := append([]string{
		"serve", "--kubeconfig", s.identity, "--config", s.config, "--namespace", replica.Namespace,
		"--webhook-address", "127.0.0.1:0", "--probe-address", "127.0.0.1:0", "--certificate-names", "127.0.0.1",
	}, flags...)
	cmd := exec.CommandContext(ctx, s.binary, args...)
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("bulkhead %s: %v, %v\n%s", strings.Join(args, " "), err, ctx.Err(), stderr.String())
	}
	return cmd.ProcessState.ExitCode(), stderr.String()
}

// testBadStart starts the binary with what it cannot work with: it ends at once and says what to do.
func (s *suite) testBadStart(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	head := "apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\n"
	half := filepath.Join(dir, "half")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	write("half/tls.crt", "no certificate")
	write("half/tls.key", "no key")

	tests := []struct {
		name  string
		flags []string
		code  int
		says  []string
	}{
		{"busy port", []string{"--webhook-address", busy.Addr().String()}, 1, []string{"address " + busy.Addr().String() + " is in use", "--webhook-address"}},
		{"busy probe port", []string{"--probe-address", busy.Addr().String()}, 1, []string{"cannot listen on " + busy.Addr().String(), "--probe-address"}},
		{"unknown key", []string{"--config", write("key.yaml", head+"maximumaction: Deny\n")}, 2, []string{"key.yaml", "maximumaction", `did you mean "maximumAction"`}},
		{"unknown action", []string{"--config", write("action.yaml", head+"guardrails: {dns-cut: {action: Block}}\n")}, 2, []string{"action.yaml", "guardrails.dns-cut.action", "Block"}},
		{"unknown guardrail", []string{"--config", write("slug.yaml", head+"guardrails: {dns-cutt: {action: Warn}}\n")}, 2, []string{"slug.yaml", "dns-cutt", "dns-cut"}},
		{"exempt all", []string{"--config", write("exempt.yaml", head+"exempt: {groups: [system:authenticated]}\n")}, 2, []string{"exempt.yaml", "exempt.groups[0]"}},
		{"no config", []string{"--config", filepath.Join(dir, "nowhere.yaml")}, 2, []string{"nowhere.yaml", "no such file"}},
		{"garbage", []string{"--config", write("garbage.yaml", "\x00\x01{")}, 2, []string{"garbage.yaml"}},
		{"no certificate", []string{"--certificate-dir", filepath.Join(dir, "gone")}, 2, []string{filepath.Join(dir, "gone", "tls.crt")}},
		{"broken certificate", []string{"--certificate-dir", half}, 2, []string{filepath.Join(half, "tls.crt")}},
		{"no kubeconfig", []string{"--kubeconfig", filepath.Join(dir, "gone.kubeconfig")}, 2, []string{"gone.kubeconfig", "--kubeconfig"}},
		{"unknown flag", []string{"--no-such-flag"}, 2, []string{"--no-such-flag", "bulkhead serve --help"}},
		{"log level", []string{"--log-level", "loud"}, 2, []string{"--log-level", "loud", "debug, info, warn or error"}},
		{"no cluster", []string{"--kubeconfig", s.closedCluster(t)}, 1, []string{"connection refused"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, said := s.serve(t, test.flags...)
			if code != test.code {
				t.Errorf("the exit code is %d, want %d", code, test.code)
			}
			for _, want := range test.says {
				if !strings.Contains(said, want) {
					t.Errorf("the error lacks %q", want)
				}
			}
			if !strings.HasPrefix(said, "bulkhead: ") || t.Failed() {
				t.Errorf("it wrote:\n%s", said)
			}
		})
	}
	t.Run("no rights", s.testNoRights)
}

// closedCluster writes a kubeconfig file of an API server that is not there.
func (s *suite) closedCluster(t *testing.T) string {
	t.Helper()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	c := clientcmdapi.NewConfig()
	c.Clusters["gone"] = &clientcmdapi.Cluster{Server: "https://" + closed.Addr().String()}
	c.Contexts["gone"] = &clientcmdapi.Context{Cluster: "gone"}
	c.CurrentContext = "gone"
	path := filepath.Join(t.TempDir(), "closed.kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// testNoRights runs the binary as somebody without any rights: it names each one that it needs, and none that it does not.
func (s *suite) testNoRights(t *testing.T) {
	nobody, err := s.kubeconfigFor("bulkhead-e2e-nobody")
	if err != nil {
		t.Fatal(err)
	}
	for name, configuration := range map[string]string{"with a webhook configuration": replica.Configuration, "without one": ""} {
		t.Run(name, func(t *testing.T) {
			code, said := s.serve(t, "--kubeconfig", nobody, "--webhook-configuration", configuration)
			if code != 1 {
				t.Errorf("the exit code is %d, want 1", code)
			}
			var want []string
			for _, r := range append(webhook.SnapshotRights(), webhook.SelfSignedRights(replica.Namespace, replica.Secret, replica.Configuration)...) {
				if configuration != "" || r.Resource != "validatingwebhookconfigurations" {
					want = append(want, "  "+r.String())
				}
			}
			lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
			if !strings.Contains(lines[0], "RBAC") || !slices.Equal(lines[1:], want) {
				t.Errorf("it wrote\n%s\nand was to name\n%s", said, strings.Join(want, "\n"))
			}
		})
	}
}

// testBadReload breaks the config under the running replicas: what was in force stays so.
func (s *suite) testBadReload(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	denied := func(when string) {
		for range s.replicas {
			a := s.dev(t, networkPolicy("default-deny", denyAll), "create", "-n", namespace, "-f", "-")
			wantDenied(t, "default-deny "+when, a, "networkpolicies", losesDNS)
		}
	}
	reloaded := func(want float64) {
		t.Helper()
		eventually(t, fmt.Sprintf("bulkhead_config_last_reload_successful to be %.0f", want), func(ctx context.Context) error {
			return s.everyReplica(ctx, func(metrics string) error {
				if got, _ := sum(metrics, "bulkhead_config_last_reload_successful"); got != want {
					return fmt.Errorf("it is %.0f", got)
				}
				return nil
			})
		})
	}
	defer s.setConfig(t, baseConfig)
	for _, broken := range []string{"", "{", "kind: BulkheadConfig\n", strings.Replace(baseConfig, "maximumAction: Deny", "maximumAction: Wran", 1)} {
		s.writeConfig(t, broken)
		reloaded(0)
		denied("with a broken config")
		s.writeConfig(t, baseConfig)
		reloaded(1)
	}
	s.setConfig(t, baseConfig+"guardrails: {dns-cut: {action: Warn}}\n")
	wantWarned(t, "default-deny with a config that only warns",
		s.dev(t, networkPolicy("default-deny", denyAll), "create", "-n", namespace, "-f", "-", "--dry-run=server"), "dns-cut: ")
	s.setConfig(t, baseConfig)
	denied("with the config of before")
}

// testDrain ends a replica: it says that it is going, answers on, and ends without an error.
func (s *suite) testDrain(t *testing.T) {
	r, err := s.startReplica(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := s.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: trust}}
	review := func() (status int, closes bool) {
		t.Helper()
		resp, err := client.Post(r.URL+webhook.Path+"?timeout=5s", "application/json", strings.NewReader(emptyReview))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), `"allowed":true`) {
			t.Errorf("it answered %d, %v: %s", resp.StatusCode, err, body)
		}
		return resp.StatusCode, resp.Close
	}
	if status, closes := review(); status != http.StatusOK || closes {
		t.Errorf("before the drain: HTTP %d, connection closed: %t", status, closes)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop() }()
	eventually(t, "readiness to end", func(context.Context) error {
		resp, err := http.Get(r.ProbeURL + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && (resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "draining")) {
			err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
		}
		return err
	})
	if status, closes := review(); status != http.StatusOK || !closes {
		t.Errorf("while draining: HTTP %d, connection closed: %t", status, closes)
	}
	if err := <-stopped; err != nil {
		t.Errorf("it ended with %v\n%s", err, lastLines(r.LogPath, 20))
	}
}

// emptyReview is a review of a deletion that no guardrail reads.
const emptyReview = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"e2e","operation":"DELETE","namespace":"default","name":"x",` +
	`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"userInfo":{"username":"e2e"},` +
	`"oldObject":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","namespace":"default"}}}}`
