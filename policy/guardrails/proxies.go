package guardrails

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// podsWith finds pods by their labels.
type podsWith struct {
	namespace string // empty is any
	labels    labels.Set
}

func (p *podsWith) finds(w *cluster.Workload) bool {
	if p.namespace != "" && p.namespace != w.Namespace {
		return false
	}
	for k, v := range p.labels {
		if have, ok := w.Labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// foundPods are pods together with how they were found.
type foundPods struct {
	*cluster.Workload
	by *podsWith
}

// findPods looks for the live pods that one of the descriptions finds, in the order of the namespaces.
func findPods(s *cluster.Snapshot, descriptions []podsWith) []foundPods {
	var names []string
	var anywhere []labels.Set
	for i := range descriptions {
		if d := &descriptions[i]; d.namespace != "" {
			names = append(names, d.namespace)
		} else {
			anywhere = append(anywhere, d.labels)
		}
	}
	if len(anywhere) > 0 {
		for n := range s.Carrying(anywhere...) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	var out []foundPods
	for _, name := range slices.Compact(names) {
		for _, w := range s.Live(s.Namespace(name)) {
			if i := slices.IndexFunc(descriptions, func(p podsWith) bool { return p.finds(w) }); i >= 0 {
				out = append(out, foundPods{w, &descriptions[i]})
			}
		}
	}
	return out
}

// peersFor are the peers of an ingress rule that admits the pods: each namespace by its name, the pods by the labels that
// found them.
func peersFor(pods []foundPods) []networkingv1.NetworkPolicyPeer {
	var out []networkingv1.NetworkPolicyPeer
	var keys []string
	for _, p := range pods {
		key := p.Namespace + " " + p.by.labels.String()
		if slices.Contains(keys, key) || len(keys) == maxPeers {
			continue
		}
		keys = append(keys, key)
		peer := networkingv1.NetworkPolicyPeer{
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.Namespace}},
		}
		if len(p.by.labels) > 0 {
			peer.PodSelector = &metav1.LabelSelector{MatchLabels: p.by.labels}
		}
		out = append(out, peer)
	}
	return out
}

// maxPeers bounds the peers that a fix lists.
const maxPeers = 5

// Labels by which charts mark their pods. Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
const (
	nameLabel      = "app.kubernetes.io/name"
	componentLabel = "app.kubernetes.io/component"
)

// byName describes pods that a chart marks so, of any namespace.
func byName(name string) podsWith { return podsWith{labels: labels.Set{nameLabel: name}} }

func byComponent(name, component string) podsWith {
	return podsWith{labels: labels.Set{nameLabel: name, componentLabel: component}}
}

func withLabel(key, value string) podsWith { return podsWith{labels: labels.Set{key: value}} }

// controllerPods tells the name of a widespread controller and how its charts and manifests label the pods that carry the
// traffic. Nil pods: it is not known, or no pods do it, as with load balancers that connect to the backends themselves.
//
// Sources: the Helm charts ingress-nginx, rke2-ingress-nginx, nginx-ingress, traefik, kubernetes-ingress, haproxy-ingress,
// contour, kong, ingress (of Kong), emissary-ingress, edge-stack, apisix and gateway (of Istio), and the manifests that the
// same projects, MicroK8s, AKS and OpenShift install.
func controllerPods(controller string) (name string, pods []podsWith) {
	is := func(known string) bool { return controller == known || strings.HasPrefix(controller, known+"/") }
	switch {
	case is("k8s.io/ingress-nginx"):
		return "ingress-nginx", []podsWith{
			byComponent("ingress-nginx", "controller"), byComponent("rke2-ingress-nginx", "controller"),
			withLabel("name", "nginx-ingress-microk8s"),
		}
	case is("webapprouting.kubernetes.azure.com/nginx"):
		return "the application routing add-on", []podsWith{{namespace: "app-routing-system", labels: labels.Set{"app": "nginx"}}}
	case is("nginx.org/ingress-controller"):
		return "NGINX Ingress Controller", []podsWith{byName("nginx-ingress"), withLabel("app", "nginx-ingress")}
	case is("traefik.io/ingress-controller"), is("traefik.io/gateway-controller"):
		return "Traefik", []podsWith{byName("traefik")}
	case is("haproxy.org/ingress-controller"), is("haproxy.org/gateway-controller"):
		return "HAProxy", []podsWith{byName("kubernetes-ingress"), withLabel("run", "haproxy-ingress")}
	case is("haproxy-ingress.github.io/controller"):
		return "HAProxy Ingress", []podsWith{byName("haproxy-ingress"), withLabel("run", "haproxy-ingress")}
	case is("projectcontour.io/ingress-controller"), is("projectcontour.io/gateway-controller"):
		return "Contour", []podsWith{
			byComponent("contour", "envoy"), {namespace: "projectcontour", labels: labels.Set{"app": "envoy"}},
		}
	case is("ingress-controllers.konghq.com/kong"), is("konghq.com/kic-gateway-controller"):
		return "Kong", []podsWith{byComponent("kong", "app"), byComponent("gateway", "app"), withLabel("app", "ingress-kong"), withLabel("app", "proxy-kong")}
	case is("getambassador.io/ingress-controller"):
		return "Emissary", []podsWith{byName("emissary-ingress"), byName("edge-stack"), withLabel("service", "ambassador")}
	case is("apisix.apache.org/apisix-ingress-controller"):
		return "APISIX", []podsWith{byName("apisix")}
	case is("istio.io/ingress-controller"):
		return "Istio", []podsWith{withLabel("istio", "ingressgateway"), withLabel("istio", "ingress")}
	case is("openshift.io/ingress-to-route"):
		return "OpenShift's router", []podsWith{
			{namespace: "openshift-ingress", labels: labels.Set{"ingresscontroller.operator.openshift.io/deployment-ingresscontroller": "default"}},
		}
	}
	return "", nil
}

// knownControllers lists the controllers of which controllerPods tells the pods.
var knownControllers = [...]string{
	"k8s.io/ingress-nginx", "webapprouting.kubernetes.azure.com/nginx", "nginx.org/ingress-controller", "traefik.io/ingress-controller",
	"haproxy.org/ingress-controller", "haproxy-ingress.github.io/controller", "projectcontour.io/ingress-controller",
	"ingress-controllers.konghq.com/kong", "getambassador.io/ingress-controller", "apisix.apache.org/apisix-ingress-controller",
	"istio.io/ingress-controller", "openshift.io/ingress-to-route",
}

// gatewayLabels are the keys of which pods made for a Gateway carry one.
var gatewayLabels = [...]string{
	"gateway.networking.k8s.io/gateway-name", "istio.io/gateway-name", "projectcontour.io/owning-gateway-name",
	"gateway.envoyproxy.io/owning-gateway-name", "gateway.envoyproxy.io/owning-gatewayclass",
}

// gatewayPods describes the pods that are made for one Gateway alone: those in its namespace that carry its name, as the
// Gateway API has it (GEP-1762), and what Envoy Gateway, Istio and Contour label theirs with.
func gatewayPods(g *cluster.Gateway) []podsWith {
	return []podsWith{
		{namespace: g.Namespace, labels: labels.Set{"gateway.networking.k8s.io/gateway-name": g.Name}},
		{namespace: g.Namespace, labels: labels.Set{"istio.io/gateway-name": g.Name}},
		{namespace: g.Namespace, labels: labels.Set{"projectcontour.io/owning-gateway-name": g.Name}},
		{namespace: g.Namespace, labels: envoyGateway(g)},
		{namespace: envoyGatewayNamespace, labels: envoyGateway(g)},
		{namespace: envoyGatewayNamespace, labels: labels.Set{"gateway.envoyproxy.io/owning-gatewayclass": g.Class}},
	}
}

// envoyGatewayNamespace is where Envoy Gateway runs its proxies unless it is told to run them in their Gateway's namespace.
// Source: https://gateway.envoyproxy.io/docs/tasks/operations/gateway-namespace-mode/
const envoyGatewayNamespace = "envoy-gateway-system"

func envoyGateway(g *cluster.Gateway) labels.Set {
	return labels.Set{
		"gateway.envoyproxy.io/owning-gateway-namespace": g.Namespace,
		"gateway.envoyproxy.io/owning-gateway-name":      g.Name,
	}
}
