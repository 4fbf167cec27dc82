// Package audit judges what is already in a cluster, as it is. Nobody changes
// anything, so nobody is denied: an audit says what the guardrails would say if
// each object were applied last, onto all the others, and how far each namespace
// is from one in which nothing is reachable that was not meant to be.
package audit

import (
	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Report is what was found in a cluster.
type Report struct {
	// Namespaces are sorted by name.
	Namespaces []Namespace
	// Cluster holds what is about the cluster as a whole and no namespace, such as a network plugin that ignores policies.
	Cluster []Finding
	// Partial says what was not judged, a sentence each.
	Partial []string
}

// Namespace is what was found in one namespace.
type Namespace struct {
	Name string
	// Exempt says that the config exempts the namespace: it has a posture and no findings.
	Exempt bool
	// Findings are sorted by kind, name, action, guardrail and field.
	Findings []Finding
	// Failures are the guardrails that could not be evaluated, each once, sorted by slug.
	Failures []policy.Failure
	// Unjudged are the names of the policies that were not judged because Options.Policies does not know their objects, sorted.
	Unjudged []string
	Posture  Posture
}

// Finding is one violation by a stored object. Its Action is what the guardrail's action would do to whoever applied the
// object now; one whose guardrail only audits is there too. Its WouldDeny says that applying the object would be denied if the
// guardrail's action were Deny.
type Finding struct {
	policy.Finding
	// Kind and Name of the object: NetworkPolicy, Pod (one stands for all that no policy can tell apart, and Name is that of
	// what made them) or the kind of a pod template. Both are empty for what is about the cluster.
	Kind, Name string
	// Owner is the kind of what made the pods that a finding of kind Pod is about: Deployment, StatefulSet, or Pod where
	// nothing made them. Pods counts them. Both are zero for other kinds.
	Owner string
	Pods  int
	// NotYet says that the finding is that something is not there, which an object that comes later may put right: it
	// counts only once it has been so for a while.
	NotYet bool
}

// Posture is how well a namespace is isolated. Pods that no NetworkPolicy governs, such as those on the host network, are
// counted in Ungoverned alone.
type Posture struct {
	Policies, Pods, Ungoverned int
	// Isolated counts the pods that are isolated, by netpol.Direction.
	Isolated [2]int
	// DefaultDeny says by netpol.Direction whether a policy isolates every pod of the namespace and admits nothing by
	// itself.
	DefaultDeny [2]bool
	// WithoutDNS counts the pods that are isolated for egress and reach no DNS resolver.
	WithoutDNS int
	// SelectNothing are the names of the policies that select no pod and no template, sorted.
	SelectNothing []string
}

// Covered reports whether the namespace denies by default in direction d.
func (p *Posture) Covered(d netpol.Direction) bool { return p.DefaultDeny[d] }

// Count counts the findings of all namespaces and of the cluster for which keep is true.
func (r *Report) Count(keep func(*Finding) bool) int {
	n := 0
	count := func(list []Finding) {
		for i := range list {
			if keep(&list[i]) {
				n++
			}
		}
	}
	count(r.Cluster)
	for i := range r.Namespaces {
		count(r.Namespaces[i].Findings)
	}
	return n
}
