package guardrails

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// allowAllRule: a rule of the new policy has no from or to, and the rules that applied to its pods before the change did not
// allow all that it does. Rules for DNS alone, those through which the API server calls a webhook or the outside a Service,
// and those that leave egress as it is are left alone.
var allowAllRule = policy.Guardrail{
	Slug:          "allow-all-rule",
	Summary:       "a rule without from or to allows everyone",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	Check:         checkAllowAllRule,
	Documentation: policy.Documentation{
		Why: `A rule without ` + "`from`" + ` does not allow nobody, it allows everybody: every pod of every namespace and every address outside
the cluster. A list that a template left empty, or two lines of YAML that slipped, open the pods like this without any error.`,
		Judged: `Each rule without ` + "`from`" + ` or ` + "`to`" + `, in the directions that ` + "`policyTypes`" + ` names, unless the rules of the pods' policies
allowed as much before the change already. A pod that no policy isolated was open before, but no rule said so: that is still told
of, and with the action Deny it denies only where running pods were isolated before.

Left alone are rules for DNS alone, and ingress rules through which the API server calls the pods: it calls from a node's address,
which no selector matches. Each port of such a rule is over TCP, and on the pods the target of a Service's port 443, where the API
server calls webhooks and aggregated APIs unless it is told otherwise, or of a Service port that has webhook in its name. So are
ingress rules for ports on which a Service takes connections from outside the cluster, by a load balancer or node port. And where a
policy for both directions allows all egress, of pods whose egress nothing else isolated, it is about ingress. A policy
that takes more than 200,000 comparisons is not judged to the end.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - ports: [{protocol: TCP, port: 5432}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: api}}}]
    ports: [{protocol: TCP, port: 5432}]
`,
		Fix: `Name the peers in ` + "`from`" + ` or ` + "`to`" + `. Where the pods are meant for everyone, such as a public web server, the warning can
stay.`,
	},
}

func checkAllowAllRule(c *policy.Change, _ any) []policy.Violation {
	x := &exposures{change: c, budget: maxLookedAt}
	var out []policy.Violation
	for _, d := range netpol.Directions {
		if !c.NewPolicy.Isolates[d] {
			continue
		}
		for i := range c.NewPolicy.Rules[d] {
			rule := &c.NewPolicy.Rules[d][i]
			if len(rule.Peers) > 0 || isDNSRule(rule, c.After.Resolver()) || len(out) == maxDeadPeers {
				continue
			}
			e := x.by(d, rule, func(s *policy.Subject) bool {
				return d == netpol.Ingress && meantForAll(x, s, rule) || d == netpol.Egress && leavesEgressAlone(c, s, rule)
			})
			if e.found {
				out = append(out, allowAllViolation(c, e, i))
			}
		}
	}
	return out
}

// leavesEgressAlone reports whether the rule lets the subject send everything, as it could before, in a policy for both
// directions: many are about ingress and say so of egress.
func leavesEgressAlone(c *policy.Change, s *policy.Subject, rule *netpol.Rule) bool {
	return c.NewPolicy.Isolates[netpol.Ingress] && len(rule.Ports) == 0 && !s.Before.Isolated(netpol.Egress)
}

func allowAllViolation(c *policy.Change, e *exposure, rule int) policy.Violation {
	field, at := peersField(e.direction), fmt.Sprintf("%s[%d]", e.direction.Field(), rule)
	v := e.violation("spec." + at)
	ports := rulePorts(&c.NewPolicy.Rules[e.direction][rule])
	who := "source, in and outside the cluster, to reach " + e.names() + ports
	v.Headline = "every source could reach " + e.names() + ports
	if e.direction == netpol.Egress {
		who = "destination, in and outside the cluster" + strings.Replace(ports, " ", ", ", 1) + ", for " + e.names()
		v.Headline = e.names() + " could reach every destination" + ports
	}
	v.Reason = fmt.Sprintf("has no %s: it allows every %s", field, who)
	v.Detail = at + " " + v.Reason
	v.Fix = ownNamespaceFix(c, e.direction, rule)
	return v
}

// rulePorts writes a rule's ports as the request does: " on TCP 80 and http", or nothing for all of them.
func rulePorts(r *netpol.Rule) string {
	var names []string
	for i := range r.Ports {
		if r.Ports[i].Name != "" {
			names = append(names, r.Ports[i].Name)
		}
	}
	numbers := portsOf(r, netpol.Egress, nil)
	if !numbers.Empty() && !numbers.All() {
		names = slices.Insert(names, 0, portsWords(numbers))
	}
	if len(names) == 0 || numbers.All() {
		return ""
	}
	return " on " + strings.Join(names, ", ")
}

// ownNamespaceFix gives the rule the peers that most namespaces need: their own pods.
func ownNamespaceFix(c *policy.Change, d netpol.Direction, rule int) *policy.Fix {
	fixed := c.Object.DeepCopy()
	peers := []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}
	f := &policy.Fix{
		Say:     fmt.Sprintf("name the peers; for the pods of %s alone write in spec.%s[%d]:", c.Namespace, d.Field(), rule),
		YAML:    pasteable.YAML(map[string]any{peersField(d): peers}),
		Instead: fixed,
	}
	if d == netpol.Ingress {
		fixed.Spec.Ingress[rule].From = peers
		return f
	}
	fixed.Spec.Egress[rule].To = peers
	if keepResolver(c, f) {
		f.Say = fmt.Sprintf("name the peers; for the pods of %s and DNS alone write in spec:", c.Namespace)
	}
	return f
}
