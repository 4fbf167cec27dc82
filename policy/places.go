package policy

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// placed gives a violation in a policy that is judged without what it repeats, with the places that its author knows. Text from
// outside has no brackets: they are in no name and no label.
func (v Violation) placed(p *netpol.Places) Violation {
	v.Field, v.Headline, v.Detail, v.Reason = placedText(v.Field, p), placedText(v.Headline, p), placedText(v.Detail, p), placedText(v.Reason, p)
	if v.Fix != nil {
		f := *v.Fix
		f.Say = placedText(f.Say, p)
		v.Fix = &f
	}
	return v
}

// placedText replaces the places in a text such as "spec.egress[3].to[2]": a list within a rule belongs to the rule named last.
func placedText(text string, p *netpol.Places) string {
	direction, rule, known := netpol.Ingress, 0, false
	return regexp.MustCompile(`\b(ingress|egress|from|to|ports)\[(\d+)\]`).ReplaceAllStringFunc(text, func(found string) string {
		parts := regexp.MustCompile(`^(\w+)\[(\d+)\]$`).FindStringSubmatch(found)
		at, err := strconv.Atoi(parts[2])
		if err != nil {
			return found
		}
		switch list := parts[1]; {
		case list == "ingress" || list == "egress":
			if direction = netpol.Ingress; list == "egress" {
				direction = netpol.Egress
			}
			rule, known = at, true
			at = p.Rule(direction, at)
		case !known:
		case list == "ports":
			at = p.Port(direction, rule, at)
		default:
			at = p.Peer(direction, rule, at)
		}
		return fmt.Sprintf("%s[%d]", parts[1], at)
	})
}
