package guardrails

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// finder looks for workloads that a selector means.
type finder struct {
	selector netpol.Selector
	perPod   []labels.Requirement // all requirements, where one of them reads labels that only pods have
	// key and value are one label that the selector demands and templates carry too; comparing it rules out most
	// workloads cheaply. key is empty where there is none.
	key, value string
}

func find(s netpol.Selector) finder {
	f := finder{selector: s}
	for _, k := range s.Keys() {
		if cluster.PerPodKey(k) {
			f.perPod = demands(s)
		} else if v, ok := s.Exact(k); ok {
			f.key, f.value = k, v
		}
	}
	return f
}

// madeOnDemand are the label keys of pods that a controller makes for a task and takes away after it, from no template that
// could be looked at. Sources: cert-manager's ACME HTTP-01 solver, Tekton's and Argo Workflows' runs, Spark on Kubernetes,
// GitHub's Actions Runner Controller.
var madeOnDemand = [...]string{
	"acme.cert-manager.io/http01-solver", "actions-ephemeral-runner", "spark-role", "tekton.dev/pipelineRun", "tekton.dev/taskRun",
	"workflows.argoproj.io/workflow",
}

// madeByControllers reports whether the selector demands a label of such pods, or one of the domain of a custom resource that
// comes with the change: an operator labels the pods that it makes with keys of its own.
func madeByControllers(c *policy.Change, s netpol.Selector) bool {
	of := func(key string) bool {
		if slices.Contains(madeOnDemand[:], key) {
			return true
		}
		prefix, _, ok := strings.Cut(key, "/")
		return ok && slices.ContainsFunc(c.Groups, func(group string) bool { return domain(group) == domain(prefix) })
	}
	return slices.ContainsFunc(s.Keys(), of) && slices.ContainsFunc(demands(s), func(r labels.Requirement) bool {
		return of(r.Key()) && r.Operator() != selection.DoesNotExist && r.Operator() != selection.NotIn
	})
}

// domain gives the last two labels of a DNS name, which its owner registered.
func domain(name string) string {
	last := strings.LastIndexByte(name, '.')
	if last < 0 {
		return name
	}
	return name[strings.LastIndexByte(name[:last], '.')+1:]
}

// finds reports whether the selector matches w, or may match pods of the template w: labels that Kubernetes sets on
// each pod are in no template.
func (f *finder) finds(w *cluster.Workload) bool {
	if f.key != "" && w.Labels[f.key] != f.value {
		return false
	}
	if f.selector.Matches(w.Labels) {
		return true
	}
	if !w.Template || f.perPod == nil {
		return false
	}
	for i := range f.perPod {
		if r := &f.perPod[i]; !r.Matches(w.Labels) && !mayCarry(w, r) {
			return false
		}
	}
	return true
}

// mayCarry reports whether pods of the template may have a label that r demands.
func mayCarry(w *cluster.Workload, r *labels.Requirement) bool {
	if !cluster.PerPodKey(r.Key()) {
		return false
	}
	if r.Operator() == selection.Exists || !strings.HasSuffix(r.Key(), "-name") {
		return true
	}
	// The names of a StatefulSet's pods and of a CronJob's Jobs start with its own.
	return slices.ContainsFunc(r.ValuesUnsorted(), func(v string) bool { return strings.HasPrefix(v, w.Name) })
}
