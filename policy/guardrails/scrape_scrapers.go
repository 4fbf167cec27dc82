package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// shutScrapers is scrape-cut seen from Prometheus: the change keeps its pods from those that it scrapes.
func (x *scrapes) shutScrapers() []policy.Violation {
	c := x.change
	if !concerns(c, netpol.Egress) {
		return nil
	}
	var isolated []*policy.Subject
	for _, s := range c.LiveSubjects() {
		if (s.After.Isolated(netpol.Egress) || c.After.Tiers() != nil) &&
			slices.ContainsFunc(x.descriptions, func(p podsWith) bool { return p.finds(s.Workload) }) {
			isolated = append(isolated, s)
		}
	}
	if len(isolated) == 0 {
		return nil
	}
	isolated, foundBy := x.shutOff(isolated)
	if len(isolated) == 0 {
		return nil
	}
	workloads := workloadsOf(isolated)
	v := policy.Violation{
		Live: true, Affected: policy.Affect(workloads), Headline: "Prometheus would lose pods that it scrapes",
		Detail: policy.Count(workloads) + " would be cut off from pods to scrape: no egress rule reaches them",
		Fix:    reachPods(c, isolated, "allow-scraping", foundBy),
	}
	switch {
	case c.NewPolicy == nil:
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	case !c.NewPolicy.Isolates[netpol.Egress]:
		v.Field = "spec.policyTypes"
	default:
		v.Field = "spec.egress"
	}
	return []policy.Violation{v}
}

// shutOff gives those of the isolated pods whose egress shuts off the scrapes of some live workload, and the labels by which
// they were found.
func (x *scrapes) shutOff(isolated []*policy.Subject) (own []*policy.Subject, by []labels.Set) {
	c := x.change
	tried, budget := 0, maxLookedAt
	for n := range c.After.All() {
		targets := scrapeTargetsIn(c.After, n)
		for _, w := range c.After.Live(n) {
			if budget--; budget < 0 || tried >= maxClients {
				return nil, nil
			}
			if w.HostNetwork {
				continue
			}
			for _, t := range targets.of(w) {
				pods := x.scrapers().of(t)
				own, by = carriersAmong(isolated, pods)
				if len(own) == 0 || slices.ContainsFunc(pods, func(p foundPods) bool { return isItself(p, w) }) {
					continue
				}
				tried++
				to := c.After.Endpoint(w)
				if !slices.ContainsFunc(t.ports, func(number uint16) bool {
					port := netpol.Port{Protocol: corev1.ProtocolTCP, Number: number}
					return sends(c, pods, own, to, port) || !carriersConnect(c.Before, pods, to, port)
				}) {
					return own, by
				}
			}
		}
	}
	return nil, nil
}

// scrapers are the pods that scrape.
type scrapers struct {
	all []foundPods
	// byOperator are those that the Prometheus operator runs, which read monitors; plain are the others, which read
	// annotations.
	byOperator, plain []foundPods
}

// operatorLabel is on the pods that the Prometheus operator makes.
// Source: https://prometheus-operator.dev/docs/api-reference/api/
const operatorLabel = "operator.prometheus.io/name"

// findScrapers leaves out pods on their node's network: their source is an address of the node.
func findScrapers(s *cluster.Snapshot, descriptions []podsWith) *scrapers {
	out := &scrapers{}
	for _, p := range findPods(s, descriptions) {
		if p.HostNetwork {
			continue
		}
		out.all = append(out.all, p)
		if _, ok := p.Labels[operatorLabel]; ok {
			out.byOperator = append(out.byOperator, p)
		} else {
			out.plain = append(out.plain, p)
		}
	}
	return out
}

// of gives the pods that may scrape the target.
func (x *scrapers) of(t scrapeTarget) []foundPods {
	switch {
	case t.monitor == nil:
		return x.plain
	case len(x.byOperator) > 0:
		return x.byOperator
	}
	return x.all
}
