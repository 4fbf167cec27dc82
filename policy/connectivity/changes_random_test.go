package connectivity_test

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// request is a change and the workloads that it touches.
type request struct {
	what    string
	change  *policy.Change
	touched []connectivity.Touched
}

// request draws a change of the cluster that s shows.
func (d draw) request(w *world, s *cluster.Snapshot) *request {
	switch d.IntN(7) {
	case 0, 1:
		return d.policyRequest(s, nil, d.policy(pick(d, w.names...), "policy0"))
	case 2:
		if len(w.policies) > 0 {
			old := pick(d, w.policies...)
			return d.policyRequest(s, old, d.policy(old.Namespace, old.Name))
		}
	case 3:
		if len(w.policies) > 0 {
			return d.policyRequest(s, pick(d, w.policies...), nil)
		}
	case 4, 5:
		return d.relabelled(w, s)
	}
	name := pick(d, w.names...)
	old, new := namespaceObject(name, w.namespaces[name]), namespaceObject(name, d.labels())
	r := &request{what: fmt.Sprintf("namespace %s becomes %v", name, new.Labels), change: policy.NamespaceChange(s, old, new)}
	for _, x := range r.change.After.Live(r.change.After.Namespace(name)) {
		r.touched = append(r.touched, connectivity.Touched{Before: x, After: x, Directions: [2]bool{true, true}})
	}
	return r
}

// policyRequest creates, updates or deletes a policy.
func (d draw) policyRequest(s *cluster.Snapshot, old, new *networkingv1.NetworkPolicy) *request {
	change, err := policy.PolicyChange(s, old, new)
	if err != nil {
		panic(fmt.Sprintf("the random policies are valid: %v", err))
	}
	r := &request{what: "old policy\n" + printYAML(old) + "new policy\n" + printYAML(new), change: change}
	for _, x := range change.LiveSubjects() {
		t := connectivity.Touched{Before: x.Workload, After: x.Workload}
		for _, dir := range netpol.Directions {
			for _, p := range []*netpol.Policy{change.OldPolicy, change.NewPolicy} {
				t.Directions[dir] = t.Directions[dir] || p != nil && p.Isolates[dir] && p.Selects(x.After.Endpoint)
			}
		}
		r.touched = append(r.touched, t)
	}
	return r
}

// relabelled changes the labels of one pod, and sometimes its ports or whether it uses the host's network, which a new
// pod of the same name would.
func (d draw) relabelled(w *world, s *cluster.Snapshot) *request {
	old := *pick(d, w.pods...)
	old.finished = false
	new := old
	new.labels = labels.Merge(d.labels(), labels.Set{"tier": pick(d, "a", "b")})
	if d.oneIn(3) {
		new.ports = d.ports()
	}
	if d.oneIn(6) {
		new.host = !new.host
	}
	a, b := cluster.WorkloadOf(old.object()), cluster.WorkloadOf(new.object())
	b.Kind, b.Name = a.Kind, a.Name // the owner does not change with the pod-template-hash
	kind := "Pod"
	if old.kind == "Deployment" && d.oneIn(2) { // what the next rollout does
		kind, a, b = "Deployment", templateOf(&old), templateOf(&new)
	}
	return &request{
		what:    fmt.Sprintf("%s %+v becomes %+v", kind, old, new),
		change:  policy.WorkloadChange(s, kind, a.Name, a, b),
		touched: []connectivity.Touched{{Before: a, After: b, Directions: [2]bool{true, true}}},
	}
}

// touchAll makes the list longer than it has to be, which changes nothing.
func (r *request) touchAll() {
	if r.change.NewWorkload != nil {
		return
	}
	r.touched = nil
	for _, m := range r.members() {
		r.touched = append(r.touched, connectivity.Touched{Before: m.before, After: m.after, Directions: [2]bool{true, true}})
	}
}

// templateOf gives the pod template that makes such pods.
func templateOf(p *podSpec) *cluster.Workload {
	t := templateSpec{namespace: p.namespace, name: p.owner, labels: p.labels, ports: p.ports, host: p.host}
	out, _ := cluster.TemplateOf(t.object())
	return out.Workload
}
