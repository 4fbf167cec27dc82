package webhook

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// TestRecentTakesNoImpossibleNames remembers nothing that the API server would not have stored.
func TestRecentTakesNoImpossibleNames(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newRecent()
	s := shop().Snapshot()
	for _, name := range []string{"", "a/b", "..", "a b", "A", "a\n", "kube-system/../x", strings.Repeat("n", 64)} {
		r.remember(now, policy.NamespaceChange(s, namespaceOf(name), labelled(name, "team=a")))
		c := created(t, "a")
		c.Namespace = name
		r.remember(now, c)
	}
	for _, name := range []string{"", "a/b", "%2f", strings.Repeat("n", 254)} {
		r.remember(now, created(t, name))
	}
	if r.order.Len() != 0 || len(r.changes) != 0 || r.size != 0 {
		t.Errorf("%d changes of %d namespaces and %d bytes are remembered", r.order.Len(), len(r.changes), r.size)
	}
	r.remember(now, created(t, "web.v1"))
	if r.order.Len() != 1 {
		t.Error("a policy whose name has a dot is not remembered")
	}
}

// TestRecentHoldsOutAgainstAFlood has somebody make up changes in ever new namespaces within the time of one.
func TestRecentHoldsOutAgainstAFlood(t *testing.T) {
	now := time.Unix(1000, 0)
	s := shop().Snapshot()
	flood := func(n int, c *policy.Change) *recent {
		r := newRecent()
		r.remember(now, created(t, "first"))
		for i := range n {
			c.Namespace = fmt.Sprintf("ns-%d", i)
			r.remember(now, c)
		}
		r.remember(now, created(t, "last"))
		return r
	}
	check := func(what string, r *recent, most int) {
		t.Helper()
		sum, listed := 0, 0
		for e := r.order.Front(); e != nil; e = e.Next() {
			sum += e.Value.(*recentChange).size
		}
		for _, changes := range r.changes {
			listed += len(changes)
		}
		if r.order.Len() > most || r.size > recentMostSize || r.size != sum || listed != r.order.Len() {
			t.Errorf("%s: %d changes, %d by namespace, of %d bytes, counted as %d", what, r.order.Len(), listed, sum, r.size)
		}
		if got, _ := r.apply(now, s, "shop"); got.Policy("shop", "first") != nil || got.Policy("shop", "last") == nil {
			t.Errorf("%s: the oldest stayed or the newest went", what)
		}
	}
	small := created(t, "a")
	check("many", flood(3*recentMostAll, small), recentMostAll)

	np := policyOf("a")
	np.Spec.Ingress = make([]networkingv1.NetworkPolicyIngressRule, 10_000)
	large, err := policy.PolicyChange(s, nil, np)
	if err != nil {
		t.Fatal(err)
	}
	// What identical rules are compiled into is up to netpol; here they are to count one by one.
	for len(large.NewPolicy.Rules[0]) < 10_000 {
		large.NewPolicy.Rules[0] = append(large.NewPolicy.Rules[0], large.NewPolicy.Rules[0]...)
	}
	check("large", flood(100, large), 20)
}

// TestOneUnreadableNamespaceFailsNoConfirmation has a change of labels remembered whose Namespace cannot be read: the
// denials of others are still checked.
func TestOneUnreadableNamespaceFailsNoConfirmation(t *testing.T) {
	guardrails := []policy.Guardrail{needsDNS()}
	cfg := configOf(t, guardrails, deny)
	for _, tt := range []struct {
		name    string
		live    []runtime.Object
		allowed bool
		result  string
	}{
		{"overturned", []runtime.Object{namespaceOf("shop"), policyOf("allow-dns")}, true, confirmationOverturned},
		{"denied still, with something unread", []runtime.Object{namespaceOf("shop")}, false, confirmationFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, shop().Snapshot(), guardrails, cfg, tt.live...)
			b.client.PrependReactor("get", "namespaces", func(a clienttesting.Action) (bool, runtime.Object, error) {
				if get, is := a.(clienttesting.GetAction); is && get.GetName() == "poison" {
					return true, nil, errors.New("cannot be read")
				}
				return false, nil, nil
			})
			b.recent.remember(time.Now(), policy.NamespaceChange(shop().Snapshot(), namespaceOf("poison"), labelled("poison", "team=a")))
			got := b.send(t.Context(), policyCreate(t, "default-deny"))
			if got.AdmissionResponse == nil || got.Allowed != tt.allowed {
				t.Errorf("got %s", got.text)
			}
			wantSeries(t, b, "bulkhead_confirmations_total{result="+tt.result+"} 1")
			if !tt.allowed && !strings.Contains(b.log.String(), "get namespace poison: cannot be read") {
				t.Errorf("the log does not say what could not be read: %s", b.log.String())
			}
		})
	}
}
