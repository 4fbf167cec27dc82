package netpol_test

// Where the statements come from: types of sigs.k8s.io/network-policy-api/apis/v1alpha2 and v1alpha1.
const (
	apiTier      = "API ClusterNetworkPolicySpec.tier"
	apiPriority  = "API ClusterNetworkPolicySpec.priority"
	apiRules     = "API ClusterNetworkPolicySpec.ingress"
	apiSubject   = "API ClusterNetworkPolicySubject"
	apiAction    = "API ClusterNetworkPolicyRuleAction"
	apiTierPeer  = "API ClusterNetworkPolicyEgressPeer"
	apiNetworks  = "API ClusterNetworkPolicyEgressPeer.networks"
	apiProtocols = "API ClusterNetworkPolicyProtocol"
	apiOld       = "API v1alpha1 AdminNetworkPolicySpec"
)

// denyShop and openShop are NetworkPolicies of the statements: one isolates all pods of shop, the other opens them.
const (
	denyShop = `
kind: NetworkPolicy
metadata: {namespace: shop, name: deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---`
	openShop = `
kind: NetworkPolicy
metadata: {namespace: shop, name: open}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}
---`
)

// tierStatements are about the order in which tiers, policies and rules are asked.
var tierStatements = []statement{
	{
		says: "Accept in the Admin tier is final: no NetworkPolicy can refuse it", source: apiTier + ", " + apiAction,
		policies: denyShop + `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: sales}}}
  ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: platform}}}], protocols: [{tcp: {destinationPort: {number: 80}}}]}]`,
		outcomes: []string{
			"monitoring/prom -> shop/api TCP/80: allowed", "monitoring/prom -> shop/api TCP/81: refused",
			"monitoring/prom -> shop/api UDP/80: refused", "shop/web -> shop/api TCP/80: refused", "203.0.113.9 -> shop/api TCP/80: refused",
		},
	},
	{
		says: "Deny in the Admin tier is final: no NetworkPolicy can allow it", source: apiTier + ", " + apiAction,
		policies: openShop + `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: platform}}}]}]`,
		outcomes: []string{
			"monitoring/prom -> shop/api TCP/80: refused", "monitoring/prom -> bare/pod TCP/80: refused",
			"shop/web -> shop/api TCP/80: allowed", "203.0.113.9 -> shop/api TCP/80: allowed",
		},
	},
	{
		says: "Accept on one side does not help against the other", source: apiAction,
		policies: denyShop + `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {}}]}]`,
		outcomes: []string{"shop/web -> shop/api TCP/80: refused", "monitoring/prom -> shop/api TCP/80: allowed"},
	},
	{
		says: "Pass skips the rest of the tier and leaves the decision to NetworkPolicy", source: apiAction,
		policies: denyShop + `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - {action: Pass, from: [{namespaces: {matchLabels: {team: platform}}}]}
  - {action: Accept, from: [{namespaces: {}}]}
---
kind: ClusterNetworkPolicy
metadata: {name: later}
spec:
  tier: Admin
  priority: 2
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: platform}}}]}]`,
		outcomes: []string{
			"monitoring/prom -> shop/api TCP/80: refused", "bare/pod -> shop/api TCP/80: allowed", "monitoring/prom -> bare/pod TCP/80: allowed",
		},
	},
	{
		says: "where no NetworkPolicy isolates the pod, what is passed goes on to the Baseline tier", source: apiAction + ", " + apiTier,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - {action: Pass, from: [{namespaces: {matchLabels: {team: platform}}}]}
  - {action: Accept, from: [{namespaces: {}}]}
---
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]`,
		outcomes: []string{"monitoring/prom -> shop/api TCP/80: refused", "bare/pod -> shop/api TCP/80: allowed", "203.0.113.9 -> shop/api TCP/80: allowed"},
	},
	{
		says: "Pass in the Baseline tier ends at the default: allowed", source: apiAction + ", " + apiTier,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {}}
  ingress:
  - {action: Pass, from: [{namespaces: {matchLabels: {team: platform}}}]}
  - {action: Deny, from: [{namespaces: {}}]}`,
		outcomes: []string{"monitoring/prom -> shop/api TCP/80: allowed", "shop/web -> shop/api TCP/80: refused"},
	},
	{
		says: "a NetworkPolicy overrides the Baseline tier for the pods that it isolates, direction by direction", source: apiTier,
		policies: `
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}
---
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
  egress: [{action: Deny, to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: prom}}}}]}]`,
		outcomes: []string{
			"shop/web -> shop/api TCP/80: allowed", "shop/web -> shop/api TCP/81: refused", "shop/web -> shop/db TCP/80: refused",
			"shop/api -> monitoring/prom TCP/80: refused",
		},
	},
	{
		says: "Accept in the Baseline tier does not help a pod that a NetworkPolicy isolates", source: apiTier,
		policies: denyShop + `
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {}}]}]`,
		outcomes: []string{"monitoring/prom -> shop/api TCP/80: refused", "monitoring/prom -> bare/pod TCP/80: allowed"},
	},
	{
		says: "what no tier decides is allowed", source: apiTier,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: nobody}}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]`,
		outcomes: []string{"shop/web -> shop/api TCP/80: allowed", "shop/web -> 203.0.113.9 TCP/80: allowed"},
	},
	{
		says: "policies with lower priority values are checked first", source: apiPriority,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: a}
spec:
  tier: Admin
  priority: 20
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
---
kind: ClusterNetworkPolicy
metadata: {name: b}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: sales}}}]}]`,
		outcomes: []string{"shop/web -> bare/pod TCP/80: allowed", "monitoring/prom -> bare/pod TCP/80: refused"},
	},
	{
		says: "Admin rules come before Baseline rules, whatever their priorities", source: apiPriority,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: base}
spec:
  tier: Baseline
  priority: 0
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}]}]
---
kind: ClusterNetworkPolicy
metadata: {name: admin}
spec:
  tier: Admin
  priority: 1000
  subject: {namespaces: {}}
  ingress: [{action: Accept, from: [{namespaces: {matchLabels: {team: sales}}}]}]`,
		outcomes: []string{"shop/web -> bare/pod TCP/80: allowed", "monitoring/prom -> bare/pod TCP/80: refused"},
	},
	{
		says: "of equal priorities the first by name is asked first, which the API leaves open", source: apiPriority,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: b}
spec: {tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}
---
kind: ClusterNetworkPolicy
metadata: {name: a}
spec: {tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}
---
kind: ClusterNetworkPolicy
metadata: {name: c}
spec: {tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}
---` + denyShop,
		outcomes: []string{"bare/pod -> shop/api TCP/80: allowed"},
	},
	{
		says: "within a policy the rule at the top comes first", source: apiRules,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress:
  - {action: Accept, to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}], protocols: [{tcp: {destinationPort: {number: 5432}}}]}
  - {action: Deny, to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}]}
  - {action: Accept, to: [{namespaces: {}}]}`,
		outcomes: []string{"shop/api -> shop/db TCP/5432: allowed", "shop/api -> shop/db TCP/5433: refused", "shop/api -> shop/web TCP/5433: allowed"},
	},
	{
		says: "a policy without ingress rules does not affect ingress", source: apiRules,
		policies: `
kind: ClusterNetworkPolicy
metadata: {name: p}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {matchLabels: {team: sales}}}
  egress: [{action: Deny, to: [{namespaces: {}}]}]`,
		outcomes: []string{"monitoring/prom -> shop/api TCP/80: allowed", "shop/api -> monitoring/prom TCP/80: refused"},
	},
}
