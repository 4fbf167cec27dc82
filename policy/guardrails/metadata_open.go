package guardrails

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// metadataOpen: a cloud metadata address that a pod could not reach before the change is reachable after it, in the
// union of the policies that select the pod. Where no policy isolated the pod for egress before, it could reach every
// address, so a change that isolates it and still lets it reach this one makes nothing worse and is left alone.
// Templates count like live pods.
var metadataOpen = policy.Guardrail{
	Slug:          "metadata-open",
	Summary:       "pods become able to reach a cloud metadata address",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	DefaultAction: config.Warn,
	NewParameters: func() any { return defaultMetadata() },
	Check:         checkMetadataOpen,
	Documentation: policy.Documentation{
		Why: `The metadata address of a cloud hands out the credentials of the node or of the pod to whoever asks. A rule for
"the internet" includes it, because 0.0.0.0/0 contains the link-local range.`,
		Judged: `The pods and pod templates whose policies the change touches, in the union of the policies that select them, over
TCP: which of the configured addresses and ports are reachable after the change and were not before? A pod that no policy
isolated for egress could reach them all along, so isolating it is never complained about, whatever the rules still allow.
Only the listed ports count: a rule that allows 169.254.169.254 on port 53, where some clouds have their resolver, is fine.`,
		Bad: `# another policy keeps these pods from the metadata address; this one lets them reach it after all
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-internet}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0}
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-internet}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}
`,
		Fix: "Except the address in each `ipBlock` that contains it. A rule without `to` allows every address: give it a `to`.",
	},
}

// opening is what one place of the change opens.
type opening struct {
	rule, item int // in egress; item is -1 for a rule without to, rule is -1 where no rule but lost isolation opens
	targets    []metadataTarget
	subjects   []*policy.Subject
}

func checkMetadataOpen(c *policy.Change, parameters any) []policy.Violation {
	var openings []*opening
	var opened []metadataTarget
	for _, t := range parameters.(*metadataParameters).targets() {
		rule, item := opener(c.NewPolicy, t)
		var reached []*policy.Subject
		for i := range c.Subjects {
			s := &c.Subjects[i]
			// Addresses become reachable by a rule of the new policy or with the isolation that goes; most changes
			// do neither.
			if (rule >= 0 || !s.After.Isolated(netpol.Egress)) &&
				s.After.Admits(netpol.Egress, address(t.address), t.over()) && !s.Before.Admits(netpol.Egress, address(t.address), t.over()) {
				reached = append(reached, s)
			}
		}
		if len(reached) == 0 {
			continue
		}
		opened = append(opened, t)
		at := slices.IndexFunc(openings, func(o *opening) bool { return o.rule == rule && o.item == item })
		if at < 0 {
			at = len(openings)
			openings = append(openings, &opening{rule: rule, item: item})
		}
		openings[at].targets = append(openings[at].targets, t)
		openings[at].subjects = unique(append(openings[at].subjects, reached...))
	}
	var out []policy.Violation
	for _, o := range openings {
		out = append(out, openingViolation(c, o, opened))
	}
	return out
}

func openingViolation(c *policy.Change, o *opening, opened []metadataTarget) policy.Violation {
	workloads, live := policy.Worse(o.subjects)
	first := o.targets[0]
	target := first.String()
	if n := len(o.targets) - 1; n > 0 {
		target += fmt.Sprintf(", +%d", n)
	}
	v := policy.Violation{Live: live, Affected: policy.Affect(workloads)}
	if live {
		v.Headline = fmt.Sprintf("%s could reach %s", policy.Plural(policy.LivePods(workloads), "live pod"), first.place())
	}
	v.Reason = fmt.Sprintf("lets %s reach %s", policy.Names(workloads), target)
	if name := excepting(c, o); name != "" {
		v.Reason += "; the except in " + name + " no longer holds"
	}
	switch {
	case c.NewPolicy == nil:
		v.Detail = fmt.Sprintf("deleting %s %s", c.Name, v.Reason)
		v.Reason = ""
	case o.rule < 0:
		v.Field = "spec.podSelector"
		v.Detail = fmt.Sprintf("this change %s; no policy isolates them for egress any more", v.Reason)
		v.Reason = v.Detail
	case o.item < 0:
		v.Field = fmt.Sprintf("spec.egress[%d]", o.rule)
		v.Reason = "without to " + v.Reason
		v.Detail = fmt.Sprintf("egress[%d] %s", o.rule, v.Reason)
	default:
		v.Field = fmt.Sprintf("spec.egress[%d].to[%d].ipBlock", o.rule, o.item)
		v.Reason = fmt.Sprintf("%s %s", c.NewPolicy.Rules[netpol.Egress][o.rule].Peers[o.item].Block.CIDR, v.Reason)
		v.Detail = fmt.Sprintf("egress[%d] %s", o.rule, v.Reason)
		v.Fix = exceptFix(c, o, opened)
	}
	return v
}

// opener finds the first rule of p that allows the address, and its first peer that does.
func opener(p *netpol.Policy, t metadataTarget) (rule, item int) {
	if p == nil || !p.Isolates[netpol.Egress] {
		return -1, -1
	}
	e := address(t.address)
	for i := range p.Rules[netpol.Egress] {
		r := &p.Rules[netpol.Egress][i]
		if r.MatchesPort(e, t.over()) && r.MatchesPeer(p.Namespace, e) {
			return i, slices.IndexFunc(r.Peers, func(peer netpol.Peer) bool { return peer.Matches(p.Namespace, e) })
		}
	}
	return -1, -1
}

// excepting names another policy that selects one of the pods and excepts the address from a range that it allows.
func excepting(c *policy.Change, o *opening) string {
	for _, s := range o.subjects {
		for _, p := range s.After.Policies {
			if p.Name != c.Name && p.Isolates[netpol.Egress] && excepts(p, o.targets[0]) {
				return p.Name
			}
		}
	}
	return ""
}

func excepts(p *netpol.Policy, t metadataTarget) bool {
	for _, r := range p.Rules[netpol.Egress] {
		for _, peer := range r.Peers {
			if peer.Block != nil && peer.Block.CIDR.Contains(t.address) && !peer.Block.Contains(t.address) && r.MatchesPort(address(t.address), t.over()) {
				return true
			}
		}
	}
	return false
}

// maxShown bounds the egress rules that a fix shows where more than one of them has to change.
const maxShown = 10

// exceptFix excepts what the change opens from every ipBlock of the policy that contains it. There is no small fix
// where a rule without to, or a block of that one address alone, opens it too.
func exceptFix(c *policy.Change, o *opening, opened []metadataTarget) *policy.Fix {
	fixed := c.Object.DeepCopy()
	changed := 0
	for i, r := range c.NewPolicy.Rules[netpol.Egress] {
		for j, peer := range r.Peers {
			if peer.Block == nil || peer.Block.CIDR.IsSingleIP() {
				continue
			}
			block := fixed.Spec.Egress[i].To[j].IPBlock
			excepted := len(block.Except)
			for _, t := range opened {
				host := hostPrefix(t.address).String()
				if peer.Block.Contains(t.address) && r.MatchesPort(address(t.address), t.over()) && !slices.Contains(block.Except, host) {
					block.Except = append(block.Except, host)
				}
			}
			if len(block.Except) > excepted {
				changed++
			}
		}
	}
	p, err := netpol.Compile(fixed)
	if err != nil || slices.ContainsFunc(o.targets, func(t metadataTarget) bool { rule, _ := opener(p, t); return rule >= 0 }) {
		return nil
	}
	if changed > 1 && len(fixed.Spec.Egress) <= maxShown {
		return &policy.Fix{
			Say:  "write in spec:",
			YAML: pasteable.YAML(map[string][]networkingv1.NetworkPolicyEgressRule{"egress": fixed.Spec.Egress}), Instead: fixed,
		}
	}
	return &policy.Fix{
		Say:     fmt.Sprintf("write in spec.egress[%d].to[%d]:", o.rule, o.item),
		YAML:    pasteable.YAML(map[string]*networkingv1.IPBlock{"ipBlock": fixed.Spec.Egress[o.rule].To[o.item].IPBlock}),
		Instead: fixed,
	}
}
