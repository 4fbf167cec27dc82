package connectivity

import (
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// far is the other side of one workload's connections with the pods of one namespace.
type far struct {
	v      *View
	at     *space
	d      netpol.Direction // as the pods of the namespace see it
	peer   netpol.Endpoint
	grants []grant // by policy of the namespace; made when the first isolated pod is asked about
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
	case f.v.shared.policies:
		return f.v.near(y, f.at.coverage, f.d).allows(f.peer)
	case !y.Isolated[f.d]:
		return allPorts
	}
	if f.grants == nil {
		f.grant()
	}
	var out Ports
	for _, i := range y.Policies {
		g := &f.grants[i]
		out = out.Union(g.ports)
		for _, r := range g.named {
			out = out.Union(resolve(r.Ports, y.Ports))
		}
	}
	return out
}

func (f *far) grant() {
	c := f.at.coverage
	f.grants = make([]grant, len(c.Policies))
	if f.at.n.Name != f.peer.Namespace {
		for _, ref := range f.v.towards(f.at, f.d, f.peer.Namespace) {
			f.add(int(ref.Policy), ref.Rule)
		}
		return
	}
	for i, p := range c.Policies {
		if p.Isolates[f.d] {
			for j := range p.Rules[f.d] {
				f.add(i, &p.Rules[f.d][j])
			}
		}
	}
}

func (f *far) add(policy int, r *netpol.Rule) {
	if !r.MatchesPeer(f.at.n.Name, f.peer) {
		return
	}
	g := &f.grants[policy]
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
