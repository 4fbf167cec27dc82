package cluster

import (
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// NetworkOverride says what discovery would not find. The zero value leaves all to discovery.
type NetworkOverride struct {
	// Plugin that enforces NetworkPolicy.
	Plugin Plugin
	// PodRanges and ServiceRanges are those that pods and Services get their addresses from.
	PodRanges, ServiceRanges []netip.Prefix
}

// Network is what is known of the network that policies govern.
type Network struct {
	// Profile of what enforces NetworkPolicy. With several plugins it holds what is true of all that enforce.
	Profile
	// Plugins are those that were found, or the configured one; sorted. Flannel with Calico's policies is Canal.
	Plugins []Plugin
	// Enforcers are those of them that enforce NetworkPolicy or may do so.
	Enforcers []Plugin
	// Version of the only one of them, such as "1.15"; empty where it is not known.
	Version string
	// Searched says that the cluster's own DaemonSets were there to be looked through, so that not finding any plugin among
	// them tells something.
	Searched bool
	// PodRanges and ServiceRanges hold the addresses of pods and Services, with as few prefixes as can be. They may be
	// incomplete: nodes have no ranges where the plugin gives out addresses by itself.
	PodRanges, ServiceRanges []netip.Prefix
	// PodRangesConfigured says that the config names the pods' ranges, which are whole then and no sum of the nodes'.
	PodRangesConfigured bool
}

// Name names what enforces NetworkPolicy for people: "cilium"; "" where that is not known.
func (n *Network) Name() string {
	names := make([]string, 0, len(n.Enforcers))
	for _, p := range n.Enforcers {
		names = append(names, string(p))
	}
	return strings.Join(names, " and ")
}

// Network gives the cluster's network as the snapshot knows it. It must not be changed.
func (s *Snapshot) Network() *Network { return s.network }

// findNetwork looks for the plugins and the ranges of addresses.
func findNetwork(s *Snapshot) *Network {
	o := s.options.Network
	n := &Network{PodRanges: merged(o.PodRanges), ServiceRanges: merged(o.ServiceRanges), PodRangesConfigured: len(o.PodRanges) > 0}
	if len(o.PodRanges) == 0 {
		n.PodRanges = nodeRanges(s)
	}
	if len(o.ServiceRanges) == 0 {
		n.ServiceRanges = serviceRanges(s)
	}
	n.findPlugins(s, o.Plugin)
	return n
}

// findPlugins fills in the plugins and the profile.
func (n *Network) findPlugins(s *Snapshot, configured Plugin) {
	agents, searched := runningAgents(s)
	n.Searched = searched && !s.options.Partial
	if slices.ContainsFunc(s.Nodes(), func(n *Node) bool { return strings.Contains(n.Version, k3sVersion) }) {
		agents = append(agents, agent{plugin: K3s}) // it shows no DaemonSet, and may have been told to enforce nothing
	}
	if configured != "" {
		a := agent{configured, version{}, profiles()[configured].Enforces}
		for _, found := range agents {
			if found.plugin == configured {
				a.version = found.version // what it enforces is the config's to say
			}
		}
		agents = []agent{a}
	}
	if slices.ContainsFunc(agents, func(a agent) bool { return a.plugin == Calico }) {
		agents = asCanal(agents)
	}
	var enforcing []agent
	for _, a := range agents {
		n.Plugins = append(n.Plugins, a.plugin)
		if a.enforces == Yes {
			enforcing = append(enforcing, a)
		}
	}
	if len(enforcing) == 0 { // then it is one of those about which that is not known, if any
		for _, a := range agents {
			if a.enforces == Unknown {
				enforcing = append(enforcing, a)
			}
		}
		if len(enforcing) == 0 && len(agents) > 0 {
			n.Enforces = No
		}
	}
	for i, a := range enforcing {
		if p := a.profile(); i == 0 {
			n.Profile = p
		} else {
			n.Profile = n.agree(p)
		}
		n.Enforcers = append(n.Enforcers, a.plugin)
	}
	if len(enforcing) == 1 && enforcing[0].version != (version{}) {
		n.Version = enforcing[0].version.String()
	}
	slices.Sort(n.Plugins)
	slices.Sort(n.Enforcers)
	n.Plugins, n.Enforcers = slices.Compact(n.Plugins), slices.Compact(n.Enforcers)
}

// asCanal makes Calico's policies beside Flannel's network what people call both together.
func asCanal(agents []agent) []agent {
	isFlannel := func(a agent) bool { return a.plugin == Flannel }
	if !slices.ContainsFunc(agents, isFlannel) {
		return agents
	}
	out := slices.DeleteFunc(slices.Clone(agents), isFlannel)
	for i := range out {
		if out[i].plugin == Calico {
			out[i].plugin = Canal
		}
	}
	return out
}

// k3sVersion is in the kubelet's version of a k3s node: "v1.33.1+k3s1".
const k3sVersion = "+k3s"

// runningAgents lists the agents of all namespaces where plugins are installed, and says whether those hold any DaemonSet.
func runningAgents(s *Snapshot) (agents []agent, searched bool) {
	for _, namespace := range agentNamespaces {
		n := s.Namespace(namespace)
		if n == nil {
			continue
		}
		agents = append(agents, n.agents...)
		searched = searched || len(n.agents) > 0 ||
			slices.ContainsFunc(n.Templates, func(w *Workload) bool { return w.Kind == "DaemonSet" })
	}
	return agents, searched
}

func nodeRanges(s *Snapshot) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range s.Nodes() {
		out = append(out, n.PodRanges...)
	}
	return merged(out)
}

func serviceRanges(s *Snapshot) []netip.Prefix {
	var out []netip.Prefix
	for _, c := range s.ServiceCIDRs() {
		out = append(out, c.Ranges...)
	}
	return merged(out)
}

// merged writes the ranges with as few prefixes as can be, sorted.
func merged(ranges []netip.Prefix) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, r := range ranges {
		b.AddPrefix(r)
	}
	set, err := b.IPSet()
	if err != nil || len(ranges) == 0 {
		return nil // no range that was parsed is invalid
	}
	return set.Prefixes()
}
