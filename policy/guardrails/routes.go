package guardrails

import (
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// route is an Ingress, or an HTTPRoute together with one of its Gateways.
type route struct {
	kind, namespace, name string
	carrier               *carrier
	backends              []cluster.ServicePortReference
}

// String writes the route as messages do: "Ingress shop/web".
func (r *route) String() string { return r.kind + " " + r.namespace + "/" + r.name }

// carrier is what carries the traffic of routes to the pods behind them: an ingress controller, or a Gateway.
type carrier struct {
	name string
	// pods describes the carrier's; otherwise serves where those find none.
	pods, otherwise []podsWith

	looked  bool
	found   []foundPods
	unknown bool
}

// find gives the carrier's live pods, none where it is not known what carries its traffic: where none are found, and where
// some are on their node's network, because then the source is an address of the node.
func (x *carrier) find(s *cluster.Snapshot) []foundPods {
	if !x.looked {
		x.looked = true
		if x.found = findPods(s, x.pods); len(x.found) == 0 && len(x.otherwise) > 0 {
			x.found = findPods(s, x.otherwise)
		}
		for _, p := range x.found {
			x.unknown = x.unknown || p.HostNetwork
		}
	}
	if x.unknown {
		return nil
	}
	return x.found
}

// router finds the routes of namespaces and what carries them.
type router struct {
	snapshot       *cluster.Snapshot
	configured     []gatewayController
	ingressClasses []*cluster.IngressClass
	gatewayClasses []*cluster.GatewayClass
	carriers       map[string]*carrier // by kind and class, or by Gateway; nil is unknown
}

func newRouter(s *cluster.Snapshot, configured []gatewayController) *router {
	return &router{
		snapshot: s, configured: configured, ingressClasses: s.IngressClasses(), gatewayClasses: s.GatewayClasses(),
		carriers: map[string]*carrier{},
	}
}

// routes lists those Ingresses and HTTPRoutes of the namespace of which it is known what carries them. HTTPRoutes of other
// namespaces lead here only where a ReferenceGrant lets them, which is not known.
func (x *router) routes(namespace string) []route {
	var out []route
	for _, i := range x.snapshot.Ingresses(namespace) {
		if by := x.ofIngress(i.Class); by != nil {
			out = append(out, route{"Ingress", i.Namespace, i.Name, by, i.Backends})
		}
	}
	for _, r := range x.snapshot.HTTPRoutes(namespace) {
		if r.Namespace != namespace {
			continue
		}
		for _, name := range r.Gateways {
			if by := x.ofGateway(name); by != nil {
				out = append(out, route{"HTTPRoute", r.Namespace, r.Name, by, r.Backends})
			}
		}
	}
	return out
}

// ofIngress gives what carries the Ingresses of the class; an empty name is the default class.
func (x *router) ofIngress(class string) *carrier {
	known, looked := x.carriers["IngressClass "+class]
	if looked {
		return known
	}
	found := cluster.IngressClass{Name: class}
	defaults := 0
	for _, c := range x.ingressClasses {
		if class != "" && c.Name == class {
			found = *c
		} else if class == "" && c.Default {
			found = *c
			defaults++
		}
	}
	var out *carrier
	if class != "" || defaults == 1 {
		out = x.carrier(found.Name, found.Controller)
	}
	x.carriers["IngressClass "+class] = out
	return out
}

// ofGateway gives what carries the routes of the Gateway.
func (x *router) ofGateway(name cluster.NamespacedName) *carrier {
	key := "Gateway " + name.Namespace + "/" + name.Name
	known, looked := x.carriers[key]
	if looked {
		return known
	}
	var out *carrier
	if g := x.snapshot.Gateway(name); g != nil {
		controller := ""
		for _, c := range x.gatewayClasses {
			if c.Name == g.Class {
				controller = c.Controller
			}
		}
		out = &carrier{name: key, pods: gatewayPods(g)}
		if shared := x.carrier(g.Class, controller); shared != nil {
			out.otherwise = shared.pods
			if len(x.configuredFor(g.Class, controller)) > 0 {
				out.pods, out.otherwise = shared.pods, nil
			}
		}
	}
	x.carriers[key] = out
	return out
}

// carrier gives what the config says of the class or the controller, or else what is known of the controller; nil for an
// unknown one.
func (x *router) carrier(class, controller string) *carrier {
	if pods := x.configuredFor(class, controller); len(pods) > 0 {
		return &carrier{name: "the controller of class " + class, pods: pods}
	}
	name, pods := controllerPods(controller)
	if len(pods) == 0 {
		return nil
	}
	return &carrier{name: name, pods: pods}
}

func (x *router) configuredFor(class, controller string) []podsWith {
	var out []podsWith
	for _, c := range x.configured {
		if c.Class != "" && c.Class == class || c.Controller != "" && c.Controller == controller {
			out = append(out, podsWith{c.Namespace, c.PodLabels})
		}
	}
	return out
}
