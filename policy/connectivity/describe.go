package connectivity

import (
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// maxPeers bounds how many peers of a rule a reason names.
const maxPeers = 3

// describe names the peers of a rule for people: "pods tier=web", "all pods in namespaces team=a", "10.0.0.0/8".
func describe(peers []netpol.Peer) string {
	var names []string
	for i := range peers {
		if i == maxPeers {
			names = append(names, fmt.Sprintf("+%d", len(peers)-maxPeers))
			break
		}
		names = append(names, describePeer(&peers[i]))
	}
	return strings.Join(names, "; ")
}

func describePeer(p *netpol.Peer) string {
	if p.Block != nil {
		out := p.Block.CIDR.String()
		for i, x := range p.Block.Except {
			out += [...]string{" except ", ", "}[min(i, 1)] + x.String()
		}
		return out
	}
	pods := "all pods"
	if p.Pods != nil && !p.Pods.Everything() {
		pods = "pods " + p.Pods.String()
	}
	switch {
	case p.Namespaces == nil:
		return pods + " of its own namespace"
	case p.Namespaces.Everything():
		return pods + " of all namespaces"
	}
	return pods + " in namespaces " + p.Namespaces.String()
}
