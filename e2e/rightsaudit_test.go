package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// testRightsUsed has replicas do all that they do and compares their requests, as the API server's audit log has them, with what is granted.
func (i *installation) testRightsUsed(t *testing.T, granted []webhook.Right) {
	log := i.auditFrom(t)
	// API servers that do not stream lists are listed.
	t.Setenv("KUBE_FEATURE_WatchListClient", "false")
	listing := i.serve(t, releaseNamespace, release, 1)
	i.denied(t, "by a replica that lists")
	listing.stop()
	t.Setenv("KUBE_FEATURE_WatchListClient", "true")
	live := i.serve(t, releaseNamespace, release, 2)
	i.denied(t, "under the rights of the chart")
	confirmed := 0.0
	for _, r := range live.replicas {
		metrics, err := r.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, _ := sum(metrics, "bulkhead_confirmations_total", `result="confirmed"`)
		failed, _ := sum(metrics, "bulkhead_confirmations_total", `result="failed"`)
		if confirmed += n; failed > 0 {
			t.Errorf("%.0f live reads failed", failed)
		}
	}
	if confirmed == 0 {
		t.Error("no denial was confirmed by live reads")
	}
	nodes, err := i.clients.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		t.Fatalf("nodes: %v", err)
	}
	binding := fmt.Sprintf(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":"job","namespace":"doors","labels":{"tier":"be"}},"target":{"kind":"Node","name":%q}}`,
		nodes.Items[0].Name)
	a := i.dev(t, binding, "create", "--raw", "/api/v1/namespaces/doors/pods/job/binding", "-f", "-")
	wantDenied(t, "a binding", a, "bindings", leavesPolicy)
	i.rotate(t)
	live.stop()

	used, refused := i.requests(t, log, "system:serviceaccount:"+releaseNamespace+":"+release)
	for _, r := range refused {
		t.Errorf("Bulkhead was refused to %s", r)
	}
	for _, r := range granted {
		if !slices.ContainsFunc(used, func(u webhook.Right) bool { return covers(r, u) }) {
			t.Errorf("the chart grants what Bulkhead has not used: %s", r)
		}
	}
}

// rotate has a replica want one name more in the certificate, so that it issues the next one. All replicas take it over.
func (i *installation) rotate(t *testing.T) {
	t.Helper()
	args, config := i.installed(t, releaseNamespace, release)
	identity := filepath.Join(i.dir, releaseNamespace+"-"+release+".kubeconfig")
	r, err := i.run(t, identity, config, append(args, "--drain=100ms", "--certificate-names=more.example.org")...)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := r.Metrics(t.Context())
	if err := errors.Join(err, r.Stop()); err != nil {
		t.Fatal(err)
	}
	if n, _ := sum(metrics, "bulkhead_certificate_rotations_total", `step="leaf-issued"`); n != 1 {
		t.Errorf("%.0f certificates were issued", n)
	}
	i.denied(t, "after the certificate was rotated")
}

// covers says whether a request is what a right is for. A right to list or watch one object is for requests that name it, and one to all
// objects for those that do not.
func covers(r, request webhook.Right) bool {
	named := r.Name == request.Name || r.Name == "" && r.Verb != "list" && r.Verb != "watch"
	return r.Verb == request.Verb && r.Group == request.Group && r.Resource == request.Resource && named &&
		(r.Namespace == "" || r.Namespace == request.Namespace)
}

// auditFrom gives where the audit log ends now.
func (s *suite) auditFrom(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(s.plane.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// requests reads from the audit log what a user was allowed and refused to do. What everybody may do is left out.
func (i *installation) requests(t *testing.T, from int64, user string) (allowed, refused []webhook.Right) {
	t.Helper()
	file, err := os.Open(i.plane.AuditLogPath())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef *struct{ APIGroup, Resource, Namespace, Name string }
			// Annotations hold what RBAC decided.
			Annotations map[string]string
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		o := event.ObjectRef
		if event.User.Username != user || o == nil || o.Resource == "" || o.APIGroup == "authorization.k8s.io" {
			continue
		}
		r := webhook.Right{Verb: event.Verb, Group: o.APIGroup, Resource: o.Resource, Namespace: o.Namespace, Name: o.Name}
		if event.Annotations["authorization.k8s.io/decision"] == "allow" {
			allowed = append(allowed, r)
		} else {
			refused = append(refused, r)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return allowed, refused
}
