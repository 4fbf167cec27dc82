package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// tierModule has the definition of the kind ClusterNetworkPolicy.
const tierModule = "sigs.k8s.io/network-policy-api"

// tierResource is how Bulkhead writes the kind's resource.
const tierResource = "clusternetworkpolicies.policy.networking.k8s.io"

// installTiers gives the cluster the kind ClusterNetworkPolicy. It is taken away by what is returned, with all objects.
func (s *suite) installTiers(t *testing.T) (remove func()) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", tierModule).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", tierModule, err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config", "crd", "standard", "policy.networking.k8s.io_clusternetworkpolicies.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	kind := parse(t, string(text))[0]
	s.create(t, kind)
	eventually(t, "the API server to serve ClusterNetworkPolicies", func(ctx context.Context) error {
		_, err := s.author.Resource(resources["ClusterNetworkPolicy"]).List(ctx, metav1.ListOptions{})
		return err
	})
	return func() {
		t.Helper()
		if err := s.resource(t, kind).Delete(t.Context(), kind.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the kind ClusterNetworkPolicy to be gone", func(ctx context.Context) error {
			_, err := s.resource(t, kind).Get(ctx, kind.GetName(), metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err == nil:
				return errors.New("it is still there")
			}
			return err
		})
	}
}

// countTiers counts the ClusterNetworkPolicies; where the cluster lacks the kind there are none.
func (s *suite) countTiers(ctx context.Context) (int, error) {
	list, err := s.author.Resource(resources["ClusterNetworkPolicy"]).List(ctx, metav1.ListOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return 0, nil
	case err != nil:
		return 0, err
	}
	return len(list.Items), nil
}

// acceptDNS writes a ClusterNetworkPolicy that lets the pods of a namespace reach DNS whatever NetworkPolicies say.
func acceptDNS(namespace string) *unstructured.Unstructured {
	byName := func(name string) map[string]any {
		return map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": name}}
	}
	port := map[string]any{"destinationPort": map[string]any{"number": int64(53)}}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": map[string]any{"name": namespace},
		"spec": map[string]any{
			"tier": "Admin", "priority": int64(10), "subject": map[string]any{"namespaces": byName(namespace)},
			"egress": []any{map[string]any{
				"action": "Accept", "protocols": []any{map[string]any{"udp": port}, map[string]any{"tcp": port}},
				"to": []any{map[string]any{"pods": map[string]any{
					"namespaceSelector": byName("kube-system"), "podSelector": map[string]any{"matchLabels": map[string]any{"k8s-app": "kube-dns"}},
				}}},
			}},
		},
	}}
}

// testTiers installs the kind ClusterNetworkPolicy under the running replicas. What an Admin policy accepts is not cut by
// a NetworkPolicy; without the kind it is again.
func (s *suite) testTiers(t *testing.T) {
	if s.plane == nil {
		t.Skip("the kinds of a cluster that was there before are left alone")
	}
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("web", 2, "app: web"))
	everyReplica := func(check func(a answer)) {
		for range s.replicas { // they take turns
			check(s.dev(t, networkPolicy("default-deny", denyAll), "create", "-n", namespace, "-f", "-", "--dry-run=server"))
		}
	}
	denied := func(when string) {
		everyReplica(func(a answer) { wantDenied(t, "default-deny "+when, a, "networkpolicies", losesDNS) })
	}
	watched := func(want bool) {
		eventually(t, fmt.Sprintf("ClusterNetworkPolicies to be watched: %v", want), func(ctx context.Context) error {
			return s.everyReplica(ctx, func(metrics string) error {
				if _, is := sum(metrics, "bulkhead_snapshot_age_seconds", `resource="`+tierResource+`"`); is != want {
					return fmt.Errorf("that is %v", is)
				}
				return nil
			})
		})
	}
	watched(false)
	denied("without the kind")

	remove := s.installTiers(t)
	watched(true)
	denied("without a policy of the kind")
	s.create(t, acceptDNS(namespace))
	s.settle(t)
	everyReplica(func(a answer) { wantPassed(t, "default-deny under an Admin policy that accepts DNS", a) })

	remove()
	s.settle(t)
	watched(false)
	denied("after the kind is gone")
	for i, r := range s.replicas {
		for _, line := range strings.Split(lastLines(r.LogPath, 1<<30), "\n") {
			if strings.Contains(line, tierResource) && !strings.Contains(line, `"level":"INFO"`) {
				t.Errorf("replica %d logged %s", i, line)
			}
		}
	}
}
