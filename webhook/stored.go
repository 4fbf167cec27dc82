package webhook

import (
	"maps"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// invalidPolicies are the policies that are stored but do not parse: by kind, the names, of NetworkPolicies as
// namespace/name.
type invalidPolicies map[string]map[string]bool

// spoiled notes a stored policy that does not parse, and logs that once.
func (s *Store) spoiled(kind, name string, err error) {
	if s.invalid[kind][name] {
		return
	}
	if s.invalid[kind] == nil {
		s.invalid[kind] = map[string]bool{}
	}
	s.invalid[kind][name] = true
	s.logger.Warn("a stored "+kind+" does not parse and counts as selecting nothing", "policy", name, "error", printable(err.Error()))
}

// mended forgets that a policy did not parse: now it does, or it is gone.
func (s *Store) mended(kind, name string) { delete(s.invalid[kind], name) }

// relisted notes why policies of a kind do not parse; all others of the kind do, or are gone.
func (s *Store) relisted(kind string, errs map[string]error) {
	for name := range s.invalid[kind] {
		if errs[name] == nil {
			s.mended(kind, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		s.spoiled(kind, name, errs[name])
	}
}

// storedPolicy is what is kept of a NetworkPolicy: compiled, or why it does not parse.
type storedPolicy struct {
	namespace, name string
	compiled        *netpol.Policy
	err             error
	// object is nil unless Store.KeepPolicies was called.
	object *networkingv1.NetworkPolicy
}

const policyKind = "NetworkPolicy"

func (p *storedPolicy) key() string { return p.namespace + "/" + p.name }

func keepPolicy(np *networkingv1.NetworkPolicy) storedPolicy {
	compiled, err := netpol.Compile(np)
	return storedPolicy{namespace: np.Namespace, name: np.Name, compiled: compiled, err: err}
}

// setPolicy stores p. One that does not parse selects nothing.
func (s *Store) setPolicy(p storedPolicy) {
	if p.err != nil {
		s.spoiled(policyKind, p.key(), p.err)
		s.builder.DeletePolicy(p.namespace, p.name)
		s.dropObject(p.key())
		return
	}
	s.mended(policyKind, p.key())
	s.builder.SetPolicy(p.compiled)
	s.keepObject(&p)
}

func (s *Store) removePolicy(namespace, name string) {
	s.mended(policyKind, namespace+"/"+name)
	s.dropObject(namespace + "/" + name)
	s.builder.DeletePolicy(namespace, name)
}

func (s *Store) replacePolicies(list []storedPolicy) {
	var compiled []*netpol.Policy
	errs := map[string]error{}
	clear(s.objects)
	for _, p := range list {
		if p.err == nil {
			compiled = append(compiled, p.compiled)
			s.keepObject(&p)
		} else {
			errs[p.key()] = p.err
		}
	}
	s.relisted(policyKind, errs)
	s.builder.ReplacePolicies(compiled)
}

// storedTier is what is kept of a cluster-wide policy: compiled, or why it does not parse.
type storedTier struct {
	kind, name string
	compiled   *netpol.TierPolicy
	err        error
}

// setTier stores p. One that does not parse selects nothing.
func (s *Store) setTier(p storedTier) {
	if p.err != nil {
		s.spoiled(p.kind, p.name, p.err)
		s.builder.DeleteTierPolicy(p.kind, p.name)
		return
	}
	s.mended(p.kind, p.name)
	s.builder.SetTierPolicy(p.compiled)
}

func (s *Store) removeTier(kind, name string) {
	s.mended(kind, name)
	s.builder.DeleteTierPolicy(kind, name)
}

func (s *Store) replaceTiers(kind string, list []storedTier) {
	var compiled []*netpol.TierPolicy
	errs := map[string]error{}
	for _, p := range list {
		if p.err == nil {
			compiled = append(compiled, p.compiled)
		} else {
			errs[p.name] = p.err
		}
	}
	s.relisted(kind, errs)
	s.builder.ReplaceTierPolicies(kind, compiled)
}
