package netpol_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

const (
	// worlds is the number of random clusters for the comparison with the oracle, fewWorlds for every other property;
	// probes is the number of connections tried in each.
	worlds, fewWorlds, probes = 10_000, 2_000, 24
	// seedVariable is the environment variable that repeats a run.
	seedVariable = "BULKHEAD_SEED"
)

// forAll runs property on count random worlds on all processors. A property returns what is wrong, or nothing.
func forAll(t *testing.T, count uint64, property func(d draw, w world) string) {
	t.Helper()
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v: set a number", seedVariable, err)
		}
	}
	if testing.Short() {
		count /= 10
	}
	var next atomic.Uint64
	var once sync.Once
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for number := next.Add(1); number <= count; number = next.Add(1) {
				d := newDraw(seed, number)
				if problem := property(d, d.world()); problem != "" {
					next.Store(count)
					once.Do(func() { t.Errorf("world %d: %s\nrepeat with %s=%d", number, problem, seedVariable, seed) })
				}
			}
		})
	}
	wg.Wait()
}

// difference compares the package with the oracle on one question and says where they disagree.
func difference(s scenario, compiled []*netpol.Policy) string {
	o := oracle(s.Policies)
	for _, x := range []struct {
		what      string
		got, want bool
	}{
		{"Connects", netpol.Connects(s.From, s.To, s.Port, compiled, compiled), o.connects(s.From, s.To, s.Port)},
		{"Isolated(Egress, from)", netpol.Isolated(netpol.Egress, s.From, compiled), o.isolated(netpol.Egress, s.From)},
		{"Isolated(Ingress, to)", netpol.Isolated(netpol.Ingress, s.To, compiled), o.isolated(netpol.Ingress, s.To)},
		{"Admitted(Egress, from, to)", netpol.Admitted(netpol.Egress, s.From, s.To, s.Port, compiled), o.admitted(netpol.Egress, s.From, s.To, s.Port)},
		{"Admitted(Ingress, to, from)", netpol.Admitted(netpol.Ingress, s.To, s.From, s.Port, compiled), o.admitted(netpol.Ingress, s.To, s.From, s.Port)},
	} {
		if x.got != x.want {
			return fmt.Sprintf("%s is %v, the oracle says %v", x.what, x.got, x.want)
		}
	}
	for i, p := range compiled {
		if got, want := p.Selects(s.From), oracleSelects(s.Policies[i], s.From); got != want {
			return fmt.Sprintf("Selects(from) of %s/%s is %v, the oracle says %v", p.Namespace, p.Name, got, want)
		}
		for _, dir := range netpol.Directions {
			got := p.Allows(dir, s.From, s.To, s.Port)
			want := oracleIsolates(s.Policies[i], dir) && oracleAllows(s.Policies[i], dir, s.From, s.To, s.Port)
			if got != want {
				return fmt.Sprintf("Allows(%s, from, to) of %s/%s is %v, the oracle says %v", dir, p.Namespace, p.Name, got, want)
			}
		}
	}
	return ""
}

// compile compiles all policies, for use outside the test's own goroutine.
func compile(nps []*networkingv1.NetworkPolicy) ([]*netpol.Policy, error) {
	out := make([]*netpol.Policy, 0, len(nps))
	for _, np := range nps {
		p, err := netpol.Compile(np)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// report shrinks a scenario on which the package and the oracle disagree and describes it.
func report(s scenario) string {
	problem := func(s scenario) string {
		compiled, err := compile(s.Policies)
		if err != nil {
			return ""
		}
		return difference(s, compiled)
	}
	s = shrink(s, func(s scenario) bool { return problem(s) != "" })
	return problem(s) + ":\n" + printYAML(s)
}

func TestAgreesWithOracle(t *testing.T) {
	var connected, refused atomic.Int64
	forAll(t, worlds, func(d draw, w world) string {
		compiled, err := compile(w.Policies)
		if err != nil {
			return fmt.Sprintf("Compile refuses a valid policy: %v\n%s", err, printYAML(w.Policies))
		}
		for range probes {
			s := scenario{Policies: w.Policies, From: pick(d, w.Ends...), To: pick(d, w.Ends...), Port: d.probePort()}
			if difference(s, compiled) != "" {
				return report(s)
			}
			if netpol.Connects(s.From, s.To, s.Port, compiled, compiled) {
				connected.Add(1)
			} else {
				refused.Add(1)
			}
		}
		return ""
	})
	// Random clusters that allow or deny nearly everything would prove little.
	if all := connected.Load() + refused.Load(); connected.Load()*10 < all || refused.Load()*10 < all {
		t.Errorf("of %d connections %d connected and %d were refused: the random clusters are lopsided", all, connected.Load(), refused.Load())
	}
}

// TestOrderDoesNotMatter: policies, rules, peers, ports and expressions are sets.
func TestOrderDoesNotMatter(t *testing.T) {
	forAll(t, fewWorlds, func(d draw, w world) string {
		mixed := d.shuffled(w.Policies)
		before, errBefore := compile(w.Policies)
		after, errAfter := compile(mixed)
		if errBefore != nil || errAfter != nil {
			return fmt.Sprintf("Compile: %v, after shuffling: %v", errBefore, errAfter)
		}
		for range probes {
			s := scenario{Policies: w.Policies, From: pick(d, w.Ends...), To: pick(d, w.Ends...), Port: d.probePort()}
			x, y := netpol.Connects(s.From, s.To, s.Port, before, before), netpol.Connects(s.From, s.To, s.Port, after, after)
			if x != y {
				return fmt.Sprintf("Connects is %v, but %v after shuffling:\n%s\nshuffled:\n%s", x, y, printYAML(s), printYAML(mixed))
			}
		}
		return ""
	})
}

// TestPoliciesOnlyAdd: for a pod that is isolated already, one policy more never refuses what was admitted, and one
// policy less never admits what was refused.
func TestPoliciesOnlyAdd(t *testing.T) {
	forAll(t, fewWorlds, func(d draw, w world) string {
		w.Policies = append(w.Policies, d.policy(pick(d, w.names()...), "added"))
		all, err := compile(w.Policies)
		if err != nil {
			return err.Error()
		}
		less := without(all, d.IntN(len(all)))
		for range probes {
			s := scenario{Policies: w.Policies, From: pick(d, w.Ends...), To: pick(d, w.Ends...), Port: d.probePort()}
			for _, dir := range netpol.Directions {
				subject, peer := s.From, s.To
				if dir == netpol.Ingress {
					subject, peer = peer, subject
				}
				if netpol.Isolated(dir, subject, less) && !netpol.Isolated(dir, subject, all) {
					return fmt.Sprintf("a policy more ends %s isolation:\n%s", dir, printYAML(s))
				}
				if netpol.Isolated(dir, subject, less) && netpol.Admitted(dir, subject, peer, s.Port, less) && !netpol.Admitted(dir, subject, peer, s.Port, all) {
					return fmt.Sprintf("a policy more refuses in %s what was admitted:\n%s", dir, printYAML(s))
				}
			}
		}
		return ""
	})
}
