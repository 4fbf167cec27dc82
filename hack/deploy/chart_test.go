package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var root = filepath.Join("..", "..")

// scheme knows every kind that the chart may hold.
func scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, certmanagerv1.AddToScheme, monitoringv1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// object is what every API object is.
type object interface {
	metav1.Object
	runtime.Object
}

// decode reads manifests strictly: a field that a kind does not have fails the test.
func decode(t *testing.T, manifests []byte) []object {
	t.Helper()
	s := scheme(t)
	var out []object
	for document := range strings.SplitSeq(string(manifests), "---\n") {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if kind.Kind == "" {
			continue
		}
		made, err := s.New(schema.FromAPIVersionAndKind(kind.APIVersion, kind.Kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict([]byte(document), made); err != nil {
			t.Errorf("%v in\n%s", err, document)
		}
		out = append(out, made.(object))
	}
	return out
}

// rendered gives the objects of a release with the values but for those of the audit, which has tests of its own.
func rendered(t *testing.T, release Release, values map[string]any) []object {
	t.Helper()
	return slices.DeleteFunc(renderedAll(t, release, values), ofAudit)
}

// renderedAll gives the objects of a release with the values.
func renderedAll(t *testing.T, release Release, values map[string]any) []object {
	t.Helper()
	c, err := load(root)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := Render(c, release, values)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, manifests)
}

// only gives the one object of a type.
func only[T any](t *testing.T, objects []object) T {
	t.Helper()
	found := each[T](objects)
	if len(found) != 1 {
		t.Fatalf("%d objects of type %T", len(found), *new(T))
	}
	return found[0]
}

func each[T any](objects []object) []T {
	var out []T
	for _, o := range objects {
		if x, ok := o.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

// matrix gives each file of testdata/values by its name, and the defaults as "".
func matrix(t *testing.T) map[string]map[string]any {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(valuesDir, "*.yaml"))
	if err != nil || len(paths) < 5 {
		t.Fatalf("values in %s: %v, %v", valuesDir, paths, err)
	}
	out := map[string]map[string]any{"": nil}
	for _, path := range paths {
		if out[strings.TrimSuffix(filepath.Base(path), ".yaml")], err = readValues(path); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// forEach runs a test for each set of values, as the release that install.yaml is of and as another one.
func forEach(t *testing.T, test func(t *testing.T, release Release, values map[string]any)) {
	t.Helper()
	for name, values := range matrix(t) {
		for _, release := range []Release{installRelease, {Name: "prod", Namespace: "guards"}} {
			t.Run(name+"/"+release.Name, func(t *testing.T) { test(t, release, values) })
		}
	}
}

// TestObjects: everything decodes strictly, is named after the release, in its namespace and selected by its labels, and the
// registration comes last, when there is somebody to answer.
func TestObjects(t *testing.T) {
	forEach(t, func(t *testing.T, release Release, values map[string]any) {
		objects := rendered(t, release, values)
		seen := map[string]bool{}
		for _, o := range objects {
			kind := o.GetObjectKind().GroupVersionKind().Kind
			key := kind + " " + o.GetNamespace() + "/" + o.GetName()
			if seen[key] {
				t.Errorf("%s is there twice", key)
			}
			seen[key] = true
			if labels := o.GetLabels(); labels["app.kubernetes.io/name"] != "bulkhead" || labels["app.kubernetes.io/instance"] != release.Name {
				t.Errorf("%s has the labels %v", key, labels)
			}
			clusterWide := strings.HasPrefix(kind, "Cluster") || kind == "ValidatingWebhookConfiguration" || kind == "PriorityClass"
			if where := o.GetNamespace(); clusterWide != (where == "") || !clusterWide && where != release.Namespace && (where != "default" || !strings.HasPrefix(kind, "Role")) {
				t.Errorf("%s is in the wrong place", key)
			}
		}
		var kinds []string
		for _, o := range objects {
			if kind := o.GetObjectKind().GroupVersionKind().Kind; !slices.Contains([]string{"Issuer", "Certificate", "ServiceMonitor", "PrometheusRule"}, kind) {
				kinds = append(kinds, kind)
			}
		}
		if i := slices.Index(kinds, "ValidatingWebhookConfiguration"); i != len(kinds)-1 {
			t.Errorf("the registration is number %d of %v", i, kinds)
		}
		deployment := only[*appsv1.Deployment](t, objects)
		service := only[*corev1.Service](t, objects)
		for key, want := range service.Spec.Selector {
			if got := deployment.Spec.Template.Labels[key]; got != want {
				t.Errorf("the Service selects %s=%s, pods have %q", key, want, got)
			}
		}
	})
}

// TestPods: what a pod is allowed to do is what the restricted Pod Security Standard allows, and less.
func TestPods(t *testing.T) {
	forEach(t, func(t *testing.T, release Release, values map[string]any) {
		objects := rendered(t, release, values)
		spec := only[*appsv1.Deployment](t, objects).Spec
		pod := spec.Template.Spec
		container := pod.Containers[0]
		if p := pod.SecurityContext; !*p.RunAsNonRoot || p.RunAsUser != nil && *p.RunAsUser == 0 || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("pod security context %+v", p)
		}
		if c := container.SecurityContext; *c.AllowPrivilegeEscalation || !*c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []corev1.Capability{"ALL"}) || c.Capabilities.Add != nil {
			t.Errorf("container security context %+v", c)
		}
		if *pod.AutomountServiceAccountToken || *only[*corev1.ServiceAccount](t, objects).AutomountServiceAccountToken {
			t.Error("a token that does not expire is mounted")
		}
		if _, limited := container.Resources.Limits[corev1.ResourceCPU]; limited || container.Resources.Limits.Memory().IsZero() {
			t.Errorf("limits %v", container.Resources.Limits)
		}
		if u := spec.Strategy.RollingUpdate; u.MaxUnavailable.IntValue() != 0 || u.MaxSurge.IntValue() != 1 {
			t.Errorf("strategy %+v", u)
		}
		if len(pod.TopologySpreadConstraints) != 2 || container.Lifecycle != nil {
			t.Errorf("spread %+v, lifecycle %+v", pod.TopologySpreadConstraints, container.Lifecycle)
		}
		volumes := map[string]bool{}
		for _, v := range pod.Volumes {
			volumes[v.Name] = true
		}
		for _, m := range container.VolumeMounts {
			if !volumes[m.Name] || !m.ReadOnly || m.SubPath != "" {
				t.Errorf("mount %+v", m)
			}
			delete(volumes, m.Name)
		}
		if len(volumes) > 0 {
			t.Errorf("volumes that nothing mounts: %v", volumes)
		}
	})
}

// TestGrace: the kubelet waits longer than a replica drains, and than what is in flight may take after that.
func TestGrace(t *testing.T) {
	for drain, want := range map[int]int64{5: 35, 60: 90} {
		d := only[*appsv1.Deployment](t, rendered(t, installRelease, map[string]any{"drainSeconds": drain}))
		if got := *d.Spec.Template.Spec.TerminationGracePeriodSeconds; got != want {
			t.Errorf("drainSeconds %d: %d seconds of grace, want %d", drain, got, want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	for limit, want := range map[string]string{"300Mi": "258MiB", "250Mi": "215MiB", "1Gi": "880MiB", "2Gi": "1761MiB"} {
		values := map[string]any{"resources": map[string]any{"limits": map[string]any{"memory": limit}}}
		d := only[*appsv1.Deployment](t, rendered(t, installRelease, values))
		env := map[string]string{}
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			env[e.Name] = e.Value
		}
		if env["GOMEMLIMIT"] != want || env["GOGC"] != "200" {
			t.Errorf("limit %s: %v, want GOMEMLIMIT %s", limit, env, want)
		}
	}
}

// TestChoices: what is switched off is left out, because some clusters refuse any value.
func TestChoices(t *testing.T) {
	values := matrix(t)
	usual := rendered(t, installRelease, nil)
	pod := only[*appsv1.Deployment](t, usual).Spec.Template.Spec
	if c := pod.SecurityContext; *c.RunAsUser != 65532 || *c.RunAsGroup != 65532 || *c.FSGroup != 65532 {
		t.Errorf("security context %+v", c)
	}
	if pod.PriorityClassName != "system-cluster-critical" || len(each[*schedulingv1.PriorityClass](usual)) > 0 {
		t.Errorf("priority class %q", pod.PriorityClassName)
	}
	for _, c := range pod.TopologySpreadConstraints {
		if c.WhenUnsatisfiable != corev1.ScheduleAnyway {
			t.Errorf("spread %+v", c)
		}
	}
	chosen := rendered(t, installRelease, values["openshift"])
	pod = only[*appsv1.Deployment](t, chosen).Spec.Template.Spec
	if c := pod.SecurityContext; c.RunAsUser != nil || c.RunAsGroup != nil || c.FSGroup != nil || !*c.RunAsNonRoot {
		t.Errorf("security context without a user: %+v", c)
	}
	if class := only[*schedulingv1.PriorityClass](t, chosen); class.Value != 900000 || class.GlobalDefault || pod.PriorityClassName != class.Name {
		t.Errorf("priority class %+v, pods have %q", class, pod.PriorityClassName)
	}
	for _, c := range pod.TopologySpreadConstraints {
		if c.WhenUnsatisfiable != corev1.DoNotSchedule {
			t.Errorf("spread %+v", c)
		}
	}
	digest := values["openshift"]["image"].(map[string]any)["digest"].(string)
	if image := pod.Containers[0].Image; !strings.HasSuffix(image, "@"+digest) {
		t.Errorf("the image is %s", image)
	}
	if n := len(each[*policyv1.PodDisruptionBudget](rendered(t, installRelease, values["off"]))); n > 0 {
		t.Errorf("%d budgets, which are switched off", n)
	}
	// With maxUnavailable a single replica can be evicted, too: a node with it is to drain.
	if b := only[*policyv1.PodDisruptionBudget](t, usual); b.Spec.MinAvailable != nil || b.Spec.MaxUnavailable.IntValue() != 1 {
		t.Errorf("budget %+v", b.Spec)
	}
	none := only[*appsv1.Deployment](t, rendered(t, installRelease, map[string]any{"priorityClassName": ""}))
	if name := none.Spec.Template.Spec.PriorityClassName; name != "" {
		t.Errorf("without a priority class it is %q", name)
	}
}

// TestProbes: a replica that lists a large cluster is not restarted for it, because neither its start nor its life is judged by what it
// has listed; only whether it is in the Service is.
func TestProbes(t *testing.T) {
	container := only[*appsv1.Deployment](t, rendered(t, installRelease, nil)).Spec.Template.Spec.Containers[0]
	for name, p := range map[string]*corev1.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe} {
		if p.HTTPGet.Path != "/healthz" || p.FailureThreshold*p.PeriodSeconds < 30 && name == "startup" {
			t.Errorf("%s probe %+v", name, p)
		}
	}
	if p := container.ReadinessProbe; p.HTTPGet.Path != "/readyz" || p.FailureThreshold*p.PeriodSeconds > 5 {
		t.Errorf("readiness probe %+v", p)
	}
}

// TestLint: "helm lint --strict" finds nothing.
func TestLint(t *testing.T) {
	if err := lintAll(filepath.Join(root, chartDir), valuesDir); err != nil {
		t.Error(err)
	}
}

// TestCurrent: what is generated is what the code says now.
func TestCurrent(t *testing.T) {
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	stale, err := compare(root, files)
	if err != nil {
		t.Fatal(err)
	}
	if len(stale) > 0 {
		t.Errorf("not current: %v; run \"make generate\"", stale)
	}
	again, err := generate(root)
	if err != nil || !maps.EqualFunc(files, again, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Errorf("a second run gives something else (%v)", err)
	}
}

// TestInstallFile: the file holds what the chart holds, after the namespace.
func TestInstallFile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, installPath))
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, text)
	if ns, ok := objects[0].(*corev1.Namespace); !ok || ns.Name != installRelease.Namespace {
		t.Errorf("the file begins with %T", objects[0])
	}
	if got, want := len(objects)-1, len(rendered(t, installRelease, nil)); got != want {
		t.Errorf("%d objects, the chart has %d", got, want)
	}
}
