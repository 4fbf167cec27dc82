package cluster

import "slices"

// Plugin names a network plugin, or what else enforces NetworkPolicy, the way the config writes it.
type Plugin string

// The plugins about which something is known.
const (
	Antrea              Plugin = "antrea"
	AWSVPCCNI           Plugin = "aws-vpc-cni"
	AzureNPM            Plugin = "azure-npm"
	Calico              Plugin = "calico"
	Canal               Plugin = "canal"
	Cilium              Plugin = "cilium"
	Flannel             Plugin = "flannel"
	GKEDataplaneV2      Plugin = "gke-dataplane-v2"
	K3s                 Plugin = "k3s"
	Kindnet             Plugin = "kindnet"
	KubeNetworkPolicies Plugin = "kube-network-policies"
	KubeOVN             Plugin = "kube-ovn"
	KubeRouter          Plugin = "kube-router"
	OpenShiftSDN        Plugin = "openshift-sdn"
	OVNKubernetes       Plugin = "ovn-kubernetes"
	Weave               Plugin = "weave"
)

// Plugins lists them all, sorted. It is a function so that nothing can change the list.
func Plugins() []Plugin {
	out := make([]Plugin, 0, len(profiles()))
	for name := range profiles() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Truth is what is known of a yes-or-no question. Plugins change from version to version, and most can be set up in several
// ways, so that often nothing is.
type Truth int8

// The answers.
const (
	Unknown Truth = iota
	Yes
	No
)

func (t Truth) String() string { return [...]string{"unknown", "yes", "no"}[t] }

// agree gives what both say.
func (t Truth) agree(other Truth) Truth {
	if t == other {
		return t
	}
	return Unknown
}

// Profile is what guardrails have to know of how NetworkPolicy is enforced.
type Profile struct {
	// Enforces says that policies have an effect at all.
	Enforces Truth
	// EndPort says that port ranges are: without them a rule holds for its first port alone, or for none.
	EndPort Truth
	// PodsByBlock says that an ipBlock matches pods by their addresses.
	PodsByBlock Truth
	// HostNetworkPods says that selectors match pods on their node's network.
	HostNetworkPods Truth
	// AfterTranslation says that egress rules are compared with the address and port of the pod behind a Service, once the
	// Service's own have been translated; No, with those of the Service.
	AfterTranslation Truth
}

// agree gives what holds whichever of the two enforces.
func (p Profile) agree(other Profile) Profile {
	return Profile{
		Enforces: p.Enforces.agree(other.Enforces), EndPort: p.EndPort.agree(other.EndPort),
		PodsByBlock: p.PodsByBlock.agree(other.PodsByBlock), HostNetworkPods: p.HostNetworkPods.agree(other.HostNetworkPods),
		AfterTranslation: p.AfterTranslation.agree(other.AfterTranslation),
	}
}

// knowledge is a plugin's profile and the version from which on it has some of it.
type knowledge struct {
	Profile
	// endPort is the first version that supports port ranges; the zero value where Profile says it for every version.
	endPort version
	// podsByBlock is the first version in which PodsByBlock is a matter of settings; the zero value where it never is.
	podsByBlock version
}

// profiles says what is known of each plugin. What is not known for sure, or depends on settings that no object of the
// cluster shows, is Unknown.
func profiles() map[Plugin]knowledge {
	return map[Plugin]knowledge{
		// Ranges since 1.2: https://github.com/antrea-io/antrea/issues/1638. Pods on the host's network are no endpoints of the
		// agent. AntreaProxy, on since 0.11, translates before the rules are asked, and can be switched off:
		// https://github.com/antrea-io/antrea/pull/1119
		Antrea: {Profile: Profile{Enforces: Yes, PodsByBlock: Yes, HostNetworkPods: No}, endPort: version{1, 2}},
		// Since 1.14, where --enable-network-policy is set: https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html.
		// The filter sits at the pod's interface, before kube-proxy translates; the controller adds the Services' own addresses:
		// https://github.com/aws/aws-network-policy-agent/issues/166. A PolicyEndpoint's ports have an endPort.
		AWSVPCCNI: {Profile: Profile{Enforces: Yes, EndPort: Yes, PodsByBlock: Yes, AfterTranslation: No}},
		// Ranges came with one of its rewrites: https://github.com/Azure/AKS/issues/2857.
		AzureNPM: {Profile: Profile{Enforces: Yes, PodsByBlock: Yes, AfterTranslation: Yes}},
		// Ranges since 3.20: https://github.com/projectcalico/calico/issues/4249. Selectors match workload endpoints, which pods
		// on the host's network are not; rules are asked after translation, in iptables' filter table and in eBPF alike:
		// https://docs.tigera.io/calico/latest/reference/host-endpoints/
		Calico: {Profile: Profile{Enforces: Yes, PodsByBlock: Yes, HostNetworkPods: No, AfterTranslation: Yes}, endPort: version{3, 20}},
		Canal:  {Profile: Profile{Enforces: Yes, PodsByBlock: Yes, HostNetworkPods: No, AfterTranslation: Yes}, endPort: version{3, 20}},
		// Ranges since 1.16, ignored before: https://github.com/cilium/cilium/pull/32807, https://github.com/cilium/cilium/issues/28684.
		// Pods are identities, which CIDRs do not match: https://github.com/cilium/cilium/issues/9209. That became a setting,
		// policy-cidr-match-mode, in April 2026, after 1.19: https://github.com/cilium/cilium/pull/45194. Pods on the host's
		// network are the host's: https://docs.cilium.io/en/stable/network/kubernetes/policy/
		Cilium: {
			Profile: Profile{Enforces: Yes, PodsByBlock: No, HostNetworkPods: No, AfterTranslation: Yes},
			endPort: version{1, 16}, podsByBlock: version{1, 20},
		},
		// https://github.com/flannel-io/flannel#readme: the network alone, policies are for others.
		Flannel: {Profile: Profile{Enforces: No}},
		// Cilium, of a version that the images do not tell: https://cloud.google.com/kubernetes-engine/docs/concepts/dataplane-v2
		GKEDataplaneV2: {Profile: Profile{Enforces: Yes, PodsByBlock: No, HostNetworkPods: No, AfterTranslation: Yes}},
		// k3s runs flannel and kube-router's policy controller in its own process, unless told not to:
		// https://docs.k3s.io/networking/networking-services#network-policy-controller
		K3s: {Profile: Profile{Enforces: Yes, EndPort: Yes, PodsByBlock: Yes}},
		// Since kind 0.24, and since 1.3 outside of kind: https://github.com/kubernetes-sigs/kind/issues/842,
		// https://github.com/kubernetes/minikube/issues/19871. It is kube-network-policies inside.
		Kindnet: {Profile: Profile{Enforces: Yes, EndPort: Yes, PodsByBlock: Yes, AfterTranslation: Yes}},
		// Packets are judged after translation, by their addresses: https://github.com/kubernetes-sigs/kube-network-policies
		KubeNetworkPolicies: {Profile: Profile{Enforces: Yes, EndPort: Yes, PodsByBlock: Yes, AfterTranslation: Yes}},
		// Rules are asked after translation since January 2023: https://github.com/kubeovn/kube-ovn/pull/2251
		KubeOVN: {Profile: Profile{Enforces: Yes, PodsByBlock: Yes}},
		// Ranges since 1.3: https://github.com/cloudnativelabs/kube-router/pull/1080. Whether it translates Services too, with
		// IPVS, is a matter of its settings.
		KubeRouter: {Profile: Profile{Enforces: Yes, PodsByBlock: Yes}, endPort: version{1, 3}},
		// No ranges: https://github.com/kubernetes/kubernetes/pull/102834 says that it gets nothing new.
		// Blocks: https://github.com/openshift/sdn/pull/26.
		OpenShiftSDN: {Profile: Profile{Enforces: Yes, EndPort: No, PodsByBlock: Yes, HostNetworkPods: No, AfterTranslation: Yes}},
		// Ranges since September 2021: https://github.com/ovn-kubernetes/ovn-kubernetes/pull/2466; OpenShift's images tell no
		// version of it, and all that are still maintained are younger. Its load balancer comes before the rules:
		// https://github.com/ovn-kubernetes/ovn-kubernetes/pull/2881
		OVNKubernetes: {Profile: Profile{Enforces: Yes, EndPort: Yes, PodsByBlock: Yes, AfterTranslation: Yes}},
		// weave-npc, whose last release was 2.8.1 in January 2021, before the API had ranges:
		// https://github.com/weaveworks/weave/releases/tag/v2.8.1. It works with ipsets of addresses in the filter table.
		Weave: {Profile: Profile{Enforces: Yes, EndPort: No, PodsByBlock: Yes, HostNetworkPods: No, AfterTranslation: Yes}},
	}
}

// profile gives what is known of the plugin in that version; the zero version is one that nobody knows.
func (p Plugin) profile(v version) Profile {
	k := profiles()[p]
	switch {
	case k.endPort == version{} || v == version{}:
	case v.before(k.endPort):
		k.EndPort = No
	default:
		k.EndPort = Yes
	}
	if k.podsByBlock != (version{}) && (v == version{} || !v.before(k.podsByBlock)) {
		k.PodsByBlock = Unknown
	}
	return k.Profile
}
