package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	extra "github.com/bulkhead-dev/bulkhead/policy/resources"
)

// definitions are where the modules that bring kinds of their own keep the CustomResourceDefinitions.
var definitions = map[string][]string{
	"sigs.k8s.io/gateway-api": {
		"config/crd/standard/gateway.networking.k8s.io_gatewayclasses.yaml", "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
		"config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
	},
	"github.com/cert-manager/cert-manager": {"deploy/crds/cert-manager.io_issuers.yaml", "deploy/crds/cert-manager.io_clusterissuers.yaml"},
}

// monitorDefinition is a CustomResourceDefinition of the Prometheus operator's, whose module of types has none: it takes whatever
// is written.
const monitorDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[2]ss.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: %[1]s, plural: %[2]ss, singular: %[2]s, listKind: %[1]sList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// installKinds gives the cluster the kinds that other projects bring and that guardrails read. They are taken away by what is
// returned, with all objects.
func (s *suite) installKinds(t *testing.T) (remove func()) {
	t.Helper()
	var installed []*unstructured.Unstructured
	for module, files := range definitions {
		dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatalf("go list -m %s: %v", module, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), filepath.FromSlash(file)))
			if err != nil {
				t.Fatal(err)
			}
			installed = append(installed, parse(t, string(text))...)
		}
	}
	for _, kind := range []string{"ServiceMonitor", "PodMonitor"} {
		installed = append(installed, parse(t, fmt.Sprintf(monitorDefinition, kind, strings.ToLower(kind)))...)
	}
	for _, o := range installed {
		s.create(t, o)
	}
	for _, k := range extra.Kinds() {
		eventually(t, "the API server to serve "+string(k.Resource), func(ctx context.Context) error {
			_, err := s.author.Resource(k.GroupVersionResource).List(ctx, metav1.ListOptions{})
			return err
		})
	}
	return func() {
		t.Helper()
		for _, o := range installed {
			s.remove(t, o)
		}
	}
}

// remove deletes an object of the whole cluster and waits until it is gone.
func (s *suite) remove(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	if err := s.resource(t, o).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	eventually(t, key(o)+" to be gone", func(ctx context.Context) error {
		_, err := s.resource(t, o).Get(ctx, o.GetName(), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return fmt.Errorf("it is still there")
		}
		return err
	})
}

// extraKind finds a kind that only some guardrails read.
func extraKind(kind string) (k extra.Kind, known bool) {
	i := slices.IndexFunc(extra.Kinds(), func(k extra.Kind) bool { return k.Kind == kind })
	if i < 0 {
		return extra.Kind{}, false
	}
	return extra.Kinds()[i], true
}

// kept says whether Bulkhead keeps anything of an object that only some guardrails read.
func kept(k extra.Kind, o *unstructured.Unstructured) bool {
	typed := k.New()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, typed); err != nil {
		return false
	}
	return extra.Reduce(typed) != nil
}

// countExtras counts the objects that only some guardrails read and of which Bulkhead keeps something.
func (s *suite) countExtras(ctx context.Context) (int, error) {
	n := 0
	all := guardrails.All()
	needs := policy.Needs(all, config.Default(policy.Specs(all)))
	for _, k := range extra.Kinds() {
		if !slices.Contains(needs, k.Resource) {
			continue
		}
		list, err := s.author.Resource(k.GroupVersionResource).Namespace(k.Namespace).List(ctx, metav1.ListOptions{LabelSelector: k.Labels})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return 0, err
		}
		for i := range list.Items {
			if kept(k, &list.Items[i]) {
				n++
			}
		}
	}
	return n, nil
}
