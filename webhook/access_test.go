package webhook

import (
	"errors"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// authorizing makes an API server that grants what allowed says.
func authorizing(allowed func(a *authorizationv1.ResourceAttributes) bool) *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		review.Status.Allowed = allowed(review.Spec.ResourceAttributes)
		return true, review, nil
	})
	return client
}

func TestCheckAccessNamesEachMissingRight(t *testing.T) {
	rights := append(SnapshotRights(), SelfSignedRights("bulkhead-system", "bulkhead-certs", "bulkhead")...)
	if err := CheckAccess(t.Context(), authorizing(func(*authorizationv1.ResourceAttributes) bool { return true }), rights); err != nil {
		t.Errorf("all granted: %v", err)
	}
	for _, missing := range rights {
		client := authorizing(func(a *authorizationv1.ResourceAttributes) bool {
			return Right{a.Verb, a.Group, a.Resource, a.Namespace, a.Name} != missing
		})
		err := CheckAccess(t.Context(), client, rights)
		if err == nil || !strings.HasSuffix(err.Error(), "\n  "+missing.String()) || strings.Count(err.Error(), "\n") != 1 {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	err := CheckAccess(t.Context(), authorizing(func(*authorizationv1.ResourceAttributes) bool { return false }), rights)
	if err == nil || strings.Count(err.Error(), "\n") != len(rights) {
		t.Errorf("nothing granted: %v", err)
	}
}

func TestCheckAccessThatCannotAsk(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "selfsubjectaccessreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the API server is away")
	})
	if err := CheckAccess(t.Context(), client, SnapshotRights()); err == nil || strings.Contains(err.Error(), "lacks") {
		t.Errorf("got %v", err)
	}
}

func TestRightsInWords(t *testing.T) {
	for want, r := range map[string]Right{
		"list pods": {Verb: "list", Resource: "pods"},
		"watch networkpolicies.networking.k8s.io": {Verb: "watch", Group: "networking.k8s.io", Resource: "networkpolicies"},
		"update secrets tls in namespace ns":      {Verb: "update", Resource: "secrets", Namespace: "ns", Name: "tls"},
	} {
		if got := r.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
