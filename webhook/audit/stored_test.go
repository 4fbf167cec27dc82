package audit

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/policy"
	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/openreports"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// TestDocument: what was written reads as what was wanted, with all that an API server adds and others put beside it, so that it is
// not written again; and what others changed in it does not.
func TestDocument(t *testing.T) {
	found := &scan.Namespace{Name: "shop", Findings: []scan.Finding{{
		Finding: policy.Finding{Guardrail: "dns-cut", Action: config.Deny, Violation: policy.Violation{Field: "spec", Detail: "no rules"}},
		Kind:    "NetworkPolicy", Name: "deny",
	}}}
	first := time.Unix(1_700_000_000, 0)
	for _, namespace := range []string{"shop", clusterWide} {
		wanted, err := documentOf(namespace, found, openreports.At(first))
		if err != nil {
			t.Fatal(err)
		}
		var u unstructured.Unstructured
		if err := json.Unmarshal(wanted.text, &u.Object); err != nil {
			t.Fatal(err)
		}
		changed := metav1.NewTime(first.Add(time.Hour))
		u.SetCreationTimestamp(metav1.NewTime(first))
		u.SetUID("1")
		u.SetResourceVersion("2")
		u.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: fieldManager, Time: &changed}, {Manager: "kubectl"}})
		labels := maps.Clone(u.GetLabels())
		labels["team"] = "shop"
		u.SetLabels(labels)
		u.SetAnnotations(map[string]string{"example.com/read": "yes"})
		stored := read(&u)
		if !wanted.same(stored) || !stored.written.Equal(changed.Time) {
			t.Errorf("%q: stored %s, written %s\nwanted %s", namespace, stored.text, stored.written, wanted.text)
		}
		if id := openreports.Identities(found.Findings)[0]; !stored.since[id].Equal(first) {
			t.Errorf("%q: first found %v", namespace, stored.since)
		}
		if err := unstructured.SetNestedField(u.Object, int64(7), "summary", "fail"); err != nil {
			t.Fatal(err)
		}
		if wanted.same(read(&u)) {
			t.Errorf("%q: a foreign edit goes unseen", namespace)
		}
		u.Object["results"] = "nonsense"
		if wanted.same(read(&u)) {
			t.Errorf("%q: nonsense goes unseen", namespace)
		}
	}
	none, err := documentOf("shop", &scan.Namespace{Name: "shop"}, openreports.At(first))
	if err != nil || none != nil || !none.same(nil) {
		t.Errorf("a report of nothing: %v, %v", none, err)
	}
}

// TestSameAgain: what is found once more is not written again, failures included, and keeps the time of its first finding.
func TestSameAgain(t *testing.T) {
	found := scan.Namespace{Name: "shop", Failures: []policy.Failure{{Guardrail: "endport", Err: errors.New("panic")}}, Findings: []scan.Finding{{
		Finding: policy.Finding{Guardrail: "dns-cut", Action: config.Warn}, Kind: "NetworkPolicy", Name: "deny",
	}}}
	var e entry
	write := func(now time.Time) *document {
		e.settle(found, now, time.Hour)
		d, err := documentOf("shop", &e.shown, func(id string) time.Time { return e.since[id] })
		if err != nil || len(d.since) != 2 {
			t.Fatalf("%v, %+v", err, d)
		}
		return d
	}
	first := time.Unix(1_700_000_000, 0)
	one, two := write(first), write(first.Add(time.Minute))
	if !one.same(two) {
		t.Errorf("first %s\nthen %s", one.text, two.text)
	}
	for id, at := range two.since {
		if !at.Equal(first) {
			t.Errorf("%s was first found at %s", id, at)
		}
	}
}

// TestMissing: a kind that the API server does not have is told from an object and from a namespace that is not there.
func TestMissing(t *testing.T) {
	kind := schema.GroupResource{Group: "openreports.io", Resource: "reports"}
	noKind := apierrors.NewGenericServerResponse(404, "get", kind, "bulkhead", "404 page not found", 0, true)
	noObject := apierrors.NewNotFound(kind, "bulkhead")
	noNamespace := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop")
	going := apierrors.NewForbidden(kind, "bulkhead", nil)
	going.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: "NamespaceTerminating"}}
	for _, c := range []struct {
		err           error
		missing, over bool
	}{{noKind, true, false}, {noObject, false, false}, {noNamespace, false, true}, {going, false, true}, {nil, false, false}} {
		if isMissing(c.err) != c.missing || isOver(c.err) != c.over {
			t.Errorf("%v: missing %t, over %t", c.err, isMissing(c.err), isOver(c.err))
		}
	}
}
