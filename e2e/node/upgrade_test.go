//go:build node && linux

package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/node"
)

// testUpgrade turns to failurePolicy Fail, and then replaces every pod twice under load: by an upgrade, and by its rollback.
func (s *suite) testUpgrade(t *testing.T) {
	out := s.upgrade(t, "failurePolicy=Fail")
	wantWords(t, "what helm upgrade prints", out, "has been upgraded", "STATUS: deployed", "REVISION: 3", "Bulkhead is installed.")
	if strings.Contains(out, "go ahead while no replica answers") {
		t.Errorf("with failurePolicy Fail, helm upgrade prints:\n%s", out)
	}
	configuration, err := s.clients.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), release, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if w := configuration.Webhooks[0]; w.Name != "networkpolicies.bulkhead.dev" || *w.FailurePolicy != admissionregistrationv1.Fail {
		t.Fatalf("the first webhook is %s with failurePolicy %s", w.Name, *w.FailurePolicy)
	}
	l := s.startLoad(t)
	s.replacing(t, func() { s.upgrade(t, "podAnnotations.upgraded=once") })
	s.replacing(t, func() {
		out := s.runHelm(t, "rollback", release, "3", "--namespace", namespace, "--wait", "--timeout", "2m")
		wantWords(t, "what helm rollback prints", out, "Rollback was a success")
	})
	l.end(t, "an upgrade and its rollback, four pods replaced", 500)
}

func (s *suite) upgrade(t *testing.T, value string) string {
	t.Helper()
	return s.runHelm(t, "upgrade", release, chart(), "--namespace", namespace, "--reuse-values", "--set", value, "--wait", "--timeout", "2m")
}

// replacing does something and waits until two other pods are Ready and those from before are gone.
func (s *suite) replacing(t *testing.T, something func()) {
	t.Helper()
	old := s.mustPods(t)
	something()
	eventually(t, "the pods to be replaced", func(ctx context.Context) error {
		if _, err := s.pods(ctx); err != nil {
			return err
		}
		list, err := s.clients.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, p := range list.Items {
			for _, o := range old {
				if p.UID == o.UID {
					return fmt.Errorf("%s is still there", p.Name)
				}
			}
		}
		return nil
	})
}

// testEviction drains the only node of the replicas, under load. The budget lets one go. Its replacement finds no node, so that the
// other stays for as long as that lasts: until the node is opened again.
func (s *suite) testEviction(t *testing.T) {
	old := s.mustPods(t)
	l := s.startLoad(t)
	s.replacing(t, func() {
		drain := s.startDrain(t)
		const refusal = "Cannot evict pod as it would violate the pod's disruption budget."
		eventually(t, "the second eviction to be refused", func(context.Context) error {
			if out := drain.out.String(); !strings.Contains(out, refusal) {
				return fmt.Errorf("kubectl drain has printed:\n%s", out)
			}
			return nil
		})
		now, err := s.pods(t.Context())
		if stays := slices.IndexFunc(now, func(p corev1.Pod) bool { return p.UID == old[0].UID || p.UID == old[1].UID }); err == nil || stays < 0 {
			t.Errorf("after the refusal %d pods are there (%v): one of before was to be there, and no second one Ready", len(now), err)
		}
		s.kubectl(t, "", "uncordon", node.Name)
		if err := drain.wait(t.Context()); err != nil {
			t.Fatalf("kubectl drain: %v\n%s", err, drain.out.String())
		}
		wantWords(t, "what kubectl drain prints", drain.out.String(), "node/node-0 cordoned", "evicting pod bulkhead-system/bulkhead-",
			"error when evicting", refusal, "evicted", "node/node-0 drained")
	})
	l.end(t, "the drain of the node", 500)
}

// drain is a running "kubectl drain".
type drain struct {
	out   *output
	ended chan error
}

func (s *suite) startDrain(t *testing.T) *drain {
	t.Helper()
	d := &drain{out: &output{}, ended: make(chan error, 1)}
	command := exec.CommandContext(t.Context(), s.node.Plane.KubectlPath(), "--kubeconfig", s.node.Plane.KubeconfigPath(), "drain", node.Name,
		"--pod-selector=app.kubernetes.io/name=bulkhead", "--timeout=2m")
	command.Stdout, command.Stderr = d.out, d.out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- command.Wait() }()
	return d
}

func (d *drain) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case err := <-d.ended:
		return err
	case <-ctx.Done():
		return errors.New("it does not end")
	}
}

// output collects what a running program prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
