package cluster

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Changes is what differs between two snapshots of the same cluster.
type Changes struct {
	// Namespaces came, went, or have other contents or labels; sorted.
	Namespaces []string
	// Relabelled are those of them that came, went or have other labels, so that selectors match other namespaces; sorted.
	Relabelled []string
	// Beside are the namespaces whose pods some changed object of a Resource is about, sorted.
	Beside []string
	// Everywhere says that something changed that is about all namespaces: the resolver, the network, the options, a cluster-wide
	// policy, or an object of a Resource.
	Everywhere bool
}

// Since gives what has changed since an earlier snapshot of the same Builder. What was only written again counts as changed where
// telling would cost more than to look again.
func (s *Snapshot) Since(earlier *Snapshot) Changes {
	out := Changes{Everywhere: s.tiers != earlier.tiers || !reflect.DeepEqual(s.options, earlier.options) ||
		!reflect.DeepEqual(s.resolver, earlier.resolver) || !reflect.DeepEqual(s.network, earlier.network)}
	for _, name := range bothNames(s, earlier) {
		now, was := s.Namespace(name), earlier.Namespace(name)
		if now == was {
			continue
		}
		out.Namespaces = append(out.Namespaces, name)
		out.Everywhere = out.Everywhere || name == apiServerNamespace && !sameServices(now, was)
		if now == nil || was == nil || now.Known != was.Known || !maps.Equal(now.Labels, was.Labels) {
			out.Relabelled = append(out.Relabelled, name)
		}
	}
	beside := map[string]bool{}
	for r := range bothKeys(s.extras, earlier.extras) {
		for _, key := range differing(s.extras[r], earlier.extras[r]) {
			namespace, _, _ := strings.Cut(key, "/") // of role bindings it is an account
			// Routes of any namespace lead to a Gateway.
			out.Everywhere = out.Everywhere || namespace == Everywhere || r == Gateways
			beside[namespace] = true
		}
	}
	out.Beside = slices.Sorted(maps.Keys(beside))
	return out
}

// apiServerNamespace is where the API server's own Service is.
const apiServerNamespace = "default"

func sameServices(a, b *Namespace) bool {
	return a != nil && b != nil && slices.Equal(a.Services, b.Services)
}

func bothNames(s, earlier *Snapshot) []string {
	names := slices.Concat(s.names, earlier.names)
	slices.Sort(names)
	return slices.Compact(names)
}

func bothKeys(a, b map[Resource]*extraSet) map[Resource]bool {
	out := map[Resource]bool{}
	for r := range a {
		out[r] = true
	}
	for r := range b {
		out[r] = true
	}
	return out
}

// differing lists what the objects are for that only one of the sets has as they are.
func differing(a, b *extraSet) (keys []string) {
	if a == b {
		return nil
	}
	counts := map[*Extra]int{}
	for i, set := range [...]*extraSet{a, b} {
		if set == nil {
			continue
		}
		for _, x := range set.sorted {
			counts[x] += 1 - 2*i
		}
	}
	for x, n := range counts {
		if n != 0 {
			keys = append(keys, x.For...)
		}
	}
	return keys
}
