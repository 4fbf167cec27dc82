package cluster

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// systemNamespace is where the cluster's own components live, the resolver's among them.
const systemNamespace = "kube-system"

// openshiftDNS is where OpenShift runs its resolver.
const openshiftDNS = "openshift-dns"

// shards bounds what With copies: one shard of the namespaces, not all of them.
const shards = 64

// Snapshot is an immutable view of the cluster. Any number of goroutines may read it.
type Snapshot struct {
	shards   [shards]map[string]*Namespace
	names    []string // sorted
	index    *namespaceIndex
	resolver Resolver
	network  *Network
	options  Options
	tiers    *netpol.Tiers
	extras   map[Resource]*extraSet
	memo     *memo

	// foreignKeys are the per-pod label keys on which some policy selects in namespaces other than its own.
	foreignKeys map[string]bool
	stats       Stats
}

// Options say what the snapshot cannot find out by itself.
type Options struct {
	// Resolver overrides the discovery of the cluster's DNS resolver.
	Resolver ResolverOverride
	// Network overrides the discovery of the network plugin and of the ranges of addresses.
	Network NetworkOverride
	// Partial says that the objects are not all that the cluster holds, so that the lack of one tells nothing.
	Partial bool
}

// Stats count what a snapshot holds.
type Stats struct {
	Namespaces, Policies, Pods, Workloads, Templates, Services int
	// Extras are the objects that only some guardrails read.
	Extras int
}

// Namespace is one namespace of a snapshot. It must not be changed.
type Namespace struct {
	Name   string
	Labels labels.Set
	// Known says that the Namespace object itself has been seen, and not only things in it.
	Known bool
	// Terminating says that the namespace is being deleted.
	Terminating bool
	// Policies, Services and Templates are sorted by name.
	Policies  []*netpol.Policy
	Services  []*Service
	Templates []*Workload

	live      []*Workload // split by ownKeys and the snapshot's foreignKeys
	groups    []*Workload // not split
	ownKeys   map[string]bool
	splitKeys map[string]bool
	pods      int
	localDNS  []localCache
	agents    []agent  // kept only where network plugins are installed
	backends  backends // kept only where a resolver may live
	coverage  *coverage
	mentions  *mentions
	reads     *reads
}

func shardOf(name string) int {
	h := uint32(2166136261) // FNV-1a: cheap, and the same in every process
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int(h % shards)
}

// Namespace gives the namespace of that name, or nil where the snapshot holds neither it nor anything in it.
func (s *Snapshot) Namespace(name string) *Namespace { return s.shards[shardOf(name)][name] }

// All yields the namespaces sorted by name.
func (s *Snapshot) All() iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		for _, name := range s.names {
			if n := s.Namespace(name); n != nil && !yield(n) {
				return
			}
		}
	}
}

// Stats counts what the snapshot holds.
func (s *Snapshot) Stats() Stats { return s.stats }

// Live gives the workloads of n that have live pods, sorted.
func (s *Snapshot) Live(n *Namespace) []*Workload {
	if n == nil {
		return nil
	}
	if covers(n.splitKeys, n.ownKeys) && covers(n.splitKeys, s.foreignKeys) {
		return n.live
	}
	// A policy that is only about to exist selects on a per-pod label that no stored one does.
	return splitAll(n.groups, union(n.ownKeys, s.foreignKeys))
}

// Candidates gives what a selector can mean in n: the live workloads, then the pod templates.
func (s *Snapshot) Candidates(n *Namespace) []*Workload {
	if n == nil {
		return nil
	}
	live := s.Live(n)
	if len(n.Templates) == 0 {
		return live
	}
	return append(slices.Clip(live), n.Templates...)
}

// Policies gives the policies of a namespace sorted by name.
func (s *Snapshot) Policies(namespace string) []*netpol.Policy {
	if n := s.Namespace(namespace); n != nil {
		return n.Policies
	}
	return nil
}

// Policy gives one policy, or nil.
func (s *Snapshot) Policy(namespace, name string) *netpol.Policy {
	policies := s.Policies(namespace)
	i, found := slices.BinarySearchFunc(policies, name, func(p *netpol.Policy, name string) int { return strings.Compare(p.Name, name) })
	if !found {
		return nil
	}
	return policies[i]
}

// Tiers gives the cluster-wide policies above and below NetworkPolicy, nil where there are none.
func (s *Snapshot) Tiers() *netpol.Tiers { return s.tiers }

// NamespaceLabels gives the labels of a namespace. Where the Namespace object has not been seen yet it is the one
// label that the API server puts on every namespace.
func (s *Snapshot) NamespaceLabels(name string) labels.Set {
	if n := s.Namespace(name); n != nil && n.Known {
		return n.Labels
	}
	return labels.Set{"kubernetes.io/metadata.name": name}
}

// Endpoint gives w as NetworkPolicy sees one of its pods in this cluster.
func (s *Snapshot) Endpoint(w *Workload) netpol.Endpoint {
	return w.Endpoint(s.NamespaceLabels(w.Namespace))
}

// SelectNamespaces yields the namespaces that sel matches, sorted by name.
func (s *Snapshot) SelectNamespaces(sel netpol.Selector) iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		for _, name := range s.index.candidates(s, sel) {
			if n := s.Namespace(name); n != nil && sel.Matches(s.NamespaceLabels(name)) && !yield(n) {
				return
			}
		}
	}
}

// PeerNamespaces yields the namespaces in which a selector peer of a policy of the namespace own looks for pods.
func (s *Snapshot) PeerNamespaces(own string, p *netpol.Peer) iter.Seq[*Namespace] {
	if p.Namespaces != nil {
		return s.SelectNamespaces(*p.Namespaces)
	}
	return func(yield func(*Namespace) bool) {
		if n := s.Namespace(own); n != nil {
			yield(n)
		}
	}
}

// change gives a copy of s in which the namespace is what edit makes of a copy of it.
func (s *Snapshot) change(name string, edit func(n *Namespace)) *Snapshot {
	out := *s
	n := &Namespace{Name: name}
	if old := s.Namespace(name); old != nil {
		copied := *old
		n = &copied
	} else {
		i, _ := slices.BinarySearch(s.names, name)
		out.names = slices.Insert(slices.Clone(s.names), i, name)
	}
	edit(n)
	n.coverage, n.mentions, n.reads = &coverage{}, &mentions{}, &reads{}
	out.stats.count(s.Namespace(name), -1)
	out.stats.count(n, 1)
	shard := shardOf(name)
	out.shards[shard] = maps.Clone(s.shards[shard])
	if out.shards[shard] == nil {
		out.shards[shard] = map[string]*Namespace{}
	}
	out.shards[shard][name] = n
	if name == out.resolver.Namespace {
		out.resolver = findResolver(&out)
	}
	return &out
}

// covers reports whether have holds all of want.
func covers(have, want map[string]bool) bool {
	for k := range want {
		if !have[k] {
			return false
		}
	}
	return true
}

// union gives the keys of both sets; it shares one of them where that holds all.
func union(a, b map[string]bool) map[string]bool {
	switch {
	case covers(a, b):
		return a
	case covers(b, a):
		return b
	}
	out := maps.Clone(b)
	maps.Copy(out, a)
	return out
}

// splitLive makes the namespace's live workloads as fine as its own policies and those of other namespaces need them.
func (n *Namespace) splitLive(foreignKeys map[string]bool) {
	n.splitKeys = union(n.ownKeys, foreignKeys)
	n.live = splitAll(n.groups, n.splitKeys)
}

func splitAll(groups []*Workload, keys map[string]bool) []*Workload {
	if len(keys) == 0 {
		return groups
	}
	out := make([]*Workload, 0, len(groups))
	for _, w := range groups {
		out = w.split(out, keys)
	}
	return out
}
