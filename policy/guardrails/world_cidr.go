package guardrails

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// worldCIDR: an ipBlock holds public addresses and its rule allows all ports of some protocol, beyond what the rules that
// applied to the pods before the change did. Rules without peers are allow-all-rule's.
var worldCIDR = policy.Guardrail{
	Slug:          "world-cidr",
	Summary:       "public addresses are allowed on every port",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	LiveOnly:      true,
	NewParameters: func() any { return &worldParameters{} },
	Check:         checkWorldCIDR,
	Documentation: policy.Documentation{
		Why: `A range of public addresses on every port is more than anyone needs: whoever gets into the pod can carry its data to any
server, over any protocol. Cut in halves, such as 0.0.0.0/1 and 128.0.0.0/1, the internet is no smaller.`,
		Judged: `Each rule that allows all ports of a protocol, by leaving out ` + "`ports`" + ` or by a range of all of them, for an
` + "`ipBlock`" + ` with public addresses: do the rules of the pods' policies, which add up, allow more public addresses or ports after
the change than before it? Private, shared, link-local and multicast ranges are not public, nor is what ` + "`except`" + ` takes out.
A rule that names its ports is fine, even for 0.0.0.0/0, and so are the ranges in ` + "`approved`" + `. With the action Deny it denies
only where running pods were isolated before. Some 200,000 ranges are compared at most.`,
		Bad: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-payments}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-payments}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress:
  - to:
    - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}
    ports: [{protocol: TCP, port: 443}]
`,
		Fix: `Name the ports. Ranges that all may use on every port, such as those of a proxy, belong in ` + "`approved`" + `.`,
	},
}

// worldParameters are what the config may set for world-cidr.
type worldParameters struct {
	// Approved lists ranges of public addresses that may be allowed on every port, such as those of a proxy.
	Approved []netip.Prefix `json:"approved"`
}

// Validate reports ranges that are missing, have bits beyond their mask or are named twice.
func (p *worldParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, r := range p.Approved {
		if err := validateRange(path.Child("approved").Index(i), r); err != nil {
			errs = append(errs, err)
		} else if slices.Contains(p.Approved[:i], r) {
			errs = append(errs, field.Duplicate(path.Child("approved").Index(i), r.String()))
		}
	}
	return errs
}

// validateRange reports a CIDR that is missing or has bits beyond its mask.
func validateRange(at *field.Path, r netip.Prefix) *field.Error {
	switch {
	case !r.IsValid():
		return field.Required(at, "write a CIDR such as 203.0.113.0/24")
	case r.Addr().Is4In6():
		return field.Invalid(at, r.String(), "write the IPv4 range")
	case r != r.Masked():
		return field.Invalid(at, r.String(), fmt.Sprintf("write %s", r.Masked()))
	}
	return nil
}

func checkWorldCIDR(c *policy.Change, parameters any) []policy.Violation {
	x := &worldChecker{exposures{change: c, budget: maxRangePairs}, publicSpace{approved: parameters.(*worldParameters).Approved}}
	var out []policy.Violation
	for _, d := range netpol.Directions {
		if !c.NewPolicy.Isolates[d] {
			continue
		}
		for i := range c.NewPolicy.Rules[d] {
			if o := x.look(d, i); o.found && len(out) < maxDeadPeers {
				out = append(out, o.violation(x))
			}
		}
	}
	return out
}
