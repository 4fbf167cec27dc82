package webhook

import (
	"encoding/json"
	"net/http"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// FuzzDecode sends whatever bytes through armour, controller-runtime's webhook and the handler. Nothing panics, an answer
// is printable, and what is allowed was an AdmissionReview whose objects can be decoded.
func FuzzDecode(f *testing.F) {
	review := func(r *admissionv1.AdmissionRequest) []byte {
		data, err := json.Marshal(admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: r,
		})
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	api, web := map[string]string{"app": "api"}, map[string]string{"app": "web"}
	f.Add(review(policyCreate(f, "default-deny")))
	f.Add(review(policyDelete(f, "allow-dns")))
	f.Add(review(admissionRequest(f, update, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", policyOf("a"), badPolicy("a"))))
	f.Add(review(admissionRequest(f, update, "", "pods", "status", "Pod", podOf("api-1", api), podOf("api-1", web))))
	f.Add(review(admissionRequest(f, create, "", "pods", "binding", "Binding", nil, `{"metadata":{"name":"api-1","labels":{"app":"web"}}}`)))
	f.Add(review(admissionRequest(f, create, "", "bindings", "", "Binding", nil, `{"metadata":{"name":"api-1","labels":{"app":"web"}}}`)))
	f.Add(review(relabel(f, namespaceOf("shop"), labelled("shop", "team=a"))))
	f.Add(review(admissionRequest(f, connect, "", "pods", "exec", "PodExecOptions", nil, `{}`)))
	for _, k := range templateKinds() {
		f.Add(review(admissionRequest(f, update, k.group, k.resource, "", k.kind, k.object(api), k.object(web))))
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u"}}`))
	f.Add([]byte("apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n"))

	guardrails := []policy.Guardrail{needsDNS()}
	b := newBench(f, shop().Snapshot(), guardrails, configOf(f, guardrails, deny), namespaceOf("shop"), podOf("api-1", api))
	b.logger = discard()
	f.Fuzz(func(t *testing.T, body []byte) {
		in := *b
		in.TB = t
		got := in.post(t.Context(), body)
		if got.code != http.StatusOK {
			if got.code < 400 {
				t.Fatalf("HTTP %d", got.code)
			}
			return
		}
		if !got.Allowed {
			if got.Result == nil || got.Result.Code != http.StatusForbidden {
				t.Fatalf("denied for another reason than a violation: %s", got.text)
			}
			return
		}
		var sent admissionv1.AdmissionReview
		if err := utiljson.Unmarshal(body, &sent); err != nil || sent.Request == nil || sent.Request.UID == "" {
			t.Fatalf("allowed what is no review: %v", err)
		}
		if got.AuditAnnotations[auditDecision] == decisionExempt {
			return
		}
		if _, err := decodeRequest(sent.Request); err != nil {
			t.Fatalf("allowed what cannot be judged: %v", err)
		}
	})
}
