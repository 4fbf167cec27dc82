package webhook

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Live reads from the API server what a denial rests on. The snapshot lags the API server by some milliseconds, and
// within one "kubectl apply -f" that is enough to miss the policy that makes the next one harmless.
type Live struct {
	client kubernetes.Interface
	// slots bounds how many namespaces are read at a time: denials are rare, a flood of them must not become a flood
	// of lists.
	slots chan struct{}
}

// liveReads is how many confirmations may read at a time.
const liveReads = 8

// livePage is how many pods one list call brings, which bounds what is decoded at a time.
const livePage = 500

// NewLive makes a Live that reads through client.
func NewLive(client kubernetes.Interface) *Live {
	return &Live{client: client, slots: make(chan struct{}, liveReads)}
}

// Namespace reads one Namespace; nil where there is none.
func (l *Live) Namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	ns, err := l.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get namespace %s: %w", name, err)
	}
	return ns, nil
}

// Pod reads one pod; nil where there is none.
func (l *Live) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	p, err := l.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get pod %s/%s: %w", namespace, name, err)
	}
	return p, nil
}

// Refresh gives s with the policies and pods of the namespace as the API server has them now.
func (l *Live) Refresh(ctx context.Context, s *cluster.Snapshot, namespace string) (*cluster.Snapshot, error) {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	policies, err := l.client.NetworkingV1().NetworkPolicies(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list networkpolicies in %s: %w", namespace, err)
	}
	contents := cluster.NamespaceContents{}
	for i := range policies.Items {
		// One that does not parse selects nothing; the store has said so already.
		if p, err := netpol.Compile(&policies.Items[i]); err == nil {
			contents.Policies = append(contents.Policies, p)
		}
	}
	for next := ""; ; {
		pods, err := l.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{Limit: livePage, Continue: next})
		if err != nil {
			return nil, fmt.Errorf("list pods in %s: %w", namespace, err)
		}
		for i := range pods.Items {
			contents.Pods = append(contents.Pods, cluster.PodOf(&pods.Items[i]))
		}
		if next = pods.Continue; next == "" {
			break
		}
	}
	return s.WithContents(namespace, contents), nil
}
