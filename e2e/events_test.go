package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

const (
	manyDenials     = 10_000
	eventsPerMinute = 30
	eventNamespaces = 5
)

// testEvents floods a replica with denials that Events are made of. The real API server takes them, kubectl shows them in the
// namespace, and they are few.
func (s *suite) testEvents(t *testing.T) {
	var namespaces []string
	for range eventNamespaces {
		namespaces = append(namespaces, s.newNamespace(t))
	}
	s.setConfig(t, baseConfig+fmt.Sprintf("events: {decisions: [Denied, Warned], perMinute: %d}\n", eventsPerMinute))
	defer s.setConfig(t, baseConfig)
	r := s.startExtra(t, replica.Options{})
	trust, err := s.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 8}}
	denied := func(i int) string {
		return strings.ReplaceAll(madeUp(154, fmt.Sprintf("p-%d", i)), `"namespace":"default"`, fmt.Sprintf(`"namespace":%q`, namespaces[i%len(namespaces)]))
	}
	result := func(name string) float64 {
		metrics, err := r.Metrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, _ := sum(metrics, "bulkhead_events_total", `result="`+name+`"`)
		return n
	}
	postReviews(t, client, r.URL, 1, denied)
	eventually(t, "an Event to be refused for want of the right", func(context.Context) error {
		if result("failed") == 0 {
			return fmt.Errorf("none failed")
		}
		return nil
	})
	s.grant(t, "bulkhead-e2e-events", bulkheadAccount(), rulesOf(webhook.EventRights())...)
	eventually(t, "an Event to be stored", func(context.Context) error {
		postReviews(t, client, r.URL, 1, denied)
		if result("sent") == 0 {
			return fmt.Errorf("none was sent")
		}
		return nil
	})
	start := time.Now()
	postReviews(t, client, r.URL, manyDenials, denied)
	minutes := int(time.Since(start)/time.Minute) + 2
	eventually(t, "all denials to be counted", func(context.Context) error {
		if n := result("sent") + result("aggregated") + result("dropped") + result("failed"); n < manyDenials {
			return fmt.Errorf("%.0f of %d", n, manyDenials)
		}
		return nil
	})
	stored := 0
	for _, namespace := range namespaces {
		list, err := s.clients.EventsV1().Events(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.ReportingController == "bulkhead.dev/bulkhead" {
				stored++
			}
		}
	}
	t.Logf("%d denials made %d Events: %.0f sent, %.0f aggregated, %.0f dropped, %.0f failed", manyDenials, stored,
		result("sent"), result("aggregated"), result("dropped"), result("failed"))
	if stored == 0 || stored > minutes*eventsPerMinute || float64(stored) != result("sent") {
		t.Errorf("%d Events are stored, at most %d a minute are allowed", stored, eventsPerMinute)
	}
	a := s.dev(t, "", "get", "events", "-n", namespaces[0])
	if !a.ok || !strings.Contains(a.stdout, "ChangeDenied") || !strings.Contains(a.stdout, "namespace/"+namespaces[0]) || !strings.Contains(a.stdout, "rules-ignored: ") {
		t.Errorf("kubectl get events printed:\n%s", a.text())
	}
}
