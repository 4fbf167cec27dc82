package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// reportsModule has the definitions of the kinds Report and ClusterReport.
const reportsModule = "github.com/openreports/reports-api"

var (
	reportsResource        = schema.GroupVersionResource{Group: "openreports.io", Version: "v1alpha1", Resource: "reports"}
	clusterReportsResource = schema.GroupVersionResource{Group: "openreports.io", Version: "v1alpha1", Resource: "clusterreports"}
)

// installReports gives the cluster the kinds of OpenReports.
func (a *auditing) installReports(t *testing.T) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", reportsModule)
	list.Dir = ".." // the product's module needs it, and this one does not
	dir, err := list.Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", reportsModule, err)
	}
	for _, name := range []string{"reports", "clusterreports"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "openreports.io_"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range parse(t, strings.TrimPrefix(string(text), "---\n")) {
			a.create(t, o)
		}
	}
}

// storedReport is what readers see of a Report.
type storedReport struct {
	Metadata metav1.ObjectMeta
	Source   string
	Scope    struct{ Kind, Name string }
	Summary  struct{ Fail, Warn, Error int }
	Results  []storedResult
}

type storedResult struct {
	Source, Policy, Rule, Severity, Result, Message string
	Timestamp                                       struct{ Seconds int64 }
	Resources                                       []struct{ APIVersion, Kind, Namespace, Name string }
	Properties                                      map[string]string
}

// says gives the results as "policy rule result severity kind/name", one a line, sorted.
func (r *storedReport) says() string {
	var out []string
	for _, x := range r.Results {
		about := "cluster"
		if len(x.Resources) > 0 {
			about = x.Resources[0].Kind + "/" + x.Resources[0].Name
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %s", x.Policy, x.Rule, x.Result, x.Severity, about))
	}
	return sorted(out...)
}

// sorted puts lines in order.
func sorted(lines ...string) string {
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// result gives the result of the report about an object.
func (r *storedReport) result(t *testing.T, policy, object string) storedResult {
	t.Helper()
	for _, x := range r.Results {
		if x.Policy == policy && len(x.Resources) > 0 && x.Resources[0].Kind+"/"+x.Resources[0].Name == object {
			return x
		}
	}
	t.Fatalf("nothing of %s about %s in\n%s", policy, object, r.says())
	return storedResult{}
}

// reportOf gives the report of a namespace, or with "" that of the cluster; nil where there is none.
func (a *auditing) reportOf(ctx context.Context, namespace string) (*storedReport, error) {
	var u *unstructured.Unstructured
	var err error
	if namespace == "" {
		u, err = a.author.Resource(clusterReportsResource).Get(ctx, "bulkhead", metav1.GetOptions{})
	} else {
		u, err = a.author.Resource(reportsResource).Namespace(namespace).Get(ctx, "bulkhead", metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var out storedReport
	return &out, json.Unmarshal(text, &out)
}

// awaitReport waits until the report of a namespace says what is wanted; nothing means no report.
func (a *auditing) awaitReport(t *testing.T, namespace, want string) *storedReport {
	t.Helper()
	var got *storedReport
	eventually(t, fmt.Sprintf("the report of %q", namespace), func(ctx context.Context) (err error) {
		if got, err = a.reportOf(ctx, namespace); err != nil {
			return err
		}
		switch {
		case got == nil && want != "":
			return fmt.Errorf("there is none")
		case got != nil && got.says() != want:
			return fmt.Errorf("it says\n%s", got.says())
		}
		return nil
	})
	return got
}

// What a report says where denyAll, as deny, is all that pods of the Deployment api have: of the policy, of the pods and of the template.
const (
	cutPolicy    = "dns-cut NetworkPolicy fail high NetworkPolicy/deny"
	cutPods      = "dns-cut Pod warn medium Deployment/api"
	cutTemplate  = "dns-cut Deployment warn medium Deployment/api"
	typoReported = "rules-ignored NetworkPolicy fail high NetworkPolicy/typo"
	ofPlugin     = "cni-inert  warn medium cluster"
)

// testNoKind: without the kinds of OpenReports the audit goes on, says once what is missing, and writes as soon as they are there.
func (a *auditing) testNoKind(t *testing.T) {
	r := a.start(t)
	a.leader(t)
	a.given(t, a.newNamespace(t), deployment("api", 2, "app: api"), networkPolicy("deny", denyAll))
	awaitMetric(t, r, atLeast(1), "bulkhead_audit_reports_total", `result="failed"`)
	awaitMetric(t, r, is(1), "bulkhead_audit_would_deny", `guardrail="dns-cut"`)
	log, err := os.ReadFile(r.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(log), "install OpenReports (https://github.com/openreports/reports-api), or run without --reports"); n != 1 {
		t.Errorf("the log says %d times what is missing:\n%s", n, log)
	}
	a.installReports(t)
	awaitMetric(t, r, atLeast(2), "bulkhead_audit_reports_total", `result="written"`)
	a.awaitReport(t, "", ofPlugin)
}

// testReports follows the report of one namespace through its life.
func (a *auditing) testReports(t *testing.T) {
	namespace := a.newNamespace(t)
	a.given(t, namespace, deployment("api", 2, "app: api"), networkPolicy("deny", denyAll))
	first := a.awaitReport(t, namespace, sorted(cutPolicy, cutPods, cutTemplate))
	result := first.result(t, "dns-cut", "NetworkPolicy/deny")
	about := result.Resources[0]
	if first.Source != "bulkhead" || result.Source != "bulkhead" || first.Metadata.Labels["app.kubernetes.io/managed-by"] != "bulkhead" ||
		first.Scope.Kind != "Namespace" || first.Scope.Name != namespace || first.Summary.Fail != 1 || first.Summary.Warn != 2 {
		t.Errorf("the report is %+v", first)
	}
	if about.APIVersion != "networking.k8s.io/v1" || about.Namespace != namespace || result.Rule != "NetworkPolicy" ||
		result.Properties["field"] != "spec.egress" || result.Properties["wouldDeny"] != "true" || !strings.Contains(result.Properties["affected"], "api (2 pods)") ||
		!strings.Contains(result.Message, "kube-dns") || result.Timestamp.Seconds == 0 {
		t.Errorf("the result is %+v", result)
	}
	a.wantValid(t, namespace)

	// One problem more changes the report and not when the first was found.
	a.given(t, namespace, networkPolicy("typo", "podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], egress: [{}]"))
	second := a.awaitReport(t, namespace, sorted(cutPolicy, cutPods, cutTemplate, typoReported))
	if now := second.result(t, "dns-cut", "NetworkPolicy/deny"); now.Timestamp != result.Timestamp || now.Properties["resultID"] != result.Properties["resultID"] {
		t.Errorf("the first result was %+v and is %+v", result, now)
	}

	// What others do to it is put right, and nothing is written otherwise.
	leads, _ := a.leader(t)
	metrics, err := leads.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := a.auditFrom(t)
	unchanged, _ := sum(metrics, "bulkhead_audit_reports_total", `result="unchanged"`)
	awaitMetric(t, leads, atLeast(unchanged+10), "bulkhead_audit_reports_total", `result="unchanged"`)
	used, _ := (&installation{suite: a.suite}).requests(t, from, auditUser)
	for _, r := range used {
		if r.Verb == "patch" && r.Namespace == namespace {
			t.Errorf("a report that says the same was written again: %s", r)
		}
	}
	a.must(t, "patch", "report", "bulkhead", "-n", namespace, "--type=merge", "-p", `{"results":[]}`)
	a.awaitReport(t, namespace, second.says())
	a.must(t, "delete", "report", "bulkhead", "-n", namespace)
	a.awaitReport(t, namespace, second.says())

	a.must(t, "delete", "networkpolicy", "typo", "-n", namespace)
	a.awaitReport(t, namespace, sorted(cutPolicy, cutPods, cutTemplate))
	if answer := a.kubectl(t, author, networkPolicy("dns", allowDNS), "create", "-n", namespace, "-f", "-"); !answer.ok {
		t.Fatal(answer.text())
	}
	a.awaitReport(t, namespace, "")

	a.must(t, "delete", "networkpolicy", "dns", "-n", namespace)
	a.awaitReport(t, namespace, sorted(cutPolicy, cutPods, cutTemplate))
	a.must(t, "delete", "namespace", namespace, "--wait=false")
	eventually(t, "the report to go with its namespace", func(ctx context.Context) error {
		got, err := a.reportOf(ctx, namespace)
		if err == nil && got != nil {
			err = fmt.Errorf("it is still there")
		}
		return err
	})
}

// wantValid has the API server take what is stored as it would take it from anybody, without a word about a field.
func (a *auditing) wantValid(t *testing.T, namespace string) {
	t.Helper()
	u, err := a.author.Resource(reportsResource).Namespace(namespace).Get(t.Context(), "bulkhead", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u.SetName("copy")
	u.SetResourceVersion("")
	u.SetUID("")
	u.SetManagedFields(nil)
	text, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if answer := a.kubectl(t, author, string(text), "create", "--dry-run=server", "--validate=strict", "-f", "-"); !answer.ok || answer.stderr != "" {
		t.Errorf("the report is not valid: %s", answer.text())
	}
	if table := a.must(t, "get", "reports", "-n", namespace, "-o", "wide"); !strings.Contains(table, "Namespace   "+namespace) {
		t.Errorf("kubectl shows\n%s", table)
	}
}

// testGrace: what is not there yet is reported once it has been missing for a while.
func (a *auditing) testGrace(t *testing.T) {
	namespace := a.newNamespace(t)
	a.given(t, namespace, networkPolicy("later", "podSelector: {matchLabels: {app: later}}, policyTypes: [Ingress]"))
	late := a.awaitReport(t, namespace, "selector-no-pods NetworkPolicy warn medium NetworkPolicy/later")
	if found, made := late.Results[0].Timestamp.Seconds, late.Metadata.CreationTimestamp.Unix(); made-found < 3 {
		t.Errorf("first found at %d, reported at %d", found, made)
	}
	a.given(t, namespace, deployment("later", 1, "app: later"))
	a.awaitReport(t, namespace, "")
}
