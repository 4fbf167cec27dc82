package webhook

import (
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestRegistration(t *testing.T) {
	for _, failClosed := range []bool{false, true} {
		got := Registration(RegistrationOptions{
			Name: "bulkhead", Namespace: "bulkhead-system", Service: "bulkhead", CABundle: []byte("PEM"), FailClosed: failClosed,
		})
		seen := map[string]bool{}
		for _, w := range got.Webhooks {
			if problems := validation.IsDNS1123Subdomain(w.Name); len(problems) > 0 || strings.Count(w.Name, ".") < 2 || seen[w.Name] {
				t.Errorf("name %s: %v", w.Name, problems)
			}
			seen[w.Name] = true
			want := admissionregistrationv1.Ignore
			if failClosed && w.Name == "networkpolicies.bulkhead.dev" {
				want = admissionregistrationv1.Fail
			}
			if *w.FailurePolicy != want {
				t.Errorf("%s: failurePolicy %s, want %s", w.Name, *w.FailurePolicy, want)
			}
			if *w.SideEffects != admissionregistrationv1.SideEffectClassNone || *w.MatchPolicy != admissionregistrationv1.Equivalent ||
				*w.TimeoutSeconds != 5 || !slices.Equal(w.AdmissionReviewVersions, []string{"v1"}) {
				t.Errorf("%s: %+v", w.Name, w)
			}
			if s := w.ClientConfig.Service; w.ClientConfig.URL != nil || s == nil || s.Name != "bulkhead" || s.Namespace != "bulkhead-system" || *s.Path != Path {
				t.Errorf("%s: client config %+v", w.Name, w.ClientConfig)
			}
			selector, err := metav1.LabelSelectorAsSelector(w.NamespaceSelector)
			if err != nil {
				t.Fatal(err)
			}
			system, namespaces := strings.HasPrefix(w.Name, "system-"), w.Name == "namespaces.bulkhead.dev"
			for namespace, want := range map[string]bool{"shop": !system, "bulkhead-system": false, "kube-system": system || namespaces} {
				if got := selector.Matches(labels.Set{"kubernetes.io/metadata.name": namespace, "bulkhead.dev/skip": "true"}); got != want {
					t.Errorf("%s sees %s: %v", w.Name, namespace, got)
				}
			}
			scope := admissionregistrationv1.NamespacedScope
			if namespaces {
				scope = admissionregistrationv1.ClusterScope
			}
			for _, r := range w.Rules {
				if *r.Scope != scope {
					t.Errorf("%s: %v has scope %s", w.Name, r.Resources, *r.Scope)
				}
			}
			names := map[string]bool{}
			for _, c := range w.MatchConditions {
				if problems := validation.IsQualifiedName(c.Name); len(problems) > 0 || names[c.Name] || c.Expression == "" || strings.Contains(c.Expression, "%") {
					t.Errorf("%s: condition %+v: %v", w.Name, c, problems)
				}
				names[c.Name] = true
			}
		}
	}
}

// TestRegisteredRequestsAreKnown sends an empty request for all that is registered: what comes back may be that the object
// is missing, but not that the resource is unknown.
func TestRegisteredRequestsAreKnown(t *testing.T) {
	for _, w := range Registration(RegistrationOptions{Name: "bulkhead", Namespace: "bulkhead-system", Service: "bulkhead"}).Webhooks {
		for _, rule := range w.Rules {
			for _, resource := range rule.Resources {
				resource, subresource, _ := strings.Cut(resource, "/")
				for _, operation := range rule.Operations {
					r := admissionRequest(t, operationOf(operation), rule.APIGroups[0], resource, subresource, "", nil, nil)
					if got, err := decodeRequest(r); err == nil && got.skip == "" || err != nil && !strings.Contains(err.Error(), "is missing") {
						t.Errorf("%s %s/%s: %v", operation, resource, subresource, err)
					}
				}
			}
		}
	}
}

func TestRegistrationOutsideTheCluster(t *testing.T) {
	for _, url := range []string{"https://127.0.0.1:9443", "https://127.0.0.1:9443/"} {
		for _, w := range Registration(RegistrationOptions{Name: "bulkhead", URL: url}).Webhooks {
			if w.ClientConfig.Service != nil || *w.ClientConfig.URL != "https://127.0.0.1:9443/validate" {
				t.Errorf("client config %+v", w.ClientConfig)
			}
		}
	}
}
