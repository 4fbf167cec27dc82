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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

const (
	relistPods = 150
	// relistSpeed makes the first list take seconds, so that there is much time to ask meanwhile.
	relistSpeed = 300 << 10 // bytes a second
	// askEvery is how often each of four askers asks.
	askEvery = 5 * time.Millisecond
)

// testRelist asks a replica without a pause from the start of its process, while what it lists comes in slowly, and again
// while the API server is restarted, after which it has to list everything anew. One question is to be denied since there
// are pods, one is to be allowed since there is a policy: on a cluster that is empty or half there, one of them would get
// another answer. These objects' namespaces come last in every list.
func (a *availability) testRelist(t *testing.T) {
	by := newIssuer(t)
	m := newMount(t, by.issue(t, time.Now().Add(23*time.Hour)))
	s := a.newSite(t, "relist", 0, by, m.path)
	crowd, cut, served := s.newNamespace(t), s.namespaceNamed(t, "zz-cut"), s.namespaceNamed(t, "zz-served")
	a.crowd(t, crowd, "web", relistPods)
	a.crowd(t, cut, "web", 2)
	a.crowd(t, served, "web", 2)
	for _, o := range parse(t, networkPolicy("allow-dns", allowDNS)) {
		o.SetNamespace(served)
		s.create(t, o)
	}

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
	asked := s.startQuestions(t, r, cut, served)
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

	asked.notYet.Store(0)
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
	a.report.figure(t, "relist", "%d kB; %d questions put off, %d answered in all, %d wrong; highest resident memory %.0f MiB before, %.0f MiB after",
		again>>10, asked.notYet.Load(), asked.right.Load(), asked.wrong.Load(), before, after)
	if again < first/2 {
		t.Errorf("%d kB came after the API server was restarted, %d kB at first: this was no relist", again>>10, first>>10)
	}
	if n := asked.notYet.Load(); n != 0 {
		t.Errorf("%d questions were put off while there was a snapshot to answer them by", n)
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

// questions are asked without a pause, past the API server, which would ask less often.
type questions struct {
	notYet, right, wrong atomic.Int64
	cancel               context.CancelFunc
	asking               sync.WaitGroup
}

// startQuestions asks a replica about a policy that cuts DNS in a namespace where nothing allows it, and in one where
// something does. Until it has a certificate and listens it may not answer at all.
func (s *site) startQuestions(t *testing.T, r *replica.Replica, cut, served string) *questions {
	t.Helper()
	trust, err := trusting(s.issuer.pem())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	q := &questions{cancel: cancel}
	t.Cleanup(q.end)
	for namespace, want := range map[string]string{cut: `"allowed":false`, served: `"allowed":true`} {
		body := reviewOf(t, namespace)
		for range 2 {
			q.asking.Go(func() {
				client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: trust}}
				defer client.CloseIdleConnections()
				tick := time.NewTicker(askEvery)
				defer tick.Stop()
				for ctx.Err() == nil {
					q.ask(ctx, t, client, r.URL, body, want)
					<-tick.C
				}
			})
		}
	}
	return q
}

// ask asks once and counts the answer.
func (q *questions) ask(ctx context.Context, t *testing.T, client *http.Client, url string, body []byte, want string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+webhook.Path+"?timeout=5s", bytes.NewReader(body))
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
	case resp.StatusCode == http.StatusOK && strings.Contains(string(text), want):
		q.right.Add(1)
	default:
		if q.wrong.Add(1) == 1 {
			t.Errorf("HTTP %d, want 503 or %s: %s", resp.StatusCode, want, text)
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

// reviewOf is the API server's question about default-deny in a namespace, as a dry run.
func reviewOf(t *testing.T, namespace string) []byte {
	t.Helper()
	p := typed(t, networkPolicy("default-deny", denyAll))
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
