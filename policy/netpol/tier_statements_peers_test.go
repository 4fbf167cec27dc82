package netpol_test

// tierPeerStatements are about subjects, peers and ports, and about the older kinds.
var tierPeerStatements = []statement{
	{
		says: "a subject selects by namespace and pod labels together, in every namespace", source: apiSubject,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {pods: {namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}, podSelector: {matchLabels: {app: web}}}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]`,
		outcomes: []string{
			"bare/pod -> shop/web TCP/80: refused", "bare/pod -> monitoring/web TCP/80: refused", "bare/pod -> shop/api TCP/80: allowed",
			"shop/web -> bare/pod TCP/80: allowed",
		},
	},
	{
		says: "host-networked pods are neither subjects nor peers that selectors match", source: apiSubject + ", " + apiTierPeer,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
  egress: [{action: Deny, to: [{pods: {namespaceSelector: {}, podSelector: {}}}]}]`,
		outcomes: []string{
			"shop/host -> shop/db TCP/80: allowed", "shop/db -> shop/host TCP/80: allowed", "shop/host -> 203.0.113.9 TCP/80: allowed",
			"node/n1 -> shop/db TCP/80: allowed", "shop/db -> monitoring/prom TCP/80: refused",
		},
	},
	{
		says: "networks are checked against traffic within the cluster as well, by family", source: apiNetworks,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}], protocols: [{tcp: {}}]}, {action: Deny, to: [{networks: ["fd00:2::/32"]}]}]`,
		outcomes: []string{
			"shop/web -> bare/pod TCP/80: refused", "shop/web -> shop/api TCP/80: refused", "shop/web -> 203.0.113.9 TCP/80: refused",
			"shop/web -> 2001:db8::1 TCP/80: allowed", "shop/web -> bare/pod UDP/80: allowed", "shop/web -> monitoring/prom UDP/80: refused",
			"shop/web -> fd00:2:ffff::1 UDP/80: refused",
		},
	},
	{
		says: "a rule that passes all pods before the networks leaves the traffic within the cluster alone", source: apiNetworks,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress: [{action: Pass, to: [{namespaces: {}}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]`,
		outcomes: []string{"shop/web -> bare/pod TCP/80: allowed", "shop/web -> 203.0.113.9 TCP/80: refused"},
	},
	{
		says: "nodes and domain names match neither pods nor addresses", source: apiTierPeer,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress: [{action: Deny, to: [{nodes: {}}]}, {action: Accept, to: [{domainNames: [example.com]}]}]
---` + denyShop,
		outcomes: []string{"bare/pod -> monitoring/prom TCP/80: allowed", "bare/pod -> 203.0.113.9 TCP/80: allowed", "shop/web -> 203.0.113.9 TCP/80: refused"},
	},
	{
		says: "a named port stands for each container port of the name on the destination, whatever its protocol", source: apiProtocols,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{destinationNamedPort: dns}]}]
  egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: http}]}]`,
		outcomes: []string{
			"shop/web -> shop/api UDP/5353: refused", "shop/web -> shop/api TCP/5354: refused", "shop/web -> shop/api TCP/5353: allowed",
			"shop/api -> shop/web TCP/80: refused", "shop/api -> shop/web TCP/8080: allowed", "shop/web -> shop/api TCP/8080: refused",
			"shop/api -> 203.0.113.9 TCP/80: allowed",
		},
	},
	{
		says: "protocols are alternatives, ranges include both ends", source: apiProtocols,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 80, end: 90}}}}, {udp: {destinationPort: {number: 53}}}, {sctp: {}}]}]`,
		outcomes: []string{
			"shop/api -> shop/db TCP/79: allowed", "shop/api -> shop/db TCP/80: refused", "shop/api -> shop/db TCP/90: refused",
			"shop/api -> shop/db TCP/91: allowed", "shop/api -> shop/db UDP/53: refused", "shop/api -> shop/db UDP/80: allowed",
			"shop/api -> shop/db SCTP/1: refused",
		},
	},
	{
		says: "a rule that accepts an unknown kind of peer matches no traffic, its known peers included", source: apiTierPeer,
		policies: denyShop + `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: sales}}}
  ingress: [{action: Accept, from: [{namespaces: {}}, {}]}]`,
		outcomes: []string{"monitoring/prom -> shop/api TCP/80: refused"},
	},
	{
		says: "a rule that denies or passes an unknown kind of peer denies everything", source: apiTierPeer,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: sales}}}
  ingress: [{action: Deny, from: [{}, {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: none}}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]
  egress: [{action: Pass, to: [{}]}]`,
		outcomes: []string{
			"monitoring/prom -> shop/api TCP/80: refused", "monitoring/prom -> shop/api UDP/53: refused", "203.0.113.9 -> shop/api TCP/443: refused",
			"shop/api -> monitoring/prom TCP/80: refused", "shop/api -> 203.0.113.9 TCP/80: refused", "bare/pod -> monitoring/prom TCP/80: allowed",
		},
	},
	{
		says: "a pod always reaches itself, and a node the pods on it, whatever the Admin tier denies", source: concepts + "network-policies",
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{}]}]`,
		outcomes: []string{
			"shop/api -> shop/api TCP/80: allowed", "node/n1 -> shop/api TCP/80: allowed", "node/n2 -> shop/api TCP/80: refused",
			"shop/host -> shop/web TCP/80: allowed", "shop/host -> shop/db TCP/80: refused",
		},
	},
	{
		says: "an AdminNetworkPolicy is of the Admin tier, and its Allow accepts", source: apiOld,
		policies: denyShop + `
kind: AdminNetworkPolicy
metadata: {name: p}
spec:
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - {action: Allow, from: [{namespaces: {matchLabels: {team: platform}}}], ports: [{portNumber: {protocol: TCP, port: 80}}, {namedPort: dns}]}
  - {action: Pass, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]}
  - {action: Deny, from: [{namespaces: {}}], ports: [{portRange: {start: 1, end: 1000}}]}`,
		outcomes: []string{
			"monitoring/prom -> shop/api TCP/80: allowed", "monitoring/prom -> shop/api UDP/5353: allowed", "monitoring/prom -> shop/api TCP/81: refused",
			"monitoring/web -> monitoring/prom TCP/81: allowed", "monitoring/prom -> bare/pod TCP/81: refused", "monitoring/prom -> bare/pod UDP/81: allowed",
			"monitoring/prom -> bare/pod TCP/1001: allowed",
		},
	},
	{
		says: "the BaselineAdminNetworkPolicy is asked after NetworkPolicy and after the ClusterNetworkPolicies of the Baseline tier", source: apiOld,
		policies: openShop + `
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec:
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
  egress: [{action: Allow, to: [{networks: [10.0.0.0/8]}]}, {action: Deny, to: [{networks: [0.0.0.0/0]}]}]
---
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 1000
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: platform}}}]}]`,
		outcomes: []string{
			"monitoring/prom -> shop/api TCP/80: allowed", "monitoring/prom -> bare/pod TCP/80: allowed", "bare/pod -> monitoring/prom TCP/80: refused",
			"bare/pod -> shop/api TCP/80: allowed", "bare/pod -> 203.0.113.9 TCP/80: refused", "shop/api -> 203.0.113.9 TCP/80: allowed",
		},
	},
	{
		says: "of equal priorities an AdminNetworkPolicy is asked before a ClusterNetworkPolicy, which the API leaves open", source: apiPriority,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: a}
spec: {tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}
---
kind: AdminNetworkPolicy
metadata: {name: z}
spec: {priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}`,
		outcomes: []string{"bare/pod -> shop/api TCP/80: refused"},
	},
}
