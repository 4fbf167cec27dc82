package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// needsDNS stands in for the real guardrails: where a namespace has a policy default-deny it must have allow-dns too.
func needsDNS() policy.Guardrail {
	return policy.Guardrail{
		Slug: "needs-dns", DefaultAction: config.Deny, On: everyTrigger(),
		Check: func(c *policy.Change, _ any) []policy.Violation {
			if c.After.Policy(c.Namespace, "default-deny") == nil || c.After.Policy(c.Namespace, "allow-dns") != nil {
				return nil
			}
			return []policy.Violation{{
				Field: "spec.egress", Live: true, Headline: "3 live pods would lose DNS", Detail: "3 live pods (app=api) lose DNS: no rule allows it",
				Affected: []policy.Affected{{Name: "api", Pods: 3}},
				Fix:      &policy.Fix{Say: "apply this policy first:", YAML: "name: allow-dns\n", First: []*networkingv1.NetworkPolicy{policyOf("allow-dns")}},
			}}
		},
	}
}

func everyTrigger() []policy.Trigger {
	return []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite}
}

// always is a guardrail that does the same to every change.
func always(slug string, check func() []policy.Violation) policy.Guardrail {
	return policy.Guardrail{
		Slug: slug, DefaultAction: config.Deny, On: everyTrigger(),
		Check: func(*policy.Change, any) []policy.Violation { return check() },
	}
}

func configOf(t testing.TB, guardrails []policy.Guardrail, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte("apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\n"+text), policy.Specs(guardrails))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// shop makes a cluster of namespaces shop, kube-system and bulkhead-system.
func shop() *cluster.Builder {
	b := cluster.NewBuilder(cluster.Options{})
	for _, ns := range []string{"shop", "kube-system", "bulkhead-system"} {
		b.SetNamespace(namespaceOf(ns))
	}
	b.SetPod(cluster.PodOf(podOf("api-1", map[string]string{"app": "api"})))
	return b
}

func namespaceOf(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}}
}

func compiled(t testing.TB, np *networkingv1.NetworkPolicy) *netpol.Policy {
	t.Helper()
	p, err := netpol.Compile(np)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// safeBuffer is a log that a test reads while others write it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// bench is a handler with all that it works with.
type bench struct {
	testing.TB
	*Handler
	client   *fake.Clientset
	registry *prometheus.Registry
	log      *safeBuffer
}

// newBench makes a handler whose snapshot is s and whose API server holds the objects.
func newBench(t testing.TB, s *cluster.Snapshot, guardrails []policy.Guardrail, cfg *config.Config, live ...runtime.Object) *bench {
	t.Helper()
	b := &bench{TB: t, client: fake.NewClientset(live...), registry: prometheus.NewRegistry(), log: &safeBuffer{}}
	b.Handler = NewHandler(HandlerOptions{
		Guardrails: guardrails, Config: func() *config.Config { return cfg }, Snapshot: func() *cluster.Snapshot { return s },
		Live: NewLive(b.client), Metrics: NewMetrics(b.registry), Namespace: "bulkhead-system",
		Logger: slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	return b
}

// answer is what the API server would see.
type answer struct {
	code int
	text string
	*admissionv1.AdmissionResponse
}

// send puts the request through the real decoding, controller-runtime's webhook and the armour.
func (b *bench) send(ctx context.Context, r *admissionv1.AdmissionRequest) answer {
	b.Helper()
	return b.sendTraced(ctx, r, "")
}

// sendTraced sends a request of an API server that traces.
func (b *bench) sendTraced(ctx context.Context, r *admissionv1.AdmissionRequest, traceParent string) answer {
	b.Helper()
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: r,
	})
	if err != nil {
		b.Fatal(err)
	}
	return b.postTraced(ctx, body, traceParent)
}

func (b *bench) post(ctx context.Context, body []byte) answer {
	b.Helper()
	return b.postTraced(ctx, body, "")
}

func (b *bench) postTraced(ctx context.Context, body []byte, traceParent string) answer {
	b.Helper()
	hook, err := admission.StandaloneWebhook((&admission.Webhook{Handler: b.Handler}).WithRecoverPanic(false), admission.StandaloneOptions{})
	if err != nil {
		b.Fatal(err)
	}
	request := httptest.NewRequestWithContext(ctx, "POST", "/validate?timeout=5s", bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if traceParent != "" {
		request.Header.Set("Traceparent", traceParent)
	}
	recorder := httptest.NewRecorder()
	armour(hook, armourOptions{logger: b.logger}).ServeHTTP(recorder, request)
	out := answer{code: recorder.Code, text: recorder.Body.String()}
	var review admissionv1.AdmissionReview
	if recorder.Code == 200 {
		if err := json.Unmarshal(recorder.Body.Bytes(), &review); err != nil || review.Response == nil {
			b.Fatalf("HTTP 200 with %q: %v", out.text, err)
		}
		out.AdmissionResponse = review.Response
	}
	return out
}

// policyCreate, policyDelete and podUpdate make the requests that most tests send.
func policyCreate(t testing.TB, name string) *admissionv1.AdmissionRequest {
	t.Helper()
	r := admissionRequest(t, create, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", nil, policyOf(name))
	r.Name = name
	return r
}

func policyDelete(t testing.TB, name string) *admissionv1.AdmissionRequest {
	t.Helper()
	r := admissionRequest(t, deleted, "networking.k8s.io", "networkpolicies", "", "NetworkPolicy", policyOf(name), nil)
	r.Name = name
	return r
}

func inNamespace(r *admissionv1.AdmissionRequest, namespace string) *admissionv1.AdmissionRequest {
	r.Namespace = namespace
	return r
}

// series gives the registry's series whose names begin with prefix as "name{label=value,…} value", sorted.
func (b *bench) series(prefix string) []string {
	b.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	var out []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), prefix) {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			out = append(out, fmt.Sprintf("%s{%s} %v", f.GetName(), strings.Join(labels, ","), value))
		}
	}
	slices.Sort(out)
	return out
}

// breakReads makes the API server fail every read of a resource.
func (b *bench) breakReads(resource string) {
	b.client.PrependReactor("*", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the API server is away")
	})
}

func wantSeries(t *testing.T, b *bench, want string) {
	t.Helper()
	name, _, _ := strings.Cut(want, "{")
	if got := b.series(name); !slices.Contains(got, want) {
		t.Errorf("series %v, want %s", got, want)
	}
}
