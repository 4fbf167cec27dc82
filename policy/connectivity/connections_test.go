package connectivity_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// connectionsCase is a cluster as YAML documents, and its nodes and edges.
type connectionsCase struct {
	name, cluster  string
	nodes, between string
	outside        string // not compared where it is empty
}

// small is the begin of most clusters here: a namespace with two pods that nothing owns.
const small = `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}}
---
{kind: Pod, metadata: {namespace: shop, name: web, labels: {app: web}}}
---
`

// denyWeb leaves web without any connection, so that the tables are short.
const denyWeb = `
kind: NetworkPolicy
metadata: {namespace: shop, name: deny-web}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}
---
`

func TestConnections(t *testing.T) {
	for _, x := range slices.Concat(podCases, ownerCases) {
		t.Run(x.name, func(t *testing.T) {
			s := snapshotOf(t, x.cluster)
			g := connectivity.Connections(context.Background(), s, connectivity.Options{})
			edges := slices.Collect(g.Edges)
			if x.nodes != "" {
				compareLines(t, "nodes", formatNodes(g.Nodes), x.nodes)
			}
			compareLines(t, "edges between nodes", formatEdges(between(edges)), x.between)
			if x.outside != "" {
				compareLines(t, "edges beyond the cluster", formatEdges(beyond(edges)), x.outside)
			}
			compareLines(t, "edges ranged over again", formatEdges(slices.Collect(g.Edges)), strings.Join(formatEdges(edges), "\n"))
			if problem := checkForm(edges); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// podCases are about isolation, ports and the host network.
var podCases = []connectionsCase{
	{
		name: "no policies: everybody reaches everybody, nobody itself", cluster: small,
		nodes: `shop/Pod/api pods 1 isolated [false false] host false kinds 1
			shop/Pod/web pods 1 isolated [false false] host false kinds 1`,
		between: `shop/Pod/api -> shop/Pod/web: all ports
			shop/Pod/web -> shop/Pod/api: all ports`,
		outside: `shop/Pod/api -> 0.0.0.0-255.255.255.255: all ports
			shop/Pod/api -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
			shop/Pod/web -> 0.0.0.0-255.255.255.255: all ports
			shop/Pod/web -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
			0.0.0.0-255.255.255.255 -> shop/Pod/api: all ports
			0.0.0.0-255.255.255.255 -> shop/Pod/web: all ports
			::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> shop/Pod/api: all ports
			::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> shop/Pod/web: all ports`,
	},
	{
		name: "ingress isolation: out but not in", cluster: small + `
kind: NetworkPolicy
metadata: {namespace: shop, name: deny}
spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}`,
		nodes: `shop/Pod/api pods 1 isolated [true false] host false kinds 1
			shop/Pod/web pods 1 isolated [false false] host false kinds 1`,
		between: `shop/Pod/api -> shop/Pod/web: all ports`,
		outside: `shop/Pod/api -> 0.0.0.0-255.255.255.255: all ports
			shop/Pod/api -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
			shop/Pod/web -> 0.0.0.0-255.255.255.255: all ports
			shop/Pod/web -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
			0.0.0.0-255.255.255.255 -> shop/Pod/web: all ports
			::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> shop/Pod/web: all ports`,
	},
	{
		name: "both sides have to allow a port", cluster: small + `
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 80, endPort: 90}, {protocol: UDP}]}]
---
kind: NetworkPolicy
metadata: {namespace: shop, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {}}], ports: [{port: 85, endPort: 95}, {protocol: UDP, port: 53}, {protocol: SCTP}]}]`,
		between: `shop/Pod/api -> shop/Pod/web: all ports
			shop/Pod/web -> shop/Pod/api: TCP 85-90, UDP 53`,
	},
	{
		name: "a named port is each destination's own", cluster: `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: web, labels: {app: web}}}
---
{kind: Pod, metadata: {namespace: shop, name: a}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}}
---
{kind: Pod, metadata: {namespace: shop, name: b}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: http, containerPort: 90, protocol: UDP}]}]}}
---
{kind: Pod, metadata: {namespace: shop, name: c}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress, Egress]
  egress: [{ports: [{port: http}]}]
---
kind: NetworkPolicy
metadata: {namespace: shop, name: others}
spec:
  podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]`,
		between: `shop/Pod/web -> shop/Pod/a: TCP 80
			shop/Pod/web -> shop/Pod/b: TCP 8080`,
	},
	{
		name: "a named port of an ingress rule is the subject's", cluster: small + `
{kind: Pod, metadata: {namespace: shop, name: api, labels: {app: api}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress: [{ports: [{port: http}]}]
---` + denyWebIngress,
		between: `shop/Pod/web -> shop/Pod/api: TCP 80`,
		outside: `shop/Pod/api -> 0.0.0.0-255.255.255.255: all ports
			shop/Pod/api -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
			shop/Pod/web -> 0.0.0.0-255.255.255.255: all ports
			shop/Pod/web -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports
			0.0.0.0-255.255.255.255 -> shop/Pod/api: TCP 80
			::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff -> shop/Pod/api: TCP 80`,
	},
}

const denyWebIngress = `
kind: NetworkPolicy
metadata: {namespace: shop, name: deny-web}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}`

func TestConnectionsOfAnEmptyCluster(t *testing.T) {
	g := connectivity.Connections(context.Background(), snapshotOf(t, ""), connectivity.Options{})
	if edges := slices.Collect(g.Edges); len(g.Nodes)+len(edges)+len(g.Partial) > 0 {
		t.Errorf("got %v, %v, %v, want nothing", g.Nodes, edges, g.Partial)
	}
}
