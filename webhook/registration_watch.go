package webhook

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// registrationRest is how long a registration has to stay as it is before it is judged: installing, upgrading and a rotated
	// certificate change it in steps.
	registrationRest = 3 * time.Second
	// registrationAgain is how often it is judged without a change: the certificate may have changed, or a right come.
	registrationAgain = time.Minute
)

// RegistrationRights are what watching the registration of that name needs; none where there is no name.
func RegistrationRights(name string) []Right {
	if name == "" {
		return nil
	}
	var out []Right
	for _, verb := range []string{"list", "watch"} {
		out = append(out, Right{Verb: verb, Group: "admissionregistration.k8s.io", Resource: "validatingwebhookconfigurations", Name: name})
	}
	return out
}

// RegistrationWatch says when Bulkhead's own registration is deleted or sends less than Bulkhead judges. It changes nothing. It
// is a prometheus.Collector.
type RegistrationWatch struct {
	client      kubernetes.Interface
	want        *admissionregistrationv1.ValidatingWebhookConfiguration
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	logger      *slog.Logger
	changed     chan struct{}
	rest        time.Duration

	mu       sync.Mutex // guards all below
	heard    bool       // the API server has told how it is
	got      *admissionregistrationv1.ValidatingWebhookConfiguration
	judged   bool
	problems []RegistrationProblem
	said     string // what was logged last
	lacking  string // the rights that were logged last
}

// NewRegistrationWatch watches the ValidatingWebhookConfiguration of that name; namespace is Bulkhead's own, and certificate gives
// what is served.
func NewRegistrationWatch(client kubernetes.Interface, name, namespace string,
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), logger *slog.Logger,
) *RegistrationWatch {
	return &RegistrationWatch{
		client: client, certificate: certificate, logger: logger, changed: make(chan struct{}, 1), rest: registrationRest,
		want: Registration(RegistrationOptions{Name: name, Namespace: namespace}),
	}
}

// Run watches until ctx ends. Without the rights it says which ones are lacking, and tries again.
func (w *RegistrationWatch) Run(ctx context.Context) {
	rest := time.NewTimer(w.rest)
	again := time.NewTicker(registrationAgain)
	defer rest.Stop()
	defer again.Stop()
	watching := w.start(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
			rest.Reset(w.rest)
		case <-rest.C:
			w.judge()
		case <-again.C:
			if !watching {
				watching = w.start(ctx)
			}
			w.judge()
		}
	}
}

// start begins to watch, if that is allowed.
func (w *RegistrationWatch) start(ctx context.Context) bool {
	if err := CheckAccess(ctx, w.client, RegistrationRights(w.want.Name)); err != nil {
		if ctx.Err() == nil && w.lacking != err.Error() {
			w.lacking = err.Error()
			w.logger.Warn("whether the registration is as it should be cannot be told", "configuration", w.want.Name, "error", err.Error())
		}
		return false
	}
	logger := klog.New(logr.FromSlogHandler(w.logger.Handler()).GetSink())
	objects := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	only := func(o metav1.ListOptions) metav1.ListOptions {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, w.want.Name).String()
		return o
	}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return objects.List(ctx, only(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return objects.Watch(ctx, only(o))
		},
	}
	r := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, w.client), &admissionregistrationv1.ValidatingWebhookConfiguration{},
		&registrationSink{w}, cache.ReflectorOptions{Name: "own registration", Logger: &logger})
	go r.RunWithContext(klog.NewContext(ctx, logger))
	return true
}

// registrationSink is where the reflector puts what it hears. It implements cache.ReflectorStore.
type registrationSink struct{ watch *RegistrationWatch }

// Add hears that the registration is there.
func (k *registrationSink) Add(obj any) error { return k.Update(obj) }

// Update hears of the registration as it is now.
func (k *registrationSink) Update(obj any) error {
	got, _ := obj.(*admissionregistrationv1.ValidatingWebhookConfiguration)
	k.watch.hear(got)
	return nil
}

// Delete hears that the registration is gone.
func (k *registrationSink) Delete(any) error {
	k.watch.hear(nil)
	return nil
}

// Replace hears of all registrations of the name: one or none.
func (k *registrationSink) Replace(list []any, _ string) error {
	if len(list) == 0 {
		return k.Delete(nil)
	}
	return k.Update(list[0])
}

// Resync does nothing: there is no second copy.
func (k *registrationSink) Resync() error { return nil }

func (w *RegistrationWatch) hear(got *admissionregistrationv1.ValidatingWebhookConfiguration) {
	w.mu.Lock()
	w.got, w.heard = got, true
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// judge compares, and logs what has changed since it did so last.
func (w *RegistrationWatch) judge() {
	serving, err := w.certificate(&tls.ClientHelloInfo{})
	if err != nil {
		serving = nil // there is none yet, and readiness says so
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.heard {
		return
	}
	w.problems = append(CompareRegistration(w.want, w.got), CompareTrust(w.want, w.got, serving)...)
	w.judged = true
	var lines []string
	for _, p := range w.problems {
		lines = append(lines, clip(printable(p.String()), maxLine))
	}
	said := strings.Join(lines, "; ")
	if w.got == nil {
		said = "it does not exist: the API server asks Bulkhead about nothing"
	}
	if said == w.said {
		return
	}
	w.said = said
	if said == "" {
		w.logger.Info("the registration is as it should be again", "configuration", w.want.Name)
		return
	}
	w.logger.Warn("the registration is not as it should be, and requests may pass unjudged; apply this version's manifests or chart again",
		"configuration", w.want.Name, "problems", said)
}

var (
	descRegistration = prometheus.NewDesc(metricsPrefix+"registration_problems",
		"Ways in which a webhook of Bulkhead's own ValidatingWebhookConfiguration is missing or falls short; the log names them. Absent where it may not be read.",
		[]string{"webhook"}, nil)
	descFailurePolicy = prometheus.NewDesc(metricsPrefix+"registration_failure_policy",
		"1 for the failurePolicy that a webhook is registered with.", []string{"webhook", "policy"}, nil)
	descTimeout = prometheus.NewDesc(metricsPrefix+"registration_timeout_seconds",
		"How long the API server waits for an answer of a webhook, as it is registered.", []string{"webhook"}, nil)
)

// defaultTimeout is what the API takes an unset timeoutSeconds for.
const defaultTimeout = 10

// Describe implements prometheus.Collector.
func (w *RegistrationWatch) Describe(ch chan<- *prometheus.Desc) {
	ch <- descRegistration
	ch <- descFailurePolicy
	ch <- descTimeout
}

// Collect implements prometheus.Collector. Its labels come from the registration that Bulkhead wants, not from the one it finds.
func (w *RegistrationWatch) Collect(ch chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.judged {
		return
	}
	for i := range w.want.Webhooks {
		name, problems := w.want.Webhooks[i].Name, 0
		for _, p := range w.problems {
			if p.Webhook == name {
				problems++
			}
		}
		ch <- prometheus.MustNewConstMetric(descRegistration, prometheus.GaugeValue, float64(problems), name)
		if w.got == nil {
			continue
		}
		for j := range w.got.Webhooks {
			if h := &w.got.Webhooks[j]; h.Name == name {
				policy := admissionregistrationv1.Fail // what the API takes an unset one for
				if h.FailurePolicy != nil {
					policy = *h.FailurePolicy
				}
				ch <- prometheus.MustNewConstMetric(descFailurePolicy, prometheus.GaugeValue, 1, name, string(policy))
				timeout := int32(defaultTimeout)
				if h.TimeoutSeconds != nil {
					timeout = *h.TimeoutSeconds
				}
				ch <- prometheus.MustNewConstMetric(descTimeout, prometheus.GaugeValue, float64(timeout), name)
			}
		}
	}
}
