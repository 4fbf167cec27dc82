package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakeAPI answers lists as an API server does: in pages, and with a Status where it refuses.
type fakeAPI struct {
	// lists holds the objects of each path as JSON; a path that is none of its keys is not found.
	lists map[string][]string
	// refused maps a path to the HTTP status that it is answered with.
	refused map[string]int

	mu    sync.Mutex
	pages map[string][]string // by path, the limit and continue of each request
}

// listKinds gives the kind of the list at each path.
func listKinds() map[string]string {
	const tiers = "/apis/" + tierGroup
	return map[string]string{
		"/api/v1/namespaces": "NamespaceList", "/api/v1/pods": "PodList", "/api/v1/services": "ServiceList",
		"/api/v1/replicationcontrollers": "ReplicationControllerList", "/apis/apps/v1/deployments": "DeploymentList",
		"/apis/apps/v1/statefulsets": "StatefulSetList", "/apis/apps/v1/daemonsets": "DaemonSetList",
		"/apis/apps/v1/replicasets": "ReplicaSetList", "/apis/batch/v1/jobs": "JobList", "/apis/batch/v1/cronjobs": "CronJobList",
		"/apis/networking.k8s.io/v1/networkpolicies": "NetworkPolicyList", tiers + "/v1alpha2": "APIResourceList",
		tiers + "/v1alpha2/clusternetworkpolicies": "ClusterNetworkPolicyList", tiers + "/v1alpha1/adminnetworkpolicies": "AdminNetworkPolicyList",
		tiers + "/v1alpha1/baselineadminnetworkpolicies": "BaselineAdminNetworkPolicyList",
	}
}

// newFakeAPI has every kind that all clusters have, without objects.
func newFakeAPI() *fakeAPI {
	f := &fakeAPI{lists: map[string][]string{}, refused: map[string]int{}, pages: map[string][]string{}}
	for path := range listKinds() {
		if !strings.Contains(path, tierGroup) {
			f.lists[path] = nil
		}
	}
	return f
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	items, known := f.lists[r.URL.Path]
	status := f.refused[r.URL.Path]
	if status == 0 && !known {
		status = http.StatusNotFound
	}
	if status != 0 {
		reason := map[int]string{http.StatusForbidden: "Forbidden", http.StatusNotFound: "NotFound"}[status]
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"%s refused"}`, reason, status, r.URL.Path)
		return
	}
	q := r.URL.Query()
	f.pages[r.URL.Path] = append(f.pages[r.URL.Path], q.Get("limit")+"/"+q.Get("continue"))
	from, _ := strconv.Atoi(q.Get("continue"))
	until := len(items)
	if limit, err := strconv.Atoi(q.Get("limit")); err == nil {
		until = min(until, from+limit)
	}
	next := ""
	if until < len(items) {
		next = strconv.Itoa(until)
	}
	fmt.Fprintf(w, `{"kind":%q,"apiVersion":%q,"metadata":{"continue":%q},"items":[%s]}`, listKinds()[r.URL.Path], apiVersionOf(r.URL.Path), next, strings.Join(items[from:until], ","))
}

// apiVersionOf reads the group and version out of a request's path.
func apiVersionOf(path string) string {
	parts := strings.Split(path, "/")
	if parts[1] == "api" {
		return parts[2]
	}
	return parts[2] + "/" + parts[3]
}

// kubeconfig starts the server and gives a kubeconfig file for it.
func (f *fakeAPI) kubeconfig(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: %q}}], users: [{name: u}],
contexts: [{name: live, context: {cluster: c, user: u, namespace: shop}}], current-context: live}`, server.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func podJSON(namespace, name, app string) string {
	return fmt.Sprintf(`{"metadata":{"namespace":%q,"name":%q,"labels":{"app":%q}},"status":{"phase":"Running"}}`, namespace, name, app)
}
