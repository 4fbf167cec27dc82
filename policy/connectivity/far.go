package connectivity

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// far is the other side of one workload's connections with the pods of one namespace. A view has one at a time.
type far struct {
	v     *View
	at    *space
	d     netpol.Direction // as the pods of the namespace see it
	peer  netpol.Endpoint
	asked int  // the peer's number, see picker
	made  bool // the view holds the grants by policy of the namespace: since an isolated pod has been asked about
}

// grant is what one policy allows its pods with the peer.
type grant struct {
	ports Ports
	named []*netpol.Rule // whose ports depend on the pod
}

// allows gives the ports that workload y of the namespace allows between itself and the peer.
func (f *far) allows(y *cluster.Covered) Ports {
	switch {
	case y.HostNetwork:
		return allPorts
	case f.v.shared.oneByOne:
		return f.v.near(y, f.at.coverage, f.d).allows(f.peer)
	case !y.Isolated[f.d]:
		return allPorts
	}
	if !f.made {
		f.grant()
	}
	var out Ports
	for _, i := range y.Policies {
		g := &f.v.grants[i]
		out = out.Union(g.ports)
		for _, r := range g.named {
			out = out.Union(resolve(r.Ports, y.Ports))
		}
	}
	return out
}

func (f *far) grant() {
	n := len(f.at.coverage.Policies)
	f.made, f.v.grants = true, slices.Grow(f.v.grants[:0], n)[:n]
	clear(f.v.grants)
	for _, p := range f.v.towards(f.at, f.d, f.peer.Namespace) {
		if p.everyone || f.picked(p.pods) {
			f.add(&f.v.grants[p.policy], p.rule)
		}
	}
}

// picked reports whether one of the selectors selects the peer.
func (f *far) picked(pods []*picker) bool {
	if !f.peer.Governed() {
		return false // no selector matches it
	}
	for _, p := range pods {
		if p.picks(f.asked, f.peer.Labels) {
			return true
		}
	}
	return false
}

func (f *far) add(g *grant, r *netpol.Rule) {
	ports, named := f.v.fixed(r.Ports)
	switch {
	case !named:
		g.ports = g.ports.Union(ports)
	case f.d == netpol.Egress: // the peer is the destination
		g.ports = g.ports.Union(resolve(r.Ports, f.peer.Ports))
	default:
		g.named = append(g.named, r)
	}
}

func opposite(d netpol.Direction) netpol.Direction { return netpol.Ingress + netpol.Egress - d }
