package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/bulkhead-dev/bulkhead/hack/controlplane"
	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// installation is a cluster into which Bulkhead is installed as people install it: by Helm, kubectl and kustomize. Nodes take no
// new pods, so those of the Deployment never run and nobody answers its registration until serve runs replicas.
type installation struct {
	*suite
	helmPath string
	platform string // kubeconfig of who installs: an administrator by RBAC, whom the API server asks webhooks about
	tenant   string // a namespace with two live pods, and whose administrator the user tenant is
}

// The users who install Bulkhead and who are judged by it. None is in the group system:masters.
const (
	platformUser = "bulkhead-e2e-platform"
	tenantUser   = "bulkhead-e2e-tenant"
)

func TestInstall(t *testing.T) {
	if os.Getenv("BULKHEAD_E2E_KUBECONFIG") != "" {
		t.Skip("another cluster may have an installation of its own")
	}
	i := newInstallation(t)
	t.Run("Manifest", i.testManifest)
	t.Run("Kustomize", i.testKustomize)
	t.Run("Helm", i.testHelm)
	t.Run("Rights", i.testRights)
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	i := &installation{suite: &suite{dir: t.TempDir(), host: hostAddress(t)}}
	var err error
	// The API server calls the addresses behind a Service itself, as nothing here routes those of Services.
	i.plane, err = controlplane.Start(ctx, controlplane.Options{
		AuditLog: true, Progress: os.Stderr, APIServerArgs: []string{"--enable-aggregator-routing=true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	i.kubeconfig, i.kubectlPath, i.admin = i.plane.KubeconfigPath(), i.plane.KubectlPath(), i.plane.RESTConfig()
	if err := errors.Join(i.connect(), i.plane.InstallDNS(ctx)); err != nil {
		t.Fatal(err)
	}
	if i.binary, err = replica.Build(ctx, "..", i.dir); err != nil {
		t.Fatal(err)
	}
	if i.helmPath, err = buildHelm(ctx); err != nil {
		t.Fatal(err)
	}
	if i.platform, err = i.kubeconfigFor(platformUser); err != nil {
		t.Fatal(err)
	}
	i.must(t, "create", "clusterrolebinding", platformUser, "--clusterrole=cluster-admin", "--user="+platformUser)
	i.tenant = "tenant"
	i.must(t, "create", "namespace", i.tenant)
	i.must(t, "create", "rolebinding", "tenant", "--clusterrole=admin", "--user="+tenantUser, "-n", i.tenant)
	i.awaitAccount(t, i.tenant)
	i.given(t, i.tenant, deployment("api", 2, "app: api"))
	i.must(t, "cordon", "--selector=!bulkhead-e2e-none")
	return i
}

// hostAddress gives an address of this machine that may stand in an EndpointSlice, where the API refuses those of the loopback
// interface.
func hostAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	t.Fatal("this machine has no IPv4 address but those of the loopback interface; give it one, such as: ip link add bulkhead type dummy && " +
		"ip address add 192.0.2.10/24 dev bulkhead && ip link set bulkhead up")
	return ""
}

// buildHelm builds Helm's command where "make e2e" has not done so.
func buildHelm(ctx context.Context) (string, error) {
	path, err := filepath.Abs(filepath.Join("..", "bin", "tools", "helm"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "helm.sh/helm/v4/cmd/helm")
	cmd.Dir, cmd.Env = filepath.Join("..", "hack", "tools", "helm"), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build helm: %w\n%s", err, out)
	}
	return path, nil
}

// must runs kubectl as the cluster's own administrator.
func (i *installation) must(t *testing.T, args ...string) string {
	t.Helper()
	a := i.kubectlAs(t, nil, "", args...)
	if !a.ok {
		t.Fatalf("kubectl %s: %s", strings.Join(args, " "), a.text())
	}
	return a.stdout
}

// as runs kubectl as a user with the rights that RBAC gives them.
func (i *installation) as(t *testing.T, user, stdin string, args ...string) answer {
	t.Helper()
	return i.kubectlAs(t, []string{"--as", user}, stdin, args...)
}

// propose has the tenant create a policy as a dry run, which is judged like any other.
func (i *installation) propose(t *testing.T, spec string) answer {
	t.Helper()
	return i.as(t, tenantUser, networkPolicy("proposed", spec), "create", "-n", i.tenant, "--dry-run=server", "-f", "-")
}

// unlocked fails where a change is in somebody's way while no replica lives and nobody is to wait for one.
func (i *installation) unlocked(t *testing.T, when string) {
	t.Helper()
	eventually(t, "the tenant's changes to pass "+when, func(context.Context) error {
		if a := i.propose(t, allowDNS); !a.ok {
			return errors.New(a.text())
		}
		return nil
	})
	i.namespaceEnds(t, when)
}

// namespaceEnds makes a namespace with a policy and a pod and deletes it.
func (i *installation) namespaceEnds(t *testing.T, when string) {
	t.Helper()
	i.must(t, "create", "namespace", "short-lived")
	i.awaitAccount(t, "short-lived")
	// Made by the administrator past Bulkhead's registration, which may be closed: the deletion is what is tried.
	for _, text := range []string{deployment("web", 1, "app: web"), networkPolicy("shut", denyAll)} {
		a := i.as(t, platformUser, text, "create", "-n", "short-lived", "-f", "-")
		if !a.ok && !strings.Contains(a.stderr, "failed calling webhook") {
			t.Fatalf("%s: %s", when, a.text())
		}
	}
	if a := i.as(t, platformUser, "", "delete", "namespace", "short-lived", "--timeout=60s"); !a.ok {
		t.Errorf("%s: a namespace does not end: %s", when, a.text())
	}
}

// everything lists all objects of the cluster, but for those that come and go by themselves.
func (i *installation) everything(t *testing.T) []string {
	t.Helper()
	lists, err := i.clients.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "get"}}, lists)
	var out []string
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if slices.Contains([]string{"events", "leases", "componentstatuses"}, r.Name) {
				continue
			}
			objects, err := i.author.Resource(version.WithResource(r.Name)).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatalf("list %s of %s: %v", r.Name, version, err)
			}
			for _, o := range objects.Items {
				out = append(out, strings.TrimPrefix(fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName()), " "))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// left waits until the cluster holds what it held before and, besides, exactly what is said.
func (i *installation) left(t *testing.T, before []string, more ...string) {
	t.Helper()
	want := slices.Sorted(slices.Values(slices.Concat(before, more)))
	eventually(t, "nothing else to be left", func(context.Context) error {
		now := i.everything(t)
		for _, o := range now {
			if !slices.Contains(want, o) {
				return fmt.Errorf("%s is left", o)
			}
		}
		for _, o := range want {
			if !slices.Contains(now, o) {
				return fmt.Errorf("%s is gone", o)
			}
		}
		return nil
	})
}
