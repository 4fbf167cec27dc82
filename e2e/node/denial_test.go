//go:build node && linux

package node

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/hack/node"
)

// testDenial walks through the beginning of the README's story: its shop runs, by the names of its own images.
func (s *suite) testDenial(t *testing.T) {
	s.openShop(t)
	s.allowDenials(t)
	denied := s.refused(t, "", "apply", "-f", example("default-deny"))
	wantWords(t, "the denial", denied,
		`Error from server (Forbidden): error when creating`,
		`admission webhook "networkpolicies.bulkhead.dev" denied the request: dns-cut: 6 live pods would lose DNS (1 error)`,
		"NetworkPolicy shop/default-deny",
		"dns-cut  spec.egress: no rules, so nothing reaches kube-system/kube-dns on UDP 53",
		"affects api (3 pods), db (1 pod), web (2 pods)",
		"apply this policy first:",
		"metadata: {namespace: shop, name: allow-dns}",
		"why, and how to ask for an exemption:")

	// The remedy is taken at its word: what it prints is applied as it stands.
	wantWords(t, "the remedy", s.kubectl(t, remedy(t, denied), "apply", "-f", "-"), "networkpolicy.networking.k8s.io/allow-dns created")
	wantWords(t, "the same policy after it", s.kubectl(t, "", "apply", "-f", example("default-deny")), "networkpolicy.networking.k8s.io/default-deny created")
	wantWords(t, "the way back", s.refused(t, "", "delete", "networkpolicy", "allow-dns", "-n", "shop"), "denied the request: dns-cut: 6 live pods would lose DNS")
}

// allowDenials lets guardrails refuse, and waits until the kubelet has brought the config to the replicas, which go on running.
func (s *suite) allowDenials(t *testing.T) {
	t.Helper()
	before := s.mustPods(t)
	out := s.upgrade(t, "config.maximumAction=Deny")
	if strings.Contains(out, "refuses nothing") {
		t.Errorf("with maximumAction Deny, helm upgrade prints:\n%s", out)
	}
	eventually(t, "the config to be in force", func(ctx context.Context) error {
		for _, p := range before {
			text, err := metrics(ctx, p.Status.PodIP)
			if err != nil {
				return err
			}
			if !strings.Contains(text, `maximum_action="Deny"`) {
				return fmt.Errorf("%s has not loaded it", p.Name)
			}
		}
		return nil
	})
}

// openShop runs the shop of the examples. Its images are on the node, and do nothing.
func (s *suite) openShop(t *testing.T) {
	t.Helper()
	manifests := read(t, example("shop"))
	images := regexp.MustCompile(`image: ([^ ,}]+)`).FindAllStringSubmatch(manifests, -1)
	for i, image := range images {
		archive := filepath.Join(s.dir, fmt.Sprintf("shop-%d.tar", i))
		if err := node.WriteImage(archive, image[1], filepath.Join(node.Dir(), "pause")); err != nil {
			t.Fatal(err)
		}
		if err := s.node.Import(t.Context(), archive); err != nil {
			t.Fatal(err)
		}
	}
	s.kubectl(t, manifests, "apply", "-f", "-")
	for _, workload := range []string{"shop deployment/web", "shop deployment/api", "shop statefulset/db", "monitoring deployment/prometheus"} {
		where, what, _ := strings.Cut(workload, " ")
		s.kubectl(t, "", "rollout", "status", "-n", where, what, "--timeout=2m")
	}
}

// remedy cuts the manifest out of a denial.
func remedy(t *testing.T, denied string) string {
	t.Helper()
	_, after, found := strings.Cut(denied, "apply this policy first:\n")
	manifest, _, ended := strings.Cut(after, "\n\n")
	if !found || !ended {
		t.Fatalf("no manifest is in:\n%s", denied)
	}
	lines := strings.Split(manifest, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "    ")
	}
	return strings.Join(lines, "\n")
}

// testUninstall removes the release, and looks for what could still be in the way.
func (s *suite) testUninstall(t *testing.T) {
	out := s.runHelm(t, "uninstall", release, "--namespace", namespace, "--wait")
	wantWords(t, "what helm uninstall prints", out, `release "bulkhead" uninstalled`)
	if left := s.kubectl(t, "", "get", "validatingwebhookconfigurations,clusterroles,clusterrolebindings", "-o", "name",
		"-l", "app.kubernetes.io/name=bulkhead"); left != "" && left != "No resources found\n" {
		t.Errorf("left in the cluster:\n%s", left)
	}
	eventually(t, "the replicas to end", func(context.Context) error {
		if left := processesOf(t, "/bulkhead"); len(left) > 0 {
			return fmt.Errorf("%d still run", len(left))
		}
		return nil
	})
	// What was refused goes ahead, and nothing waits for who is gone.
	s.kubectl(t, "", "delete", "networkpolicy", "--all", "-n", "shop")
	wantWords(t, "the policy that was refused", s.kubectl(t, "", "apply", "-f", example("default-deny")), "default-deny created")
	wantWords(t, "the deletion of the namespaces", s.kubectl(t, "", "delete", "namespace", "shop", "monitoring", namespace, "--timeout=2m"),
		`"shop" deleted`, `"monitoring" deleted`, `"bulkhead-system" deleted`)
	if names := strings.Fields(s.kubectl(t, "", "get", "namespaces", "-o", "name")); slices.Contains(names, "namespace/"+namespace) {
		t.Errorf("the namespaces are %v", names)
	}
}
