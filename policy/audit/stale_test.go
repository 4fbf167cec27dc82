package audit_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// changing is a cluster that changes object by object, as a watch brings it.
type changing struct {
	builder *cluster.Builder
	stored  map[string]*networkingv1.NetworkPolicy
	kept    map[string]metav1.Object
}

func newChanging(cfg *config.Config) *changing {
	return &changing{cluster.NewBuilder(policy.SnapshotOptions(cfg)), map[string]*networkingv1.NetworkPolicy{}, map[string]metav1.Object{}}
}

func (x *changing) options(cfg *config.Config) *audit.Options {
	return &audit.Options{Config: cfg, Guardrails: guardrails.All(), Policies: func(namespace, name string) *networkingv1.NetworkPolicy {
		return x.stored[namespace+"/"+name]
	}}
}

func key(obj metav1.Object) string {
	return fmt.Sprintf("%T %s/%s", obj, obj.GetNamespace(), obj.GetName())
}

func (x *changing) set(t *testing.T, obj metav1.Object) {
	t.Helper()
	x.kept[key(obj)] = obj
	switch o := obj.(type) {
	case *corev1.Namespace:
		x.builder.SetNamespace(o)
	case *corev1.Pod:
		x.builder.SetPod(cluster.PodOf(o))
	case *corev1.Service:
		x.builder.SetService(cluster.ServiceOf(o))
	case *v1alpha2.ClusterNetworkPolicy:
		p, err := netpol.CompileClusterNetworkPolicy(o)
		if err != nil {
			t.Fatal(err)
		}
		x.builder.SetTierPolicy(p)
	case *networkingv1.NetworkPolicy:
		p, err := netpol.Compile(o)
		if err != nil {
			t.Fatal(err)
		}
		x.builder.SetPolicy(p)
		x.stored[o.Namespace+"/"+o.Name] = o
	default:
		if template, ok := cluster.TemplateOf(obj); ok {
			x.builder.SetTemplate(template)
		} else {
			x.builder.SetExtra(resources.Reduce(obj))
		}
	}
}

func (x *changing) remove(obj metav1.Object) {
	delete(x.kept, key(obj))
	namespace, name := obj.GetNamespace(), obj.GetName()
	switch o := obj.(type) {
	case *corev1.Namespace:
		x.builder.DeleteNamespace(name)
	case *corev1.Pod:
		x.builder.DeletePod(namespace, name)
	case *corev1.Service:
		x.builder.DeleteService(namespace, name)
	case *v1alpha2.ClusterNetworkPolicy:
		x.builder.DeleteTierPolicy("ClusterNetworkPolicy", name)
	case *networkingv1.NetworkPolicy:
		x.builder.DeletePolicy(namespace, name)
	default:
		if template, ok := cluster.TemplateOf(o); ok {
			x.builder.DeleteTemplate(namespace, template.Workload.Kind, name)
		} else {
			extra := resources.Reduce(o)
			x.builder.DeleteExtra(extra.Resource, namespace, name)
		}
	}
}

// edit makes one random change.
func (x *changing) edit(t *testing.T, w *world) {
	t.Helper()
	names := make([]string, 0, len(x.kept))
	for name := range x.kept {
		names = append(names, name)
	}
	slices.Sort(names)
	other := newWorld(w.Rand).objects
	if w.IntN(3) == 0 {
		x.remove(x.kept[names[w.IntN(len(names))]])
		return
	}
	x.set(t, other[w.IntN(len(other))])
}

// TestWhatIsNotStaleIsTheSame: after any change the namespaces that Stale leaves out have the result that they had.
func TestWhatIsNotStaleIsTheSame(t *testing.T) {
	rng := random(t)
	left, all := 0, 0
	for _, text := range []string{"", judgedFully} {
		cfg := settings(t, "maximumAction: Deny\n"+text)
		for range 40 {
			w := newWorld(rng)
			x := newChanging(cfg)
			for _, obj := range w.objects {
				x.set(t, obj)
			}
			before := x.builder.Snapshot()
			o := x.options(cfg)
			was := audit.Scan(t.Context(), before, o)
			for range 6 {
				for range 1 + w.IntN(2) {
					x.edit(t, w)
				}
				after := x.builder.Snapshot()
				stale := audit.Stale(before, after, o)
				now := audit.Scan(t.Context(), after, o)
				for _, name := range namespaces {
					if all++; slices.Contains(stale, name) {
						continue
					}
					left++
					if diff := cmp.Diff(find(was, name), find(now, name)); diff != "" {
						t.Fatalf("%s is not stale and has another result (-before +after):\n%s", name, diff)
					}
				}
				for i := range now.Namespaces {
					if find(was, now.Namespaces[i].Name) == nil && !slices.Contains(stale, now.Namespaces[i].Name) {
						t.Fatalf("%s is new and not stale", now.Namespaces[i].Name)
					}
				}
				before, was = after, now
			}
		}
	}
	if left*20 < all {
		t.Errorf("of %d namespaces only %d were left out", all, left)
	}
}

func find(r *audit.Report, name string) *audit.Namespace {
	for i := range r.Namespaces {
		if r.Namespaces[i].Name == name {
			return &r.Namespaces[i]
		}
	}
	return nil
}
