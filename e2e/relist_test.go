package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
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
