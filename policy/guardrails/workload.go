package guardrails

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
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

// pairs writes labels that do not differ from pod to pod: "app=api,tier=backend".
func pairs(l labels.Set) string {
	kept := labels.Set{}
	for k, v := range l {
		if !cluster.PerPodKey(k) {
			kept[k] = v
		}
	}
	return kept.String()
}
