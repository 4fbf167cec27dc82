package resources

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// TestRefusedRoutes: a Gateway that refuses a route by all its listeners carries nothing of it; before it says anything it counts.
func TestRefusedRoutes(t *testing.T) {
	infra := gatewayv1.Namespace("infra")
	public := gatewayv1.ParentReference{Namespace: &infra, Name: "public"}
	own := gatewayv1.ParentReference{Name: "own"}
	says := func(ref gatewayv1.ParentReference, accepted metav1.ConditionStatus) gatewayv1.RouteParentStatus {
		return gatewayv1.RouteParentStatus{ParentRef: ref, Conditions: []metav1.Condition{
			{Type: string(gatewayv1.RouteConditionResolvedRefs), Status: metav1.ConditionFalse},
			{Type: string(gatewayv1.RouteConditionAccepted), Status: accepted},
		}}
	}
	tests := map[string]struct {
		status []gatewayv1.RouteParentStatus
		want   []cluster.NamespacedName
	}{
		"nothing said": {want: []cluster.NamespacedName{{Namespace: "infra", Name: "public"}, {Namespace: "shop", Name: "own"}}},
		"one refuses": {
			status: []gatewayv1.RouteParentStatus{says(public, metav1.ConditionFalse), says(own, metav1.ConditionTrue)},
			want:   []cluster.NamespacedName{{Namespace: "shop", Name: "own"}},
		},
		"one listener refuses": {
			status: []gatewayv1.RouteParentStatus{says(public, metav1.ConditionFalse), says(public, metav1.ConditionTrue)},
			want:   []cluster.NamespacedName{{Namespace: "infra", Name: "public"}, {Namespace: "shop", Name: "own"}},
		},
		"both refuse": {status: []gatewayv1.RouteParentStatus{says(public, metav1.ConditionFalse), says(own, metav1.ConditionFalse)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			route := &gatewayv1.HTTPRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
			route.Spec.ParentRefs = []gatewayv1.ParentReference{public, own}
			route.Status.Parents = test.status
			if got := httpRoute(route).Gateways; !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestCertificates: which issuer the annotations of an Ingress ask, as cert-manager reads them.
func TestCertificates(t *testing.T) {
	tests := map[string]struct {
		annotations map[string]string
		want        cluster.CertificateRequest
	}{
		"none":           {},
		"cluster issuer": {map[string]string{"cert-manager.io/cluster-issuer": "a"}, cluster.CertificateRequest{ClusterIssuer: "a"}},
		"issuer":         {map[string]string{"cert-manager.io/issuer": "a", "kubernetes.io/tls-acme": "true"}, cluster.CertificateRequest{}},
		"issuer of a kind": {
			map[string]string{"cert-manager.io/issuer": "a", "cert-manager.io/issuer-kind": "ClusterIssuer"},
			cluster.CertificateRequest{ClusterIssuer: "a"},
		},
		"another group": {
			map[string]string{
				"cert-manager.io/issuer": "a", "cert-manager.io/issuer-kind": "ClusterIssuer", "cert-manager.io/issuer-group": "pki.example.com",
			},
			cluster.CertificateRequest{},
		},
		"default":     {map[string]string{"kubernetes.io/tls-acme": "true"}, cluster.CertificateRequest{DefaultIssuer: true}},
		"not default": {map[string]string{"kubernetes.io/tls-acme": "false"}, cluster.CertificateRequest{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := certificates(test.annotations); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
