package guardrails

import (
	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// webhookCut: the API server could reach the pods behind an admission webhook or an APIService before the change and cannot
// after. It calls from addresses that no selector matches; where a rule may hold them it warns and never denies.
var webhookCut = policy.Guardrail{
	Slug:    "webhook-cut",
	Summary: "the API server loses a webhook or an aggregated API",
	On:      []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	Needs: []cluster.Resource{
		cluster.ValidatingWebhookConfigurations, cluster.MutatingWebhookConfigurations, cluster.APIServices, cluster.EndpointSlices,
		cluster.Nodes,
	},
	DefaultAction: config.Deny,
	LiveOnly:      true,
	Seeks:         seekAPIServers,
	Check:         checkWebhookCut,
	Documentation: policy.Documentation{
		Why: `The API server calls admission webhooks and aggregated APIs in the cluster. Isolate their pods and every request that
the webhook is asked about fails, in all namespaces, or its check is skipped without a word where its ` + "`failurePolicy`" + ` is Ignore.
An APIService that does not answer keeps every namespace from being deleted.`,
		Judged: `The pods of the policy's namespace behind a Service that a ValidatingWebhookConfiguration, MutatingWebhookConfiguration
or APIService names, on the port that the Service's port is sent to. Before the change the union of their policies let the API server
in, and after it lets none of its addresses in: the endpoints of ` + "`default/kubernetes`" + `, the nodes labelled as control plane, and the
` + "`konnectivity-agent`" + ` pods through which hosted API servers call. Where none of them is known, the pods have to have been open to every
address before and to admit no address from outside the cluster after. Both failure policies are judged alike.

It only warns where some addresses stay allowed, where only some were, and where a rule allows a range of addresses that overlaps the
pod ranges: in an overlay the API server's calls come with the address of its node's tunnel. Nothing is said where the API server
runs on the only node of the cluster, because a pod's own node always reaches it, and of webhooks that are called by URL.`,
		Bad: `# app=webhook is behind the ValidatingWebhookConfiguration cert-manager
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: default-deny}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-from-apiserver}
spec:
  podSelector: {matchLabels: {app: webhook}}
  policyTypes: [Ingress]
  ingress:
  - ports: [{protocol: TCP, port: 10250}]
`,
		Fix: "Allow the webhook's port without `from`, in a policy of its own for its pods alone. The webhook authenticates its caller by " +
			"TLS; naming the API server's addresses instead breaks with the next node.",
	},
}

func checkWebhookCut(c *policy.Change, _ any) []policy.Violation {
	called := calledPorts(c)
	if len(called) == 0 {
		return nil
	}
	callers := apiCallersOf(c.After)
	if callers.local {
		return nil
	}
	var sure, unsure callLoss
	for _, s := range toJudge(c) {
		for _, call := range called {
			port := call.on(s.Workload)
			if port.Number == 0 {
				continue
			}
			before, after := callers.admittedBy(&s.Before, port), callers.admittedBy(&s.After, port)
			switch {
			case before == refused || after == admitted || after == perhaps && before == perhaps:
			case before == admitted && after == refused:
				sure.add(s, call, port)
			default:
				unsure.add(s, call, port)
			}
		}
	}
	return append(sure.violations(c, true), unsure.violations(c, false)...)
}

// calledPort is a Service's port that the API server calls.
type calledPort struct {
	service *cluster.Service
	port    cluster.ServicePort
	by      []*cluster.Callback
	// failClosed says that requests fail where one of the calls does.
	failClosed bool
}

// on gives the port on which the workload's pods are called; 0 where they are not.
func (p *calledPort) on(w *cluster.Workload) netpol.Port {
	if !serves(p.service, w) {
		return netpol.Port{}
	}
	return netpol.Port{Protocol: p.port.Protocol, Number: p.port.TargetPort(w)}
}

// calledPorts lists the ports of the namespace's Services that the API server calls, each once.
func calledPorts(c *policy.Change) []*calledPort {
	var out []*calledPort
	have := map[cluster.ServicePortReference]*calledPort{}
	for _, by := range c.After.Callbacks(c.Namespace) {
		for _, s := range by.Services {
			if s.Namespace != c.Namespace {
				continue
			}
			call := have[s.ServicePortReference]
			if call == nil {
				if call = findCalled(c, s.ServicePortReference); call == nil {
					continue
				}
				have[s.ServicePortReference], out = call, append(out, call)
			}
			if n := len(call.by); n == 0 || call.by[n-1] != by {
				call.by = append(call.by, by)
			}
			call.failClosed = call.failClosed || s.FailClosed
		}
	}
	return out
}

func findCalled(c *policy.Change, r cluster.ServicePortReference) *calledPort {
	svc := findService(c.After.Namespace(c.Namespace), r.Service)
	if svc == nil {
		return nil
	}
	for _, p := range svc.Ports {
		if int32(p.Number) == r.Port.IntVal {
			return &calledPort{service: svc, port: p}
		}
	}
	return nil
}

// findService gives a Service of the namespace; nil where it has none of that name.
func findService(n *cluster.Namespace, name string) *cluster.Service {
	if n == nil {
		return nil
	}
	for _, svc := range n.Services {
		if svc.Name == name {
			return svc
		}
	}
	return nil
}
