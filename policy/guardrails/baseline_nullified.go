package guardrails

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// baselineNullified: somebody who does not own a protected default-deny writes a policy after which the pods that it
// isolates may talk to everything in that direction all the same. Policies are additive, so the default-deny is still
// there and says so, and has no effect. What was open before the change is left alone.
var baselineNullified = policy.Guardrail{
	Slug:          "baseline-nullified",
	Summary:       "a protected default-deny no longer has an effect",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Deny,
	NewParameters: func() any { return &baselineParameters{} },
	Check:         checkBaselineNullified,
	Documentation: policy.Documentation{
		Why: `Policies only ever add up: no default-deny keeps a second policy from allowing everything again. Whoever relies on
a default-deny that the platform put there relies on nobody doing that.`,
		Judged: `The pods and pod templates that a policy listed in ` + "`protected`" + ` isolates, by direction, in the union of
all policies that select them: may they, after the change and not before it, talk to every pod of the cluster or to every
address of an IP family, on all ports? Every address is 0.0.0.0/0 or ::/0 without exceptions, or ranges that add up to it, in
one policy or several. Every pod is a rule without peers or an empty ` + "`namespaceSelector`" + `. All ports are all TCP
ports, with or without those of other protocols. An edit of the protected policy itself counts as well, if it gives it such
rules or takes the direction out of ` + "`policyTypes`" + `. The ` + "`owners`" + ` may do all of this. A policy for which
nothing runs yet is judged for the pods to come. Until ` + "`protected`" + ` is set nothing is judged.`,
		Bad: `# with protected: [default-deny], applied by somebody who is no owner
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-all}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - {}
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-payments}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: 203.0.113.0/24}}]
    ports: [{protocol: TCP, port: 443}]
`,
		Fix: "Allow the peers and the ports that the pods need. Who really needs everything asks an owner of the default-deny.",
	},
}

func checkBaselineNullified(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*baselineParameters)
	if len(p.Protected) == 0 || p.Owners.own(c.Requester) {
		return nil
	}
	var out []policy.Violation
	var lost []*nullified
	for _, d := range netpol.Directions {
		n := p.nullified(c, d)
		if len(n.subjects) == 0 {
			continue
		}
		if rules := n.openers(c); len(rules) > 0 {
			out = append(out, n.openedBy(c, rules))
		} else {
			lost = append(lost, n)
		}
	}
	if len(lost) > 0 {
		out = append(out, noLongerIsolated(c, lost))
	}
	return out
}

// nullified is what the change opens in one direction although a protected policy isolates the pods.
type nullified struct {
	direction netpol.Direction
	baseline  string // the protected policy
	subjects  []*policy.Subject
	alike     []*policy.Subject // one of the subjects for each set of policies that they have
	opened    reach
}

func (p *baselineParameters) nullified(c *policy.Change, d netpol.Direction) *nullified {
	out := &nullified{direction: d}
	known := map[string]reach{} // what is opened, by the policies before and after
	for _, s := range judgedSubjects(c) {
		baseline := slices.IndexFunc(s.Before.Policies, func(b *netpol.Policy) bool { return b.Isolates[d] && p.protects(b.Name) })
		if baseline < 0 {
			continue
		}
		key := policyList(s.Before.Policies) + "/" + policyList(s.After.Policies)
		opened, done := known[key]
		if !done {
			opened = reachOf(s.After.Policies, d).without(reachOf(s.Before.Policies, d))
			known[key] = opened
			if opened != (reach{}) {
				out.alike = append(out.alike, s)
			}
		}
		if opened == (reach{}) {
			continue
		}
		if len(out.subjects) == 0 {
			out.baseline = s.Before.Policies[baseline].Name
		}
		out.subjects, out.opened = append(out.subjects, s), out.opened.with(opened)
	}
	return out
}

// judgedSubjects gives the subjects of the change. A policy that selects nothing yet is judged for the pods to come, or else it
// could be applied before them.
func judgedSubjects(c *policy.Change) []*policy.Subject {
	var out []*policy.Subject
	for i := range c.Subjects {
		out = append(out, &c.Subjects[i])
	}
	if len(selectedSubjects(c)) > 0 {
		return out
	}
	return append(out, podsToCome(c))
}

func policyList(policies []*netpol.Policy) string {
	var b strings.Builder
	for _, p := range policies {
		b.WriteString(p.Name)
		b.WriteByte(' ')
	}
	return b.String()
}

// violation says what the change opens, in one direction or both.
func violation(c *policy.Change, all ...*nullified) policy.Violation {
	var subjects []*policy.Subject
	var can []string
	for _, n := range all {
		subjects = append(subjects, n.subjects...)
		if n.direction == netpol.Ingress {
			can = append(can, "be reached from "+n.opened.String())
		} else {
			can = append(can, "send to "+n.opened.String())
		}
	}
	workloads, live := policy.Worse(present(subjects))
	what := "policy"
	if all[0].baseline == c.Name {
		what = "edit"
	}
	return policy.Violation{
		Live: live, Affected: policy.Affect(workloads), Headline: all[0].baseline + " would become ineffective",
		Detail: fmt.Sprintf("this %s makes %s ineffective: %s can now %s",
			what, all[0].baseline, namesOrSelected(workloads), strings.Join(can, " and ")),
	}
}

// present gives the subjects that are there, each once: pods to come have no workload.
func present(subjects []*policy.Subject) []*policy.Subject {
	return slices.DeleteFunc(unique(subjects), func(s *policy.Subject) bool { return s.Workload == nil })
}

// namesOrSelected lists the workloads: "app=api, app=web", or "the selected pods" where there are none yet.
func namesOrSelected(workloads []*cluster.Workload) string {
	if len(workloads) == 0 {
		return "the selected pods"
	}
	return policy.Names(workloads)
}

// openedBy is the violation of rules of the new policy.
func (n *nullified) openedBy(c *policy.Change, rules []int) policy.Violation {
	v := violation(c, n)
	v.Field = fmt.Sprintf("spec.%s[%d]", n.direction.Field(), rules[0])
	v.Fix = n.withoutRules(c, rules)
	return v
}

// noLongerIsolated is the violation of an edit that lets the pods go, with the directions that it does so in.
func noLongerIsolated(c *policy.Change, lost []*nullified) policy.Violation {
	v := violation(c, lost...)
	v.Field = "spec.podSelector"
	var directions []netpol.Direction
	for _, n := range lost {
		directions = append(directions, n.direction)
		if !c.NewPolicy.Isolates[n.direction] {
			v.Field = "spec.policyTypes"
		}
	}
	v.Fix = isolationFix(c, directions)
	return v
}

// maxTrials bounds the rules that are tried one by one, each with the different policies of the pods.
const maxTrials = 500

// openers lists the rules of the new policy without which it would open nothing, as few as going through them in order
// finds, or all of them where there are too many to try; none where leaving out rules does not help.
func (n *nullified) openers(c *policy.Change) []int {
	trial := *c.NewPolicy
	trial.Rules[n.direction] = nil
	if n.opens(&trial) {
		return nil
	}
	var out []int
	for i, rule := range c.NewPolicy.Rules[n.direction] {
		if len(c.NewPolicy.Rules[n.direction])*len(n.alike) > maxTrials {
			out = append(out, i)
			continue
		}
		kept := trial.Rules[n.direction]
		trial.Rules[n.direction] = append(slices.Clip(kept), rule)
		if n.opens(&trial) {
			trial.Rules[n.direction] = kept
			out = append(out, i)
		}
	}
	return out
}

// opens reports whether the policy in place of the new one would still nullify the baseline for one of the pods.
func (n *nullified) opens(p *netpol.Policy) bool {
	for _, s := range n.alike {
		policies := slices.Clone(s.After.Policies)
		for i := range policies {
			if policies[i].Name == p.Name {
				policies[i] = p
			}
		}
		if reachOf(policies, n.direction).without(reachOf(s.Before.Policies, n.direction)) != (reach{}) {
			return true
		}
	}
	return false
}

// withoutRules leaves the rules out of the policy.
func (n *nullified) withoutRules(c *policy.Change, rules []int) *policy.Fix {
	workloads, _ := policy.Worse(present(n.subjects))
	fixed := c.Object.DeepCopy()
	var places []string
	for i := len(rules) - 1; i >= 0; i-- {
		at := rules[i]
		if n.direction == netpol.Ingress {
			fixed.Spec.Ingress = slices.Delete(fixed.Spec.Ingress, at, at+1)
		} else {
			fixed.Spec.Egress = slices.Delete(fixed.Spec.Egress, at, at+1)
		}
	}
	for _, at := range rules {
		places = append(places, fmt.Sprintf("spec.%s[%d]", n.direction.Field(), at))
	}
	// Without policyTypes the API server would take the direction from the rules that are there no more.
	if len(fixed.Spec.PolicyTypes) == 0 {
		fixed.Spec.PolicyTypes = policyTypesOf(c.NewPolicy)
	}
	need := "the pods need"
	if len(workloads) > 0 {
		need = policy.Names(workloads) + " needs"
	}
	return &policy.Fix{
		Say:     fmt.Sprintf("leave out %s; allow the peers and ports that %s", strings.Join(places, ", "), need),
		Instead: fixed,
	}
}

func policyTypesOf(p *netpol.Policy) []networkingv1.PolicyType {
	var out []networkingv1.PolicyType
	for _, d := range netpol.Directions {
		if p.Isolates[d] {
			out = append(out, networkingv1.PolicyType(d.String()))
		}
	}
	return out
}
