package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

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
