package guardrails

import (
	"net/netip"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// allowance is a set of addresses outside the cluster together with the ports to which it applies.
type allowance struct {
	addresses []netip.Prefix
	ports     connectivity.Ports
}

// portsOf gives the ports that a rule stands for in direction d on pods with these container ports. The destination of
// egress to an ipBlock is no pod, so that a named port stands for nothing there.
func portsOf(r *netpol.Rule, d netpol.Direction, declared []netpol.ContainerPort) connectivity.Ports {
	if len(r.Ports) == 0 {
		return connectivity.AllPorts()
	}
	var ranges []connectivity.PortRange
	for i := range r.Ports {
		m := &r.Ports[i]
		switch {
		case m.Name == "" && m.Number == 0:
			ranges = append(ranges, connectivity.PortRange{Protocol: m.Protocol, First: 1, Last: lastPort})
		case m.Name == "":
			ranges = append(ranges, connectivity.PortRange{Protocol: m.Protocol, First: m.Number, Last: m.End})
		case d == netpol.Ingress:
			for _, c := range declared {
				if c.Name == m.Name && c.Protocol == m.Protocol {
					ranges = append(ranges, connectivity.PortRange{Protocol: m.Protocol, First: c.Number, Last: c.Number})
				}
			}
		}
	}
	return connectivity.PortsOf(ranges...)
}

// lastPort is the highest port number. Source: core/v1 ContainerPort.containerPort, "0 < x < 65536".
const lastPort = 65535

// minus gives what a holds and x does not: at most two allowances, as the ports of both differ.
func (a allowance) minus(x allowance) []allowance {
	both := a.ports.Intersect(x.ports)
	if both.Empty() {
		return []allowance{a}
	}
	var out []allowance
	if rest := a.ports.Minus(x.ports); !rest.Empty() {
		out = append(out, allowance{a.addresses, rest})
	}
	if rest := withoutAll(a.addresses, x.addresses); len(rest) > 0 {
		out = append(out, allowance{rest, both})
	}
	return out
}
