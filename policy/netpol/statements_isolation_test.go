package netpol_test

// isolationStatements are about which pods a policy applies to, in which direction, and how policies combine.
var isolationStatements = []statement{{
	says:     "without any policy everything connects",
	source:   concepts + "the-two-sorts-of-pod-isolation",
	outcomes: []string{"shop/web Ingress: open", "shop/web Egress: open", "shop/web -> monitoring/prom TCP/80: allowed", "203.0.113.7 -> shop/web UDP/1: allowed"},
}, {
	says:   "a pod is isolated for ingress by a policy that selects it and has Ingress among its types; egress stays open",
	source: concepts + "the-two-sorts-of-pod-isolation",
	policies: `
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/db Ingress: isolated", "shop/db Egress: open", "shop/web Ingress: open",
		"shop/web -> shop/db TCP/5432: refused", "shop/db -> shop/web TCP/80: allowed"},
}, {
	says:   "a pod is isolated for egress by a policy that selects it and has Egress among its types; ingress stays open",
	source: concepts + "the-two-sorts-of-pod-isolation",
	policies: `
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]}`,
	outcomes: []string{"shop/db Egress: isolated", "shop/db Ingress: open", "shop/db -> shop/web TCP/80: refused", "shop/web -> shop/db TCP/5432: allowed"},
}, {
	says:   "replies need no rule: an isolated pod answers whoever may call it, so direction is that of the call alone",
	source: concepts + "the-two-sorts-of-pod-isolation",
	policies: `
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}`,
	outcomes: []string{"shop/api -> shop/db TCP/5432: allowed", "shop/db -> shop/api TCP/8080: refused"},
}, {
	says:   "policies add up: what either of them allows is allowed",
	source: apiSpec + "podSelector; " + concepts + "the-two-sorts-of-pod-isolation",
	policies: `
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}
---
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`,
	outcomes: []string{"shop/api -> shop/db TCP/5432: allowed", "shop/web -> shop/db TCP/5432: allowed", "monitoring/prom -> shop/db TCP/5432: refused",
		"shop/db -> shop/api TCP/8080: refused", "shop/web -> shop/api TCP/8080: allowed"},
}, {
	says:   "a policy that selects the pod cannot take away what another allows",
	source: concepts + "the-two-sorts-of-pod-isolation",
	policies: `
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}
---
spec: {podSelector: {}, policyTypes: [Ingress]}`,
	outcomes: []string{"monitoring/prom -> shop/db TCP/5432: allowed"},
}, {
	says:   "both sides have to allow: egress of the source and ingress of the destination",
	source: concepts + "the-two-sorts-of-pod-isolation",
	policies: `
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}, {podSelector: {matchLabels: {app: db}}}]}]}
---
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}`,
	outcomes: []string{"shop/web -> shop/api TCP/8080: allowed", "shop/web -> shop/db TCP/5432: refused", "shop/api -> shop/db TCP/5432: allowed"},
}, {
	says:   "a policy applies to pods of its own namespace only; the empty podSelector means all of them",
	source: apiSpec + "podSelector",
	policies: `
spec: {podSelector: {}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: selected", "shop/db: selected", "monitoring/web: ignored", "bare/pod: ignored",
		"monitoring/web -> monitoring/prom TCP/1: allowed", "monitoring/web -> shop/web TCP/80: refused"},
}, {
	says:     "a missing podSelector is the empty one",
	source:   apiSpec + "podSelector",
	policies: `spec: {policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: selected", "shop/db: selected", "monitoring/web: ignored"},
}, {
	says:   "a podSelector selects by label, whatever other labels the pod has",
	source: apiSpec + "podSelector",
	policies: `
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}`,
	outcomes: []string{"shop/web: selected", "shop/api: ignored", "monitoring/web: ignored"},
}, {
	says:     "without policyTypes a policy isolates for ingress even if it has no ingress section",
	source:   apiSpec + "policyTypes",
	policies: `spec: {podSelector: {}}`,
	outcomes: []string{"shop/web Ingress: isolated", "shop/web Egress: open"},
}, {
	says:     "without policyTypes a policy with egress rules isolates in both directions",
	source:   apiSpec + "policyTypes",
	policies: `spec: {podSelector: {matchLabels: {app: web}}, egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}`,
	outcomes: []string{"shop/web Ingress: isolated", "shop/web Egress: isolated", "shop/api -> shop/web TCP/80: refused",
		"shop/web -> shop/db TCP/5432: allowed", "shop/web -> shop/api TCP/8080: refused"},
}, {
	says:     "without policyTypes an empty egress list does not count as an egress section",
	source:   apiSpec + "policyTypes (such a policy defaults to Ingress alone)",
	policies: `spec: {podSelector: {}, egress: []}`,
	outcomes: []string{"shop/web Ingress: isolated", "shop/web Egress: open"},
}, {
	says:     "an empty list of policyTypes is a missing one",
	source:   apiSpec + "policyTypes",
	policies: `spec: {podSelector: {}, policyTypes: [], egress: [{}]}`,
	outcomes: []string{"shop/web Ingress: isolated", "shop/web Egress: isolated"},
}, {
	says:     "an egress-only policy has to say so; its ingress stays open",
	source:   apiSpec + "policyTypes",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}`,
	outcomes: []string{"shop/web Ingress: open", "monitoring/prom -> shop/web TCP/80: allowed", "shop/web -> monitoring/prom TCP/80: refused"},
}, {
	says:     "rules of a direction that policyTypes leaves out do nothing",
	source:   apiSpec + "policyTypes",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}`,
	outcomes: []string{"shop/web Egress: open", "shop/web -> shop/api TCP/8080: allowed"},
}, {
	says:     "the order of policyTypes means nothing",
	source:   apiSpec + "policyTypes",
	policies: `spec: {podSelector: {}, policyTypes: [Egress, Ingress]}`,
	outcomes: []string{"shop/web Ingress: isolated", "shop/web Egress: isolated"},
}, {
	says:     "an empty ingress list isolates like a missing one",
	source:   apiSpec + "ingress; " + concepts + "default-deny-all-ingress-traffic",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: []}`,
	outcomes: []string{"shop/web -> shop/db TCP/5432: refused", "203.0.113.7 -> shop/web TCP/80: refused"},
}, {
	says:     "one empty ingress rule allows all ingress",
	source:   apiIngress + "from and ports; " + concepts + "allow-all-ingress-traffic",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}`,
	outcomes: []string{"shop/web Ingress: isolated", "monitoring/prom -> shop/db SCTP/9: allowed", "203.0.113.7 -> shop/db UDP/53: allowed"},
}, {
	says:     "an egress policy without rules denies all egress",
	source:   apiSpec + "egress; " + concepts + "default-deny-all-egress-traffic",
	policies: `spec: {podSelector: {}, policyTypes: [Egress]}`,
	outcomes: []string{"shop/web -> shop/db TCP/5432: refused", "shop/web -> 203.0.113.7 TCP/443: refused", "monitoring/prom -> shop/web TCP/80: allowed"},
}, {
	says:     "one empty egress rule allows all egress",
	source:   apiEgress + "to and ports; " + concepts + "allow-all-egress-traffic",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}`,
	outcomes: []string{"shop/web Egress: isolated", "shop/web -> 203.0.113.7 TCP/443: allowed", "shop/web -> node/n2 UDP/1: allowed"},
}, {
	says:     "both types without rules deny both directions, inside the namespace too",
	source:   concepts + "default-deny-all-ingress-and-all-egress-traffic",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`,
	outcomes: []string{"shop/web -> shop/db TCP/5432: refused", "shop/web -> monitoring/prom TCP/80: refused", "monitoring/prom -> shop/web TCP/80: refused"},
}, {
	says:     "hostNetwork pods are not subject to policies",
	source:   concepts + "networkpolicy-and-hostnetwork-pods",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`,
	outcomes: []string{"shop/host: ignored", "shop/host Ingress: open", "shop/host Egress: open", "shop/host -> monitoring/prom TCP/80: allowed", "monitoring/prom -> shop/host TCP/80: allowed"},
}, {
	says:     "no policy keeps a pod from itself",
	source:   concepts + "what-you-can-t-do-with-network-policies-at-least-not-yet",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`,
	outcomes: []string{"shop/web -> shop/web TCP/80: allowed", "monitoring/web -> shop/web TCP/80: refused"},
}, {
	says:     "the node that a pod runs on always reaches it, and so does what shares that node's network; other nodes do not",
	source:   apiSpec + "ingress; " + concepts + "networkpolicy-and-hostnetwork-pods",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress]}`,
	outcomes: []string{"node/n1 -> shop/web TCP/80: allowed", "node/n2 -> shop/web TCP/80: refused", "node/n2 -> shop/db TCP/80: allowed",
		"shop/host -> shop/web TCP/80: allowed", "shop/host -> shop/db TCP/80: refused"},
}, {
	says:     "a pod's call to its own node follows egress rules as any other call",
	source:   apiSpec + "egress (the local node is an exception for ingress alone)",
	policies: `spec: {podSelector: {}, policyTypes: [Egress]}`,
	outcomes: []string{"shop/web -> node/n1 TCP/10250: refused", "shop/web -> shop/host TCP/80: refused"},
}}
