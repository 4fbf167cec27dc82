package netpol_test

// portStatements are about ports.
var portStatements = []statement{{
	says:     "missing ports allow every port of every protocol",
	source:   apiIngress + "ports",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/1: allowed", "shop/web -> shop/db UDP/65535: allowed", "shop/web -> shop/db SCTP/9: allowed"},
}, {
	says:     "an empty list of ports is a missing one",
	source:   apiEgress + "ports",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [], to: [{podSelector: {}}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/1: allowed", "shop/web -> shop/db UDP/65535: allowed", "shop/web -> monitoring/prom TCP/1: refused"},
}, {
	says:     "a list of ports allows what one of its items matches and nothing else",
	source:   apiIngress + "ports",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}, {port: 53, protocol: UDP}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/80: allowed", "shop/web -> shop/db UDP/53: allowed", "shop/web -> shop/db TCP/53: refused", "shop/web -> shop/db UDP/80: refused"},
}, {
	says:     "a missing protocol is TCP",
	source:   apiPort + "protocol",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/80: allowed", "shop/web -> shop/db UDP/80: refused", "shop/web -> shop/db SCTP/80: refused"},
}, {
	says:     "SCTP is a protocol of its own",
	source:   apiPort + "protocol; " + concepts + "networkpolicy-resource",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 7777, protocol: SCTP}]}]}`,
	outcomes: []string{"shop/web -> shop/db SCTP/7777: allowed", "shop/web -> shop/db TCP/7777: refused", "shop/web -> shop/db UDP/7777: refused"},
}, {
	says:     "an item without a port allows all ports of its protocol",
	source:   apiPort + "port",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{protocol: UDP}]}]}`,
	outcomes: []string{"shop/web -> shop/db UDP/1: allowed", "shop/web -> shop/db UDP/65535: allowed", "shop/web -> shop/db TCP/1: refused"},
}, {
	says:     "an empty item allows all TCP ports",
	source:   apiPort + "port and protocol",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/65535: allowed", "shop/web -> shop/db UDP/1: refused"},
}, {
	says:     "the port is the destination's, in egress too",
	source:   apiEgress + "ports",
	policies: `spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 8080}]}]}`,
	outcomes: []string{"shop/web -> shop/api TCP/8080: allowed", "shop/web -> shop/api TCP/80: refused"},
}, {
	says:     "a range holds both its ends and what is between",
	source:   apiPort + "endPort; " + concepts + "targeting-a-range-of-ports",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 32000, endPort: 32768}]}]}`,
	outcomes: []string{"shop/web -> 203.0.113.7 TCP/31999: refused", "shop/web -> 203.0.113.7 TCP/32000: allowed", "shop/web -> 203.0.113.7 TCP/32500: allowed",
		"shop/web -> 203.0.113.7 TCP/32768: allowed", "shop/web -> 203.0.113.7 TCP/32769: refused", "shop/web -> 203.0.113.7 UDP/32500: refused"},
}, {
	says:     "endPort may equal port",
	source:   apiPort + "endPort",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 443, endPort: 443}]}]}`,
	outcomes: []string{"shop/web -> 203.0.113.7 TCP/442: refused", "shop/web -> 203.0.113.7 TCP/443: allowed", "shop/web -> 203.0.113.7 TCP/444: refused"},
}, {
	says:     "1 and 65535 are ports",
	source:   apiPort + "port; RFC 6335, 6",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 1, endPort: 65535}]}]}`,
	outcomes: []string{"shop/web -> shop/db TCP/1: allowed", "shop/web -> shop/db TCP/65535: allowed"},
}, {
	says:     "a named port of an ingress rule is the number that the selected pod gives the name, pod by pod",
	source:   apiPort + "port",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: http}]}]}`,
	outcomes: []string{"shop/db -> shop/web TCP/80: allowed", "shop/db -> shop/web TCP/8080: refused", "shop/db -> shop/api TCP/8080: allowed",
		"shop/db -> shop/api TCP/80: refused", "shop/web -> shop/db TCP/80: refused"},
}, {
	says:     "a named port of an egress rule is looked up on the destination, not on the selected pod",
	source:   apiPort + "port",
	policies: `spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}`,
	outcomes: []string{"shop/web -> shop/api TCP/8080: allowed", "shop/web -> shop/api TCP/80: refused", "shop/web -> monitoring/web TCP/9090: allowed", "shop/web -> shop/db TCP/80: refused"},
}, {
	says:     "a name counts for its protocol only",
	source:   apiPort + "port (traffic has to match protocol and port)",
	policies: `spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{ports: [{port: dns, protocol: UDP}]}]}`,
	outcomes: []string{"shop/web -> shop/api UDP/5353: allowed", "shop/web -> shop/api TCP/5354: refused", "shop/web -> shop/api UDP/5354: refused", "shop/web -> shop/api TCP/5353: refused"},
}, {
	says:     "a name that the destination lacks opens nothing",
	source:   apiPort + "port",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: metrics}]}]}`,
	outcomes: []string{"shop/db -> shop/web TCP/80: refused", "shop/db -> shop/api TCP/8080: refused"},
}, {
	says:     "addresses outside the cluster have no port names",
	source:   apiPort + "port (named ports are ports on a pod)",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: http}]}]}`,
	outcomes: []string{"shop/db -> 203.0.113.7 TCP/80: refused", "shop/db -> shop/web TCP/80: allowed"},
}}

// blockStatements are about ipBlock.
var blockStatements = []statement{{
	says:     "an ipBlock allows the addresses of its CIDR, IPv4",
	source:   apiBlock + "cidr",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/25}}]}]}`,
	outcomes: []string{"203.0.113.0 -> shop/web TCP/80: allowed", "203.0.113.127 -> shop/web TCP/80: allowed", "203.0.113.128 -> shop/web TCP/80: refused", "203.0.112.255 -> shop/web TCP/80: refused"},
}, {
	says:     "an ipBlock allows the addresses of its CIDR, IPv6",
	source:   apiBlock + "cidr",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "2001:db8::/64"}}]}]}`,
	outcomes: []string{"shop/web -> 2001:db8::1 TCP/443: allowed", "shop/web -> 2001:db8:0:0:ffff:ffff:ffff:ffff TCP/443: allowed", "shop/web -> 2001:db8:0:1::1 TCP/443: refused", "shop/web -> 203.0.113.7 TCP/443: refused"},
}, {
	says:     "an exception is left out of its block, IPv4",
	source:   apiBlock + "except",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 169.254.169.254/32]}}]}]}`,
	outcomes: []string{"shop/web -> 203.0.113.7 TCP/443: allowed", "shop/web -> 10.255.255.255 TCP/443: refused", "shop/web -> 11.0.0.0 TCP/443: allowed", "shop/web -> 169.254.169.254 TCP/80: refused", "shop/web -> 169.254.169.253 TCP/80: allowed"},
}, {
	says:     "an exception is left out of its block, IPv6",
	source:   apiBlock + "except",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "::/0", except: ["fd00:ec2::254/128"]}}]}]}`,
	outcomes: []string{"shop/web -> 2001:db8::1 TCP/443: allowed", "shop/web -> fd00:ec2::254 TCP/80: refused", "shop/web -> fd00:ec2::253 TCP/80: allowed"},
}, {
	says:     "an exception binds its own block only: another item may allow the address",
	source:   apiBlock + "except (not included within this rule)",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {ipBlock: {cidr: 10.1.2.0/24}}]}]}`,
	outcomes: []string{"shop/web -> 10.1.2.3 TCP/1: allowed", "shop/web -> 10.1.3.3 TCP/1: refused", "shop/web -> 10.2.0.1 TCP/1: allowed"},
}, {
	says:     "0.0.0.0/0 is all of IPv4 and nothing of IPv6",
	source:   apiBlock + "cidr",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}`,
	outcomes: []string{"shop/web -> 255.255.255.255 TCP/1: allowed", "shop/web -> 2001:db8::1 TCP/1: refused"},
}, {
	says:     "::/0 is all of IPv6 and nothing of IPv4",
	source:   apiBlock + "cidr",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "::/0"}}]}]}`,
	outcomes: []string{"shop/web -> 2001:db8::1 TCP/1: allowed", "shop/web -> 203.0.113.7 TCP/1: refused"},
}, {
	says:     "an IPv4-mapped IPv6 address is the IPv4 address",
	source:   "RFC 4291, 2.5.5.2",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}`,
	outcomes: []string{"::ffff:10.2.0.1 -> shop/web TCP/80: allowed", "::ffff:10.1.0.1 -> shop/web TCP/80: refused", "::ffff:11.0.0.1 -> shop/web TCP/80: refused"},
}, {
	says:     "an IPv4-mapped CIDR is the IPv4 CIDR",
	source:   "RFC 4291, 2.5.5.2; API server validation (accepted before strict CIDRs)",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: "::ffff:10.0.0.0/104", except: ["::ffff:10.1.0.0/112"]}}]}]}`,
	outcomes: []string{"10.2.0.1 -> shop/web TCP/80: allowed", "::ffff:10.2.0.1 -> shop/web TCP/80: allowed", "10.1.0.1 -> shop/web TCP/80: refused", "11.0.0.1 -> shop/web TCP/80: refused"},
}, {
	says:     "stored CIDRs may have leading zeros, which do not mean octal, and bits beyond the mask",
	source:   "API server validation (accepted before strict CIDRs)",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 010.000.001.099/24}}, {ipBlock: {cidr: "fd00:1::99/64"}}]}]}`,
	outcomes: []string{"10.0.1.1 -> shop/web TCP/80: allowed", "8.0.1.1 -> shop/web TCP/80: refused", "10.0.2.1 -> shop/web TCP/80: refused", "fd00:1::1 -> shop/web TCP/80: allowed"},
}, {
	says:     "a pod is matched by any of its addresses",
	source:   apiBlock + "cidr; core/v1 PodStatus.podIPs",
	policies: `spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "fd00:2::/64"}}]}]}`,
	outcomes: []string{"shop/web -> monitoring/prom TCP/1: allowed", "shop/web -> bare/pod TCP/1: refused"},
}, {
	says:     "selectors never match what is outside the cluster",
	source:   apiPeer + "podSelector (selects pods)",
	policies: `spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}, {namespaceSelector: {}}]}]}`,
	outcomes: []string{"203.0.113.7 -> shop/web TCP/80: refused", "bare/pod -> shop/web TCP/80: allowed"},
}}
