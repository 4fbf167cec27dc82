package netpol_test

// peerStatements are about from and to.
var peerStatements = []statement{{
	says:     "an empty from allows all sources, in and outside the cluster, but keeps its ports",
	source:   apiIngress + "from",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [], ports: [{port: 80}]}]}`,
	outcomes: []string{"monitoring/prom -> shop/web TCP/80: allowed", "203.0.113.7 -> shop/web TCP/80: allowed", "node/n2 -> shop/web TCP/80: allowed", "203.0.113.7 -> shop/web TCP/81: refused"},
}, {
	says:     "an empty to allows all destinations, in and outside the cluster, but keeps its ports",
	source:   apiEgress + "to",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [], ports: [{port: 443}]}]}`,
	outcomes: []string{"shop/web -> monitoring/prom TCP/443: allowed", "shop/web -> 203.0.113.7 TCP/443: allowed", "shop/web -> 203.0.113.7 TCP/80: refused"},
}, {
	says:     "a rule with a from admits only what one of its items matches",
	source:   apiIngress + "from",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}, {namespaceSelector: {matchLabels: {team: platform}}}]}]}`,
	outcomes: []string{"shop/api -> shop/db TCP/1: allowed", "monitoring/prom -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/1: refused", "bare/pod -> shop/db TCP/1: refused"},
}, {
	says:     "a rule with a to admits only what one of its items matches",
	source:   apiEgress + "to",
	policies: `spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}, {ipBlock: {cidr: 203.0.113.0/24}}]}]}`,
	outcomes: []string{"shop/web -> shop/api TCP/1: allowed", "shop/web -> 203.0.113.7 TCP/1: allowed", "shop/web -> shop/db TCP/1: refused", "shop/web -> 198.51.100.1 TCP/1: refused"},
}, {
	says:     "traffic has to match from and ports of the same rule",
	source:   "API NetworkPolicyIngressRule",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 5432}]}, {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 9187}]}]}`,
	outcomes: []string{"shop/api -> shop/db TCP/5432: allowed", "shop/web -> shop/db TCP/9187: allowed", "shop/api -> shop/db TCP/9187: refused", "shop/web -> shop/db TCP/5432: refused"},
}, {
	says:     "traffic has to match to and ports of the same rule",
	source:   "API NetworkPolicyEgressRule",
	policies: `spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}, {to: [{podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]}`,
	outcomes: []string{"shop/web -> shop/api TCP/8080: allowed", "shop/web -> shop/db TCP/5432: allowed", "shop/web -> shop/api TCP/5432: refused", "shop/web -> shop/db TCP/8080: refused"},
}, {
	says:     "a podSelector alone means pods of the policy's own namespace",
	source:   apiPeer + "podSelector",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/5432: allowed", "monitoring/web -> shop/db TCP/5432: refused"},
}, {
	says:     "an empty podSelector means all pods of the own namespace",
	source:   apiPeer + "podSelector",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/1: allowed", "shop/api -> shop/db TCP/1: allowed", "monitoring/web -> shop/db TCP/1: refused", "203.0.113.7 -> shop/db TCP/1: refused"},
}, {
	says:     "the own namespace is that of the policy, also when the policy is about egress",
	source:   apiPeer + "podSelector",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}`,
	outcomes: []string{"shop/db -> shop/web TCP/80: allowed", "shop/db -> monitoring/web TCP/9090: refused"},
}, {
	says:     "a namespaceSelector alone means all pods of the namespaces",
	source:   apiPeer + "namespaceSelector",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: platform}}}]}]}`,
	outcomes: []string{"monitoring/web -> shop/db TCP/1: allowed", "monitoring/prom -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/1: refused"},
}, {
	says:     "an empty namespaceSelector means all pods of all namespaces, but nothing outside the cluster",
	source:   apiPeer + "namespaceSelector",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {}}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/1: allowed", "monitoring/prom -> shop/db TCP/1: allowed", "bare/pod -> shop/db TCP/1: allowed", "203.0.113.7 -> shop/db TCP/1: refused", "node/n1 -> shop/db TCP/1: refused"},
}, {
	says:     "both selectors in one item: pods of that label in namespaces of that label",
	source:   apiPeer + "podSelector; " + concepts + "behavior-of-to-and-from-selectors",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: platform}}, podSelector: {matchLabels: {app: web}}}]}]}`,
	outcomes: []string{"monitoring/web -> shop/db TCP/1: allowed", "monitoring/prom -> shop/db TCP/1: refused", "shop/web -> shop/db TCP/1: refused"},
}, {
	says:     "the same selectors in two items: pods of that label here, or any pod there",
	source:   concepts + "behavior-of-to-and-from-selectors",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {team: platform}}}, {podSelector: {matchLabels: {app: web}}}]}]}`,
	outcomes: []string{"monitoring/web -> shop/db TCP/1: allowed", "monitoring/prom -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/1: allowed", "shop/api -> shop/db TCP/1: refused"},
}, {
	says:     "a namespace is selected by its name through the label that every namespace has",
	source:   concepts + "targeting-a-namespace-by-its-name",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]}]}`,
	outcomes: []string{"monitoring/prom -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/1: refused"},
}, {
	says:     "several namespaces are selected with an In expression",
	source:   concepts + "targeting-multiple-namespaces-by-label",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [platform, sales]}]}}]}]}`,
	outcomes: []string{"shop/db -> monitoring/prom TCP/1: allowed", "shop/db -> shop/web TCP/1: allowed", "shop/db -> bare/pod TCP/1: refused"},
}, {
	says:     "hostNetwork pods are no pods to selectors; their traffic is that of the node's address",
	source:   concepts + "networkpolicy-and-hostnetwork-pods",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}, {namespaceSelector: {}}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/1: allowed", "shop/host -> shop/db TCP/1: refused"},
}, {
	says:     "an ipBlock reaches a hostNetwork pod by the node's address",
	source:   concepts + "networkpolicy-and-hostnetwork-pods",
	policies: `spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 192.0.2.1/32}}]}]}`,
	outcomes: []string{"shop/host -> shop/db TCP/1: allowed", "node/n1 -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/1: refused"},
}}

// selectorStatements are about label selectors, with podSelector as the example.
var selectorStatements = []statement{{
	says:     "In wants the key with one of the values",
	source:   apiSelector + "operator",
	policies: `spec: {podSelector: {matchExpressions: [{key: app, operator: In, values: [web, db]}]}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: selected", "shop/db: selected", "shop/api: ignored"},
}, {
	says:     "NotIn takes every other value, and pods without the key",
	source:   apiSelector + "operator; https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#set-based-requirement",
	policies: `spec: {podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: ignored", "shop/api: selected", "shop/db: selected"},
}, {
	says:     "NotIn takes namespaces and pods that have no labels at all",
	source:   apiSelector + "operator",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [platform]}]}, podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [x]}]}}]}]}`,
	outcomes: []string{"bare/pod -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/1: allowed", "monitoring/prom -> shop/db TCP/1: refused"},
}, {
	says:     "Exists wants the key, whatever its value",
	source:   apiSelector + "operator",
	policies: `spec: {podSelector: {matchExpressions: [{key: tier, operator: Exists}]}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: selected", "shop/api: ignored"},
}, {
	says:     "DoesNotExist takes only pods without the key",
	source:   apiSelector + "operator",
	policies: `spec: {podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: ignored", "shop/api: selected"},
}, {
	says:     "labels and expressions of one selector all have to hold",
	source:   "API meta/v1 LabelSelector",
	policies: `spec: {podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: DoesNotExist}]}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: ignored", "shop/api: ignored"},
}}
