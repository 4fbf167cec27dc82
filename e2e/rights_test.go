package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// testRights shows that what the chart grants is what Bulkhead needs: with it everything works and nothing is refused, each right is
// used, and Bulkhead names each one that is taken away.
func (i *installation) testRights(t *testing.T) {
	i.must(t, "create", "namespace", "doors")
	i.awaitAccount(t, "doors")
	i.given(t, "doors", pod("name: job, labels: {app: job, tier: backend}", "schedulerName: "+noScheduler+","),
		networkPolicy("backend", backend), networkPolicy("isolated", "podSelector: {}, policyTypes: [Ingress]"))
	defer i.installTiers(t)()
	defer i.installAlphaTiers(t)()
	defer i.installKinds(t)()
	chart := filepath.Join("..", "deploy", "chart")
	i.helmDoes(t, "install", release, chart, "--create-namespace", "--set", "config.maximumAction=Deny")
	defer i.helmDoes(t, "uninstall", release)

	granted := i.granted(t)
	t.Logf("the chart grants %d rights", len(granted))
	t.Run("Used", func(t *testing.T) { i.testRightsUsed(t, granted) })
	missed := func(r webhook.Right) bool { return !implied(r, granted) }
	t.Run("Missed", func(t *testing.T) { i.testRightsMissed(t, granted, missed) })

	fewer := map[string]int{}
	for _, name := range []string{"off", "nodes-unread", "narrow"} {
		values := filepath.Join(chartModule, "testdata", "values", name+".yaml")
		args := []string{"upgrade", release, chart, "--values", values}
		if name != "off" {
			args = append(args, "--set", "config.maximumAction=Deny")
		}
		i.helmDoes(t, args...)
		t.Run("Fewer "+name, func(t *testing.T) {
			i.testRightsFewer(t, name != "off")
			fewer[name] = len(i.granted(t))
		})
	}
	numbers := []int{fewer["off"], fewer["narrow"], fewer["nodes-unread"], len(granted)}
	if !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
		t.Errorf("rights with guardrails off: %v, with all %d", fewer, len(granted))
	}
	// The last values leave webhook-cut off, whose rights imply some of those to Bulkhead's own registration.
	narrow := i.granted(t)
	t.Run("Missed narrow", func(t *testing.T) {
		i.testRightsMissed(t, narrow, func(r webhook.Right) bool { return slices.Contains(granted, r) && implied(r, granted) })
	})
}

// alphaTier is a kind of cluster-wide policies whose definition no module brings any more: it takes whatever is written.
const alphaTier = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[2]s.policy.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/network-policy-api/pull/30"}
spec:
  group: policy.networking.k8s.io
  scope: Cluster
  names: {kind: %[1]s, plural: %[2]s, listKind: %[1]sList}
  versions:
  - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// installAlphaTiers gives the cluster the older kinds of cluster-wide policies. They are taken away by what is returned.
func (i *installation) installAlphaTiers(t *testing.T) (remove func()) {
	t.Helper()
	definitions := parse(t, fmt.Sprintf(alphaTier, "AdminNetworkPolicy", "adminnetworkpolicies")+"---\n"+
		fmt.Sprintf(alphaTier, "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies"))
	for _, d := range definitions {
		i.create(t, d)
	}
	for _, resource := range []string{"adminnetworkpolicies", "baselineadminnetworkpolicies"} {
		eventually(t, "the API server to serve "+resource, func(ctx context.Context) error {
			_, err := i.author.Resource(schema.GroupVersionResource{Group: "policy.networking.k8s.io", Version: "v1alpha1", Resource: resource}).
				List(ctx, metav1.ListOptions{})
			return err
		})
	}
	return func() {
		for _, d := range definitions {
			i.remove(t, d)
		}
	}
}

// granted takes apart the rules of all roles of the release, which are bound to its service account.
func (i *installation) granted(t *testing.T) []webhook.Right {
	t.Helper()
	return i.grantedTo(t, "app.kubernetes.io/instance="+release)
}

// grantedTo takes apart the rules of all roles with the labels.
func (i *installation) grantedTo(t *testing.T, labels string) []webhook.Right {
	t.Helper()
	own := metav1.ListOptions{LabelSelector: labels}
	roles, err := i.clients.RbacV1().Roles("").List(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	clusterRoles, err := i.clients.RbacV1().ClusterRoles().List(t.Context(), own)
	if err != nil {
		t.Fatal(err)
	}
	var out []webhook.Right
	for k := range clusterRoles.Items {
		out = appendRights(out, "", clusterRoles.Items[k].Rules)
	}
	for k := range roles.Items {
		out = appendRights(out, roles.Items[k].Namespace, roles.Items[k].Rules)
	}
	if len(out) == 0 {
		t.Fatal("the release grants no rights")
	}
	return out
}

func appendRights(out []webhook.Right, namespace string, rules []rbacv1.PolicyRule) []webhook.Right {
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range names {
						out = append(out, webhook.Right{Verb: verb, Group: group, Resource: resource, Namespace: namespace, Name: name})
					}
				}
			}
		}
	}
	return out
}

// implied says whether r is part of a wider right among others.
func implied(r webhook.Right, others []webhook.Right) bool {
	wider := r
	wider.Name, wider.Namespace = "", ""
	return wider != r && slices.Contains(others, wider)
}

// testRightsMissed takes away one right after the other and starts a replica: it names exactly that one, as the reason for which it
// does not start, or for which it judges without a kind.
func (i *installation) testRightsMissed(t *testing.T, granted []webhook.Right, which func(webhook.Right) bool) {
	args, config := i.installed(t, releaseNamespace, release)
	args = append(args, "--namespace="+releaseNamespace, "--drain=1ms")
	needed := append(webhook.SnapshotRights(), webhook.SelfSignedRights(releaseNamespace, replica.Secret, release)...)
	tried := 0
	for n, r := range granted {
		if !which(r) {
			continue
		}
		tried++
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			user := fmt.Sprintf("bulkhead-e2e-%d-without-%d", len(granted), n)
			i.grant(t, user, slices.Concat(granted[:n], granted[n+1:]))
			identity, err := i.kubeconfigFor(user)
			if err != nil {
				t.Fatal(err)
			}
			running, err := i.run(t, identity, config, args...)
			if slices.Contains(needed, r) {
				want := "the process ended: exit status 1\nbulkhead: this identity lacks rights; grant it with RBAC:\n  " + r.String()
				if err == nil {
					t.Fatalf("it started without the right to %s: %v", r, running.Stop())
				}
				if said := err.Error(); !strings.Contains(said+"\n", want+"\n") || strings.Count(said, "\n  ") != 1 {
					t.Errorf("it ended with\n%s\nand was to say\n%s", said, want)
				}
				return
			}
			if err != nil {
				t.Fatalf("it was to start without the right to %s: %v", r, err)
			}
			if err := running.Stop(); err != nil {
				t.Error(err)
			}
			resource := strings.TrimSuffix(r.Resource+"."+r.Group, ".")
			want := []string{resource + ": this identity lacks rights; grant it with RBAC:\n  " + r.String()}
			if got := unseen(t, running); !slices.Equal(got, want) {
				t.Errorf("it warned\n%q\nand was to warn\n%q", got, want)
			}
		})
	}
	if tried == 0 {
		t.Error("no right was taken away")
	}
}

// unseen reads from a replica's log which kinds it does not see and why.
func unseen(t *testing.T, r *replica.Replica) []string {
	t.Helper()
	text, err := os.ReadFile(r.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		var entry struct{ Level, Msg, Resource, Error string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("the log has the line %q", line)
		}
		if entry.Msg == "a kind of object may not be seen, and requests are judged without it" {
			out = append(out, entry.Resource+": "+entry.Error)
		}
	}
	return out
}

// grant gives a user the rights and no others, and waits until the API server knows of it.
func (i *installation) grant(t *testing.T, user string, rights []webhook.Right) {
	t.Helper()
	rules := map[string][]rbacv1.PolicyRule{}
	last := map[string]webhook.Right{}
	for _, r := range rights {
		rule := rbacv1.PolicyRule{Verbs: []string{r.Verb}, APIGroups: []string{r.Group}, Resources: []string{r.Resource}}
		if r.Name != "" {
			rule.ResourceNames = []string{r.Name}
		}
		rules[r.Namespace], last[r.Namespace] = append(rules[r.Namespace], rule), r
	}
	client := i.clients.RbacV1()
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	for namespace := range rules {
		meta := metav1.ObjectMeta{Name: user, Namespace: namespace}
		var err, bound error
		if namespace == "" {
			_, err = client.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules[namespace]}, metav1.CreateOptions{})
			_, bound = client.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user}}, metav1.CreateOptions{})
		} else {
			_, err = client.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules[namespace]}, metav1.CreateOptions{})
			_, bound = client.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user}}, metav1.CreateOptions{})
		}
		if err := errors.Join(err, bound); err != nil {
			t.Fatal(err)
		}
		r := last[namespace]
		eventually(t, "the rights of "+user, func(ctx context.Context) error {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: r.Verb, Group: r.Group, Resource: r.Resource, Namespace: r.Namespace, Name: r.Name}}}
			answer, err := i.clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err == nil && !answer.Status.Allowed {
				err = fmt.Errorf("%s is not allowed", r)
			}
			return err
		})
	}
}

// testRightsFewer runs a replica under the rights of a release whose config leaves guardrails off: it lacks none.
func (i *installation) testRightsFewer(t *testing.T, judges bool) {
	log := i.auditFrom(t)
	live := i.serve(t, releaseNamespace, release, 1)
	if judges {
		i.denied(t, "with guardrails off")
	}
	live.stop()
	if got := unseen(t, live.replicas[0]); len(got) > 0 {
		t.Errorf("kinds are not seen: %q", got)
	}
	if used, refused := i.requests(t, log, "system:serviceaccount:"+releaseNamespace+":"+release); len(refused) > 0 || len(used) == 0 {
		t.Errorf("refused of %d requests: %v", len(used), refused)
	}
}
