package webhook

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestKeepPolicies: policies are kept as they were written where that is wanted, follow the watch, and are not kept elsewhere.
func TestKeepPolicies(t *testing.T) {
	np := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web", Labels: map[string]string{"team": "shop"}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
			Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "example.com/why": "shown"},
		},
		Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}
	for _, keep := range []bool{false, true} {
		s, _ := newTestStore(t)
		if keep {
			s.KeepPolicies()
		}
		client := fake.NewClientset(np.DeepCopy())
		run(t, s, client)
		<-s.Ready()
		got := s.PolicyObject("shop", "web")
		if !keep {
			if got != nil {
				t.Errorf("kept unasked: %+v", got)
			}
			continue
		}
		if got == nil || got.Labels["team"] != "shop" || len(got.Annotations) != 1 || got.ManagedFields != nil || len(got.Spec.PolicyTypes) != 1 {
			t.Fatalf("kept %+v", got)
		}
		policies := client.NetworkingV1().NetworkPolicies("shop")
		wider := np.DeepCopy()
		wider.Spec.PolicyTypes = append(wider.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		if _, err := policies.Update(t.Context(), wider, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the update is kept", func() bool { return len(s.PolicyObject("shop", "web").Spec.PolicyTypes) == 2 })
		if err := policies.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the deleted policy is dropped", func() bool { return s.PolicyObject("shop", "web") == nil })
	}
}
