package resources

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

func port(namespace, service string, port any) cluster.ServicePortReference {
	out := cluster.ServicePortReference{Namespace: namespace, Service: service}
	if name, ok := port.(string); ok {
		out.Port = intstr.FromString(name)
	} else {
		out.Port = intstr.FromInt(port.(int))
	}
	return out
}

// TestReduce: what is kept of each kind, and by what it is looked up.
func TestReduce(t *testing.T) {
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	for _, tt := range []struct {
		name, kind, text string
		keys             []string
		want             any
	}{
		{
			"Ingress with a default backend, named and numbered ports", "Ingress", `
metadata: {namespace: shop, name: web, annotations: {kubernetes.io/ingress.class: old}}
spec:
  ingressClassName: nginx
  defaultBackend: {service: {name: fallback, port: {number: 80}}}
  rules:
  - http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
  - host: only-a-host
  - http: {paths: [{path: /, pathType: Prefix, backend: {resource: {kind: Bucket, name: b}}}]}`,
			[]string{"shop"}, &cluster.Ingress{Namespace: "shop", Name: "web", Class: "nginx",
				Backends: []cluster.ServicePortReference{port("shop", "fallback", 80), port("shop", "web", "http")}},
		},
		{
			"Ingress with its class in the annotation", "Ingress", `metadata: {namespace: shop, name: web, annotations: {kubernetes.io/ingress.class: old}}`,
			[]string{"shop"}, &cluster.Ingress{Namespace: "shop", Name: "web", Class: "old"},
		},
		{
			"IngressClass by default", "IngressClass", `{metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}, spec: {controller: k8s.io/ingress-nginx}}`,
			[]string{"*"}, &cluster.IngressClass{Name: "nginx", Controller: "k8s.io/ingress-nginx", Default: true},
		},
		{
			"HTTPRoute into another namespace, beside a mesh's parent and a backend that is no Service", "HTTPRoute", `
metadata: {namespace: edge, name: r}
spec:
  parentRefs: [{name: gw, namespace: infra}, {name: here}, {kind: Service, group: "", name: mesh}]
  rules:
  - backendRefs: [{name: web, namespace: shop, port: 80}, {name: api, port: 8080}, {kind: Bucket, group: storage, name: b}]`,
			[]string{"shop", "edge"}, &cluster.HTTPRoute{Namespace: "edge", Name: "r",
				Gateways: []cluster.NamespacedName{{Namespace: "infra", Name: "gw"}, {Namespace: "edge", Name: "here"}},
				Backends: []cluster.ServicePortReference{port("shop", "web", 80), port("edge", "api", 8080)}},
		},
		{"HTTPRoute that only redirects", "HTTPRoute", `{metadata: {namespace: edge, name: r}, spec: {rules: [{}]}}`, nil, nil},
		{"Gateway", "Gateway", `{metadata: {namespace: infra, name: gw}, spec: {gatewayClassName: envoy}}`, []string{"infra"}, &cluster.Gateway{Namespace: "infra", Name: "gw", Class: "envoy"}},
		{"GatewayClass", "GatewayClass", `{metadata: {name: envoy}, spec: {controllerName: x.io/y}}`, []string{"*"}, &cluster.GatewayClass{Name: "envoy", Controller: "x.io/y"}},
		{
			"ServiceMonitor of its own namespace", "ServiceMonitor", `{metadata: {namespace: shop, name: m}, spec: {selector: {matchLabels: {app: api}}, endpoints: [{port: web}, {targetPort: 9090}]}}`,
			[]string{"shop"}, &cluster.Monitor{Kind: "ServiceMonitor", Namespace: "shop", Name: "m", Selector: labels.SelectorFromSet(labels.Set{"app": "api"}),
				Endpoints: []cluster.MonitorEndpoint{{Port: "web"}, {Target: intstr.FromInt(9090)}}},
		},
		{
			"ServiceMonitor of some namespaces", "ServiceMonitor", `{metadata: {namespace: shop, name: m}, spec: {selector: {}, namespaceSelector: {matchNames: [a, b, a]}}}`,
			[]string{"a", "b"}, &cluster.Monitor{Kind: "ServiceMonitor", Namespace: "shop", Name: "m", Selector: labels.Everything()},
		},
		{
			"ServiceMonitor whose selector does not parse", "ServiceMonitor", `{metadata: {namespace: shop, name: m}, spec: {selector: {matchExpressions: [{key: a, operator: Sometimes}]}}}`, nil, nil,
		},
		{
			"PodMonitor of all namespaces", "PodMonitor", `{metadata: {namespace: shop, name: m}, spec: {selector: {}, namespaceSelector: {any: true}, podMetricsEndpoints: [{port: web}, {portNumber: 9090}]}}`,
			[]string{"*"}, &cluster.Monitor{Kind: "PodMonitor", Namespace: "shop", Name: "m", Selector: labels.Everything(),
				Endpoints: []cluster.MonitorEndpoint{{Port: "web"}, {Target: intstr.FromInt(9090)}}},
		},
		{
			"ValidatingWebhookConfiguration with the defaults, and by URL", "ValidatingWebhookConfiguration", `
metadata: {name: v}
webhooks:
- {name: a.x, clientConfig: {service: {namespace: ops, name: hook}}}
- {name: b.x, failurePolicy: Ignore, clientConfig: {service: {namespace: ops, name: hook, port: 8443}}}
- {name: c.x, clientConfig: {url: "https://example.org"}}`,
			[]string{"ops"}, &cluster.Callback{Kind: "ValidatingWebhookConfiguration", Name: "v", Services: []cluster.CallbackService{
				{ServicePortReference: port("ops", "hook", 443), Webhook: "a.x", FailClosed: true}, {ServicePortReference: port("ops", "hook", 8443), Webhook: "b.x"},
			}},
		},
		{"MutatingWebhookConfiguration by URL alone", "MutatingWebhookConfiguration", `{metadata: {name: m}, webhooks: [{name: a.x, clientConfig: {url: "https://example.org"}}]}`, nil, nil},
		{
			"MutatingWebhookConfiguration", "MutatingWebhookConfiguration", `{metadata: {name: m}, webhooks: [{name: a.x, clientConfig: {service: {namespace: ops, name: hook}}}]}`,
			[]string{"ops"}, &cluster.Callback{Kind: "MutatingWebhookConfiguration", Name: "m", Services: []cluster.CallbackService{
				{ServicePortReference: port("ops", "hook", 443), Webhook: "a.x", FailClosed: true},
			}},
		},
		{
			"APIService", "APIService", `{metadata: {name: v1.metrics}, spec: {service: {namespace: kube-system, name: metrics}}}`, []string{"kube-system"},
			&cluster.Callback{Kind: "APIService", Name: "v1.metrics", Services: []cluster.CallbackService{{ServicePortReference: port("kube-system", "metrics", 443), FailClosed: true}}},
		},
		{"APIService of the API server itself", "APIService", `{metadata: {name: v1.apps}, spec: {group: apps}}`, nil, nil},
		{
			"Issuer with both kinds of solvers", "Issuer", `
metadata: {namespace: shop, name: le}
spec: {acme: {solvers: [{dns01: {}}, {http01: {ingress: {podTemplate: {metadata: {labels: {team: edge}}}}}}, {http01: {gatewayHTTPRoute: {}}}]}}`,
			[]string{"shop"}, &cluster.Issuer{Kind: "Issuer", Namespace: "shop", Name: "le", HTTP01: []labels.Set{{"team": "edge"}, {}}},
		},
		{"ClusterIssuer that signs itself", "ClusterIssuer", `{metadata: {name: ca}, spec: {selfSigned: {}}}`, []string{"*"}, &cluster.Issuer{Kind: "ClusterIssuer", Name: "ca"}},
		{
			"EndpointSlice of the API servers", "EndpointSlice", `
metadata: {namespace: default, name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}
endpoints: [{addresses: [10.0.0.1]}, {addresses: ["fd00::1"]}]
ports: [{name: https, port: 6443}, {name: nothing}]`,
			[]string{"*"}, &cluster.EndpointSlice{Namespace: "default", Name: "kubernetes", Service: "kubernetes",
				Addresses: []netip.Addr{addr("10.0.0.1"), addr("fd00::1")}, Ports: []cluster.EndpointPort{{Protocol: "TCP", Number: 6443}}},
		},
		{"EndpointSlice of somebody else", "EndpointSlice", `metadata: {namespace: shop, name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}`, nil, nil},
		{
			"Node", "Node", `
metadata: {name: node-1, labels: {node-role.kubernetes.io/control-plane: ""}}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, "fd01::/64"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: ExternalIP, address: 198.51.100.1}, {type: Hostname, address: n}]}`,
			[]string{"*"}, &cluster.Node{Name: "node-1", ControlPlane: true, Addresses: []netip.Addr{addr("192.0.2.1")},
				PodRanges: []netip.Prefix{prefix("10.244.1.0/24"), prefix("fd01::/64")}},
		},
		{"ServiceCIDR", "ServiceCIDR", `{metadata: {name: kubernetes}, spec: {cidrs: [10.96.0.0/12, nonsense]}}`, []string{"*"}, &cluster.ServiceCIDR{Name: "kubernetes", Ranges: []netip.Prefix{prefix("10.96.0.0/12")}}},
		{
			"RoleBinding of accounts here and there, of a namespace's, and of users", "RoleBinding", `
metadata: {namespace: shop, name: b}
roleRef: {kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: api}, {kind: ServiceAccount, name: ci, namespace: build}, {kind: Group, name: "system:serviceaccounts:ops"}, {kind: User, name: eve}]`,
			[]string{"shop/api", "build/ci", "ops/*"}, &cluster.Binding{Kind: "RoleBinding", Namespace: "shop", Name: "b", Role: "reader"},
		},
		{
			"ClusterRoleBinding of everybody", "ClusterRoleBinding", `{metadata: {name: b}, roleRef: {kind: ClusterRole, name: discovery},
subjects: [{kind: Group, name: "system:authenticated"}, {kind: Group, name: "system:serviceaccounts"}]}`, nil, nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := Kinds()[slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Kind == tt.kind })]
			obj := k.New()
			if err := yaml.UnmarshalStrict([]byte(tt.text), obj); err != nil {
				t.Fatal(err)
			}
			got := Reduce(obj)
			if tt.want == nil {
				if got != nil {
					t.Errorf("kept %+v, want nothing", got.Value)
				}
				return
			}
			if got == nil {
				t.Fatal("nothing is kept")
			}
			text := cmp.Comparer(func(a, b labels.Selector) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
			addresses := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			ranges := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
			if diff := cmp.Diff(tt.want, got.Value, text, addresses, ranges); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !slices.Equal(got.For, tt.keys) || got.Resource != k.Resource || got.Name != obj.GetName() || got.Namespace != obj.GetNamespace() {
				t.Errorf("%s %s/%s is looked up by %q, want %q", got.Resource, got.Namespace, got.Name, got.For, tt.keys)
			}
		})
	}
}

// TestKinds: every kind can be reduced, and no two have one resource or one Go type.
func TestKinds(t *testing.T) {
	types := map[reflect.Type]bool{}
	seen := map[cluster.Resource]bool{}
	for _, k := range Kinds() {
		if typ := reflect.TypeOf(k.New()); types[typ] || seen[k.Resource] {
			t.Errorf("%s is listed twice", k.Resource)
		} else {
			types[typ], seen[k.Resource] = true, true
		}
	}
	if Reduce(&struct{}{}) != nil {
		t.Error("something is kept of what is no object")
	}
}
