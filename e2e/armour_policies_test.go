package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// largePolicy writes a policy of as many rules as fit into etcd, each with a block and a port of its own. edition changes
// the last one.
func largePolicy(rules, edition int) string {
	var b strings.Builder
	b.WriteString("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: large}\nspec:\n  podSelector: {matchLabels: {app: api}}\n  policyTypes: [Ingress]\n  ingress:\n")
	for i := range rules {
		port := i%60_000 + 1
		if i == rules-1 {
			port += edition
		}
		fmt.Fprintf(&b, "  - {from: [{ipBlock: {cidr: 10.%d.%d.%d/32}}, {podSelector: {matchLabels: {client: c-%d}}}], ports: [{protocol: TCP, port: %d}]}\n",
			i>>16&255, i>>8&255, i&255, i, port)
	}
	return b.String()
}

// testLargePolicy creates and changes a policy of 9,000 rules through the API server: both are judged in time.
func (s *suite) testLargePolicy(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("api", 2, "app: api"))
	acting := rest.CopyConfig(s.admin)
	acting.Impersonate = rest.ImpersonationConfig{UserName: dev, Groups: []string{masters}}
	acting.WarningHandler = rest.NoWarnings{}
	clients, err := dynamic.NewForConfig(acting)
	if err != nil {
		t.Fatal(err)
	}
	client := clients.Resource(resources["NetworkPolicy"]).Namespace(namespace)
	for edition, operation := range []string{"CREATE", "UPDATE"} {
		text := largePolicy(9000, edition)
		policy := parse(t, text)[0]
		var took time.Duration
		attempts := 0
		// A machine that does other things may take more than the webhook's five seconds now and then.
		eventually(t, fmt.Sprintf("the %s of %d bytes", operation, len(text)), func(ctx context.Context) error {
			attempts++
			start := time.Now()
			var err error
			if operation == "CREATE" {
				_, err = client.Create(ctx, policy, metav1.CreateOptions{})
			} else {
				_, err = client.Update(ctx, policy, metav1.UpdateOptions{})
			}
			took = time.Since(start)
			return err
		})
		judged := slices.Collect(func(yield func(logged) bool) {
			for _, l := range s.allDecisions(t, namespace) {
				if l.Name == "large" && l.Operation == operation && !yield(l) {
					return
				}
			}
		})
		if len(judged) == 0 {
			t.Fatalf("no replica judged the %s", operation)
		}
		for _, l := range judged {
			t.Logf("%s of 9,000 rules: %s in %.0f ms; the API server took %s, attempt %d", operation, l.Decision, 1000*l.Duration,
				took.Round(time.Millisecond), attempts)
		}
	}
}

// testDeadline sends a replica a policy of 9,000 rules with less time than it takes, as the API server does by the query:
// the answer is a real error at once, which failurePolicy decides about. With enough time it is judged.
func (s *suite) testDeadline(t *testing.T) {
	trust, err := s.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := s.startExtra(t, replica.Options{})
	object, err := yaml.YAMLToJSON([]byte(largePolicy(9000, 0)))
	if err != nil {
		t.Fatal(err)
	}
	body := review(strings.Replace(aboutPolicies("CREATE"), `"x"`, `"large"`, 1) + `,"object":` + string(object))
	client := clientOf(trust)
	defer client.CloseIdleConnections()
	ask := func(timeout string) (int, string) {
		t.Helper()
		resp, err := client.Post(r.URL+webhook.Path+"?timeout="+timeout, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	failures := func() float64 {
		metrics, err := r.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, _ := sum(metrics, "bulkhead_guardrail_failures_total")
		return n
	}
	if status, text := ask("51ms"); status != http.StatusInternalServerError || !strings.Contains(text, "no guardrail could be evaluated") || failures() < 10 {
		t.Errorf("with 1 ms after the margin: HTTP %d %s, %.0f guardrails failed", status, text, failures())
	}
	if status, text := ask("30s"); status != http.StatusOK || !strings.Contains(text, `"uid":"e2e"`) {
		t.Errorf("with 30 s: HTTP %d %s", status, text)
	}
	eventually(t, "what was given up to end", func(ctx context.Context) error {
		metrics, err := r.Metrics(ctx)
		if err != nil {
			return err
		}
		if n, found := sum(metrics, "bulkhead_guardrail_overruns_running"); n != 0 || !found {
			return fmt.Errorf("%.0f runs go on", n)
		}
		return nil
	})
}

// oddManager is a name with a line break, an escape sequence and a bidirectional override.
const oddManager = "plat\nform \x1b[31mred\u202e"

// testOddNames writes such a name where the API allows it, into an annotation that a denial quotes. Real kubectl prints
// what it gets as it is, so it must be quoted before.
func (s *suite) testOddNames(t *testing.T) {
	namespace := s.newNamespace(t)
	manager := fmt.Sprintf("%q", oddManager) // YAML reads the same escapes
	s.given(t, namespace, strings.Replace(networkPolicy("owned", "podSelector: {}, policyTypes: [Ingress]"),
		"{name: owned}", "{name: owned, annotations: {bulkhead.dev/managed-by: "+manager+"}}", 1))
	defer s.setConfig(t, baseConfig)
	s.setConfig(t, baseConfig+"guardrails: {protected-policy: {parameters: {owners: {"+manager+": {users: [flux]}}}}}\n")

	for _, user := range []string{dev, "böse\u202e"} {
		a := s.kubectl(t, user, "", "delete", "networkpolicy", "owned", "-n", namespace)
		wantDenied(t, "the deletion", a, "networkpolicies", "protected-policy: owned is managed by ")
		wantPrintable(t, "what kubectl printed", a.text())
		if want := `plat\nform \x1b[31mred\u202e`; !strings.Contains(a.stderr, want) {
			t.Errorf("kubectl was to print %s, and printed:\n%s", want, a.text())
		}
	}
	t.Logf("kubectl prints:\n%s", s.dev(t, "", "delete", "networkpolicy", "owned", "-n", namespace).stderr)
	for _, r := range s.replicas {
		wantPrintable(t, "the log", lastLines(r.LogPath, 100))
	}
	said := false
	for _, l := range s.allDecisions(t, namespace) {
		said = said || l.User == `böse\u202e`
	}
	if !said {
		t.Error("no log line has the odd user, quoted")
	}

	a := s.dev(t, strings.Replace(networkPolicy("odd", denyAll), "{name: odd}", "{name: odd, labels: {app: "+manager+"}}", 1), "create", "-n", namespace, "-f", "-")
	if a.ok || !strings.Contains(a.stderr, "metadata.labels") {
		t.Errorf("the API server took a label with a line break: %s", a.text())
	}
}

// wantPrintable fails where text holds anything that is not printed as it is but line breaks.
func wantPrintable(t *testing.T, what, text string) {
	t.Helper()
	if at := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); at >= 0 {
		t.Errorf("%s holds %q", what, text[max(0, at-100):min(len(text), at+20)])
	}
}
