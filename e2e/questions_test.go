package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// question is a policy that is asked about, and what the answer has in common however often it is asked.
type question struct {
	about string
	body  []byte
	right func(answer string) bool
	// once says that the API server itself takes away what the answer rests on when it ends: its address.
	once bool
}

// newQuestions makes the objects that the answers rest on, in namespaces that come last.
func (s *site) newQuestions(t *testing.T, a *availability) []question {
	t.Helper()
	cut, served, scaled, bound := s.namespaceNamed(t, "zz-cut"), s.namespaceNamed(t, "zz-served"), s.namespaceNamed(t, "zz-scaled"), s.namespaceNamed(t, "zz-bound")
	for _, namespace := range []string{cut, served, scaled} {
		a.crowd(t, namespace, "web", 2)
	}
	s.put(t, served, networkPolicy("allow-dns", allowDNS))
	s.put(t, bound, operator)
	says := func(text string) func(string) bool {
		return func(answer string) bool { return strings.Contains(answer, text) }
	}
	out := []question{
		{about: "pods, Services and namespaces", body: reviewOf(t, cut, denyAll), right: says(losesDNS)}, // denied
		{about: "policies", body: reviewOf(t, served, denyAll), right: says(`"allowed":true`)},
		{
			about: "RoleBindings and EndpointSlices", body: reviewOf(t, bound, allowDNS), once: true,
			right: says("apiserver-cut: 2 live pods would lose the Kubernetes API"),
		},
	}
	// A policy for a workload that has no pods now: only its template says that it is none for nothing.
	for _, kind := range cluster.TemplateKinds {
		app := strings.ToLower(kind)
		for _, o := range parse(t, idle(kind, app)) {
			o.SetNamespace(scaled)
			s.create(t, o)
		}
		out = append(out, question{about: kind, body: reviewOf(t, scaled, fmt.Sprintf(forApp, app)), right: func(answer string) bool {
			return strings.Contains(answer, `"allowed":true`) && !strings.Contains(answer, nothingSelected)
		}})
	}
	return append(out, question{about: "nothing", body: reviewOf(t, scaled, fmt.Sprintf(forApp, "nobody")), right: says(nothingSelected)})
}

const (
	forApp          = "podSelector: {matchLabels: {app: %s}}, policyTypes: [Ingress], ingress: [{}]"
	nothingSelected = "selector-no-pods"
)

// idle writes a workload of the kind that runs no pods.
func idle(kind, app string) string {
	template := fmt.Sprintf(`{metadata: {labels: {app: %s}}, spec: {nodeSelector: {none: such}, restartPolicy: %%s, containers: [{name: main, image: "%s"}]}}`, app, image)
	always, never := fmt.Sprintf(template, "Always"), fmt.Sprintf(template, "Never")
	spec := fmt.Sprintf("{replicas: 0, selector: {matchLabels: {app: %s}}, template: %s}", app, always)
	group := "apps/v1"
	switch kind {
	case "DaemonSet":
		spec = fmt.Sprintf("{selector: {matchLabels: {app: %s}}, template: %s}", app, always)
	case "Job":
		group, spec = "batch/v1", fmt.Sprintf("{suspend: true, template: %s}", never)
	case "CronJob":
		group, spec = "batch/v1", fmt.Sprintf(`{suspend: true, schedule: "0 0 1 1 *", jobTemplate: {spec: {template: %s}}}`, never)
	}
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {name: idle}\nspec: %s\n", group, kind, spec)
}

// questions are asked without a pause, past the API server, which would ask less often.
type questions struct {
	notYet, right, wrong atomic.Int64
	cancel               context.CancelFunc
	asking               sync.WaitGroup
}

// startQuestions asks a replica all of them over and over. Until it has a certificate and listens it may not answer.
func (s *site) startQuestions(t *testing.T, r *replica.Replica, all []question) *questions {
	t.Helper()
	trust, err := trusting(s.issuer.pem())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	q := &questions{cancel: cancel}
	t.Cleanup(q.end)
	for _, one := range all {
		q.asking.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: trust}}
			defer client.CloseIdleConnections()
			repeat(ctx, askEvery, func() bool {
				q.ask(ctx, t, client, r.URL, one)
				return true
			})
		})
	}
	return q
}

// ask asks once and counts the answer.
func (q *questions) ask(ctx context.Context, t *testing.T, client *http.Client, url string, one question) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+webhook.Path+"?timeout=5s", bytes.NewReader(one.body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil && ctx.Err() != nil:
	case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		q.notYet.Add(1)
	case resp.StatusCode == http.StatusOK && one.right(string(text)):
		q.right.Add(1)
	default:
		if q.wrong.Add(1) == 1 {
			t.Errorf("about %s: HTTP %d %s", one.about, resp.StatusCode, text)
		}
	}
}

// awaitAnswers waits until so many more questions got the right answer.
func (q *questions) awaitAnswers(t *testing.T, n int64) {
	t.Helper()
	until := q.right.Load() + n
	eventually(t, "right answers", func(context.Context) error {
		if q.right.Load() < until {
			return fmt.Errorf("%d are missing", until-q.right.Load())
		}
		return nil
	})
}

// end stops to ask.
func (q *questions) end() {
	q.cancel()
	q.asking.Wait()
}

// reviewOf is the API server's question about a new policy in a namespace, as a dry run.
func reviewOf(t *testing.T, namespace, spec string) []byte {
	t.Helper()
	p := typed(t, networkPolicy("asked", spec))
	p.Namespace = namespace
	object, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	dry := true
	body, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "e2e", Operation: admissionv1.Create, Namespace: namespace, Name: p.Name, DryRun: &dry,
			Kind:     metav1.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
			Resource: metav1.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
			Object:   runtime.RawExtension{Raw: object},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
