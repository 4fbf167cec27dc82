package connectivity_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

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
	for _, x := range []struct {
		name, cluster  string
		nodes, between string
		outside        string // not compared where it is empty
	}{
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
		{
			name: "host network: no policy applies to it, only rules without peers let it in", cluster: `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: agent, labels: {app: agent}}, spec: {hostNetwork: true, containers: []}}
---
{kind: Pod, metadata: {namespace: shop, name: open, labels: {app: open}}}
---
{kind: Pod, metadata: {namespace: shop, name: shut, labels: {app: shut}}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: everybody}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {}}]}]}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: open}
spec: {podSelector: {matchLabels: {app: open}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}`,
			nodes: `shop/Pod/agent pods 1 isolated [false false] host true kinds 1
				shop/Pod/open pods 1 isolated [true true] host false kinds 1
				shop/Pod/shut pods 1 isolated [true true] host false kinds 1`,
			between: `shop/Pod/agent -> shop/Pod/open: TCP 80`,
		},
		{
			name: "address ranges are split at blocks and merged where they are alike", cluster: small + denyWeb + `
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  egress:
  - to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}]
    ports: [{port: 443}]
  - to: [{ipBlock: {cidr: 10.2.0.0/16}}, {ipBlock: {cidr: 11.0.0.0/8}}]
    ports: [{port: 443}]
  - to: [{ipBlock: {cidr: "fd00::/8", except: ["fd00::/64"]}}]
    ports: [{protocol: UDP, port: 53}]
  - to: [{ipBlock: {cidr: 255.255.255.255/32}}]
  ingress:
  - from: [{ipBlock: {cidr: 0.0.0.0/1}}]
  - from: [{ipBlock: {cidr: 128.0.0.0/1}}]`,
			between: ``,
			outside: `shop/Pod/api -> 10.0.0.0-10.0.255.255: TCP 443
				shop/Pod/api -> 10.2.0.0-11.255.255.255: TCP 443
				shop/Pod/api -> 255.255.255.255-255.255.255.255: all ports
				shop/Pod/api -> fd00:0:0:1::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: UDP 53
				0.0.0.0-255.255.255.255 -> shop/Pod/api: all ports`,
		},
		{
			name: "a rule without peers covers both families, selectors none", cluster: small + denyWeb + `
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  egress: [{ports: [{port: 443}]}]
  ingress: [{from: [{namespaceSelector: {}}]}]`,
			between: ``,
			outside: `shop/Pod/api -> 0.0.0.0-255.255.255.255: TCP 443
				shop/Pod/api -> ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: TCP 443`,
		},
		{
			name: "beside IPv4-mapped addresses the rest of IPv6 stays what it is", cluster: small + denyWeb + `
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress, Egress]
  egress: [{to: [{ipBlock: {cidr: "::/0", except: ["::fffe:0:0/96"]}}]}]`,
			between: ``,
			outside: `shop/Pod/api -> ::-::fffd:ffff:ffff: all ports
				shop/Pod/api -> ::ffff:0.0.0.0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff: all ports`,
		},
		{
			name: "owners whose pods look alike are nodes of their own", cluster: `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: one}}
---
{kind: Pod, metadata: {namespace: shop, name: two}}
---
{kind: Pod, metadata: {namespace: shop, name: c-0, ownerReferences: [{kind: StatefulSet, name: c, controller: true, apiVersion: v1, uid: u}]}}
---
{kind: Pod, metadata: {namespace: shop, name: c-1, ownerReferences: [{kind: StatefulSet, name: c, controller: true, apiVersion: v1, uid: u}]}}`,
			nodes: `shop/StatefulSet/c pods 2 isolated [false false] host false kinds 1
				shop/Pod/one pods 1 isolated [false false] host false kinds 1
				shop/Pod/two pods 1 isolated [false false] host false kinds 1`,
			between: `shop/StatefulSet/c -> shop/Pod/one: all ports
				shop/StatefulSet/c -> shop/Pod/two: all ports
				shop/Pod/one -> shop/StatefulSet/c: all ports
				shop/Pod/one -> shop/Pod/two: all ports
				shop/Pod/two -> shop/StatefulSet/c: all ports
				shop/Pod/two -> shop/Pod/one: all ports`,
		},
		{
			name: "an owner with two kinds of pods reaches what either reaches", cluster: `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {namespace: shop, name: c-0, labels: {v: "1"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true, apiVersion: v1, uid: u}]}}
---
{kind: Pod, metadata: {namespace: shop, name: c-1, labels: {v: "2"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true, apiVersion: v1, uid: u}]}}
---
{kind: Pod, metadata: {namespace: shop, name: api, labels: {v: "3"}}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: one}
spec: {podSelector: {matchLabels: {v: "1"}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {}}], ports: [{port: 80}]}]}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: two}
spec: {podSelector: {matchLabels: {v: "2"}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: 81}]}]}`,
			nodes: `shop/Pod/api pods 1 isolated [false false] host false kinds 1
				shop/StatefulSet/c pods 2 isolated [false true] host false kinds 2`,
			between: `shop/Pod/api -> shop/StatefulSet/c: all ports
				shop/StatefulSet/c -> shop/Pod/api: TCP 80-81`,
		},
		{
			name: "a template counts until it has a live pod", cluster: `
{kind: Namespace, metadata: {name: shop}}
---
{kind: Deployment, metadata: {namespace: shop, name: idle}, spec: {selector: {}, template: {metadata: {labels: {app: idle}}, spec: {containers: []}}}}
---
{kind: Deployment, metadata: {namespace: shop, name: busy}, spec: {selector: {}, template: {metadata: {labels: {app: busy}}, spec: {containers: []}}}}
---
{kind: Pod, metadata: {namespace: shop, name: busy-1-x, labels: {app: old, pod-template-hash: "1"}, ownerReferences: [{kind: ReplicaSet, name: busy-1, controller: true, apiVersion: v1, uid: u}]}}
---
{kind: Pod, metadata: {namespace: shop, name: done}, status: {phase: Succeeded}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: idle}
spec: {podSelector: {matchLabels: {app: idle}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: busy}
spec: {podSelector: {matchLabels: {app: busy}}, policyTypes: [Ingress]}`,
			nodes: `shop/Deployment/busy pods 1 isolated [false false] host false kinds 1
				shop/Deployment/idle pods 0 isolated [true false] host false kinds 1`,
			between: `shop/Deployment/busy -> shop/Deployment/idle: TCP 80
				shop/Deployment/idle -> shop/Deployment/busy: all ports`,
		},
		{
			name: "namespaces by label, by name, and one whose object is not known", cluster: `
{kind: Namespace, metadata: {name: shop, labels: {team: red}}}
---
{kind: Namespace, metadata: {name: blue, labels: {team: blue}}}
---
{kind: Pod, metadata: {namespace: shop, name: api}}
---
{kind: Pod, metadata: {namespace: blue, name: b}}
---
{kind: Pod, metadata: {namespace: new, name: x}}
---
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - {from: [{namespaceSelector: {matchLabels: {team: blue}}}], ports: [{port: 80}]}
  - {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: new}}}], ports: [{port: 81}]}
  - {from: [{namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}], ports: [{port: 82}]}`,
			between: `blue/Pod/b -> new/Pod/x: all ports
				blue/Pod/b -> shop/Pod/api: TCP 80
				new/Pod/x -> blue/Pod/b: all ports
				new/Pod/x -> shop/Pod/api: TCP 81-82
				shop/Pod/api -> blue/Pod/b: all ports
				shop/Pod/api -> new/Pod/x: all ports`,
		},
	} {
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

// crowd is a cluster of n pods that all reach each other.
func crowd(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{kind: Pod, metadata: {namespace: shop, name: p%02d, labels: {app: p%02d}}}\n---\n", i, i)
	}
	return b.String()
}

var errEnough = errors.New("that was enough")

// TestConnectionsOfAnEndedContext: wherever the context ends, the edges that came are the first of all, whole sources at
// a time, and Partial says how many.
func TestConnectionsOfAnEndedContext(t *testing.T) {
	const pods = 40
	s := snapshotOf(t, crowd(pods))
	all := formatEdges(edgesOf(s, connectivity.Options{}))
	perSource := pods - 1 + 2 // the others, and both families of addresses
	for _, after := range []int{0, 1, perSource, 9*perSource + 3, pods * perSource} {
		ctx, cancel := context.WithCancelCause(context.Background())
		if after == 0 {
			cancel(errEnough)
		}
		sources := 0
		g := connectivity.Connections(ctx, s, connectivity.Options{Progress: func(done, total int) {
			if sources++; done != sources || total != pods {
				t.Errorf("progress %d of %d, want %d of %d", done, total, sources, pods)
			}
		}})
		var got []string
		for e := range g.Edges {
			if got = append(got, formatEdge(e)); len(got) == after {
				cancel(errEnough)
			}
		}
		cancel(nil)
		if len(got) != sources*perSource || !slices.Equal(got, all[:len(got)]) {
			t.Errorf("cancelled after %d: %d edges of %d sources are no whole prefix of all %d", after, len(got), sources, len(all))
		}
		if len(got) < after {
			t.Errorf("cancelled after %d: only %d came", after, len(got))
		}
		want := fmt.Sprintf("stopped after the first %d of %d sources: that was enough", sources, pods)
		if len(g.Partial) != 1 || g.Partial[0] != want {
			t.Errorf("cancelled after %d: partial %q, want %q", after, g.Partial, want)
		}
	}
}

// TestConnectionsMayBeRangedOverAgain: a loop that is left early neither hangs nor makes the graph partial, and the next
// one begins anew.
func TestConnectionsMayBeRangedOverAgain(t *testing.T) {
	s := snapshotOf(t, crowd(30))
	want := formatEdges(edgesOf(s, connectivity.Options{}))
	g := connectivity.Connections(context.Background(), s, connectivity.Options{})
	for _, leave := range []int{1, 40, len(want) - 1, len(want)} {
		var got []string
		for e := range g.Edges {
			if got = append(got, formatEdge(e)); len(got) == leave {
				break
			}
		}
		if !slices.Equal(got, want[:leave]) || len(g.Partial) > 0 {
			t.Errorf("left after %d: %d edges, partial %q", leave, len(got), g.Partial)
		}
	}
}

func TestConnectionsPastTheDeadline(t *testing.T) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()
	g := connectivity.Connections(ctx, snapshotOf(t, small), connectivity.Options{})
	if edges := slices.Collect(g.Edges); len(edges) > 0 {
		t.Errorf("%d edges, want none", len(edges))
	}
	compareLines(t, "partial", g.Partial, "stopped after the first 0 of 2 sources: context deadline exceeded")
}

// TestCompareOfAnEndedContext: the difference holds what was compared until then, whole sources at a time.
func TestCompareOfAnEndedContext(t *testing.T) {
	const pods = 40
	before := snapshotOf(t, crowd(pods))
	after := snapshotOf(t, crowd(pods)+`
kind: NetworkPolicy
metadata: {namespace: shop, name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}`)
	all := formatEdges(connectivity.Compare(context.Background(), before, after, connectivity.Options{}).Cut)
	for _, stop := range []int{0, 1, 17, pods} {
		ctx, cancel := context.WithCancelCause(context.Background())
		if stop == 0 {
			cancel(errEnough)
		}
		sources := 0
		diff := connectivity.Compare(ctx, before, after, connectivity.Options{Progress: func(done, _ int) {
			if sources = done; done == stop {
				cancel(errEnough)
			}
		}})
		cancel(nil)
		got := formatEdges(diff.Cut)
		if len(got) != sources*(pods-1) || !slices.Equal(got, all[:len(got)]) || diff.Unchanged != 2*sources || len(diff.Nodes) != pods {
			t.Errorf("stopped at %d: %d edges of %d sources, %d unchanged, %d nodes", stop, len(got), sources, diff.Unchanged, len(diff.Nodes))
		}
		want := fmt.Sprintf("stopped after the first %d of %d sources: that was enough", sources, pods)
		if len(diff.Partial) != 1 || diff.Partial[0] != want {
			t.Errorf("stopped at %d: partial %q, want %q", stop, diff.Partial, want)
		}
	}
}
