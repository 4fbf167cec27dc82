package netpol_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// tierWorlds is the number of random clusters with policy tiers.
const tierWorlds = 2_500

// TestTiersAgreeWithOracle: in random clusters with policies of all kinds the package says what the API objects say.
func TestTiersAgreeWithOracle(t *testing.T) {
	var decided, connected, all atomic.Int64
	forAll(t, tierWorlds, func(d draw, w world) string {
		compiled, err := compile(w.Policies)
		if err != nil {
			return err.Error()
		}
		drawn, err := d.tiers()
		if err != nil {
			return fmt.Sprintf("refuses a valid policy: %v", err)
		}
		o, tiers := tierOracle{oracle: w.Policies}, newTiers(drawn)
		for _, x := range drawn {
			o.tiers = append(o.tiers, x.object)
		}
		for range probes {
			s := scenario{Policies: w.Policies, From: pick(d, w.Ends...), To: pick(d, w.Ends...), Port: d.probePort()}
			got, want := tiers.Connects(s.From, s.To, s.Port, compiled, compiled), o.connects(s.From, s.To, s.Port)
			if problem := tierDifference(s, tiers, compiled, o); got != want || problem != "" {
				return fmt.Sprintf("Connects is %v, the oracle says %v; %s\n%s\n%s", got, want, problem, printYAML(s), writeTiers(drawn))
			}
			all.Add(1)
			if want {
				connected.Add(1)
			}
			if want != o.oracle.connects(s.From, s.To, s.Port) {
				decided.Add(1)
			}
		}
		return ""
	})
	if n := all.Load(); connected.Load()*10 < n || connected.Load()*10 > 9*n || decided.Load()*50 < n {
		t.Errorf("of %d connections %d connected, and the tiers decided %d: the random clusters are lopsided", n, connected.Load(), decided.Load())
	}
}

func newTiers(drawn []tierDraw) *netpol.Tiers {
	var policies []*netpol.TierPolicy
	for _, x := range drawn {
		policies = append(policies, x.compiled)
	}
	return netpol.NewTiers(policies)
}

func writeTiers(drawn []tierDraw) string {
	var b strings.Builder
	for _, x := range drawn {
		fmt.Fprintf(&b, "--- # %s\n%s", x.object.kind, printYAML(x.Written))
	}
	return b.String()
}

// tierDifference compares the parts of the answer: each side's verdict and the policies that select it.
func tierDifference(s scenario, tiers *netpol.Tiers, compiled []*netpol.Policy, o tierOracle) string {
	for _, d := range netpol.Directions {
		subject, peer := s.From, s.To
		if d == netpol.Ingress {
			subject, peer = peer, subject
		}
		if got, want := tiers.Admitted(d, subject, peer, s.Port, compiled), o.admitted(d, subject, peer, s.Port); got != want {
			return fmt.Sprintf("Admitted in %s is %v, the oracle says %v", d, got, want)
		}
	}
	for _, tier := range []netpol.Tier{netpol.AdminTier, netpol.BaselineTier} {
		selecting := tiers.Selecting(tier, s.From)
		for _, x := range o.tiers {
			want := string(x.Spec.Tier) == tier.String() && tierSelects(x.Spec.Subject.Namespaces, x.Spec.Subject.Pods, s.From)
			got := slices.ContainsFunc(selecting, func(p *netpol.TierPolicy) bool { return p.Kind == x.kind && p.Name == x.Name })
			if got != want {
				return fmt.Sprintf("%s selects it in the %s tier: %v, the oracle says %v", x.Name, tier, got, want)
			}
		}
	}
	return ""
}

// TestOrderOfTierPoliciesDoesNotMatter: the policies are a set, equal priorities included.
func TestOrderOfTierPoliciesDoesNotMatter(t *testing.T) {
	forAll(t, tierWorlds/5, func(d draw, w world) string {
		compiled, err := compile(w.Policies)
		if err != nil {
			return err.Error()
		}
		drawn, err := d.tiers()
		if err != nil {
			return err.Error()
		}
		a := newTiers(drawn)
		mix(d, drawn)
		b := newTiers(drawn)
		for range probes {
			from, to, port := pick(d, w.Ends...), pick(d, w.Ends...), d.probePort()
			x, y := a.Connects(from, to, port, compiled, compiled), b.Connects(from, to, port, compiled, compiled)
			if x != y {
				return fmt.Sprintf("%v, shuffled %v:\n%s", x, y, writeTiers(drawn))
			}
		}
		return ""
	})
}
