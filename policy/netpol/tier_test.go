package netpol_test

import (
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// TestTierStatements checks each statement twice: against the package and against the oracle.
func TestTierStatements(t *testing.T) {
	for _, s := range slices.Concat(tierStatements, tierPeerStatements) {
		t.Run(s.says, func(t *testing.T) {
			var nps []*networkingv1.NetworkPolicy
			var tiers []*netpol.TierPolicy
			o := tierOracle{}
			for doc := range strings.SplitSeq(s.policies, "\n---") {
				switch {
				case strings.TrimSpace(doc) == "":
				case strings.Contains(doc, "kind: NetworkPolicy"):
					np := &networkingv1.NetworkPolicy{}
					if err := yaml.UnmarshalStrict([]byte(doc), np); err != nil {
						t.Fatal(err)
					}
					nps = append(nps, np)
				default:
					p, object, err := compileTier(t, doc)
					if err != nil {
						t.Fatal(err)
					}
					tiers, o.tiers = append(tiers, p), append(o.tiers, object)
				}
			}
			o.oracle = nps
			checkOutcomes(t, s, netpol.NewTiers(tiers), compileAll(t, nps), o)
		})
	}
}

func checkOutcomes(t *testing.T, s statement, tiers *netpol.Tiers, compiled []*netpol.Policy, o tierOracle) {
	t.Helper()
	for _, outcome := range s.outcomes {
		question, want, _ := strings.Cut(outcome, ": ")
		words := strings.Fields(question)
		if len(words) != 4 || words[1] != "->" || want != "allowed" && want != "refused" {
			t.Fatalf("no outcome: %q", outcome)
		}
		from, to := member(t, words[0]), member(t, words[2])
		port, err := parsePort(words[3])
		if err != nil {
			t.Fatal(err)
		}
		if got := tiers.Connects(from, to, port, compiled, compiled); got != (want == "allowed") {
			t.Errorf("%s: got %v, want %s (%s)", question, got, want, s.source)
		}
		if got := o.connects(from, to, port); got != (want == "allowed") {
			t.Errorf("oracle: %s: got %v, want %s (%s)", question, got, want, s.source)
		}
	}
}

// TestNetworksOfPodsWithoutAddress: a pod whose address is not known is some IPv4 pod, so only all of IPv4 holds it.
func TestNetworksOfPodsWithoutAddress(t *testing.T) {
	for _, x := range []struct {
		network string
		want    bool
	}{{"0.0.0.0/0", true}, {"0.0.0.0/1", false}, {"10.0.0.0/8", false}, {"::/0", false}, {"::ffff:0:0/96", true}} {
		p, object, err := compileTier(t, `{kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Deny, to: [{networks: ["`+x.network+`"]}]}]}}`)
		if err != nil {
			t.Fatal(err)
		}
		from, to := member(t, "shop/web"), member(t, "bare/pod")
		to.Addresses = nil
		port := netpol.Port{Protocol: "TCP", Number: 80}
		if got := !netpol.NewTiers([]*netpol.TierPolicy{p}).Connects(from, to, port, nil, nil); got != x.want {
			t.Errorf("%s holds the pod: %v, want %v", x.network, got, x.want)
		}
		if got := !(tierOracle{tiers: []tierObject{object}}).connects(from, to, port); got != x.want {
			t.Errorf("oracle: %s holds the pod: %v, want %v", x.network, got, x.want)
		}
	}
}

// TestNoTiers: a cluster without cluster-wide policies is one with NetworkPolicies alone.
func TestNoTiers(t *testing.T) {
	tiers := netpol.NewTiers(nil)
	if tiers != nil {
		t.Fatalf("got %+v, want nil", tiers)
	}
	forAll(t, fewWorlds/4, func(d draw, w world) string {
		compiled, err := compile(w.Policies)
		if err != nil {
			return err.Error()
		}
		for range probes {
			from, to, port := pick(d, w.Ends...), pick(d, w.Ends...), d.probePort()
			if tiers.Connects(from, to, port, compiled, compiled) != netpol.Connects(from, to, port, compiled, compiled) {
				return "nil tiers change the answer\n" + printYAML(scenario{Policies: w.Policies, From: from, To: to, Port: port})
			}
			if len(tiers.Selecting(netpol.AdminTier, from))+len(tiers.Selecting(netpol.BaselineTier, from)) > 0 {
				return "nil tiers select something"
			}
		}
		return ""
	})
}

// TestTierPodKeys: the keys that subject and peers read, each once, sorted.
func TestTierPodKeys(t *testing.T) {
	p, _, err := compileTier(t, `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {pods: {namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {subject: x, both: x}}}}
  ingress: [{action: Deny, from: [{pods: {namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchExpressions: [{key: in, operator: Exists}]}}}]}]
  egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}, {namespaces: {matchLabels: {ns: x}}}, {pods: {namespaceSelector: {}, podSelector: {matchLabels: {both: x, out: x}}}}]}]`)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(p.PodKeys(), " "); got != "both in out subject" {
		t.Errorf("got %q", got)
	}
	if p, _, err = compileTier(t, `{kind: ClusterNetworkPolicy, metadata: {name: p}, spec: {tier: Admin, priority: 1, subject: {namespaces: {matchLabels: {a: b}}}}}`); err != nil || len(p.PodKeys()) > 0 {
		t.Errorf("got %v, error %v, want no keys", p.PodKeys(), err)
	}
}
