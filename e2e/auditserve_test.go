package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// auditing is a cluster with replicas of "bulkhead audit serve", under the rights and with the arguments that the chart gives them. No
// webhook is there: what is stored is judged, however it came.
type auditing struct {
	*suite
	args []string // of the chart's Deployment
	// lease is how long a leader that is not heard of stays one.
	lease time.Duration
}

// auditAccount is the audit's service account in the chart, and auditUser who that is to the API server.
const (
	auditAccount = "bulkhead-audit"
	auditUser    = "system:serviceaccount:" + replica.Namespace + ":" + auditAccount
)

// auditConfig lets guardrails deny, and has something to say about the cluster as a whole.
const auditConfig = `apiVersion: bulkhead.dev/v1alpha1
kind: BulkheadConfig
maximumAction: Deny
network: {plugin: flannel}
guardrails: {cni-inert: {action: Warn}}
`

func TestAuditServe(t *testing.T) {
	if os.Getenv("BULKHEAD_E2E_KUBECONFIG") != "" {
		t.Skip("another cluster may have reports of its own")
	}
	a := newAuditing(t)
	from := a.auditFrom(t)
	t.Run("NoKind", a.testNoKind)
	t.Run("Reports", a.testReports)
	t.Run("Grace", a.testGrace)
	t.Run("Metrics", a.testAuditMetrics)
	t.Run("Takeover", a.testTakeover)
	t.Run("Release", a.testRelease)
	t.Run("Rights", func(t *testing.T) { a.testAuditRights(t, from) })
}

func newAuditing(t *testing.T) *auditing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	a := &auditing{suite: &suite{dir: t.TempDir(), host: "127.0.0.1"}, lease: 3 * time.Second}
	var err error
	if a.plane, err = controlplane.Start(ctx, controlplane.Options{AuditLog: true, Progress: os.Stderr}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.end(t) })
	a.kubeconfig, a.kubectlPath, a.admin = a.plane.KubeconfigPath(), a.plane.KubectlPath(), a.plane.RESTConfig()
	if err := errors.Join(a.connect(), a.plane.InstallDNS(ctx)); err != nil {
		t.Fatal(err)
	}
	if a.binary, err = replica.Build(ctx, "..", a.dir); err != nil {
		t.Fatal(err)
	}
	a.install(t)
	a.identity, a.config = filepath.Join(a.dir, "audit.kubeconfig"), filepath.Join(a.dir, "bulkhead.yaml")
	if err := replica.WriteIdentity(ctx, a.clients, a.admin, replica.Namespace, auditAccount, a.identity); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.config, []byte(auditConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// end stops what runs. Who was killed is not asked to stop.
func (a *auditing) end(t *testing.T) {
	for _, r := range a.replicas {
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of a log:\n%s", lastLines(r.LogPath, 30))
		}
	}
	if err := a.plane.Stop(); err != nil {
		t.Error(err)
	}
}

// install gives the cluster what the chart has for the audit but for its pods.
func (a *auditing) install(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-render", "-values", filepath.Join("testdata", "values", "audit.yaml"))
	cmd.Dir, cmd.Env = chartModule, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath")
	rendered, err := cmd.Output()
	if err != nil {
		t.Fatalf("rendering the chart: %v", err)
	}
	a.must(t, "create", "namespace", replica.Namespace)
	for _, o := range parse(t, string(rendered)) {
		if o.GetLabels()["app.kubernetes.io/component"] != "audit" {
			continue
		}
		if o.GetKind() == "Deployment" {
			a.args = argumentsOf(t, o)
			continue
		}
		text, err := o.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if answer := a.kubectl(t, author, string(text), "create", "-f", "-"); !answer.ok {
			t.Fatal(answer.text())
		}
	}
	if !slices.Contains(a.args, "--reports") {
		t.Fatalf("the chart's arguments are %q", a.args)
	}
}

// argumentsOf gives the flags of a Deployment's container but for the path of the config, which is another one here.
func argumentsOf(t *testing.T, o *unstructured.Unstructured) []string {
	t.Helper()
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(d.Spec.Template.Spec.Containers[0].Args[2:]), func(arg string) bool { return strings.HasPrefix(arg, "--config=") })
}

// must runs kubectl as an administrator.
func (a *auditing) must(t *testing.T, args ...string) string {
	t.Helper()
	answer := a.kubectl(t, author, "", args...)
	if !answer.ok {
		t.Fatalf("kubectl %s: %s", strings.Join(args, " "), answer.text())
	}
	return answer.stdout
}

// start runs one more replica. Its lease is short, and what is missing counts soon, so that tests need not wait.
func (a *auditing) start(t *testing.T) *replica.Replica {
	t.Helper()
	options, err := a.replicaOptions(append(slices.Clone(a.args), "--lease-duration="+a.lease.String(), "--grace=4s", "--sweep=5s"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := replica.StartAudit(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	a.replicas = append(a.replicas, r)
	return r
}

// gone forgets a replica that has ended.
func (a *auditing) gone(r *replica.Replica) {
	a.replicas = slices.DeleteFunc(a.replicas, func(other *replica.Replica) bool { return other == r })
}

// leader waits until exactly one replica leads and has scanned everything, and gives it and the others.
func (a *auditing) leader(t *testing.T) (leads *replica.Replica, others []*replica.Replica) {
	t.Helper()
	eventually(t, "one replica to lead", func(ctx context.Context) error {
		leads, others = nil, nil
		for _, r := range a.replicas {
			metrics, err := r.Metrics(ctx)
			if err != nil {
				return err
			}
			leading, _ := sum(metrics, "bulkhead_audit_leader")
			_, swept := sum(metrics, "bulkhead_audit_pods_without_dns")
			switch {
			case leading == 0 && swept:
				return fmt.Errorf("a follower exports a posture")
			case leading == 0:
				others = append(others, r)
			case leads != nil:
				return fmt.Errorf("two lead")
			case !swept:
				return fmt.Errorf("the first sweep is not complete")
			default:
				leads = r
			}
		}
		if leads == nil {
			return fmt.Errorf("nobody leads")
		}
		return nil
	})
	return leads, others
}

// awaitMetric waits until a metric of a replica is what is wanted.
func awaitMetric(t *testing.T, r *replica.Replica, right func(float64) bool, name string, labels ...string) {
	t.Helper()
	eventually(t, name+" "+strings.Join(labels, ","), func(ctx context.Context) error {
		metrics, err := r.Metrics(ctx)
		if err != nil {
			return err
		}
		if n, found := sum(metrics, name, labels...); !found || !right(n) {
			return fmt.Errorf("it is %v, found %t", n, found)
		}
		return nil
	})
}

func is(want float64) func(float64) bool      { return func(n float64) bool { return n == want } }
func atLeast(want float64) func(float64) bool { return func(n float64) bool { return n >= want } }
