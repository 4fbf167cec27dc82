package connectivity_test

// ownerCases are about address ranges, owners and namespaces.
var ownerCases = []connectionsCase{
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
{kind: Pod, metadata: {namespace: shop, name: c-0, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}}
---
{kind: Pod, metadata: {namespace: shop, name: c-1, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}}`,
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
{kind: Pod, metadata: {namespace: shop, name: c-0, labels: {v: "1"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}}
---
{kind: Pod, metadata: {namespace: shop, name: c-1, labels: {v: "2"}, ownerReferences: [{kind: StatefulSet, name: c, controller: true}]}}
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
{kind: Pod, metadata: {namespace: shop, name: busy-1-x, labels: {app: old, pod-template-hash: "1"}, ownerReferences: [{kind: ReplicaSet, name: busy-1, controller: true}]}}
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
}
