package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

const (
	relistPods = 150
	// relistSpeed makes the first list take seconds, so that there is much time to ask meanwhile.
	relistSpeed = 300 << 10 // bytes a second
	// askEvery is how often each question is asked.
	askEvery = 10 * time.Millisecond
)

// testRelist asks a replica without a pause from the start of its process, while what it lists comes in slowly, and again
// while the API server is restarted, after which it has to list everything anew. For each resource there is a question
// whose answer is another one while the objects of that resource are missing, even if all others are there. The
// namespaces come last in every list.
func (a *availability) testRelist(t *testing.T) {
	by := newIssuer(t)
	m := newMount(t, by.issue(t, time.Now().Add(23*time.Hour)))
	s := a.newSite(t, "relist", 0, by, m.path)
	crowd := s.newNamespace(t)
	a.crowd(t, crowd, "web", relistPods)
	asking := s.newQuestions(t, a)

	s.link.Slow(relistSpeed)
	options, err := s.replicaOptions(s.args)
	if err != nil {
		t.Fatal(err)
	}
	r, err := replica.Launch(options)
	if err != nil {
		t.Fatal(err)
	}
	s.replicas = append(s.replicas, r)
	asked := s.startQuestions(t, r, asking)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.AwaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	s.link.Slow(0)
	asked.awaitAnswers(t, 20)
	if n := asked.notYet.Load(); n == 0 {
		t.Error("the replica was never asked before it was ready: the test shows too little")
	}
	first := s.link.Received()
	before, err := statusMiB(r.PID(), "VmHWM")
	if err != nil {
		t.Fatal(err)
	}
	a.report.figure(t, "first list", "%d kB; %d questions put off, %d answered, %d wrong", first>>10, asked.notYet.Load(), asked.right.Load(), asked.wrong.Load())

	asked.end()
	asked = s.startQuestions(t, r, slices.DeleteFunc(asking, func(q question) bool { return q.once }))
	if err := a.plane.StopComponent(controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	asked.awaitAnswers(t, 20)
	s.link.Slow(relistSpeed)
	if err := a.plane.StartComponent(t.Context(), controlplane.APIServer); err != nil {
		t.Fatal(err)
	}
	a.crowd(t, crowd, "more", 3)
	s.settle(t)
	s.link.Slow(0)
	asked.awaitAnswers(t, 20)
	asked.end()
	again := s.link.Received() - first
	after, err := statusMiB(r.PID(), "VmHWM")
	if err != nil {
		t.Fatal(err)
	}
	a.report.figure(t, "relist", "%d kB; %d questions put off, %d answered, %d wrong; highest resident memory %.0f MiB before, %.0f MiB after",
		again>>10, asked.notYet.Load(), asked.right.Load(), asked.wrong.Load(), before, after)
	if again < first/2 {
		t.Errorf("%d kB came after the API server was restarted, %d kB at first: this was no relist", again>>10, first>>10)
	}
	if n := asked.notYet.Load(); n != 0 {
		t.Errorf("%d questions were put off while there was a snapshot to answer them by", n)
	}
	if log, err := os.ReadFile(r.LogPath); err != nil || bytes.Contains(log, []byte("no longer watched")) {
		t.Errorf("the restart of the API server made Bulkhead forget a kind: %v", err)
	}
}

// namespaceNamed makes a namespace of that name.
func (s *site) namespaceNamed(t *testing.T, name string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{namespaceLabel: "true"}}}
	if _, err := s.clients.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.deleteNamespace(t, name) })
	s.awaitAccount(t, name)
	return name
}

// crowd makes pods that no controller and no node looks after.
func (a *availability) crowd(t *testing.T, namespace, name string, n int) {
	t.Helper()
	for i := range n {
		_, err := a.clients.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-%d", name, i), Labels: map[string]string{"app": "web"},
				Annotations: map[string]string{"example.com/filling": strings.Repeat("x", 3000)},
			},
			Spec: corev1.PodSpec{SchedulerName: noScheduler, Containers: []corev1.Container{{Name: "main", Image: image}}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
}

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
