package audit_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// TestPostureAgainstPods counts the posture over the pods one by one.
func TestPostureAgainstPods(t *testing.T) {
	rng := random(t)
	cfg := settings(t, "maximumAction: Deny"+judgedFully)
	dns := slices.DeleteFunc(guardrails.All(), func(g policy.Guardrail) bool { return g.Slug != "dns-cut" })
	without := 0
	for range 200 {
		w := newWorld(rng)
		objects := w.read(t, nil)
		s := manifest.Build(objects, policy.SnapshotOptions(cfg))
		r := audit.Scan(t.Context(), s, options(cfg, objects))
		for _, name := range namespaces {
			got := namespace(t, r, name).Posture
			if diff := cmp.Diff(w.posture(t, cfg, dns, s, name), got); diff != "" {
				t.Fatalf("posture of %s (-counted +audit):\n%s", name, diff)
			}
			without += got.WithoutDNS
		}
	}
	if without < 20 {
		t.Errorf("%d pods without DNS: the clusters are no test", without)
	}
}

// posture counts pods and policies one by one. A pod is without DNS where it is isolated for egress and dns-cut says so of its
// creation.
func (w *world) posture(t *testing.T, cfg *config.Config, dns []policy.Guardrail, s *cluster.Snapshot, namespace string) (out audit.Posture) {
	t.Helper()
	selected := map[string]bool{}
	for _, p := range w.pods {
		if p.Namespace != namespace || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		if p.Spec.HostNetwork {
			out.Ungoverned++
			continue
		}
		out.Pods++
		isolated := w.isolating(t, p, selected)
		for d := range isolated {
			if isolated[d] {
				out.Isolated[d]++
			}
		}
		c := policy.WorkloadChange(s, "Pod", p.Name, nil, cluster.WorkloadOf(p))
		if isolated[1] && len(policy.Evaluate(cfg, dns, c).Findings) > 0 {
			out.WithoutDNS++
		}
	}
	for _, np := range w.policies {
		if np.Namespace != namespace {
			continue
		}
		out.Policies++
		for d, rules := range []int{len(np.Spec.Ingress), len(np.Spec.Egress)} {
			out.DefaultDeny[d] = out.DefaultDeny[d] || rules == 0 && isolates(np)[d] && len(np.Spec.PodSelector.MatchLabels) == 0
		}
		if !selected[np.Name] && !w.selectsTemplate(t, np) {
			out.SelectNothing = append(out.SelectNothing, np.Name)
		}
	}
	slices.Sort(out.SelectNothing)
	return out
}

// isolating notes the policies that select the pod and gives the directions in which they isolate it.
func (w *world) isolating(t *testing.T, p *corev1.Pod, selected map[string]bool) (out [2]bool) {
	t.Helper()
	for _, np := range w.policies {
		if np.Namespace == p.Namespace && selects(t, np, p.Labels) {
			selected[np.Name] = true
			for d, does := range isolates(np) {
				out[d] = out[d] || does
			}
		}
	}
	return out
}

func (w *world) selectsTemplate(t *testing.T, np *networkingv1.NetworkPolicy) bool {
	t.Helper()
	for _, obj := range w.objects {
		_, _, template, ok := cluster.PodTemplate(obj)
		if ok && obj.GetNamespace() == np.Namespace && !template.Spec.HostNetwork && selects(t, np, template.Labels) {
			return true
		}
	}
	return false
}

func isolates(np *networkingv1.NetworkPolicy) [2]bool {
	return [2]bool{slices.Contains(np.Spec.PolicyTypes, "Ingress"), slices.Contains(np.Spec.PolicyTypes, "Egress")}
}

func selects(t *testing.T, np *networkingv1.NetworkPolicy, set map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(&np.Spec.PodSelector)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(labels.Set(set))
}
