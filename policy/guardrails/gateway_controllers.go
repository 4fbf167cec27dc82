package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// shutControllers is gateway-cut seen from the controller: the change keeps its pods from the pods behind routes.
func shutControllers(c *policy.Change, x *router) []policy.Violation {
	if !concerns(c, netpol.Egress) {
		return nil
	}
	var isolated []*policy.Subject
	descriptions := describeCarriers(x.configured)
	for _, s := range c.LiveSubjects() {
		if (s.After.Isolated(netpol.Egress) || c.After.Tiers() != nil) && mayBeCarrier(s.Workload, descriptions) {
			isolated = append(isolated, s)
		}
	}
	if len(isolated) == 0 {
		return nil
	}
	var cut []string // the routes that may be named
	others := 0
	var shut []*policy.Subject
	var foundBy []labels.Set
	tried := 0
	for n := range c.After.All() {
		for _, r := range x.routes(n.Name) {
			if tried > maxClients {
				break
			}
			own, by := carriersAmong(isolated, r.carrier.find(c.After))
			if len(own) == 0 || !routeShut(c, &r, own, &tried) {
				continue
			}
			shut, foundBy = append(shut, own...), appendSets(foundBy, by)
			if c.MayName(n.Name) {
				cut = append(cut, r.String())
			} else {
				others++
			}
		}
	}
	if len(shut) == 0 {
		return nil
	}
	if others > 0 {
		cut = append(cut, policy.Plural(others, "route")+" of other namespaces")
	}
	shut = unique(shut)
	workloads := workloadsOf(shut)
	v := policy.Violation{
		Live: true, Affected: policy.Affect(workloads), Headline: "an ingress controller would lose the pods that it routes to",
		Detail: fmt.Sprintf("%s would be cut off from the pods behind %s", policy.Count(workloads), listed(cut)),
		Fix:    reachPods(c, shut, "allow-backends", foundBy),
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

// describeCarriers describes the pods of all controllers, those of Gateways left out.
func describeCarriers(configured []gatewayController) []podsWith {
	var out []podsWith
	for _, c := range configured {
		out = append(out, podsWith{c.Namespace, c.PodLabels})
	}
	for _, controller := range knownControllers {
		_, pods := controllerPods(controller)
		out = append(out, pods...)
	}
	return out
}

// mayBeCarrier reports whether the pods look like those of some controller or Gateway, so that it is worth looking for routes.
func mayBeCarrier(w *cluster.Workload, descriptions []podsWith) bool {
	for _, key := range gatewayLabels {
		if _, ok := w.Labels[key]; ok {
			return true
		}
	}
	return slices.ContainsFunc(descriptions, func(p podsWith) bool { return p.finds(w) })
}

// carriersAmong gives those of the subjects that are among the pods, and the labels by which those were found.
func carriersAmong(subjects []*policy.Subject, pods []foundPods) (out []*policy.Subject, by []labels.Set) {
	for _, s := range subjects {
		if i := slices.IndexFunc(pods, func(p foundPods) bool { return p.Same(s.Workload) }); i >= 0 {
			out, by = append(out, s), appendSets(by, []labels.Set{pods[i].by.labels})
		}
	}
	return out, by
}

// appendSets appends those of the sets that are not there yet.
func appendSets(to, sets []labels.Set) []labels.Set {
	for _, set := range sets {
		if !slices.ContainsFunc(to, func(have labels.Set) bool { return labels.Equals(have, set) }) {
			to = append(to, set)
		}
	}
	return to
}

// routeShut reports whether none of the carrier's pods can send to some pods behind the route to which one could connect
// before the change.
func routeShut(c *policy.Change, r *route, own []*policy.Subject, tried *int) bool {
	n := c.After.Namespace(r.namespace)
	pods := r.carrier.find(c.After)
	for _, ref := range r.backends {
		at := slices.IndexFunc(n.Services, func(s *cluster.Service) bool { return s.Name == ref.Service && ref.Namespace == n.Name })
		if at < 0 {
			continue
		}
		port, ok := referredPort(n.Services[at], ref.Port)
		if !ok {
			continue
		}
		for _, w := range c.After.Live(n) {
			number := port.TargetPort(w)
			if number == 0 || w.HostNetwork || !serves(n.Services[at], w) {
				continue
			}
			if *tried++; *tried > maxClients {
				return false
			}
			to := c.After.Endpoint(w)
			target := netpol.Port{Protocol: corev1.ProtocolTCP, Number: number}
			if !sends(c, pods, own, to, target) && carriersConnect(c.Before, pods, to, target) {
				return true
			}
		}
	}
	return false
}

// sends reports whether the egress of one of the pods lets it reach the endpoint after the change, as far as is known.
func sends(c *policy.Change, pods []foundPods, own []*policy.Subject, to netpol.Endpoint, port netpol.Port) bool {
	return slices.ContainsFunc(own, func(s *policy.Subject) bool {
		return allowsBlock(&s.After, netpol.Egress, port.Protocol, port.Number, anyBlock)
	}) || slices.ContainsFunc(pods, func(p foundPods) bool {
		return c.After.Tiers().Admitted(netpol.Egress, c.After.Endpoint(p.Workload), to, port, c.After.Policies(p.Namespace))
	})
}

// carriersConnect reports whether one of the pods can connect to the endpoint.
func carriersConnect(s *cluster.Snapshot, pods []foundPods, to netpol.Endpoint, port netpol.Port) bool {
	return slices.ContainsFunc(pods, func(p foundPods) bool {
		return s.Tiers().Connects(s.Endpoint(p.Workload), to, port, s.Policies(p.Namespace), s.Policies(to.Namespace))
	})
}

// reachPods lets the subjects send to the pods of all namespaces: that is what they are there for.
func reachPods(c *policy.Change, cut []*policy.Subject, name string, foundBy []labels.Set) *policy.Fix {
	rules := []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}}}
	return restoreEgress(c, cut, selectCut(c, cut, netpol.Egress, foundBy), name, rules)
}
