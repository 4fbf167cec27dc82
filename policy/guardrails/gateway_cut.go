package guardrails

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
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
	Seeks:         seekCarriers,
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
