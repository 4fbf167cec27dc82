package webhook

import (
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// TestControlledCountsFromControllersAlone: anybody can write that a controller made a pod or a template.
func TestControlledCountsFromControllersAlone(t *testing.T) {
	api := map[string]string{"app": "api"}
	for user, believed := range map[string]bool{
		"system:serviceaccount:kube-system:replicaset-controller": true,
		"system:serviceaccount:kube-system:deployment-controller": true,
		"system:kube-controller-manager":                          true,
		"system:serviceaccount:shop:replicaset-controller":        false,
		"system:serviceaccount:kube-systems:default":              false,
		"system:kube-controller-manager2":                         false,
		"system:kube-scheduler":                                   false,
		"system:serviceaccount:kube-system":                       false,
		"dev":                                                     false,
		"":                                                        false,
	} {
		decoded := func(group, resource, kind string, object any) string {
			r := admissionRequest(t, create, group, resource, "", kind, nil, object)
			r.UserInfo.Username = user
			got, err := decodeRequest(r)
			if err != nil {
				t.Fatal(err)
			}
			return judgedAs(got)
		}
		for _, maker := range [][2]string{{"apps/v1", "ReplicaSet"}, {"apps/v1", "StatefulSet"}, {"apps/v1", "DaemonSet"}, {"batch/v1", "Job"}} {
			p := podOf("p", api)
			controlledBy(maker[0], maker[1])(&p.ObjectMeta)
			want := "pod new"
			if believed {
				want = "skip controlled"
			}
			if got := decoded("", "pods", "Pod", p); got != want {
				t.Errorf("a pod of a %s by %q is judged as %q, want %q", maker[1], user, got, want)
			}
		}
		for _, k := range templateKinds() {
			want := k.kind + " new"
			if believed {
				want = "skip controlled"
			}
			if got := decoded(k.group, k.resource, k.kind, k.object(api, controlledBy("apps/v1", "Deployment"))); got != want {
				t.Errorf("a controlled %s by %q is judged as %q, want %q", k.kind, user, got, want)
			}
		}
	}
}

// ownedBy gives a policy owners.
func ownedBy(owners ...metav1.OwnerReference) func(np *networkingv1.NetworkPolicy) {
	return func(np *networkingv1.NetworkPolicy) { np.OwnerReferences = owners }
}

func TestOwnersOfPolicies(t *testing.T) {
	owner := func(uid string) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "c" + uid, UID: types.UID(uid)}
	}
	renamed, otherKind, blocking := owner("1"), owner("1"), owner("1")
	renamed.Name, otherKind.Kind = "gone", "Secret"
	yes := true
	blocking.BlockOwnerDeletion, blocking.Controller = &yes, &yes
	ingressToo := func(np *networkingv1.NetworkPolicy) {
		np.Spec.PolicyTypes = append(np.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
	}
	now := metav1.Now()
	going := func(np *networkingv1.NetworkPolicy) { np.DeletionTimestamp = &now }
	for _, tt := range []struct {
		name     string
		old, new *networkingv1.NetworkPolicy
		want     string // the changes that are judged: operation and owner
	}{
		{"created with an owner", nil, policyOf("a", ownedBy(owner("1"))), "CREATE "},
		{"an owner added", policyOf("a"), policyOf("a", ownedBy(owner("1"))), "DELETE ConfigMap c1"},
		{"an owner added with another spec", policyOf("a"), policyOf("a", ownedBy(owner("1")), ingressToo), "UPDATE , DELETE ConfigMap c1"},
		{"a second owner", policyOf("a", ownedBy(owner("1"))), policyOf("a", ownedBy(owner("1"), owner("2"))), "DELETE ConfigMap c2"},
		{"an owner in place of another", policyOf("a", ownedBy(owner("1"))), policyOf("a", ownedBy(owner("2"))), "DELETE ConfigMap c2"},
		{"an owner that is looked for under another name", policyOf("a", ownedBy(owner("1"))), policyOf("a", ownedBy(renamed)), "DELETE ConfigMap gone"},
		{"an owner that is looked for among another kind", policyOf("a", ownedBy(owner("1"))), policyOf("a", ownedBy(otherKind)), "DELETE Secret c1"},
		{"an owner removed", policyOf("a", ownedBy(owner("1"))), policyOf("a"), "skip unchanged"},
		{"the same owners in another order", policyOf("a", ownedBy(owner("1"), owner("2"))), policyOf("a", ownedBy(owner("2"), owner("1"))), "skip unchanged"},
		{"the owner blocks its deletion now", policyOf("a", ownedBy(owner("1"))), policyOf("a", ownedBy(blocking)), "skip unchanged"},
		{"another spec, the same owner", policyOf("a", ownedBy(owner("1"))), policyOf("a", ownedBy(owner("1")), ingressToo), "UPDATE "},
		{"an owner for what is being deleted", policyOf("a", going), policyOf("a", going, ownedBy(owner("1"))), "skip unchanged"},
	} {
		var old any
		operation := create
		if tt.old != nil {
			old, operation = tt.old, update
		}
		reviewed, err := decodeRequest(admissionRequest(t, operation, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", old, tt.new))
		if err != nil {
			t.Fatal(err)
		}
		got := "skip " + reviewed.skip
		if reviewed.skip == "" {
			got = ""
			changes, err := reviewed.changes(shop().Snapshot())
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range changes {
				if i > 0 {
					got += ", "
				}
				got += string(c.Operation) + " " + c.Owner
			}
		}
		if got != tt.want {
			t.Errorf("%s: judged as %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestOwnerIsJudgedAsDeletion: what would deny the deletion warns about the owner, and what looks at who asks denies.
func TestOwnerIsJudgedAsDeletion(t *testing.T) {
	effect := always("effect", func() []policy.Violation {
		return []policy.Violation{{Live: true, Headline: "3 pods open", Detail: "3 pods lose isolation"}}
	})
	effect.On = []policy.Trigger{policy.PolicyDelete}
	personal := always("personal", func() []policy.Violation {
		return []policy.Violation{{Headline: "p is red's", Detail: "p is managed by red", Reason: "p is red's own"}}
	})
	personal.On, personal.ByRequester = effect.On, true
	owned := policyOf("p", ownedBy(metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "trap", UID: "1"}))
	r := admissionRequest(t, update, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", policyOf("p"), owned)

	asked := func(guardrails ...policy.Guardrail) (*bench, answer) {
		b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, deny), namespaceOf("shop"))
		return b, b.send(t.Context(), r)
	}
	b, got := asked(effect)
	if !got.Allowed || len(got.Warnings) != 1 || got.Warnings[0] != "effect: will be deleted by the garbage collector with ConfigMap trap; 3 pods lose isolation" {
		t.Errorf("the effect: allowed %v, warnings %q", got.Allowed, got.Warnings)
	}
	if _, some := b.recent.apply(time.Now(), shop().Snapshot(), "shop"); some {
		t.Error("the owner is remembered as a deletion")
	}
	_, got = asked(effect, personal)
	if got.Allowed || len(got.Result.Details.Causes) != 1 || got.Result.Details.Causes[0].Field != "metadata.ownerReferences" {
		t.Errorf("who asks: allowed %v, %+v", got.Allowed, got.Result)
	}
}
