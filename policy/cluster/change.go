package cluster

import (
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// WithPolicy gives the cluster as it is once p is stored, in place of a policy of the same name where there is one.
func (s *Snapshot) WithPolicy(p *netpol.Policy) *Snapshot {
	out := s.change(p.Namespace, func(n *Namespace) {
		i, found := slices.BinarySearchFunc(n.Policies, p.Name, comparePolicyName)
		n.Policies = slices.Clone(n.Policies)
		if found {
			n.Policies[i] = p
		} else {
			n.Policies = slices.Insert(n.Policies, i, p)
		}
	})
	return out.withKeys(p)
}

// WithoutPolicy gives the cluster as it is once the policy is gone.
func (s *Snapshot) WithoutPolicy(namespace, name string) *Snapshot {
	if s.Policy(namespace, name) == nil {
		return s
	}
	return s.change(namespace, func(n *Namespace) {
		n.Policies = slices.DeleteFunc(slices.Clone(n.Policies), func(p *netpol.Policy) bool { return p.Name == name })
	})
}

func comparePolicyName(p *netpol.Policy, name string) int { return strings.Compare(p.Name, name) }

// SplitFor gives the same cluster with its workloads told apart as finely as p needs it, so that the cluster before a
// change has the same workloads as the one after.
func (s *Snapshot) SplitFor(p *netpol.Policy) *Snapshot { return s.withKeys(p) }

// withKeys makes the workloads as fine as p can tell them apart.
func (s *Snapshot) withKeys(p *netpol.Policy) *Snapshot {
	own, foreign := podKeys(p)
	out := s
	if n := s.Namespace(p.Namespace); n != nil && !covers(n.ownKeys, own) {
		out = s.change(p.Namespace, func(n *Namespace) {
			n.ownKeys = union(n.ownKeys, own)
			n.splitLive(s.foreignKeys)
		})
	}
	if !covers(s.foreignKeys, foreign) {
		copied := *out
		copied.foreignKeys = union(s.foreignKeys, foreign)
		copied.resolver = findResolver(&copied)
		out = &copied
	}
	return out
}

// podKeys lists the per-pod label keys that the policy's selectors read in its own namespace and in all namespaces.
func podKeys(p *netpol.Policy) (own, foreign map[string]bool) {
	ownKeys, foreignKeys := p.PodKeys()
	return perPodSet(ownKeys), perPodSet(foreignKeys)
}

func perPodSet(keys []string) map[string]bool {
	var out map[string]bool
	for _, k := range keys {
		if !perPodKeys[k] {
			continue
		}
		if out == nil {
			out = map[string]bool{}
		}
		out[k] = true
	}
	return out
}

// NamespaceContents is what a live read of one namespace brought.
type NamespaceContents struct {
	Policies []*netpol.Policy
	Pods     []*Pod
}

// WithContents gives the cluster with the policies and pods of one namespace replaced by what was read live. Templates,
// Services and the namespace's own labels stay.
func (s *Snapshot) WithContents(namespace string, c NamespaceContents) *Snapshot {
	state := newNamespaceState(namespace)
	state.configured = s.options.Resolver.serviceIn(namespace)
	if n := s.Namespace(namespace); n != nil {
		for _, x := range n.Services {
			state.services[x.Name] = x
		}
	}
	for _, p := range c.Policies {
		state.policies[p.Name] = p
	}
	for _, p := range c.Pods {
		state.setPod(p)
	}
	out := s.change(namespace, func(n *Namespace) {
		fresh := state.publish(s.foreignKeys)
		n.Policies, n.groups, n.live = fresh.Policies, fresh.groups, fresh.live
		n.ownKeys, n.splitKeys, n.pods, n.backends = fresh.ownKeys, fresh.splitKeys, fresh.pods, fresh.backends
	})
	out.memo = s.memo.next([]string{namespace})
	for _, p := range c.Policies {
		out = out.withKeys(p)
	}
	return out
}

// WithPod gives the cluster as it is once pod p is there. The caller removes an older version of the pod first.
func (s *Snapshot) WithPod(p *Pod) *Snapshot { return s.movePod(p, 1) }

// WithoutPod gives the cluster as it is once pod p is gone. Pods are counted, not listed: where the snapshot holds no
// pod like p, nothing changes.
func (s *Snapshot) WithoutPod(p *Pod) *Snapshot { return s.movePod(p, -1) }

func (s *Snapshot) movePod(p *Pod, by int) *Snapshot {
	if !p.governed {
		return s
	}
	found := false
	out := s.change(p.Namespace, func(n *Namespace) {
		groups := make([]*Workload, 0, len(n.groups)+1)
		for _, w := range n.groups {
			if w.shape == p.shape {
				if w, found = w.resized(p, by); w == nil {
					continue
				}
			}
			groups = append(groups, w)
		}
		if !found && by > 0 {
			g := newGroup(p.Namespace, p.shape)
			g.add(p, 1)
			groups, found = append(groups, g.workload()), true
		}
		slices.SortFunc(groups, compareWorkloads)
		n.groups = groups
		n.pods += by
		n.splitLive(s.foreignKeys)
		n.moveBackend(s.options.Resolver, p, by)
	})
	if !found {
		return s
	}
	out.memo = s.memo.next([]string{p.Namespace})
	return out
}
