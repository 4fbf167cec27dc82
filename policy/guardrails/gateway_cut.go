package guardrails

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// gatewayCut: pods behind an Ingress or HTTPRoute let in the pods of their ingress controller or Gateway before the change and
// none of them after, on the port that the route leads to; or the controller's own egress no longer reaches such pods. What
// is not known to carry the traffic says nothing: load balancers that go direct, controllers on the host's network.
var gatewayCut = policy.Guardrail{
	Slug:    "gateway-cut",
	Summary: "pods behind an Ingress or HTTPRoute lose the controller that routes to them",
	On:      []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	Needs: []cluster.Resource{
		cluster.Ingresses, cluster.IngressClasses, cluster.HTTPRoutes, cluster.Gateways, cluster.GatewayClasses,
	},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	NewParameters: func() any { return &gatewayParameters{} },
	Check:         checkGatewayCut,
	Documentation: policy.Documentation{
		Why: `Requests from outside reach a pod through the pods of an ingress controller or a Gateway, mostly in another namespace. A
default-deny that leaves those out, or the deletion of the policy that let them in, takes the site down while every pod stays Ready.`,
		Judged: `The pods whose policies the change touches and that a Service behind an Ingress or HTTPRoute of their namespace selects:
could some live pod of the route's controller connect to the Service's target port before the change, and does no rule let any of them
in after it? The controller is that of the Ingress's class (` + "`spec.ingressClassName`" + `, the annotation before it, or the default
class), or the one behind the HTTPRoute's Gateway. Its pods are found by the labels that the charts of the common controllers give them, a
Gateway's by the Gateway's name; ` + "`controllers`" + ` tells of others and goes first.

Nothing is said where it is not known who connects: load balancers that send to the pods themselves, such as those of the clouds; a
controller none of whose pods are found, or some on their node's network; routes that their Gateway refuses, or that come from another
namespace; a rule with an ` + "`ipBlock`" + ` for the port. Pods that were cut off before the change are left alone.

A change of the policies around the controller is judged from the other side: do its pods' egress rules still let it reach the pods
behind the routes, of all namespaces? At most 500 workloads behind routes are tried.

The namespace and the labels of the controller's pods are shown in the fix, because the namespace's own route asks for that controller.`,
		Bad: `# Ingress shop/web of class nginx leads to port 8080 of app=web
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-routes}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress-nginx}}
      podSelector: {matchLabels: {app.kubernetes.io/name: ingress-nginx, app.kubernetes.io/component: controller}}
    ports: [{protocol: TCP, port: 8080}]
`,
		Fix: `Let the controller's pods in on the pods' own port, in a policy of its own, then apply the policy that isolates them.`,
	},
}

// gatewayParameters are what the config may set for gateway-cut.
type gatewayParameters struct {
	// Controllers tells which pods carry the traffic of a class of Ingresses or Gateways. They go before what is known of
	// the common controllers.
	Controllers []gatewayController `json:"controllers"`
}

// gatewayController tells which pods carry the traffic of a class.
type gatewayController struct {
	// Class is the name of an IngressClass or GatewayClass.
	Class string `json:"class"`
	// Controller is the controller that such classes name, as in k8s.io/ingress-nginx.
	Controller string `json:"controller"`
	// Namespace of the pods. Empty means all.
	Namespace string `json:"namespace"`
	// PodLabels that the pods carry, all of them. Empty means all pods of the namespace.
	PodLabels map[string]string `json:"podLabels"`
}

// Validate reports controllers without a class or controller, and such as say nothing of the pods.
func (p *gatewayParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, c := range p.Controllers {
		at := path.Child("controllers").Index(i)
		if (c.Class == "") == (c.Controller == "") {
			errs = append(errs, field.Required(at, "write a class or a controller, one of them"))
		}
		if c.Namespace == "" && len(c.PodLabels) == 0 {
			errs = append(errs, field.Required(at, "write a namespace, podLabels or both"))
		}
	}
	return errs
}

func checkGatewayCut(c *policy.Change, parameters any) []policy.Violation {
	x := newRouter(c.After, parameters.(*gatewayParameters).Controllers)
	if len(x.ingressClasses)+len(x.gatewayClasses)+len(x.configured) == 0 {
		return nil
	}
	return append(shutBackends(c, x), shutControllers(c, x)...)
}

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
				number := port.TargetPort(s.Workload)
				if number != 0 && (s.After.Isolated(netpol.Ingress) || c.After.Tiers() != nil) && shutTo(c, s, r.carrier.find(c.After), number) {
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
func shutTo(c *policy.Change, s *policy.Subject, pods []foundPods, number uint16) bool {
	if !losesIngress(c, s, pods, netpol.Port{Protocol: corev1.ProtocolTCP, Number: number}) {
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
	v := policy.Violation{Field: changedIngressField(c, workloads), Live: live, Affected: policy.Affect(workloads)}
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
