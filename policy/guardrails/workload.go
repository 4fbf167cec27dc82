package guardrails

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// labelsField is where the reviewed pod or pod template has its labels.
func labelsField(c *policy.Change) string {
	switch {
	case c.Trigger == policy.PodWrite:
		return "metadata.labels"
	case c.Kind == "CronJob":
		return "spec.jobTemplate.spec.template.metadata.labels"
	}
	return "spec.template.metadata.labels"
}

// identify selects the workload's pods by the labels that stay the same from one pod and one rollout to the next.
func identify(w *cluster.Workload) metav1.LabelSelector {
	s := metav1.LabelSelector{MatchLabels: map[string]string{}}
	for k, v := range w.Labels {
		if !cluster.PerPodKey(k) {
			s.MatchLabels[k] = v
		}
	}
	return s
}

// identifyAll selects the pods of all the workloads: by the labels of one, or by the values of a label key that all of
// them have. ok is false where neither does.
func identifyAll(workloads []*cluster.Workload) (s metav1.LabelSelector, ok bool) {
	if len(workloads) == 0 {
		return s, false
	}
	s = identify(workloads[0])
	if !slices.ContainsFunc(workloads[1:], func(w *cluster.Workload) bool { return !maps.Equal(identify(w).MatchLabels, s.MatchLabels) }) {
		return s, len(s.MatchLabels) > 0
	}
	for _, k := range nameKeys {
		var values []string
		for _, w := range workloads {
			if v, has := w.Labels[k]; has {
				values = append(values, v)
			}
		}
		if len(values) == len(workloads) {
			slices.Sort(values)
			return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: k, Operator: metav1.LabelSelectorOpIn, Values: slices.Compact(values)},
			}}, true
		}
	}
	return metav1.LabelSelector{}, false
}

// workloadsOf lists the subjects' workloads.
func workloadsOf(subjects []*policy.Subject) []*cluster.Workload {
	out := make([]*cluster.Workload, 0, len(subjects))
	for _, s := range subjects {
		out = append(out, s.Workload)
	}
	return out
}

// selectsAll reports whether p applies to all of the workloads.
func selectsAll(p *netpol.Policy, workloads []*cluster.Workload, c *policy.Change) bool {
	for _, w := range workloads {
		if !p.Selects(c.After.Endpoint(w)) {
			return false
		}
	}
	return true
}

// agree gives the form of a verb that goes with policy.Count(workloads).
func agree(workloads []*cluster.Workload, one, more string) string {
	if policy.LivePods(workloads) == 1 {
		return one
	}
	return more
}
