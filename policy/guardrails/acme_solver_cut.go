package guardrails

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// acmeSolverCut: the pods that cert-manager makes for an HTTP-01 challenge got requests from outside the namespace before the
// change and get none after it. They live for seconds, so that a pod with their labels is judged whether one runs or not.
var acmeSolverCut = policy.Guardrail{
	Slug:    "acme-solver-cut",
	Summary: "the pods that solve cert-manager's HTTP-01 challenges get no requests",
	On:      []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	Needs: []cluster.Resource{
		cluster.Issuers, cluster.ClusterIssuers,
		cluster.Ingresses, cluster.IngressClasses, cluster.HTTPRoutes, cluster.Gateways, cluster.GatewayClasses,
	},
	DefaultAction: config.Warn,
	Seeks:         seekCarriers,
	Check:         checkACMESolverCut,
	Documentation: policy.Documentation{
		Why: `To prove that a name is its owner's, cert-manager starts a pod beside the Ingress, and the certificate authority asks it for a
token through the ingress controller. A default-deny that leaves this pod out is not noticed for weeks: until a certificate is to be
renewed and is not.`,
		Judged: `A pod as cert-manager makes them: label ` + "`acme.cert-manager.io/http01-solver=true`" + `, what the solver's ` + "`podTemplate`" + ` adds, port
8089. Could it get requests from outside the namespace before the change, and none after it, in the union of the policies that select
it? Where the pods of the controllers behind the namespace's Ingresses and HTTPRoutes are known, those are asked for; else any rule counts
that admits other namespaces or an ` + "`ipBlock`" + ` on the port.

Issuers with an HTTP-01 solver count in their namespace. ClusterIssuers count where an Ingress or a Gateway of the namespace asks for
them by annotation: without one, a default-deny would be warned of in every namespace. ` + "`kubernetes.io/tls-acme`" + ` asks for the only
ClusterIssuer, where there is one alone. Issuers that solve DNS-01 alone need no pods. Nothing is said where the pods got no requests
before.`,
		Bad: `# Issuer shop/letsencrypt solves HTTP-01
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-acme-solver}
spec:
  podSelector: {matchLabels: {acme.cert-manager.io/http01-solver: "true"}}
  policyTypes: [Ingress]
  ingress:
  - ports: [{protocol: TCP, port: 8089}]
`,
		Fix: "Let requests for port 8089 in to the pods with the label `acme.cert-manager.io/http01-solver`, in a policy of their own.",
	},
}

// solverPort is where the solver's pods listen, under the name http.
// Source: cert-manager, pkg/issuer/acme/http: acmeSolverListenPort.
const solverPort = 8089

// The labels of the solver's pods. Source: cert-manager, pkg/apis/acme/v1.
const (
	solverLabel = "acme.cert-manager.io/http01-solver"
	domainLabel = "acme.cert-manager.io/http-domain"
	tokenLabel  = "acme.cert-manager.io/http-token"
)

func checkACMESolverCut(c *policy.Change, _ any) []policy.Violation {
	if !concerns(c, netpol.Ingress) {
		return nil
	}
	x := &solvers{change: c}
	var names []string
	var pods []*cluster.Workload
	for _, issuer := range x.issuers() {
		for _, added := range issuer.HTTP01 {
			if w := solverPod(c.Namespace, added); x.shut(w) {
				pods = append(pods, w)
				if name := issuer.Kind + " " + issuer.Name; !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	v := policy.Violation{
		Field: lossField(c, pods, netpol.Ingress), Headline: "HTTP-01 challenges would fail",
		Detail: listed(names) + " solves HTTP-01 here; its solver pods would get no ingress on 8089",
		Fix:    x.admitRequests(),
	}
	if len(names) > 1 {
		v.Detail = listed(names) + " solve HTTP-01 here; their solver pods would get no ingress on 8089"
	}
	if c.NewPolicy == nil {
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	}
	return []policy.Violation{v}
}

// solverPod is a pod as cert-manager makes them for a challenge. The values that differ from one to the next are ones that no
// selector can mean.
func solverPod(namespace string, added labels.Set) *cluster.Workload {
	w := &cluster.Workload{
		Namespace: namespace, Kind: "Challenge", Name: "cm-acme-http-solver", Template: true,
		Labels: labels.Set{solverLabel: "true", domainLabel: "0", tokenLabel: "0"},
		Ports:  []netpol.ContainerPort{{Name: "http", Protocol: corev1.ProtocolTCP, Number: solverPort}},
	}
	maps.Copy(w.Labels, added)
	return w
}

// solvers judges one change.
type solvers struct {
	change   *policy.Change
	looked   bool
	carriers []foundPods
}

// issuers lists those that solve challenges in the change's namespace.
func (x *solvers) issuers() []*cluster.Issuer {
	c := x.change
	asked := map[string]bool{}
	byDefault := false
	ask := func(r cluster.CertificateRequest) {
		asked[r.ClusterIssuer] = true
		byDefault = byDefault || r.DefaultIssuer
	}
	all := c.After.Issuers(c.Namespace)
	if len(all) == 0 {
		return nil
	}
	for _, i := range c.After.Ingresses(c.Namespace) {
		ask(i.Certificates)
	}
	for _, g := range c.After.Gateways(c.Namespace) {
		ask(g.Certificates)
	}
	clusterIssuers := 0
	for _, issuer := range all {
		if issuer.Namespace == "" {
			clusterIssuers++
		}
	}
	return slices.DeleteFunc(all, func(issuer *cluster.Issuer) bool {
		return issuer.Namespace == "" && !asked[issuer.Name] && (!byDefault || clusterIssuers > 1)
	})
}

// shut reports whether the change shuts the solver's pod to requests from outside the namespace.
func (x *solvers) shut(w *cluster.Workload) bool {
	c := x.change
	e := c.After.Endpoint(w)
	if !c.OldPolicy.SelectsAny(e) && !c.NewPolicy.SelectsAny(e) {
		return false
	}
	return !x.getsRequests(c.After, e) && x.getsRequests(c.Before, e)
}

// somewhere is an address outside any cluster. Source: RFC 5737.
var somewhere = netip.AddrFrom4([4]byte{203, 0, 113, 1})

// getsRequests reports whether the endpoint gets requests from the controllers, as far as those are known, or from outside the
// cluster: a controller may be on its node's network, or no pod.
func (x *solvers) getsRequests(s *cluster.Snapshot, e netpol.Endpoint) bool {
	side := policy.Coverage{Endpoint: e, Tiers: s.Tiers()}
	for _, p := range s.Policies(e.Namespace) {
		if p.Selects(e) {
			side.Policies = append(side.Policies, p)
		}
	}
	port := netpol.Port{Protocol: corev1.ProtocolTCP, Number: solverPort}
	if side.Admits(netpol.Ingress, address(somewhere), port) || allowsBlock(&side, netpol.Ingress, port.Protocol, solverPort, anyBlock) {
		return true
	}
	if s.Tiers() == nil && !hasIngressRule(&side, port, func(*netpol.Rule) bool { return true }) {
		return false
	}
	if pods := x.controllers(); len(pods) > 0 {
		return anyAdmitted(s, pods, &side, port)
	}
	return hasIngressRule(&side, port, (*netpol.Rule).Foreign)
}

// controllers gives the pods that carry the traffic of the namespace's routes, none where some of them are not known.
func (x *solvers) controllers() []foundPods {
	if x.looked {
		return x.carriers
	}
	x.looked = true
	c := x.change
	router := newRouter(c.After, nil)
	for _, i := range c.After.Ingresses(c.Namespace) {
		if router.ofIngress(i.Class) == nil {
			return nil
		}
	}
	for _, r := range router.routes(c.Namespace) {
		found := r.carrier.find(c.After)
		if len(found) == 0 {
			x.carriers = nil
			break
		}
		x.carriers = append(x.carriers, found...)
	}
	return x.carriers
}

// admitRequests is a policy that lets requests in to the solver's pods alone.
func (x *solvers) admitRequests() *policy.Fix {
	first := newPolicy(x.change, "allow-acme-solver", metav1.LabelSelector{MatchLabels: map[string]string{solverLabel: "true"}})
	first.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	first.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{ruleFor(peersFor(x.controllers()), []uint16{solverPort})}
	return &policy.Fix{Say: "apply this policy first:", YAML: pasteable.YAML(first), First: []*networkingv1.NetworkPolicy{first}}
}
