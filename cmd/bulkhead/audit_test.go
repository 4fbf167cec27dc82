package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// storedAPI is a live cluster with DNS and a policy that cuts two pods off from it.
func storedAPI() *fakeAPI {
	api := dnsAPI()
	api.lists["/apis/networking.k8s.io/v1/networkpolicies"] = []string{
		`{"metadata":{"namespace":"shop","name":"deny"},"spec":{"podSelector":{},"policyTypes":["Ingress","Egress"]}}`}
	return api
}

// TestAuditLive: of a live cluster, which needs rights to list and no others.
func TestAuditLive(t *testing.T) {
	stdout, stderr, err := command(t, "audit", "--kubeconfig", storedAPI().kubeconfig(t), "--fail-on", "deny")
	if err == nil || exitCode(err) != 1 || stderr != "" {
		t.Fatalf("error %v, standard error %q", err, stderr)
	}
	for _, want := range []string{
		"  DNS         2 pods are isolated for egress and cannot reach the cluster's resolver\n",
		"  Deny   dns-cut                NetworkPolicy deny  spec.egress\n         2 live pods (app=web) lose DNS",
		"shop  denies both directions by default\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}

	// What may not be read makes the result partial, and is said.
	api := storedAPI()
	api.refused["/api/v1/services"] = http.StatusForbidden
	stdout, stderr, err = command(t, "audit", "--kubeconfig", api.kubeconfig(t))
	if err != nil || !strings.Contains(stdout, "incomplete: services may not be listed") || !strings.Contains(stderr, "warning: services may not be listed") {
		t.Errorf("%v\n%s%s", err, stdout, stderr)
	}
}

// TestAuditExitCodes: 1 is for findings alone, whatever else goes wrong.
func TestAuditExitCodes(t *testing.T) {
	down := newFakeAPI()
	down.refused["/api/v1/pods"] = http.StatusInternalServerError
	const typo = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: typo}\nspec: {podSelector: {matchLabels: {app: b}}}\n" +
		"---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\n"
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"findings", []string{"-f", lintFile(t, typo)}, 0},
		{"findings that count", []string{"-f", lintFile(t, typo), "--fail-on", "warn"}, 1},
		{"findings that do not count", []string{"-f", lintFile(t, typo), "--fail-on", "deny"}, 0},
		{"what would be denied", []string{"-f", lintFile(t, typo), "--if-denied", "selector-no-pods"}, 0},
		{"what would be denied counts", []string{"-f", lintFile(t, typo), "--if-denied", "selector-no-pods", "--fail-on", "warn"}, 1},
		{"wrong flag", []string{"--nonsense"}, 2},
		{"wrong fail-on", []string{"-f", lintFile(t, typo), "--fail-on", "all"}, 2},
		{"surplus word", []string{"x", "-f", lintFile(t, typo)}, 2},
		{"wrong manifest", []string{"-f", lintFile(t, "kind: Pod\n")}, 2},
		{"wrong folder to write to", []string{"-f", lintFile(t, typo), "--output-file", "/nonsense/out"}, 2},
		{"unknown guardrail", []string{"-f", lintFile(t, typo), "--if-denied", "x"}, 2},
		{"no Prometheus", []string{"-f", lintFile(t, typo), "--if-denied", "dns-cut", "--prometheus", "http://127.0.0.1:1"}, 2},
		{"no cluster", []string{"--kubeconfig", "/nonsense"}, 2},
		{"a cluster that fails", []string{"--kubeconfig", down.kubeconfig(t)}, 2},
		{"no time", []string{"-f", lintFile(t, typo), "--timeout", "1ns"}, 0},
		{"no time to tell", []string{"-f", lintFile(t, typo), "--timeout", "1ns", "--fail-on", "warn"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := command(t, append([]string{"audit"}, tt.args...)...)
			got := 0
			if err != nil {
				got = exitCode(err)
			}
			if got != tt.want {
				t.Errorf("exit code %d, want %d: %v", got, tt.want, err)
			}
		})
	}
}

// fakePrometheus answers instant queries with one number each; none for those that it does not know.
func fakePrometheus(t *testing.T, answers map[string]float64) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result := "[]"
		if n, ok := answers[r.FormValue("query")]; ok {
			result = fmt.Sprintf(`[{"metric":{},"value":[1,"%g"]}]`, n)
		}
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":%s}}`, result)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestIfDeniedAsksPrometheus: what past changes there were, and what follows from them.
func TestIfDeniedAsksPrometheus(t *testing.T) {
	const known, increase, first = `count(present_over_time(bulkhead_would_deny_total{guardrail="dns-cut"}[7d]))`,
		`sum(increase(bulkhead_would_deny_total{guardrail="dns-cut"}[7d]))`,
		`count(present_over_time(bulkhead_would_deny_total{guardrail="dns-cut"}[1d] offset 6d))`
	pod := lintFile(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n")
	for _, tt := range []struct {
		name    string
		answers map[string]float64
		want    []string
	}{
		{"none", map[string]float64{known: 2, increase: 0, first: 2}, []string{
			"past changes     none of the last 7 days would have been denied\n",
			"Nothing stored and no change of the last 7 days would have been denied: Deny is safe to try.\n"}},
		{"some", map[string]float64{known: 2, increase: 3.04, first: 2}, []string{
			"past changes     3 of the last 7 days would have been denied\n",
			"Nothing stored would be denied.\nIn the last 7 days 3 changes would have been denied: find out whose"}},
		{"one, as Prometheus counts", map[string]float64{known: 2, increase: 0.97, first: 2}, []string{"past changes     1 of the last 7 days"}},
		{"young", map[string]float64{known: 2, increase: 0}, []string{
			"none of the last 7 days would have been denied, as far back as Prometheus knows\n", "Prometheus does not know all of the last 7 days: ask again later."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, _, err := command(t, "audit", "--kubeconfig", dnsAPI().kubeconfig(t), "--if-denied", "dns-cut", "--prometheus", fakePrometheus(t, tt.answers))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q is missing in\n%s", want, stdout)
				}
			}
		})
	}

	stdout, _, err := command(t, "audit", "--kubeconfig", dnsAPI().kubeconfig(t), "--if-denied", "dns-cut", "--days", "1", "--prometheus", fakePrometheus(t, map[string]float64{
		`count(present_over_time(bulkhead_would_deny_total{guardrail="dns-cut"}[1d]))`: 1, `sum(increase(bulkhead_would_deny_total{guardrail="dns-cut"}[1d]))`: 0,
	}))
	if err != nil || !strings.Contains(stdout, "no change of the last day would have been denied: Deny is safe to try.") {
		t.Errorf("%v\n%s", err, stdout)
	}

	stdout, _, err = command(t, "audit", "--kubeconfig", storedAPI().kubeconfig(t), "-n", "shop", "--if-denied", "dns-cut", "--prometheus",
		fakePrometheus(t, map[string]float64{known: 1, increase: 2, first: 1}))
	if err != nil || !strings.Contains(stdout, "past changes     2 of the last 7 days would have been denied, in all namespaces\n") {
		t.Errorf("%v\n%s", err, stdout)
	}

	// Stored objects come first, and gaps are no all-clear.
	quiet := map[string]float64{known: 1, first: 1}
	stdout, _, err = command(t, "audit", "--kubeconfig", storedAPI().kubeconfig(t), "--if-denied", "dns-cut", "--prometheus", fakePrometheus(t, quiet))
	if err != nil || !strings.Contains(stdout, "Talk to the owners of shop (1) first") || strings.Contains(stdout, "safe") {
		t.Errorf("%v\n%s", err, stdout)
	}
	api := dnsAPI()
	api.refused["/api/v1/services"] = http.StatusForbidden
	stdout, _, err = command(t, "audit", "--kubeconfig", api.kubeconfig(t), "--if-denied", "dns-cut", "--prometheus", fakePrometheus(t, quiet), "-o", "json")
	if err != nil || !strings.Contains(stdout, "not everything is known: services may not be listed") || !strings.Contains(stdout, `"safe": false`) {
		t.Errorf("%v\n%s", err, stdout)
	}

	// Prometheus without the metric, and something else that answers.
	_, _, err = command(t, "audit", "-f", pod, "--if-denied", "dns-cut", "--prometheus", fakePrometheus(t, nil))
	if err == nil || !strings.Contains(err.Error(), "is this the Prometheus that scrapes Bulkhead's webhook?") {
		t.Error(err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	_, _, err = command(t, "audit", "-f", pod, "--if-denied", "dns-cut", "--prometheus", other.URL)
	if err == nil || !strings.Contains(err.Error(), "cannot be asked") || exitCode(err) != 2 {
		t.Error(err)
	}
}

// TestAuditJSONIsDocumented: the schema in docs/audit.md holds for a report, and allows nothing else.
func TestAuditJSONIsDocumented(t *testing.T) {
	schema := documentedSchema(t, "audit.md")
	stdout, _, err := command(t, "audit", "--kubeconfig", storedAPI().kubeconfig(t), "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(report); err != nil || len(report["guardrails"].([]any)) == 0 {
		t.Errorf("%v\n%s", err, stdout)
	}
	report["namespaces"].([]any)[0].(map[string]any)["surplus"] = true
	if schema.Validate(report) == nil {
		t.Error("the schema allows a field that it does not name")
	}
}
