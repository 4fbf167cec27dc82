package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// chartModule holds Helm and the values that the chart is tried with.
var chartModule = filepath.Join("..", "hack", "deploy")

// testChart shows a real API server what the Helm chart makes: it knows every field and finds every object valid, CEL of the
// registration included.
func (s *suite) testChart(t *testing.T) {
	tool := filepath.Join(s.dir, "deploy")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", tool, ".")
	build.Dir, build.Env = chartModule, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build in %s: %v\n%s", chartModule, err, out)
	}
	namespace := s.newNamespace(t)
	render := func(t *testing.T, values string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), tool, "-root", "..", "-render", "-name", "charted", "-namespace", namespace, "-values", values).Output()
		if err != nil {
			t.Fatalf("rendering %s: %v", values, err)
		}
		return string(out)
	}
	s.installChartKinds(t)
	files, err := filepath.Glob(filepath.Join(chartModule, "testdata", "values", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("values: %v, %v", files, err)
	}
	for _, values := range append(files, "") {
		t.Run("dry run "+filepath.Base(values), func(t *testing.T) {
			manifests := render(t, values)
			a := s.kubectl(t, author, manifests, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
			if made := strings.Count(a.stdout, "serverside-applied"); !a.ok || a.stderr != "" || made != len(parse(t, manifests)) {
				t.Errorf("%d of %d objects were taken:\n%s", made, len(parse(t, manifests)), a.text())
			}
		})
	}
	t.Run("restricted pods", func(t *testing.T) { s.testChartPods(t, namespace, render(t, "")) })
	t.Run("caBundle", func(t *testing.T) { s.testChartBundle(t, render(t, "")) })
}

// installChartKinds gives the cluster the kinds of other projects that the chart can make, for the time of the test.
func (s *suite) installChartKinds(t *testing.T) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	installed := slices.Concat(parse(t, fmt.Sprintf(monitorDefinition, "ServiceMonitor", "servicemonitor")),
		parse(t, fmt.Sprintf(monitorDefinition, "PrometheusRule", "prometheusrule")))
	for _, name := range []string{"issuers", "certificates"} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds", "cert-manager.io_"+name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		installed = append(installed, parse(t, string(text))...)
	}
	for _, o := range installed {
		s.create(t, o)
	}
	t.Cleanup(func() {
		for _, o := range installed {
			a, err := s.runKubectl(context.Background(), command{ // the test's own context has ended
				who: []string{"--as", author, "--as-group", masters}, args: []string{"delete", "customresourcedefinition", o.GetName()},
			})
			if err != nil || !a.ok {
				t.Errorf("delete %s: %v %s", o.GetName(), err, a.text())
			}
		}
	})
	for _, o := range installed {
		eventually(t, o.GetName()+" to be served", func(ctx context.Context) error {
			now, err := s.resource(t, o).Get(ctx, o.GetName(), metav1.GetOptions{})
			if err != nil {
				return err
			}
			conditions, _, err := unstructured.NestedSlice(now.Object, "status", "conditions")
			if err != nil {
				return err
			}
			for _, c := range conditions {
				if c := c.(map[string]any); c["type"] == "Established" && c["status"] == "True" {
					return nil
				}
			}
			return fmt.Errorf("it is not established: %v", conditions)
		})
	}
}

// testChartPods has the API server take a pod of the chart's Deployment where only restricted ones may run.
func (s *suite) testChartPods(t *testing.T, namespace, manifests string) {
	a := s.kubectl(t, author, "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	if !a.ok {
		t.Fatal(a.text())
	}
	for _, o := range parse(t, manifests) {
		if o.GetKind() != "Deployment" {
			continue
		}
		template, _, err := unstructured.NestedMap(o.Object, "spec", "template")
		if err != nil {
			t.Fatal(err)
		}
		pod := &unstructured.Unstructured{Object: template}
		pod.SetAPIVersion("v1")
		pod.SetKind("Pod")
		pod.SetNamespace(namespace)
		pod.SetName("charted")
		// The chart's own account is not there, because nothing was stored.
		if err := unstructured.SetNestedField(pod.Object, "default", "spec", "serviceAccountName"); err != nil {
			t.Fatal(err)
		}
		text, err := yaml.Marshal(pod.Object)
		if err != nil {
			t.Fatal(err)
		}
		if a := s.kubectl(t, author, string(text), "create", "--dry-run=server", "-f", "-"); !a.ok || a.stderr != "" {
			t.Errorf("a pod of the Deployment was to be taken:\n%s", a.text())
		}
	}
}

// testChartBundle applies the registration, lets somebody else fill in caBundle as Bulkhead does, and applies it again, changed: the
// bundle has to stay, however it is applied.
func (s *suite) testChartBundle(t *testing.T, manifests string) {
	var configuration *unstructured.Unstructured
	for _, o := range parse(t, manifests) {
		if o.GetKind() == "ValidatingWebhookConfiguration" {
			configuration = o
		}
	}
	webhooks, _, err := unstructured.NestedSlice(configuration.Object, "webhooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range webhooks { // nothing is to be sent where nobody listens
		w.(map[string]any)["objectSelector"] = map[string]any{"matchLabels": map[string]any{"bulkhead-e2e": "never"}}
	}
	client := s.resource(t, configuration)
	bundle := base64.StdEncoding.EncodeToString(s.foreignBundle(t))
	for how, flags := range map[string][]string{
		"server side": {"apply", "--server-side", "--field-manager=helm", "-f", "-"}, "client side": {"apply", "-f", "-"},
	} {
		configuration.SetName("charted-" + strings.ReplaceAll(how, " ", "-"))
		t.Cleanup(func() {
			if err := client.Delete(context.Background(), "charted-"+strings.ReplaceAll(how, " ", "-"), metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
		for _, policy := range []string{"Ignore", "Fail"} {
			webhooks[0].(map[string]any)["failurePolicy"] = policy
			if err := unstructured.SetNestedSlice(configuration.Object, webhooks, "webhooks"); err != nil {
				t.Fatal(err)
			}
			text, err := yaml.Marshal(configuration.Object)
			if err != nil {
				t.Fatal(err)
			}
			if a := s.kubectl(t, author, string(text), flags...); !a.ok || strings.Contains(a.stderr, "conflict") {
				t.Fatalf("%s, %s: %s", how, policy, a.text())
			}
			if policy == "Fail" {
				break
			}
			for i := range webhooks {
				patch := fmt.Sprintf(`[{"op":"add","path":"/webhooks/%d/clientConfig/caBundle","value":%q}]`, i, bundle)
				if _, err := client.Patch(t.Context(), configuration.GetName(), types.JSONPatchType, []byte(patch), metav1.PatchOptions{FieldManager: "bulkhead"}); err != nil {
					t.Fatal(err)
				}
			}
		}
		now, err := client.Get(t.Context(), configuration.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		stored, _, err := unstructured.NestedSlice(now.Object, "webhooks")
		if err != nil {
			t.Fatal(err)
		}
		for i, w := range stored {
			kept, _, _ := unstructured.NestedString(w.(map[string]any), "clientConfig", "caBundle")
			if policy := w.(map[string]any)["failurePolicy"]; kept != bundle || (policy == "Fail") != (i == 0) {
				t.Errorf("%s: webhook %d has the bundle %q and the failure policy %v", how, i, kept, policy)
			}
		}
	}
}
