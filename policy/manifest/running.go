package manifest

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// maxRunning bounds the pods that Running makes of one pod template. What a policy does to a thousand pods that are alike
// it does to all of them.
const maxRunning = 1000

// Running adds to the objects the pods that their controllers would make: for each pod template none of whose pods is
// among the objects, as many as its object asks for. A template scaled to zero, suspended or finished makes none. The pods
// have no addresses and no source.
func Running(objects []Object) []Object {
	known := ownersOf(objects)
	runs := map[key]bool{}
	for i := range objects {
		if o := &objects[i]; o.Kind == "Pod" {
			top := o.owner
			if climbed := known.top(o.Namespace, o.controller); climbed != o.controller {
				top = climbed
			}
			runs[key{top.kind, o.Namespace, top.name}] = true
		}
	}
	out := append([]Object(nil), objects...)
	for i := range objects {
		t, ok := objects[i].value.(*cluster.Template)
		if !ok || runs[objects[i].key()] {
			continue
		}
		for n := range min(objects[i].runs, maxRunning) {
			out = append(out, podOfTemplate(t.Workload, n))
		}
	}
	return out
}

// Runs reports whether the object's pod template makes pods: it is not scaled to zero, suspended or finished.
func (o *Object) Runs() bool { return o.runs > 0 }

// podOfTemplate makes the n-th pod of a pod template. Its name holds what no object's name can, so that it stands for none.
func podOfTemplate(w *cluster.Workload, n int) Object {
	p := w.Pod(fmt.Sprintf("%s/%s/%d", w.Kind, w.Name, n))
	return Object{
		Kind: "Pod", Namespace: p.Namespace, Name: p.Name, controller: reference{w.Kind, w.Name}, owner: reference{w.Kind, w.Name},
		value: p,
	}
}

// podsOf counts the pods that an object with a pod template asks for. How many nodes a DaemonSet has is not known, nor
// whether a CronJob's time has come: each counts as one pod.
func podsOf(obj any) int {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return count(o.Spec.Replicas)
	case *appsv1.StatefulSet:
		return count(o.Spec.Replicas)
	case *appsv1.ReplicaSet:
		return count(o.Spec.Replicas)
	case *corev1.ReplicationController:
		return count(o.Spec.Replicas)
	case *batchv1.Job:
		if suspended(o.Spec.Suspend) || finished(o) {
			return 0
		}
		return count(o.Spec.Parallelism)
	case *batchv1.CronJob:
		if suspended(o.Spec.Suspend) {
			return 0
		}
	}
	return 1
}

// count reads the number of pods; the API's default is one.
func count(n *int32) int {
	if n == nil {
		return 1
	}
	return max(int(*n), 0)
}

func suspended(s *bool) bool { return s != nil && *s }

func finished(j *batchv1.Job) bool {
	for i := range j.Status.Conditions {
		if c := &j.Status.Conditions[i]; c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return true
		}
	}
	return false
}
