package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// command runs the command line and gives what it wrote.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err = root.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

// TestLiveReadsInPages: 500 objects a request, and none is lost between two.
func TestLiveReadsInPages(t *testing.T) {
	api := newFakeAPI()
	for i := range 1201 {
		api.lists["/api/v1/pods"] = append(api.lists["/api/v1/pods"], podJSON("shop", fmt.Sprintf("web-%04d", i), "web"))
	}
	o := inputOptions{kubeconfig: api.kubeconfig(t)}
	var warnings bytes.Buffer
	w, err := o.readLive(t.Context(), &warnings, newProgress(&warnings))
	if err != nil {
		t.Fatal(err)
	}
	if n := w.snapshot().Stats().Pods; n != 1201 || warnings.Len() > 0 || w.partial != nil {
		t.Errorf("%d pods, want 1201; warnings %q, partial %q, want none", n, warnings.String(), w.partial)
	}
	if diff := cmp.Diff([]string{"500/", "500/500", "500/1000"}, api.pages["/api/v1/pods"]); diff != "" {
		t.Errorf("requests as limit/continue (-want +got):\n%s", diff)
	}
}

func TestLiveLacks(t *testing.T) {
	const tiers = "/apis/" + tierGroup + "/"
	forbid := func(paths ...string) func(*fakeAPI) {
		return func(f *fakeAPI) {
			for _, p := range paths {
				f.refused[p] = http.StatusForbidden
			}
		}
	}
	every := func(f *fakeAPI) {
		for path := range f.lists {
			f.refused[path] = http.StatusForbidden
		}
	}
	tests := []struct {
		name    string
		prepare func(*fakeAPI)
		partial []string
		err     string
	}{
		{"nothing", func(*fakeAPI) {}, nil, ""},
		{"one kind forbidden", forbid("/api/v1/pods"), []string{"pods may not be listed: only pod templates are judged"}, ""},
		{"kinds without which the same is missing", forbid("/apis/apps/v1/deployments", "/apis/apps/v1/daemonsets", "/api/v1/services"), []string{
			"services may not be listed: the DNS resolver may not be found",
			"deployments, daemonsets may not be listed: workloads without a pod are missing"}, ""},
		{"tier forbidden that the cluster has not", forbid(tiers+"v1alpha2/clusternetworkpolicies", tiers+"v1alpha1/adminnetworkpolicies"), nil, ""},
		{"tier forbidden that the cluster has", func(f *fakeAPI) {
			forbid(tiers + "v1alpha2/clusternetworkpolicies")(f)
			f.lists[tiers+"v1alpha2"] = nil
		}, []string{"clusternetworkpolicies may not be listed: what they decide is left out"}, ""},
		{"stored policy that means nothing", func(f *fakeAPI) {
			f.lists["/apis/networking.k8s.io/v1/networkpolicies"] = []string{
				`{"metadata":{"namespace":"shop","name":"odd"},"spec":{"podSelector":{},"policyTypes":["Both"]}}`}
		}, []string{`a stored policy is left out: NetworkPolicy shop/odd: spec.policyTypes[0]: invalid value "Both": use Ingress or Egress`}, ""},
		{"everything forbidden", every, nil,
			"nothing of the cluster may be read: /api/v1/namespaces refused; ask for the right to list namespaces, networkpolicies and pods"},
		{"a kind that every cluster has", func(f *fakeAPI) { delete(f.lists, "/apis/batch/v1/jobs") }, nil, "jobs cannot be listed: /apis/batch/v1/jobs refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			api := newFakeAPI()
			tt.prepare(api)
			o := inputOptions{kubeconfig: api.kubeconfig(t)}
			var warnings bytes.Buffer
			w, err := o.readLive(t.Context(), &warnings, newProgress(&warnings))
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || warnings.Len() > 0 {
					t.Fatalf("error %v and warnings %q, want %s alone", err, warnings.String(), tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.partial, w.partial); diff != "" {
				t.Errorf("partial (-want +got):\n%s", diff)
			}
			want := ""
			for _, sentence := range tt.partial {
				want += "warning: " + sentence + "\n"
			}
			if diff := cmp.Diff(want, warnings.String()); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// shopAPI is a live cluster of two pods, with a policy of each kind that is read.
func shopAPI() *fakeAPI {
	api := newFakeAPI()
	api.lists["/api/v1/namespaces"] = []string{`{"metadata":{"name":"shop","labels":{"kubernetes.io/metadata.name":"shop"}}}`}
	api.lists["/api/v1/pods"] = []string{podJSON("shop", "web", "web"), podJSON("shop", "api", "api")}
	api.lists["/apis/networking.k8s.io/v1/networkpolicies"] = []string{
		`{"metadata":{"namespace":"shop","name":"api"},"spec":{"podSelector":{"matchLabels":{"app":"api"}},"policyTypes":["Ingress","Egress"],
		"ingress":[{"from":[{"podSelector":{"matchLabels":{"app":"web"}}}],"ports":[{"port":8080,"protocol":"TCP"}]}]}}`,
		`{"metadata":{"namespace":"shop","name":"web"},"spec":{"podSelector":{"matchLabels":{"app":"web"}},"policyTypes":["Ingress"]}}`,
	}
	api.lists["/apis/"+tierGroup+"/v1alpha2/clusternetworkpolicies"] = []string{
		`{"apiVersion":"policy.networking.k8s.io/v1alpha2","kind":"ClusterNetworkPolicy","metadata":{"name":"no-internet"},"spec":{"tier":"Admin",
		"priority":5,"subject":{"namespaces":{}},"egress":[{"action":"Accept","to":[{"namespaces":{}}]},{"action":"Deny","to":[{"networks":["0.0.0.0/0","::/0"]}]}]}}`,
	}
	for path, kind := range map[string]string{"adminnetworkpolicies": "AdminNetworkPolicy", "baselineadminnetworkpolicies": "BaselineAdminNetworkPolicy"} {
		api.lists["/apis/"+tierGroup+"/v1alpha1/"+path] = []string{fmt.Sprintf(`{"apiVersion":"policy.networking.k8s.io/v1alpha1","kind":%q,
			"metadata":{"name":"default"},"spec":{"priority":7,"subject":{"namespaces":{"matchLabels":{"no":"namespace"}}}}}`, kind)}
	}
	return api
}

func TestLiveReadsTiers(t *testing.T) {
	o := inputOptions{kubeconfig: shopAPI().kubeconfig(t)}
	w, err := o.readLive(t.Context(), io.Discard, newProgress(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tier := range w.snapshot().Tiers().Policies {
		for _, p := range tier {
			got = append(got, fmt.Sprintf("%s %s %s %d", p.Tier, p.Kind, p.Name, p.Priority))
		}
	}
	want := []string{"Admin ClusterNetworkPolicy no-internet 5", "Admin AdminNetworkPolicy default 7", "Baseline BaselineAdminNetworkPolicy default 1001"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLiveCommands(t *testing.T) {
	api := shopAPI()
	kubeconfig := api.kubeconfig(t)
	change := filepath.Join(t.TempDir(), "change.yaml")
	text := "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: api}\nspec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress, Egress]}\n"
	if err := os.WriteFile(change, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	edges := func(from, to string) []string { return []string{from + " -> " + to} }
	tests := []struct {
		name        string
		args        []string
		connections []string
		cut, opened []string
		err         string
	}{
		{name: "connections", args: []string{"connections"}, connections: edges("shop/web", "shop/api")},
		{name: "by context", args: []string{"connections", "--context", "live"}, connections: edges("shop/web", "shop/api")},
		{name: "a change replaces the policy of its name in the context's namespace", args: []string{"diff", "-f", change}, cut: edges("shop/web", "shop/api")},
		{name: "a change to another namespace", args: []string{"diff", "-f", change, "-n", "other"}},
		{name: "a deletion opens what the Admin tier does not deny", args: []string{"diff", "-f", change, "--delete"}, opened: []string{
			"shop/web -> shop/api", "0.0.0.0-255.255.255.255 -> shop/api", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> shop/api"}},
		{name: "a deletion of what is not there", args: []string{"diff", "-f", change, "--delete", "-n", "other"},
			err: change + ":1 (document 1): the cluster has no NetworkPolicy other/api to delete"},
		{name: "no such context", args: []string{"connections", "--context", "life"},
			err: `no cluster to talk to: context "life" does not exist; did you mean "live"?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stdout, _, err := command(t, append(tt.args, "--kubeconfig", kubeconfig, "-o", "json")...)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err || exitCode(err) != 2 {
					t.Fatalf("error %v, want %s with exit code 2", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got struct{ Connections, Cut, Opened []connectionJSON }
			if err := json.Unmarshal([]byte(stdout), &got); err != nil {
				t.Fatalf("%v in %s", err, stdout)
			}
			for _, list := range []struct {
				what string
				want []string
				have []connectionJSON
			}{{"connections", tt.connections, got.Connections}, {"cut", tt.cut, got.Cut}, {"opened", tt.opened, got.Opened}} {
				var have []string
				for _, c := range list.have {
					have = append(have, c.From.text()+" -> "+c.To.text())
				}
				if !slices.Equal(list.want, have) {
					t.Errorf("%s %q, want %q", list.what, have, list.want)
				}
			}
		})
	}
}

// connectionJSON is what the tests read of an edge in the JSON output.
type connectionJSON struct{ From, To endpointJSON }

func (e endpointJSON) text() string {
	if e.CIDR != "" {
		return e.CIDR
	}
	return e.Namespace + "/" + e.Name
}
