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
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	t.Skip("this machine has no IPv4 address but those of the loopback interface")
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

// serving are replicas behind the Service of an installation.
type serving struct {
	replicas []*replica.Replica
	stop     func()
}

// serve runs replicas of what is installed as name in the namespace: with the arguments of the Deployment, the config of the ConfigMap and
// a token of the service account, which is what the kubelet does; and it puts them behind the Service. They are stopped by stop
// or with the test.
func (i *installation) serve(t *testing.T, namespace, name string, n int) *serving {
	t.Helper()
	identity := filepath.Join(i.dir, namespace+"-"+name+".kubeconfig")
	if err := replica.WriteIdentity(t.Context(), i.clients, i.admin, namespace, name, identity); err != nil {
		t.Fatal(err)
	}
	args, config := i.installed(t, namespace, name)
	out := &serving{}
	var slicesMade []string
	endpoints := i.clients.DiscoveryV1().EndpointSlices(namespace)
	stopped := false
	out.stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own may have ended
		defer cancel()
		for _, name := range slicesMade {
			if err := endpoints.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		}
		for _, r := range out.replicas {
			if err := r.Stop(); err != nil {
				t.Errorf("%v\n%s", err, lastLines(r.LogPath, 20))
			}
		}
	}
	t.Cleanup(out.stop)
	for k := range n {
		r, err := i.run(t, identity, config, append(slices.Clone(args), "--namespace="+namespace, "--drain=100ms")...)
		if err != nil {
			t.Fatal(err)
		}
		out.replicas = append(out.replicas, r)
		slice := i.endpoint(t, r, name, k)
		if _, err := endpoints.Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		slicesMade = append(slicesMade, slice.Name)
	}
	return out
}

// installed gives the arguments of the Deployment's container as the kubelet expands them, and the path of a file that holds the config.
func (i *installation) installed(t *testing.T, namespace, name string) (args []string, config string) {
	t.Helper()
	deployed, err := i.clients.AppsV1().Deployments(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range deployed.Spec.Template.Spec.Containers[0].Args[1:] {
		if !strings.HasPrefix(arg, "--config=") {
			args = append(args, strings.ReplaceAll(arg, "$(POD_NAMESPACE)", namespace))
		}
	}
	config = filepath.Join(i.dir, namespace+"-"+name+".yaml")
	i.mount(t, namespace, name, config)
	return args, config
}

// mount writes the config of the ConfigMap to path, in one step, as the kubelet does.
func (i *installation) mount(t *testing.T, namespace, name, path string) {
	t.Helper()
	held, err := i.clients.CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".next", []byte(held.Data["bulkhead.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

// run starts a replica under an identity.
func (i *installation) run(t *testing.T, identity, config string, args ...string) (*replica.Replica, error) {
	t.Helper()
	log, err := os.CreateTemp(i.dir, "bulkhead-*.log")
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return replica.Start(ctx, replica.Options{Binary: i.binary, Kubeconfig: identity, Config: config, Host: i.host, Log: log.Name(), Args: args})
}

// endpoint is the EndpointSlice that puts a replica behind the Service.
func (i *installation) endpoint(t *testing.T, r *replica.Replica, service string, number int) *discoveryv1.EndpointSlice {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(r.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		t.Fatal(err)
	}
	name, protocol, listening, ready := "webhook", corev1.ProtocolTCP, int32(n), true
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-e2e-%d", service, number), Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{i.host}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Protocol: &protocol, Port: &listening}},
	}
}

// denied waits until the tenant's default-deny is refused: the registration, its caBundle and the endpoints have then reached the API
// server.
func (i *installation) denied(t *testing.T, when string) {
	t.Helper()
	eventually(t, "a denial "+when, func(context.Context) error {
		if a := i.propose(t, denyAll); a.ok || !strings.Contains(a.stderr, losesDNS) {
			return errors.New(a.text())
		}
		return nil
	})
}

// warned waits until the tenant's default-deny passes with a warning.
func (i *installation) warned(t *testing.T, when string) {
	t.Helper()
	eventually(t, "a warning "+when, func(context.Context) error {
		if a := i.propose(t, denyAll); !a.ok || !strings.Contains(a.stderr, "Warning: dns-cut: ") {
			return errors.New(a.text())
		}
		return nil
	})
}
