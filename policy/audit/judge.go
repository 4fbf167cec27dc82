package audit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// judge is what the judgements of one snapshot have in common.
type judge struct {
	*Options
	snapshot *cluster.Snapshot
	each     []policy.Guardrail
	notYet   map[string]bool
}

func newJudge(s *cluster.Snapshot, o *Options) *judge {
	j := &judge{Options: o, snapshot: s, notYet: map[string]bool{}}
	j.each, _ = o.split()
	for i := range o.Guardrails {
		j.notYet[o.Guardrails[i].Slug] = o.Guardrails[i].NotYet
	}
	return j
}

func (j *judge) exempt(namespace string) bool { return j.Config.ExemptedBy(namespace, "", nil) != "" }

// part is one piece of the work, an object to judge or a posture to count, and what came of it.
type part struct {
	namespace *cluster.Namespace
	posture   bool
	policy    *netpol.Policy
	workload  *cluster.Workload

	counted  Posture
	findings []Finding
	failures []policy.Failure
	unjudged string
}

// parts lists what is judged of a namespace.
func (j *judge) parts(n *cluster.Namespace) []part {
	candidates := j.snapshot.Candidates(n)
	out := make([]part, 0, len(n.Policies)+len(candidates)+1)
	for _, p := range n.Policies {
		out = append(out, part{namespace: n, policy: p})
	}
	for _, w := range candidates {
		out = append(out, part{namespace: n, workload: w})
	}
	return out
}

func (j *judge) do(p *part) {
	switch {
	case p.posture:
		p.counted = postureOf(j.snapshot, p.namespace)
	case p.policy != nil:
		j.judgePolicy(p)
	default:
		j.judgeWorkload(p)
	}
}

// judgePolicy judges a policy as if it came last: created in the cluster that has all but it.
func (j *judge) judgePolicy(p *part) {
	object := j.object(p.policy.Namespace, p.policy.Name)
	if object == nil {
		p.unjudged = p.policy.Name
		return
	}
	c, err := policy.PolicyChange(j.snapshot, nil, object)
	if err != nil {
		p.unjudged = p.policy.Name // the object is of another version than the snapshot's, and the next scan has both
		return
	}
	p.take(j, j.decide(c, j.each), Finding{Kind: c.Kind, Name: c.Name})
}

// judgeWorkload judges pods or a pod template as a creation. They stay in the cluster: what a pod does to itself is no matter.
func (j *judge) judgeWorkload(p *part) {
	w := p.workload
	about := Finding{Kind: w.Kind, Name: w.Name}
	if !w.Template {
		about = Finding{Kind: "Pod", Name: w.Name, Owner: w.Kind, Pods: w.Pods}
	}
	p.take(j, j.decide(policy.WorkloadChange(j.snapshot, about.Kind, w.Name, nil, w), j.each), about)
}

// decide judges a change with nothing still to come, and without fixes: nobody is there to apply them, and trying them costs more
// than all else.
func (j *judge) decide(c *policy.Change, guardrails []policy.Guardrail) policy.Decision {
	c.Disclose, c.Complete, c.Groups = !j.Discreet, true, j.Groups
	applicable := policy.Applicable(j.Config, guardrails, c)
	results := make([]policy.Result, 0, len(applicable))
	for _, g := range applicable {
		r := policy.Check(j.Config, g, c)
		for i := range r.Violations {
			r.Violations[i].Fix = nil
		}
		results = append(results, r)
	}
	return policy.Decide(j.Config, c, results)
}

// take keeps what was decided about the object that about names.
func (p *part) take(j *judge, d policy.Decision, about Finding) {
	p.failures = d.Failures
	for i := range d.Findings {
		about.Finding, about.NotYet = d.Findings[i], j.notYet[d.Findings[i].Guardrail]
		p.findings = append(p.findings, about)
	}
}

// collect puts together what came of the parts.
func (n *Namespace) collect(parts []part) {
	for i := range parts {
		p := &parts[i]
		if p.posture {
			n.Posture = p.counted
		}
		if p.unjudged != "" {
			n.Unjudged = append(n.Unjudged, p.unjudged)
		}
		n.Findings = append(n.Findings, p.findings...)
		for _, f := range p.failures {
			if !slices.ContainsFunc(n.Failures, func(o policy.Failure) bool { return o.Guardrail == f.Guardrail }) {
				n.Failures = append(n.Failures, f)
			}
		}
	}
	slices.SortStableFunc(n.Findings, compareFindings)
	slices.SortFunc(n.Failures, func(a, b policy.Failure) int { return strings.Compare(a.Guardrail, b.Guardrail) })
}

func compareFindings(a, b Finding) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), cmp.Compare(b.Action.Rank(), a.Action.Rank()),
		strings.Compare(a.Guardrail, b.Guardrail), strings.Compare(a.Field, b.Field), strings.Compare(a.Detail, b.Detail))
}

// ScanCluster says what is about the cluster as a whole, once.
func ScanCluster(s *cluster.Snapshot, o *Options) []Finding {
	out, _ := ofCluster(s, o)
	return out
}

// ofCluster judges with the guardrails that speak of the cluster, by way of the first policy that is stored.
func ofCluster(s *cluster.Snapshot, o *Options) ([]Finding, []policy.Failure) {
	_, once := o.split()
	once = slices.DeleteFunc(once, func(g policy.Guardrail) bool { return o.Config.Settings(g.Slug).Action == config.Off })
	if len(once) == 0 {
		return nil, nil
	}
	j := newJudge(s, o)
	for n := range s.All() {
		for _, stored := range n.Policies {
			object := o.object(stored.Namespace, stored.Name)
			if object == nil {
				continue
			}
			c, err := policy.PolicyChange(s, nil, object)
			if err != nil {
				continue
			}
			var p part
			p.take(j, j.decide(c, once), Finding{})
			slices.SortStableFunc(p.findings, compareFindings)
			return p.findings, p.failures
		}
	}
	return nil, nil
}
