package cluster

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Builder takes a cluster's objects one by one and makes snapshots of what it holds. It is not safe for concurrent
// use. A snapshot costs what changed since the last one.
type Builder struct {
	options    Options
	namespaces map[string]*namespaceState
	dirty      map[string]bool
	foreign    map[string]int                // per-pod keys that policies select on beyond their own namespace, and how many do
	tiers      map[string]*netpol.TierPolicy // by kind/name
	extras     map[Resource]map[string]*Extra
	last       *Snapshot
	labels     bool // some namespace's labels changed since the last snapshot
	retier     bool // some policy of a tier changed since the last snapshot

	changedExtras map[Resource]bool // since the last snapshot
	renetwork     bool              // the options changed since the last snapshot
}

// NewBuilder makes an empty Builder.
func NewBuilder(o Options) *Builder {
	b := &Builder{
		options: o, namespaces: map[string]*namespaceState{}, dirty: map[string]bool{}, foreign: map[string]int{},
		tiers: map[string]*netpol.TierPolicy{}, extras: map[Resource]map[string]*Extra{}, changedExtras: map[Resource]bool{},
	}
	b.last = &Snapshot{options: o, memo: &memo{}, index: &namespaceIndex{}}
	b.last.resolver, b.last.network = findResolver(b.last), findNetwork(b.last)
	return b
}

// SetOptions changes the options from the next snapshot on.
func (b *Builder) SetOptions(o Options) {
	b.options, b.renetwork = o, true
	for name, n := range b.namespaces {
		n.configured = o.Resolver.serviceIn(name)
		n.backends = nil
		b.dirty[name] = true
	}
	b.dirty[systemNamespace] = true
}

func (b *Builder) state(namespace string) *namespaceState {
	n := b.namespaces[namespace]
	if n == nil {
		n = newNamespaceState(namespace)
		n.configured = b.options.Resolver.serviceIn(namespace)
		b.namespaces[namespace] = n
	}
	b.dirty[namespace] = true
	return n
}

// SetNamespace adds or replaces a Namespace object.
func (b *Builder) SetNamespace(ns *corev1.Namespace) {
	n := b.state(ns.Name)
	if !n.known || !maps.Equal(n.labels, ns.Labels) {
		b.labels = true
	}
	n.known, n.labels = true, labels.Set(ns.Labels)
	n.terminating = ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating
}

// DeleteNamespace removes a Namespace object. What is left in it goes by events of its own.
func (b *Builder) DeleteNamespace(name string) {
	n := b.state(name)
	n.known, n.labels, n.terminating = false, nil, false
	b.labels = true
}

// SetPod adds or replaces a pod. Most updates of a pod are to parts of its status that nobody reads here; they cost
// nothing.
func (b *Builder) SetPod(p *Pod) {
	if n := b.namespaces[p.Namespace]; n != nil {
		if old := n.pods[p.Name]; old != nil && *old == *p {
			return
		}
	}
	b.state(p.Namespace).setPod(p)
}

// DeletePod removes a pod.
func (b *Builder) DeletePod(namespace, name string) { b.state(namespace).deletePod(name) }

// SetTemplate adds or replaces an object with a pod template. Like a pod's, most of its updates are to its status.
func (b *Builder) SetTemplate(t *Template) {
	key := t.Workload.Kind + "/" + t.Workload.Name
	if n := b.namespaces[t.Workload.Namespace]; n != nil {
		if old := n.templates[key]; old != nil && old.equal(t) {
			return
		}
	}
	b.state(t.Workload.Namespace).templates[key] = t
}

// DeleteTemplate removes an object with a pod template.
func (b *Builder) DeleteTemplate(namespace, kind, name string) {
	delete(b.state(namespace).templates, kind+"/"+name)
}

// SetService adds or replaces a Service.
func (b *Builder) SetService(s *Service) {
	n := b.state(s.Namespace)
	n.services[s.Name], n.backends = s, nil
}

// DeleteService removes a Service.
func (b *Builder) DeleteService(namespace, name string) {
	n := b.state(namespace)
	delete(n.services, name)
	n.backends = nil
}

// SetPolicy adds or replaces a NetworkPolicy.
func (b *Builder) SetPolicy(p *netpol.Policy) {
	n := b.state(p.Namespace)
	b.countKeys(n.policies[p.Name], -1)
	n.policies[p.Name] = p
	b.countKeys(p, 1)
}

// DeletePolicy removes a NetworkPolicy.
func (b *Builder) DeletePolicy(namespace, name string) {
	n := b.state(namespace)
	b.countKeys(n.policies[name], -1)
	delete(n.policies, name)
}

// countKeys keeps the per-pod keys that matter everywhere.
func (b *Builder) countKeys(p *netpol.Policy, by int) {
	if p == nil {
		return
	}
	_, foreign := podKeys(p)
	b.countForeign(foreign, by)
}

func (b *Builder) countForeign(keys map[string]bool, by int) {
	for k := range keys {
		if b.foreign[k] += by; b.foreign[k] == 0 {
			delete(b.foreign, k)
		}
	}
}

// foreignKeys gives the set of the per-pod keys that matter everywhere; when it changes, workloads everywhere change
// with it.
func (b *Builder) foreignKeys() map[string]bool {
	keys := b.last.foreignKeys
	if len(keys) == len(b.foreign) && !slices.ContainsFunc(slices.Collect(maps.Keys(b.foreign)), func(k string) bool { return !keys[k] }) {
		return keys
	}
	for name := range b.namespaces {
		b.dirty[name] = true
	}
	keys = make(map[string]bool, len(b.foreign))
	for k := range b.foreign {
		keys[k] = true
	}
	return keys
}

// Snapshot gives the cluster as it is now. Earlier snapshots stay as they were.
func (b *Builder) Snapshot() *Snapshot {
	if len(b.dirty) == 0 && !b.retier && len(b.changedExtras) == 0 {
		return b.last
	}
	out := *b.last
	out.memo = b.last.memo.next(slices.Collect(maps.Keys(b.dirty)))
	if b.retier {
		out.tiers = netpol.NewTiers(slices.Collect(maps.Values(b.tiers)))
	}
	renetwork := b.renetwork || b.changedExtras[Nodes] || b.changedExtras[ServiceCIDRs]
	out.extras = b.publishExtras(out.extras)
	out.stats.Extras = 0
	for _, set := range out.extras {
		out.stats.Extras += len(set.sorted)
	}
	out.options = b.options
	out.foreignKeys = b.foreignKeys()
	cloned := [shards]bool{}
	membership := false
	for name := range b.dirty {
		shard := shardOf(name)
		if !cloned[shard] {
			cloned[shard] = true
			out.shards[shard] = maps.Clone(out.shards[shard])
			if out.shards[shard] == nil {
				out.shards[shard] = map[string]*Namespace{}
			}
		}
		old := out.shards[shard][name]
		state := b.namespaces[name]
		if state == nil || state.empty() {
			delete(b.namespaces, name)
			delete(out.shards[shard], name)
			out.stats.count(old, -1)
			membership = membership || old != nil
			continue
		}
		n := state.publish(out.foreignKeys)
		out.stats.count(old, -1)
		out.stats.count(n, 1)
		membership = membership || old == nil
		out.shards[shard][name] = n
	}
	if membership {
		out.names = slices.Sorted(maps.Keys(b.namespaces))
	}
	if b.labels {
		out.index = &namespaceIndex{}
	}
	if b.dirty[systemNamespace] || b.dirty[openshiftDNS] || b.dirty[b.options.Resolver.Namespace] {
		out.resolver = findResolver(&out)
	}
	if renetwork || b.agentsChanged(&out) {
		out.network = findNetwork(&out)
	}
	b.dirty, b.labels, b.retier, b.renetwork, b.last = map[string]bool{}, false, false, false, &out
	return &out
}

// agentsChanged reports whether s shows other network plugins than the last snapshot. Pods of the system namespaces come and go
// all the time, their DaemonSets seldom change.
func (b *Builder) agentsChanged(s *Snapshot) bool {
	if !slices.ContainsFunc(agentNamespaces[:], func(name string) bool { return b.dirty[name] }) {
		return false
	}
	before, searched := runningAgents(b.last)
	after, nowSearched := runningAgents(s)
	return searched != nowSearched || !slices.Equal(before, after)
}

func (s *Stats) count(n *Namespace, by int) {
	if n == nil {
		return
	}
	s.Namespaces += by
	s.Policies += by * len(n.Policies)
	s.Pods += by * n.pods
	s.Workloads += by * len(n.groups)
	s.Templates += by * len(n.Templates)
	s.Services += by * len(n.Services)
}
