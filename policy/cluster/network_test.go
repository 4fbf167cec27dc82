package cluster

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// daemonSet makes a DaemonSet; each container is written "name image argument…".
func daemonSet(namespace, name string, containers ...string) *Template {
	ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for _, text := range containers {
		words := strings.Fields(text)
		ds.Spec.Template.Spec.Containers = append(ds.Spec.Template.Spec.Containers,
			corev1.Container{Name: words[0], Image: words[1], Args: words[2:]})
	}
	t, _ := TemplateOf(ds)
	return t
}

// networkText writes plugins, enforcers and the profile: enforces, endPort, podsByBlock, hostNetworkPods, afterTranslation.
func networkText(n *Network) string {
	return fmt.Sprint(n.Plugins, " ", n.Enforcers, " ", n.Enforces, " ", n.EndPort, " ", n.PodsByBlock, " ", n.HostNetworkPods, " ", n.AfterTranslation)
}

func TestNetworkPlugins(t *testing.T) {
	calico := daemonSet("calico-system", "calico-node", "calico-node quay.io/calico/node:v3.29.1")
	flannel := daemonSet("kube-flannel", "kube-flannel-ds", "kube-flannel ghcr.io/flannel-io/flannel:v0.26.1")
	awsNode := "aws-node 602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni:v1.18.1-eksbuild.3"
	awsAgent := "aws-eks-nodeagent 602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon/aws-network-policy-agent:v1.1.1-eksbuild.2"
	for _, c := range []struct {
		name      string
		templates []*Template
		plugin    Plugin
		want      string
	}{
		{"nothing", nil, "", "[] [] unknown unknown unknown unknown unknown"},
		{"other DaemonSets", []*Template{daemonSet(systemNamespace, "kube-proxy", "kube-proxy registry.k8s.io/kube-proxy:v1.33.1")}, "",
			"[] [] unknown unknown unknown unknown unknown"},
		{"Calico", []*Template{calico}, "", "[calico] [calico] yes yes yes no yes"},
		{"an old Calico", []*Template{daemonSet(systemNamespace, "calico-node", "calico-node docker.io/calico/node:v3.19.4")}, "",
			"[calico] [calico] yes no yes no yes"},
		{"Calico by digest", []*Template{daemonSet(systemNamespace, "calico-node", "calico-node quay.io/calico/node@sha256:0a1b")}, "",
			"[calico] [calico] yes unknown yes no yes"},
		{"two versions of Calico", []*Template{calico, daemonSet(systemNamespace, "calico-node", "calico-node docker.io/calico/node:v3.19.4")}, "",
			"[calico] [calico] yes unknown yes no yes"},
		{"Flannel alone", []*Template{flannel}, "", "[flannel] [] no unknown unknown unknown unknown"},
		{"Flannel of Talos", []*Template{daemonSet(systemNamespace, "kube-flannel", "kube-flannel ghcr.io/siderolabs/flannel:v0.26.4")}, "",
			"[flannel] [] no unknown unknown unknown unknown"},
		{"Flannel with its policy container", []*Template{daemonSet("kube-flannel", "kube-flannel-ds",
			"kube-flannel ghcr.io/flannel-io/flannel:v0.26.1", "kube-network-policies registry.k8s.io/networking/kube-network-policies:v0.7.0")}, "",
			"[flannel kube-network-policies] [kube-network-policies] yes yes yes unknown yes"},
		{"Canal in one DaemonSet", []*Template{daemonSet(systemNamespace, "rke2-canal",
			"calico-node rancher/hardened-calico:v3.29.1-build20241211", "kube-flannel rancher/hardened-flannel:v0.26.1-build20241211")}, "",
			"[canal] [canal] yes yes yes no yes"},
		{"policy-only Calico beside Flannel", []*Template{flannel, calico}, "", "[canal] [canal] yes yes yes no yes"},
		{"Cilium", []*Template{daemonSet(systemNamespace, "cilium", "cilium-agent quay.io/cilium/cilium:v1.16.3@sha256:62d2")}, "",
			"[cilium] [cilium] yes yes no no yes"},
		{"Cilium before ranges", []*Template{daemonSet(systemNamespace, "cilium", "cilium-agent quay.io/cilium/cilium:v1.15.10")}, "",
			"[cilium] [cilium] yes no no no yes"},
		{"Cilium that can be told to match pods by CIDR", []*Template{daemonSet(systemNamespace, "cilium", "cilium-agent quay.io/cilium/cilium:v1.20.0")}, "",
			"[cilium] [cilium] yes yes unknown no yes"},
		{"Cilium without policies", []*Template{daemonSet("cilium", "cilium", "cilium-agent quay.io/cilium/cilium:v1.16.3 --enable-policy=never")}, "",
			"[cilium] [] no unknown unknown unknown unknown"},
		{"GKE Dataplane V2", []*Template{daemonSet(systemNamespace, "anetd", "cilium-agent gke.gcr.io/cilium/cilium:v1.14.4", "install gke.gcr.io/x:1")}, "",
			"[gke-dataplane-v2] [gke-dataplane-v2] yes unknown no no yes"},
		{"Antrea", []*Template{daemonSet(systemNamespace, "antrea-agent", "antrea-agent antrea/antrea-agent-ubuntu:v2.2.0", "antrea-ovs x:1")}, "",
			"[antrea] [antrea] yes yes yes no unknown"},
		{"Weave", []*Template{daemonSet(systemNamespace, "weave-net", "weave weaveworks/weave-kube:2.8.1", "weave-npc weaveworks/weave-npc:2.8.1")}, "",
			"[weave] [weave] yes no yes no yes"},
		{"Weave without its controller", []*Template{daemonSet(systemNamespace, "weave-net", "weave weaveworks/weave-kube:2.8.1")}, "",
			"[weave] [] no unknown unknown unknown unknown"},
		{"AWS VPC CNI before policies", []*Template{daemonSet(systemNamespace, "aws-node", awsNode)}, "",
			"[aws-vpc-cni] [] no unknown unknown unknown unknown"},
		{"AWS VPC CNI with the agent off", []*Template{daemonSet(systemNamespace, "aws-node", awsNode, awsAgent+" --enable-network-policy=false")}, "",
			"[aws-vpc-cni] [] no unknown unknown unknown unknown"},
		{"AWS VPC CNI with the agent on", []*Template{daemonSet(systemNamespace, "aws-node", awsNode, awsAgent+" --enable-network-policy=true")}, "",
			"[aws-vpc-cni] [aws-vpc-cni] yes yes yes unknown no"},
		{"AWS VPC CNI with Calico's policies", []*Template{daemonSet(systemNamespace, "aws-node", awsNode), calico}, "",
			"[aws-vpc-cni calico] [calico] yes yes yes no yes"},
		{"two that enforce: what both say", []*Template{daemonSet(systemNamespace, "aws-node", awsNode, awsAgent+" --enable-network-policy=true"), calico}, "",
			"[aws-vpc-cni calico] [aws-vpc-cni calico] yes yes yes unknown unknown"},
		{"OVN-Kubernetes", []*Template{daemonSet("openshift-ovn-kubernetes", "ovnkube-node", "ovn-controller quay.io/x@sha256:1", "ovnkube-controller quay.io/x@sha256:1")}, "",
			"[ovn-kubernetes] [ovn-kubernetes] yes yes yes unknown yes"},
		{"OpenShift SDN", []*Template{daemonSet("openshift-sdn", "sdn", "sdn quay.io/x@sha256:1")}, "", "[openshift-sdn] [openshift-sdn] yes no yes no yes"},
		{"kindnet", []*Template{daemonSet(systemNamespace, "kindnet", "kindnet-cni docker.io/kindest/kindnetd:v20250214-acbabc1a")}, "",
			"[kindnet] [kindnet] yes yes yes unknown yes"},
		{"kindnet before policies", []*Template{daemonSet(systemNamespace, "kindnet", "kindnet-cni docker.io/kindest/kindnetd:v20240513-cd2ac642")}, "",
			"[kindnet] [] no unknown unknown unknown unknown"},
		{"kindnet outside of kind", []*Template{daemonSet(systemNamespace, "kindnet", "kindnet-cni ghcr.io/aojea/kindnetd:v1.8.0")}, "",
			"[kindnet] [kindnet] yes yes yes unknown yes"},
		{"kindnet of an unknown version", []*Template{daemonSet(systemNamespace, "kindnet", "kindnet-cni kindnetd:latest")}, "",
			"[kindnet] [kindnet] unknown yes yes unknown yes"},
		{"kube-router", []*Template{daemonSet(systemNamespace, "kube-router", "kube-router docker.io/cloudnativelabs/kube-router:v2.2.1 --run-router=true")}, "",
			"[kube-router] [kube-router] yes yes yes unknown unknown"},
		{"kube-router without its firewall", []*Template{daemonSet(systemNamespace, "kube-router", "kube-router docker.io/cloudnativelabs/kube-router:v2.2.1 --run-firewall=false")}, "",
			"[kube-router] [] no unknown unknown unknown unknown"},
		{"a tenant's DaemonSet poses as Cilium", []*Template{flannel, daemonSet("tenant", "cilium", "cilium-agent quay.io/cilium/cilium:v1.16.3")}, "",
			"[flannel] [] no unknown unknown unknown unknown"},
		{"a Deployment is no agent", []*Template{flannel, func() *Template {
			x, _ := TemplateOf(&appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "x"},
				Spec:       appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "calico-node"}}}}},
			})
			return x
		}()}, "", "[flannel] [] no unknown unknown unknown unknown"},
		{"configured", nil, Weave, "[weave] [weave] yes no yes no yes"},
		{"configured beside one that was found", []*Template{flannel}, Calico, "[calico] [calico] yes unknown yes no yes"},
		{"configured, in the version that was found", []*Template{calico}, Calico, "[calico] [calico] yes yes yes no yes"},
		{"configured although its flag is off", []*Template{daemonSet(systemNamespace, "aws-node", awsNode)}, AWSVPCCNI,
			"[aws-vpc-cni] [aws-vpc-cni] yes yes yes unknown no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Network: NetworkOverride{Plugin: c.plugin}}
			b := NewBuilder(o)
			b.Snapshot()
			for _, x := range c.templates {
				b.SetTemplate(x)
			}
			same(t, "network", c.want, networkText(b.Snapshot().Network()))
			late := NewBuilder(Options{})
			for _, x := range c.templates {
				late.SetTemplate(x)
			}
			late.Snapshot()
			late.SetOptions(o)
			same(t, "network with options that come late", c.want, networkText(late.Snapshot().Network()))
			for _, x := range c.templates {
				late.DeleteTemplate(x.Workload.Namespace, x.Workload.Kind, x.Workload.Name)
			}
			same(t, "network once the agents are gone", networkText(findNetwork(&Snapshot{options: o})), networkText(late.Snapshot().Network()))
		})
	}
}

func TestNetworkK3s(t *testing.T) {
	b := NewBuilder(Options{})
	b.SetExtra(&Extra{Resource: Nodes, Name: "a", For: []string{Everywhere}, Value: &Node{Name: "a", Version: "v1.33.1+k3s1"}})
	same(t, "network", "[k3s] [k3s] unknown yes yes unknown unknown", networkText(b.Snapshot().Network()))
	b.SetTemplate(daemonSet("calico-system", "calico-node", "calico-node quay.io/calico/node:v3.29.1"))
	same(t, "network with Calico", "[calico k3s] [calico] yes yes yes no yes", networkText(b.Snapshot().Network()))
}

func TestNetworkSearched(t *testing.T) {
	b := NewBuilder(Options{})
	if b.Snapshot().Network().Searched {
		t.Error("an empty cluster shows no DaemonSets")
	}
	b.SetTemplate(daemonSet("tenant", "agent", "agent x:1"))
	if b.Snapshot().Network().Searched {
		t.Error("a tenant's DaemonSets are not the cluster's own")
	}
	b.SetTemplate(daemonSet(systemNamespace, "kube-proxy", "kube-proxy registry.k8s.io/kube-proxy:v1.33.1"))
	if !b.Snapshot().Network().Searched {
		t.Error("kube-proxy is one of the cluster's own")
	}
	b.SetOptions(Options{Partial: true})
	if b.Snapshot().Network().Searched {
		t.Error("manifests are not all of a cluster")
	}
}

func prefixesOf(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func TestNetworkRanges(t *testing.T) {
	node := func(name string, ranges ...string) *Extra {
		return &Extra{Resource: Nodes, Name: name, For: []string{Everywhere}, Value: &Node{Name: name, PodRanges: prefixesOf(ranges...)}}
	}
	services := &Extra{Resource: ServiceCIDRs, Name: "kubernetes", For: []string{Everywhere},
		Value: &ServiceCIDR{Name: "kubernetes", Ranges: prefixesOf("10.96.0.0/12", "fd00:10:96::/112")}}
	b := NewBuilder(Options{})
	b.SetExtra(node("a", "10.244.0.0/24", "fd00:10:244::/64"))
	b.SetExtra(node("b", "10.244.1.0/24"))
	b.SetExtra(node("c"))
	b.SetExtra(services)
	n := b.Snapshot().Network()
	same(t, "pod ranges", "[10.244.0.0/23 fd00:10:244::/64]", fmt.Sprint(n.PodRanges))
	same(t, "service ranges", "[10.96.0.0/12 fd00:10:96::/112]", fmt.Sprint(n.ServiceRanges))
	b.DeleteExtra(Nodes, "", "a")
	same(t, "pod ranges without a", "[10.244.1.0/24]", fmt.Sprint(b.Snapshot().Network().PodRanges))
	b.SetOptions(Options{Network: NetworkOverride{PodRanges: prefixesOf("10.128.0.0/15", "10.130.0.0/15"), ServiceRanges: prefixesOf("172.30.0.0/16")}})
	n = b.Snapshot().Network()
	same(t, "configured ranges", "[10.128.0.0/14] [172.30.0.0/16] true", fmt.Sprint(n.PodRanges, n.ServiceRanges, n.PodRangesConfigured))
}

func TestImageVersion(t *testing.T) {
	for image, want := range map[string]version{
		"quay.io/cilium/cilium:v1.16.3":                  {1, 16},
		"quay.io/cilium/cilium:v1.16.3@sha256:62d2":      {1, 16},
		"quay.io/cilium/cilium@sha256:62d2":              {},
		"localhost:5000/calico/node:3.29":                {3, 29},
		"localhost:5000/calico/node":                     {},
		"calico/node:latest":                             {},
		"calico/node:v3":                                 {},
		"calico/node:release-v3.29.1":                    {},
		"calico/node:99999999999999999999.1":             {},
		"docker.io/kindest/kindnetd:v20250214-acbabc1a":  {20250214, 0},
		"docker.io/kindest/kindnetd:v20250214_something": {},
		"amazon-k8s-cni:v1.18.1-eksbuild.3":              {1, 18},
		"":                                               {},
	} {
		if got := imageVersion(image); got != want {
			t.Errorf("imageVersion(%q) = %v, want %v", image, got, want)
		}
	}
}

// TestResolverAsked: which of the node-local addresses the pods are known to ask.
func TestResolverAsked(t *testing.T) {
	cache := func(hostNetwork bool, args ...string) *Template {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "node-local-dns"}}
		ds.Spec.Template.Spec.HostNetwork = hostNetwork
		ds.Spec.Template.Spec.Containers = []corev1.Container{{Args: args}}
		x, _ := TemplateOf(ds)
		return x
	}
	for _, c := range []struct {
		name      string
		template  *Template
		addresses []string
		want      string
	}{
		{"IPVS: link-local alone", cache(true, "-localip", "169.254.20.10"), nil, "[169.254.20.10]"},
		{"iptables: the Service's address too", cache(true, "-localip", "169.254.20.10,10.96.0.10"), nil, "[]"},
		{"address not written", cache(true), nil, "[]"},
		{"redirected by a local redirect policy", cache(false, "-localip", "169.254.20.10"), nil, "[]"},
		{"redirected, on the host's network", cache(true, "-localip", "169.254.20.10", "-setupinterface=false"), nil, "[]"},
		{"configured link-local address", nil, []string{"169.254.169.254"}, "[169.254.169.254]"},
		{"configured server", nil, []string{"10.0.0.2"}, "[]"},
		{"configured and found", cache(true, "-localip=169.254.20.10"), []string{"169.254.20.10"}, "[169.254.20.10]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{}
			for _, a := range c.addresses {
				o.Resolver.Addresses = append(o.Resolver.Addresses, netip.MustParseAddr(a))
			}
			b := NewBuilder(o)
			if c.template != nil {
				b.SetTemplate(c.template)
			}
			same(t, "asked", c.want, fmt.Sprint(b.Snapshot().Resolver().Asked))
		})
	}
}
