package guardrails

import (
	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dualStackGap: rules allow every address of one IP family and, on the same ports, no address of the other one, and the pods
// have addresses of both. A pod of one family cannot lose the other.
var dualStackGap = policy.Guardrail{
	Slug:          "dualstack-gap",
	Summary:       "rules allow every address of one IP family and none of the other",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	Check:         checkDualStackGap,
	Documentation: policy.Documentation{
		Why: `0.0.0.0/0 is every IPv4 address and no IPv6 address. Where pods have both, a policy that allows "the internet" in this
way cuts IPv6, which most clients try first: connections become slow or fail, for some destinations only.`,
		Judged: `The live pods that the policy selects and that have addresses of both families, by direction, in the union of all
policies that select them: on which ports is 0.0.0.0/0 allowed, with or without exceptions, and no IPv6 range at all, or ::/0 and
no IPv4 range? Ports on which this was so before the change are left alone. A rule without peers allows both families. Smaller
ranges are left alone: what belongs to them in the other family only their author knows. Nothing is said about pods that have
addresses of one family, and about templates, whose pods have none yet.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-internet}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0}
    ports: [{protocol: TCP, port: 443}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-internet}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0}
    - ipBlock: {cidr: "::/0"}
    ports: [{protocol: TCP, port: 443}]
`,
		Fix: "Allow the other family beside the first: `::/0` for `0.0.0.0/0`, with the exceptions that it needs there.",
	},
}

func checkDualStackGap(c *policy.Change, _ any) []policy.Violation {
	var out []policy.Violation
	for _, d := range netpol.Directions {
		for has, allowed := range ipFamilies() {
			g := gap{direction: d, allowed: allowed, missing: ipFamilies()[1-has]}
			if g.find(c); len(g.subjects) > 0 {
				out = append(out, g.violation(c))
			}
		}
	}
	return out
}
