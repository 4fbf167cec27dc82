package policy

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// The bounds of the search for policies that can be applied first: how often one is mended, and how many others one may need
// before it.
const maxMended, maxBefore = 4, 3

// firstSteps finds out whether the policies that a fix applies first can be applied. A policy that lets pods reach the API server
// cuts their DNS where it is the first to isolate them, and one for DNS the API server. So where a policy would be denied in
// turn, it is mended as that denial says. The fix that is given has the policies as they can be applied, one after the other; ok
// is false where there are none.
func firstSteps(cfg *config.Config, c *Change, results []Result, f *Fix) (fixed *Fix, ok bool) {
	s := search{cfg: cfg, change: c}
	for _, r := range results {
		if r.Err == nil && r.Guardrail.Runs(PolicyWrite) && cfg.Settings(r.Guardrail.Slug).Action == config.Deny {
			s.guardrails = append(s.guardrails, r.Guardrail)
		}
	}
	base := c.base
	var steps []*networkingv1.NetworkPolicy
	mended := false
	for _, np := range f.First {
		found, after, ok := s.appliable(base, np, maxBefore)
		if !ok {
			return nil, false
		}
		mended = mended || len(found) != 1 || found[0] != np
		steps, base = append(steps, found...), after
	}
	if !mended {
		return f, true
	}
	out := *f
	out.First, out.YAML = steps, policiesText(steps)
	if out.Say = "apply this policy first:"; len(steps) > 1 {
		out.Say = "apply these policies first, in this order:"
	}
	return &out, true
}

func policiesText(policies []*networkingv1.NetworkPolicy) string {
	texts := make([]string, 0, len(policies))
	for _, np := range policies {
		texts = append(texts, pasteable.YAML(np))
	}
	return strings.Join(texts, "---\n")
}

// search looks for policies that no guardrail denies.
type search struct {
	cfg        *config.Config
	change     *Change
	guardrails []*Guardrail // that may deny a policy
}

// appliable gives np as it can be applied to the cluster that base shows, after the policies that have to come before it, and
// the cluster after all of them.
func (s *search) appliable(base *cluster.Snapshot, np *networkingv1.NetworkPolicy, before int) (steps []*networkingv1.NetworkPolicy, after *cluster.Snapshot, ok bool) {
	for range maxMended {
		c, err := PolicyChange(base, nil, np)
		if err != nil {
			return nil, nil, false
		}
		c.circumstancesOf(s.change)
		fix, denied := s.denied(c)
		switch {
		case !denied:
			return append(steps, np), c.After, true
		case fix == nil:
			return nil, nil, false
		case fix.Instead != nil:
			np = fix.Instead
		}
		for _, first := range fix.First {
			if before == 0 {
				return nil, nil, false
			}
			found, next, ok := s.appliable(base, first, before-1)
			if !ok {
				return nil, nil, false
			}
			steps, base = append(steps, found...), next
		}
	}
	return nil, nil, false
}

// denied reports whether a guardrail denies the change, and how the first that does says to fix it.
func (s *search) denied(c *Change) (fix *Fix, denied bool) {
	for _, g := range s.guardrails {
		r := Check(s.cfg, g, c)
		if r.Err != nil {
			return nil, true
		}
		for i := range r.Violations {
			if actionOf(s.cfg, g, c, &r.Violations[i]) == config.Deny {
				return r.Violations[i].Fix, true
			}
		}
	}
	return nil, false
}
