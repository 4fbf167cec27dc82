package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// again does something again and again in the background, until what is returned is called.
func again(t *testing.T, every time.Duration, do func(ctx context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			do(ctx)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); running.Wait() }) }
	t.Cleanup(stop)
	return stop
}

// as gives a client of a user who may do everything.
func (m *monitored) as(t *testing.T, user string) dynamic.Interface {
	t.Helper()
	acting := rest.CopyConfig(m.admin)
	acting.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{masters}}
	acting.WarningHandler = rest.NoWarnings{}
	acting.QPS = -1
	client, err := dynamic.NewForConfig(acting)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// policyOf reads a NetworkPolicy that networkPolicy wrote.
func policyOf(t *testing.T, name, spec string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(networkPolicy(name, spec)), o); err != nil {
		t.Fatal(err)
	}
	return o
}

// traffic makes a mix of changes again and again: what is allowed, warned of, denied, exempt and tried out. What becomes of each is
// up to the faults of the moment.
func (m *monitored) traffic(t *testing.T) (stop func()) {
	t.Helper()
	developer, platform := m.as(t, dev), m.as(t, author)
	in := func(c dynamic.Interface, namespace string) dynamic.ResourceInterface {
		return c.Resource(resources["NetworkPolicy"]).Namespace(namespace)
	}
	denied := policyOf(t, "default-deny", denyAll)
	allowed := policyOf(t, "allow-dns", allowDNS)
	warned := policyOf(t, "typo", "podSelector: {matchLabels: {app: apii}}, policyTypes: [Ingress]")
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	turn := 0
	return again(t, 200*time.Millisecond, func(ctx context.Context) {
		turn++
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		for _, p := range []*unstructured.Unstructured{allowed, warned} {
			_, _ = in(developer, m.namespace).Create(ctx, p, metav1.CreateOptions{})
			_ = in(platform, m.namespace).Delete(ctx, p.GetName(), metav1.DeleteOptions{}) // which would open pods, were it the developer
		}
		_, _ = in(developer, m.denying).Create(ctx, denied, dryRun)
		if turn%5 == 0 { // few enough for the alert on many
			_, _ = in(developer, m.denying).Create(ctx, denied, metav1.CreateOptions{})
			_, _ = in(platform, m.denying).Create(ctx, denied, dryRun)
		}
		_, _ = in(platform, m.namespace).Create(ctx, allowed, metav1.CreateOptions{})
		_ = in(platform, m.namespace).Delete(ctx, allowed.GetName(), metav1.DeleteOptions{})
		// A label of the Deployment's template reaches the webhook of templates, which fails open.
		patch := fmt.Appendf(nil, `{"spec":{"template":{"metadata":{"labels":{"turn":"t%d"}}}}}`, turn)
		_, _ = developer.Resource(resources["Deployment"]).Namespace(m.namespace).
			Patch(ctx, "api", types.MergePatchType, patch, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	})
}

// flood makes changes that are denied, many more than usual.
func (m *monitored) flood(t *testing.T) (stop func()) {
	t.Helper()
	policies := m.as(t, dev).Resource(resources["NetworkPolicy"]).Namespace(m.denying)
	denied := policyOf(t, "default-deny", denyAll)
	return again(t, 100*time.Millisecond, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		var running sync.WaitGroup
		for range 4 {
			running.Go(func() { _, _ = policies.Create(ctx, denied, metav1.CreateOptions{}) })
		}
		running.Wait()
	})
}

// ask sends a body to a replica as often as it can, and wants no answer.
func (m *monitored) ask(t *testing.T, r *monitoredReplica, query, body string) (stop func()) {
	t.Helper()
	trust, err := m.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := clientOf(trust)
	t.Cleanup(client.CloseIdleConnections)
	return again(t, 50*time.Millisecond, func(ctx context.Context) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.webhook+webhook.Path+query, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/json")
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
	})
}

// overload asks for a judgement of a policy with so many exceptions that guardrails take longer over it than they may.
func (m *monitored) overload(t *testing.T, r *monitoredReplica) (stop func()) {
	t.Helper()
	var from []string
	for i := range 20_000 {
		block := fmt.Sprintf("10.%d.%d", i/256, i%256)
		from = append(from, fmt.Sprintf(`{"ipBlock":{"cidr":"%s.0/24","except":["%s.8/32"]}}`, block, block))
	}
	object := policyWith("", `"podSelector":{},"policyTypes":["Ingress"],"ingress":[{"from":[`+strings.Join(from, ",")+`]}]`)
	body := review(strings.ReplaceAll(aboutPolicies("CREATE")+`,"object":`+object, `"namespace":"default"`, `"namespace":"`+m.denying+`"`))
	var stops []func()
	for range 2 {
		stops = append(stops, m.ask(t, r, "?timeout=3s", body))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}
