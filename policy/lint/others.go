package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// others judges what is no policy in the cluster that all policies make: pod templates, pods and the labels of
// Namespaces.
func (j *judge) others(final *cluster.Snapshot) {
	objects := make([]*manifest.Object, 0, len(j.Objects))
	for i := range j.Objects {
		if o := &j.Objects[i]; o.NetworkPolicy() == nil && !j.exempt(o) {
			objects = append(objects, o)
		}
	}
	slices.SortFunc(objects, compareKeys)
	for _, o := range objects {
		if !j.step() {
			return
		}
		if c := j.otherChange(final, o); c != nil {
			j.outcomes = append(j.outcomes, j.evaluate(o, c))
		}
	}
}

// otherChange gives what the manifests do to the object; nil where no guardrail could tell.
func (j *judge) otherChange(final *cluster.Snapshot, o *manifest.Object) *policy.Change {
	old := j.base[o.Key()]
	if ns := o.NamespaceObject(); ns != nil {
		if old == nil || maps.Equal(old.NamespaceObject().Labels, ns.Labels) {
			return nil
		}
		return policy.NamespaceChange(final, old.NamespaceObject(), ns)
	}
	after := o.Workload()
	if after == nil || o.Kind == "Pod" && after.Pods == 0 { // a pod that has finished has no network
		return nil
	}
	var before *cluster.Workload
	if old != nil {
		before = old.Workload()
	}
	if before != nil && sameToPolicies(before, after) {
		return nil
	}
	c := policy.WorkloadChange(final, o.Kind, o.Name, before, after)
	c.Rollout = before != nil && after.Template && o.Runs()
	return c
}

// sameToPolicies reports whether no guardrail can tell the two apart.
func sameToPolicies(a, b *cluster.Workload) bool {
	return maps.Equal(a.Labels, b.Labels) && a.HostNetwork == b.HostNetwork && a.DNSPolicy == b.DNSPolicy &&
		slices.Equal(a.Ports, b.Ports) && a.SameUse(b)
}

// ofCluster judges the cluster itself, once: with the first policy that the manifests create. What was so before an update is
// left alone here as elsewhere.
func (j *judge) ofCluster(final *cluster.Snapshot, steps []step) {
	i := slices.IndexFunc(steps, func(s step) bool { return s.old == nil && s.new != nil })
	if i < 0 || len(j.once) == 0 || j.stopped {
		return
	}
	c, err := policy.PolicyChange(final, nil, steps[i].new)
	if err != nil {
		panic(err) // the reader compiles every policy, and refuses one that does not
	}
	j.outcomes = append(j.outcomes, j.evaluateWith(j.once, steps[i].object, c))
}

// dropRepeated takes away what is said of a new workload where the same guardrail says it of a policy in the same
// manifests: it is one mistake, and the policy is where it is mended.
func (j *judge) dropRepeated() {
	said := j.hits()
	for _, o := range j.outcomes {
		if len(o.findings) == 0 || o.change.NewWorkload == nil || o.change.OldWorkload != nil {
			continue
		}
		o.findings = slices.DeleteFunc(o.findings, func(f policy.Finding) bool {
			return said.all(o.object.Namespace, f.Guardrail, f.Affected)
		})
	}
}

// hit is a workload that a guardrail said something about.
type hit struct{ namespace, guardrail, workload string }

type hits map[hit]bool

// hits lists the workloads that findings about policies and namespaces name.
func (j *judge) hits() hits {
	out := hits{}
	for _, o := range j.outcomes {
		if len(o.findings) == 0 || o.change.NewWorkload != nil {
			continue
		}
		for i := range o.findings {
			for _, a := range o.findings[i].Affected {
				out[hit{o.object.Namespace, o.findings[i].Guardrail, bareName(a.Name)}] = true
			}
		}
	}
	return out
}

// all reports whether the guardrail spoke of each of the workloads, and there are any.
func (h hits) all(namespace, guardrail string, workloads []policy.Affected) bool {
	return len(workloads) > 0 && !slices.ContainsFunc(workloads, func(a policy.Affected) bool {
		return !h[hit{namespace, guardrail, bareName(a.Name)}]
	})
}

// bareName takes the kind from the name of a pod template, "deployment/api".
func bareName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
