package guardrails

import (
	"net/netip"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// apiCallers are the sources from which the API server calls webhooks and aggregated APIs.
type apiCallers struct {
	// addresses are by IP family those of the API servers, of control-plane nodes, and of all nodes where tunnel agents are on
	// their network. The calls come from one family.
	addresses [2][]netpol.Endpoint
	// agents are the pods through which hosted API servers tunnel their calls; where there are any, the calls come from them.
	agents []netpol.Endpoint
	// podRanges are those of the network: an overlay gives what a node itself sends an address of these.
	podRanges []netip.Prefix
	// local says that the API server runs on the only node: a pod's own node always reaches it.
	local bool
}

// tunnelAgent is the name of the pods that hosted control planes call into the cluster through, in kube-system: GKE has it in
// the label k8s-app, AKS in app. Source: https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/
const tunnelAgent = "konnectivity-agent"

func apiCallersOf(s *cluster.Snapshot) apiCallers {
	var a apiCallers
	var addresses []netip.Addr
	for _, slice := range s.APIServers() {
		addresses = append(addresses, slice.Addresses...)
	}
	onNodes := false
	for _, w := range s.Live(s.Namespace(metav1.NamespaceSystem)) {
		switch {
		case w.Labels["k8s-app"] != tunnelAgent && w.Labels["app"] != tunnelAgent:
		case w.HostNetwork:
			onNodes = true
		default:
			a.agents = append(a.agents, s.Endpoint(w))
		}
	}
	a.podRanges = s.Network().PodRanges
	nodes := s.Nodes()
	for _, n := range nodes {
		hosts := n.ControlPlane || slices.ContainsFunc(n.Addresses, func(x netip.Addr) bool { return slices.Contains(addresses, x) })
		a.local = len(nodes) == 1 && hosts
		if hosts || onNodes {
			addresses = append(addresses, n.Addresses...)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	for _, x := range slices.Compact(addresses) {
		family := 0
		if x.Is6() && !x.Is4In6() {
			family = 1
		}
		a.addresses[family] = append(a.addresses[family], address(x))
	}
	return a
}

// admittance says how surely the API server gets in.
type admittance int

// From none over what depends on the plugin to all of the sources.
const (
	refused admittance = iota
	perhaps
	admitted
)

// admittedBy tells whether the side lets the API server reach the port. Some sources, or ranges of addresses that may be its
// own, are perhaps.
func (a *apiCallers) admittedBy(side *policy.Coverage, port netpol.Port) admittance {
	if len(a.agents)+len(a.addresses[0])+len(a.addresses[1]) == 0 {
		return a.admittedFromOutside(side, port)
	}
	some := false
	for i, sources := range [...][]netpol.Endpoint{a.agents, a.addresses[0], a.addresses[1]} {
		in := 0
		for _, e := range sources {
			if side.Admits(netpol.Ingress, e, port) {
				in++
			}
		}
		if in > 0 && in == len(sources) && (i == 0 || len(a.agents) == 0) {
			return admitted
		}
		some = some || in > 0
	}
	if some || allowsBlock(side, netpol.Ingress, port.Protocol, port.Number, a.mayHold) {
		return perhaps
	}
	return refused
}

// admittedFromOutside is admittedBy where no address of the API server is known: every address may be its own.
func (a *apiCallers) admittedFromOutside(side *policy.Coverage, port netpol.Port) admittance {
	everything := func(b *netpol.IPBlock) bool { return b.CIDR.Bits() == 0 }
	switch {
	case !side.Isolated(netpol.Ingress) || allowsEveryone(side, port) ||
		allowsBlock(side, netpol.Ingress, port.Protocol, port.Number, everything):
		return admitted
	case allowsBlock(side, netpol.Ingress, port.Protocol, port.Number, anyBlock):
		return perhaps
	}
	return refused
}

// mayHold reports whether the block may hold the address that an overlay gives to what a control-plane node sends: one of a pod
// range, and where these are not known any.
func (a *apiCallers) mayHold(b *netpol.IPBlock) bool {
	return len(a.podRanges) == 0 || slices.ContainsFunc(a.podRanges, func(r netip.Prefix) bool { return len(held(b, r)) > 0 })
}

// allowsEveryone reports whether a rule without from admits the port.
func allowsEveryone(side *policy.Coverage, port netpol.Port) bool {
	return slices.ContainsFunc(side.Policies, func(p *netpol.Policy) bool {
		return p.Isolates[netpol.Ingress] && slices.ContainsFunc(p.Rules[netpol.Ingress], func(r netpol.Rule) bool {
			return len(r.Peers) == 0 && r.MatchesPort(side.Endpoint, port)
		})
	})
}
