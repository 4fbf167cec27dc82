package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// routeCuts are the routes that the change cuts off from the pods behind them.
type routeCuts struct {
	change   *policy.Change
	routes   []string
	subjects []*policy.Subject
	services []*cluster.Service
	carriers []carrierCut
}

// carrierCut is one carrier and the ports that it loses.
type carrierCut struct {
	*carrier
	ports []uint16
}

// shutBackends finds the subjects whose ingress no longer lets in what carries the traffic of the routes to them.
func shutBackends(c *policy.Change, x *router) []policy.Violation {
	if !concerns(c, netpol.Ingress) {
		return nil
	}
	routes := x.routes(c.Namespace)
	if len(routes) == 0 {
		return nil
	}
	cuts := &routeCuts{change: c}
	b := newBackends(c)
	for i := range routes {
		r := &routes[i]
		for _, ref := range r.backends {
			svc, port, subjects := b.behind(ref)
			for _, s := range subjects {
				if number := port.TargetPort(s.Workload); number != 0 && shutTo(c, s, r.carrier, number) {
					cuts.add(r, svc, s, number)
				}
			}
		}
	}
	if len(cuts.subjects) == 0 {
		return nil
	}
	return []policy.Violation{cuts.violation()}
}

// ambientPort is where pods of Istio's ambient mesh get what the mesh brings them, whatever port it is for.
// Source: https://istio.io/latest/docs/ambient/usage/networkpolicy/
const ambientPort = 15008

// shutTo reports whether the change shuts the subject's port to what carries the routes' traffic.
func shutTo(c *policy.Change, s *policy.Subject, by *carrier, number uint16) bool {
	port := netpol.Port{Protocol: corev1.ProtocolTCP, Number: number}
	if !mayLoseIngress(c, s, port) {
		return false
	}
	pods := by.find(c.After)
	if !losesIngress(c, s, pods, port) {
		return false
	}
	const mode, ambient = "istio.io/dataplane-mode", "ambient"
	if s.Workload.Labels[mode] != ambient && c.After.NamespaceLabels(c.Namespace)[mode] != ambient {
		return true
	}
	return !anyAdmitted(c.After, pods, &s.After, netpol.Port{Protocol: corev1.ProtocolTCP, Number: ambientPort})
}

func (x *routeCuts) add(r *route, svc *cluster.Service, s *policy.Subject, port uint16) {
	if name := r.String(); !slices.Contains(x.routes, name) {
		x.routes = append(x.routes, name)
	}
	if !slices.Contains(x.services, svc) {
		x.services = append(x.services, svc)
	}
	x.subjects = append(x.subjects, s)
	at := slices.IndexFunc(x.carriers, func(k carrierCut) bool { return k.carrier == r.carrier })
	if at < 0 {
		at = len(x.carriers)
		x.carriers = append(x.carriers, carrierCut{carrier: r.carrier})
	}
	if k := &x.carriers[at]; !slices.Contains(k.ports, port) {
		k.ports = append(k.ports, port)
	}
}

func (x *routeCuts) violation() policy.Violation {
	c := x.change
	subjects := unique(x.subjects)
	workloads, live := policy.Worse(subjects)
	var names []string
	var ports []uint16
	var rules []networkingv1.NetworkPolicyIngressRule
	for _, k := range x.carriers {
		slices.Sort(k.ports)
		ports = append(ports, k.ports...)
		if !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
		rules = append(rules, ruleFor(peersFor(k.found), k.ports))
	}
	slices.Sort(ports)
	lost := listed(names)
	v := policy.Violation{Field: lossField(c, workloads, netpol.Ingress), Live: live, Affected: policy.Affect(workloads)}
	if live {
		v.Headline = policy.Plural(policy.LivePods(workloads), "live pod") + " would lose " + lost
	}
	verb := "routes"
	if len(x.routes) > 1 {
		verb = "route"
	}
	v.Detail = fmt.Sprintf("%s %s to %s; %s would be blocked on %s",
		listed(x.routes), verb, policy.Count(workloads), lost, numberWords(slices.Compact(ports)))
	if c.NewPolicy == nil {
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	}
	v.Fix = admitFix(c, subjects, x.services, "allow-routes", rules)
	return v
}

// ruleFor admits the peers on TCP ports.
func ruleFor(peers []networkingv1.NetworkPolicyPeer, ports []uint16) networkingv1.NetworkPolicyIngressRule {
	rule := networkingv1.NetworkPolicyIngressRule{From: peers}
	for _, p := range ports {
		rule.Ports = append(rule.Ports, policyPort(corev1.ProtocolTCP, p))
	}
	return rule
}

// listed writes a list of at most two names: "a", "a and b", "a, b and 3 more".
func listed(names []string) string {
	if n := len(names) - 2; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:2], ", "), n)
	}
	return strings.Join(names, " and ")
}

// backends finds the subjects behind Services of the change's namespace.
type backends struct {
	change   *policy.Change
	services map[string]*cluster.Service
	subjects map[*cluster.Service][]*policy.Subject
	budget   int // of subjects to look at
}

func newBackends(c *policy.Change) *backends {
	b := &backends{change: c, services: map[string]*cluster.Service{}, subjects: map[*cluster.Service][]*policy.Subject{}, budget: maxLookedAt}
	for _, s := range c.After.Namespace(c.Namespace).Services {
		b.services[s.Name] = s
	}
	return b
}

// behind gives the Service and its port that a route leads to and the subjects that the Service selects, none where there is
// no such Service here.
func (b *backends) behind(ref cluster.ServicePortReference) (*cluster.Service, cluster.ServicePort, []*policy.Subject) {
	svc := b.services[ref.Service]
	if svc == nil || ref.Namespace != b.change.Namespace {
		return nil, cluster.ServicePort{}, nil
	}
	port, ok := referredPort(svc, ref.Port)
	if !ok {
		return nil, cluster.ServicePort{}, nil
	}
	return svc, port, b.of(svc)
}

// of lists the subjects that the Service selects.
func (b *backends) of(svc *cluster.Service) []*policy.Subject {
	found, looked := b.subjects[svc]
	if !looked {
		for i := range b.change.Subjects {
			if b.budget--; b.budget < 0 {
				break
			}
			if s := &b.change.Subjects[i]; serves(svc, s.Workload) {
				found = append(found, s)
			}
		}
		b.subjects[svc] = found
	}
	return found
}
