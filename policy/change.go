package policy

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Operation is what a request does, in admission/v1's words.
type Operation string

// The operations that are judged.
const (
	Create Operation = "CREATE"
	Update Operation = "UPDATE"
	Delete Operation = "DELETE"
)

// Change is one request as the cluster before and the cluster after it. Guardrails read it and never change it.
type Change struct {
	Trigger   Trigger
	Operation Operation
	// Kind, Namespace and Name of the reviewed object. Name is empty for a pod whose name is still to be generated.
	Kind, Namespace, Name string
	// Before and After are the cluster without and with the change. Both tell workloads apart equally finely. A changed
	// pod or template moves nothing in them: they are one, and OldWorkload and NewWorkload tell the difference.
	Before, After *cluster.Snapshot
	// OldPolicy and NewPolicy are set for changes of a NetworkPolicy: old for updates and deletions, new for creations
	// and updates. Object is the new one as it was submitted, OldObject the old one as it is stored, large ones without what they
	// repeat (netpol.Distinct); they must not be changed.
	OldPolicy, NewPolicy *netpol.Policy
	Object, OldObject    *networkingv1.NetworkPolicy
	// OldWorkload and NewWorkload are set for changes of a pod or a pod template.
	OldWorkload, NewWorkload *cluster.Workload
	// OldLabels and NewLabels are set for changes of a Namespace's labels.
	OldLabels, NewLabels labels.Set
	// Requester is who asks for the change.
	Requester Requester
	// Owner is set where the change is only to be feared: the policy gets an owner, and the garbage collector may delete it with
	// that. It is the owner's kind and name.
	Owner string
	// Cap bounds what is done about violations, for requests that must never be refused. Empty is no bound.
	Cap config.Action
	// Rollout says that the changed pod template's pods run and that whoever changes it sees what is said, so that what
	// happens to them counts as happening to live pods. No webhook can say so: controllers change templates too, and a
	// template says nothing of the pods that run.
	Rollout bool
	// TypesWritten says that the author of the new policy wrote its policyTypes out. No webhook can say so: the API server
	// fills them in before it asks.
	TypesWritten bool
	// Partial says that the cluster has more than Before and After show, because manifests are judged by themselves: what
	// is counted in all of it says nothing.
	Partial bool
	// Complete says that nothing is still to come that belongs to the change, such as the other half of a connection: who
	// judges manifests has seen all of them.
	Complete bool
	// Groups are the API groups of the custom resources that come with the change. Their controllers may make pods that
	// nobody sees before.
	Groups []string
	// Disclose allows messages to name objects of other namespaces that the request itself does not name.
	Disclose bool

	// Subjects are the workloads whose policies the change may change: those that the old or the new policy selects,
	// or the pod or template itself. Live ones come first; what NetworkPolicy does not govern is left out.
	Subjects []Subject

	places                     *netpol.Places // of what is left of Object, nil where that is all
	base                       *cluster.Snapshot
	oldNamespace, newNamespace *corev1.Namespace

	compare    sync.Once
	difference atomic.Pointer[Difference] // nil until it is worked out
}

// Requester is the authenticated user of a request. Source: admission/v1 AdmissionRequest.userInfo.
type Requester struct {
	Name   string
	Groups []string
}

// Subject is one workload before and after the change.
type Subject struct {
	// Workload is as it is after the change, or before it where the change removes it.
	Workload *cluster.Workload
	// Existed says that the workload was there before the change.
	Existed bool
	// Before and After are the policies that select it on either side.
	Before, After Coverage
}

// Coverage is a workload together with the policies that select it.
type Coverage struct {
	Endpoint netpol.Endpoint
	Policies []*netpol.Policy
	// Tiers are the cluster-wide policies above and below, nil where there are none.
	Tiers *netpol.Tiers
}

// Live reports whether the subject is pods that run now and did before the change.
func (s *Subject) Live() bool { return s.Existed && s.Workload.Live() }

// Isolated reports whether the workload is isolated in direction d.
func (c *Coverage) Isolated(d netpol.Direction) bool {
	for _, p := range c.Policies {
		if p.Isolates[d] {
			return true
		}
	}
	return false
}

// Admits reports whether the workload's own side lets a connection in direction d pass: the union of its policies, and
// the tiers around it.
func (c *Coverage) Admits(d netpol.Direction, peer netpol.Endpoint, port netpol.Port) bool {
	return c.Tiers.Admitted(d, c.Endpoint, peer, port, c.Policies)
}

// PolicyChange describes the creation (old is nil), update or deletion (new is nil) of a NetworkPolicy in the cluster
// that s shows. The old object counts as stored even where s has not seen it yet, or has seen another version of it. The error
// says which field of the new object does not parse.
func PolicyChange(s *cluster.Snapshot, old, new *networkingv1.NetworkPolicy) (*Change, error) {
	c := &Change{Kind: "NetworkPolicy", Trigger: PolicyWrite, base: s}
	c.OldObject, _ = netpol.Distinct(old)
	c.Object, c.places = netpol.Distinct(new)
	var err error
	if new != nil {
		c.Namespace, c.Name = new.Namespace, new.Name
		if c.NewPolicy, err = netpol.Compile(c.Object); err != nil {
			_, err = netpol.Compile(new) // which knows the problems' places
			return nil, err
		}
	}
	if old != nil {
		c.Namespace, c.Name = old.Namespace, old.Name
		// A stored policy that no longer parses selects nothing, for every plugin and so for the comparison.
		c.OldPolicy, _ = netpol.Compile(c.OldObject)
	}
	switch {
	case old == nil && new == nil:
		return nil, fmt.Errorf("a change needs an old or a new object")
	case old == nil:
		c.Operation = Create
	case new == nil:
		c.Operation, c.Trigger = Delete, PolicyDelete
	default:
		c.Operation = Update
	}

	stored := s.Policy(c.Namespace, c.Name)
	switch {
	case c.OldPolicy == nil:
		c.Before = s.WithoutPolicy(c.Namespace, c.Name)
	case stored != nil && stored.Equal(c.OldPolicy): // nearly always, and then s has worked out things about it
		c.OldPolicy, c.Before = stored, s
	default:
		c.Before = s.WithPolicy(c.OldPolicy)
	}
	if c.NewPolicy != nil {
		c.Before = c.Before.SplitFor(c.NewPolicy)
		c.After = c.Before.WithPolicy(c.NewPolicy)
	} else {
		c.After = c.Before.WithoutPolicy(c.Namespace, c.Name)
	}
	c.Subjects = c.policySubjects()
	return c, nil
}

// WorkloadChange describes the creation (old is nil) or update of a pod or a pod template.
func WorkloadChange(s *cluster.Snapshot, kind, name string, old, new *cluster.Workload) *Change {
	c := &Change{
		Kind: kind, Name: name, Namespace: new.Namespace, Operation: Create, Trigger: PodWrite,
		Before: s, After: s, OldWorkload: old, NewWorkload: new, base: s,
	}
	if new.Template {
		c.Trigger = TemplateWrite
	}
	if old != nil {
		c.Operation = Update
	}
	policies := s.Policies(new.Namespace)
	if after := s.Endpoint(new); after.Governed() {
		subject := Subject{Workload: new, Existed: old != nil, After: Coverage{after, selecting(policies, after), s.Tiers()}}
		if old != nil {
			before := s.Endpoint(old)
			subject.Before = Coverage{before, selecting(policies, before), s.Tiers()}
		}
		c.Subjects = append(c.Subjects, subject)
	}
	return c
}

// WithFix gives the change as it would be with the fix, for trying the fix.
func (c *Change) WithFix(f *Fix) (*Change, error) {
	base := c.base
	for _, np := range f.First {
		p, err := netpol.Compile(np)
		if err != nil {
			return nil, err
		}
		base = base.WithPolicy(p)
	}
	var fixed *Change
	switch {
	case c.newNamespace != nil:
		ns := c.newNamespace
		if f.Labels != nil {
			ns = ns.DeepCopy()
			ns.Labels = f.Labels
		}
		fixed = NamespaceChange(base, c.oldNamespace, ns)
	case c.NewWorkload != nil:
		w := *c.NewWorkload
		if f.Labels != nil {
			w.Labels = f.Labels
		}
		fixed = WorkloadChange(base, c.Kind, c.Name, c.OldWorkload, &w)
	default:
		object := c.Object
		if f.Instead != nil {
			object = f.Instead
		}
		var err error
		if fixed, err = PolicyChange(base, c.OldObject, object); err != nil {
			return nil, err
		}
		if object == nil {
			fixed.Owner = c.Owner
		}
	}
	fixed.circumstancesOf(c)
	return fixed, nil
}

// circumstancesOf takes over from another change what the objects do not say: who asks, and what is known of the rest.
func (c *Change) circumstancesOf(other *Change) {
	c.Disclose, c.Cap, c.Requester, c.Rollout = other.Disclose, other.Cap, other.Requester, other.Rollout
	c.TypesWritten, c.Partial, c.Complete, c.Groups = other.TypesWritten, other.Partial, other.Complete, other.Groups
}

// LiveSubjects gives the subjects that are live pods.
func (c *Change) LiveSubjects() []*Subject {
	var out []*Subject
	for i := range c.Subjects {
		if c.Subjects[i].Live() {
			out = append(out, &c.Subjects[i])
		}
	}
	return out
}

// Worse splits workloads that a guardrail found worse off by the change: where live pods are among them only those are
// named, because a template says nothing that its pods do not say too.
func Worse(subjects []*Subject) (workloads []*cluster.Workload, live bool) {
	for _, s := range subjects {
		live = live || s.Live()
	}
	for _, s := range subjects {
		if s.Live() == live {
			workloads = append(workloads, s.Workload)
		}
	}
	return slices.Clip(workloads), live
}

// MayName reports whether a message may tell what is in the namespace.
func (c *Change) MayName(namespace string) bool { return c.Disclose || namespace == c.Namespace }
