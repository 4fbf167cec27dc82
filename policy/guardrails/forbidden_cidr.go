package guardrails

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// forbiddenCIDR: an ipBlock allows addresses of a range that the platform keeps to itself, beyond what the rules that applied
// to the pods before the change did. It is the platform's word on what policies may say, so it needs no live pod.
var forbiddenCIDR = policy.Guardrail{
	Slug:          "forbidden-cidr",
	Summary:       "a range of addresses reaches into one that the platform forbids",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Deny,
	NewParameters: func() any { return &forbiddenParameters{} },
	Check:         checkForbiddenCIDR,
	Documentation: policy.Documentation{
		Why: `Some networks are nobody's to talk to from a pod: the controllers of the machines, the storage, the back office. One wide
` + "`ipBlock`" + ` in one namespace opens them, and nobody who knows about them reads it.`,
		Judged: `Each ` + "`ipBlock`" + `, without what its ` + "`except`" + ` takes out, in the directions that ` + "`policyTypes`" + ` names, against the
configured ` + "`ranges`" + `. So 0.0.0.0/0 is fine where it excepts them. Nothing is said of addresses that the rules of the pods' policies
allowed before the change on the same ports. That pods could reach a range because nothing isolated them is no reason to write it
in a rule; the fix isolates them without it. Rules without ` + "`from`" + ` or ` + "`to`" + ` have no range: ` + "`allow-all-rule`" + ` tells of those.
Until ` + "`ranges`" + ` are set nothing is judged. Some 200,000 ranges are compared at most.`,
		Bad: `# with ranges: [{cidr: 10.72.16.0/20, reason: BMC}]
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 10.0.0.0/8}
    ports: [{protocol: TCP, port: 443}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.72.16.0/20]}
    ports: [{protocol: TCP, port: 443}]
`,
		Fix: `Except the forbidden range, or remove an ` + "`ipBlock`" + ` that lies within it. Who has to get there asks the platform team.`,
	},
}

// forbiddenParameters are what the config may set for forbidden-cidr.
type forbiddenParameters struct {
	// Ranges that no ipBlock may reach into. Without any nothing is judged.
	Ranges []forbiddenRange `json:"ranges"`
}

// forbiddenRange is one range that the platform keeps to itself.
type forbiddenRange struct {
	// CIDR is the range, IPv4 or IPv6.
	CIDR netip.Prefix `json:"cidr"`
	// Reason says in messages what is there.
	Reason string `json:"reason"`
}

// Validate reports ranges that are missing, have bits beyond their mask or are named twice.
func (p *forbiddenParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, r := range p.Ranges {
		at := path.Child("ranges").Index(i).Child("cidr")
		if err := validateRange(at, r.CIDR); err != nil {
			errs = append(errs, err)
		} else if slices.ContainsFunc(p.Ranges[:i], func(o forbiddenRange) bool { return o.CIDR == r.CIDR }) {
			errs = append(errs, field.Duplicate(at, r.CIDR.String()))
		}
	}
	return errs
}

func checkForbiddenCIDR(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*forbiddenParameters)
	if len(p.Ranges) == 0 {
		return nil
	}
	x := &exposures{change: c, budget: maxRangePairs}
	var out []policy.Violation
	for _, d := range netpol.Directions {
		for _, at := range ranges(c.NewPolicy, d) {
			if at.item < 0 || len(out) == maxDeadPeers {
				continue
			}
			e := &exposure{direction: d}
			var reached []forbiddenRange
			for _, r := range p.Ranges {
				if x.budget -= 1 + len(at.block().Except); x.budget >= 0 && x.reach(e, &at, r.CIDR) {
					reached = append(reached, r)
				}
			}
			if len(reached) > 0 {
				e.subjects = unique(e.subjects)
				out = append(out, p.violation(c, e, &at, reached))
			}
		}
	}
	return out
}

// reach adds to e the subjects for which the spot allows more of the range than was allowed before.
func (x *exposures) reach(e *exposure, at *spot, within netip.Prefix) (found bool) {
	addresses := at.addresses(within)
	if len(addresses) == 0 {
		return false
	}
	for _, group := range x.of(e.direction) {
		ports := portsOf(at.at(), e.direction, group[0].After.Endpoint.Ports)
		if ports.Empty() && group[0].Workload == nil {
			ports = connectivity.AllPorts() // the numbers of named ports are known once there are pods
		}
		if x.budget--; x.budget < 0 || len(x.newlyAllowed(allowance{addresses, ports}, e.direction, group[0])) == 0 {
			continue
		}
		found = true
		for _, s := range group {
			e.add(s)
		}
	}
	return found
}

func (p *forbiddenParameters) violation(c *policy.Change, e *exposure, at *spot, reached []forbiddenRange) policy.Violation {
	v := e.violation(at.field())
	v.Reason = fmt.Sprintf("%s overlaps %s, reserved by platform", at.block().CIDR, reached[0].CIDR)
	if reached[0].Reason != "" {
		v.Reason += " (" + reached[0].Reason + ")"
	}
	if n := len(reached) - 1; n > 0 {
		v.Reason += fmt.Sprintf(", +%d", n)
	}
	v.Detail = at.String() + " " + v.Reason
	v.Headline = fmt.Sprintf("%s would be allowed a forbidden range", e.names())
	v.Fix = p.fix(c, at)
	return v
}
