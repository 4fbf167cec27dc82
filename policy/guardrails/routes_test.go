package guardrails

import (
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// TestCarrierOfIngress: the class decides what carries an Ingress, and where two classes are the default nobody knows.
// A real API server gives new Ingresses the default class, so that no fixture can hold these.
func TestCarrierOfIngress(t *testing.T) {
	class := func(name, controller string, isDefault bool) *networkingv1.IngressClass {
		c := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.IngressClassSpec{Controller: controller}}
		if isDefault {
			c.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
		}
		return c
	}
	nginx, traefik := "k8s.io/ingress-nginx", "traefik.io/ingress-controller"
	tests := map[string]struct {
		classes    []*networkingv1.IngressClass
		configured []gatewayController
		class      string
		want       string // the carrier's name, empty for none
	}{
		"named":                  {classes: []*networkingv1.IngressClass{class("a", nginx, false), class("b", traefik, true)}, class: "a", want: "ingress-nginx"},
		"default":                {classes: []*networkingv1.IngressClass{class("a", nginx, false), class("b", traefik, true)}, want: "Traefik"},
		"two defaults":           {classes: []*networkingv1.IngressClass{class("a", nginx, true), class("b", traefik, true)}},
		"no default":             {classes: []*networkingv1.IngressClass{class("a", nginx, false)}},
		"no such class":          {classes: []*networkingv1.IngressClass{class("a", nginx, true)}, class: "b"},
		"controller with suffix": {classes: []*networkingv1.IngressClass{class("a", "haproxy.org/ingress-controller/internal", false)}, class: "a", want: "HAProxy"},
		"another controller":     {classes: []*networkingv1.IngressClass{class("a", "k8s.io/ingress-nginx-two", false)}, class: "a"},
		"config goes first": {
			classes:    []*networkingv1.IngressClass{class("a", nginx, false)},
			configured: []gatewayController{{Controller: nginx, Namespace: "edge"}}, class: "a", want: "the controller of class a",
		},
		"config alone": {configured: []gatewayController{{Class: "old", Namespace: "edge"}}, class: "old", want: "the controller of class old"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := cluster.NewBuilder(cluster.Options{})
			for _, c := range test.classes {
				b.SetExtra(resources.Reduce(c))
			}
			got := ""
			if by := newRouter(b.Snapshot(), test.configured).ofIngress(test.class); by != nil {
				got = by.name
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
