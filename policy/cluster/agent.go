package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// agentNamespaces are where network plugins are installed. A DaemonSet elsewhere may be a tenant's, and cannot pose as the
// cluster's plugin.
var agentNamespaces = [...]string{
	systemNamespace, "calico-system", "cilium", "cilium-system", "kube-flannel", "openshift-ovn-kubernetes", "openshift-sdn", "ovn-kubernetes",
}

func mayRunAgents(namespace string) bool { return slices.Contains(agentNamespaces[:], namespace) }

// version is the first two numbers of a version; the zero value is one that is not known.
type version struct{ major, minor int }

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func (v version) before(other version) bool {
	return v.major < other.major || v.major == other.major && v.minor < other.minor
}

// agent is a network plugin, or a part of one, that a DaemonSet runs on the nodes.
type agent struct {
	plugin   Plugin
	version  version
	enforces Truth // what the DaemonSet itself tells
}

// profile gives what is known of how the agent enforces NetworkPolicy.
func (a agent) profile() Profile {
	p := a.plugin.profile(a.version)
	p.Enforces = a.enforces
	return p
}

// agentContainers are the containers by which plugins are known, in the words of the manifests and charts of their makers.
var agentContainers = map[string]Plugin{
	"antrea-agent":             Antrea,
	"aws-node":                 AWSVPCCNI,
	"azure-npm":                AzureNPM,
	"calico-node":              Calico,
	"cilium-agent":             Cilium,
	"kindnet-cni":              Kindnet,
	"kube-flannel":             Flannel,
	"kube-network-policies":    KubeNetworkPolicies,
	"kube-ovn-cni":             KubeOVN,
	"kube-router":              KubeRouter,
	"ovnkube-controller":       OVNKubernetes,
	"ovnkube-node":             OVNKubernetes,
	"weave":                    Weave,
	"weave-npc":                Weave,
	"aws-network-policy-agent": AWSVPCCNI,
	"aws-eks-nodeagent":        AWSVPCCNI,
}

// agentNames are the names of DaemonSets whose containers' names say nothing, or the wrong thing.
var agentNames = map[string]Plugin{
	"anetd":        GKEDataplaneV2, // its container is Cilium's
	"kube-ovn-cni": KubeOVN,        // "cni-server"
	"ovnkube-node": OVNKubernetes,  // "ovn-controller" where each part has a container of its own
	"sdn":          OpenShiftSDN,   // in openshift-sdn alone
}

// agentsOf reads from a DaemonSet which plugins it runs, sorted.
func agentsOf(namespace, name string, spec *corev1.PodTemplateSpec) []agent {
	var out []agent
	named, byName := agentNames[name]
	byName = byName && (named != OpenShiftSDN || namespace == "openshift-sdn")
	for i := range spec.Spec.Containers {
		c := &spec.Spec.Containers[i]
		plugin, ok := agentContainers[c.Name]
		if byName {
			plugin, ok = named, i == 0
		}
		if !ok {
			continue
		}
		a := agent{plugin, imageVersion(c.Image), Unknown}
		if a.enforces = enforcement(c, a); plugin == GKEDataplaneV2 {
			a.version = version{} // GKE's own
		}
		if at := slices.IndexFunc(out, func(b agent) bool { return b.plugin == plugin }); at >= 0 {
			out[at] = out[at].with(a)
		} else {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b agent) int { return strings.Compare(string(a.plugin), string(b.plugin)) })
	return out
}

// with joins two containers of one plugin: one of them enforces, or none does.
func (a agent) with(b agent) agent {
	if b.enforces == Yes || a.enforces == Unknown {
		a.enforces = b.enforces
	}
	if a.version == (version{}) {
		a.version = b.version
	}
	return a
}

// In kind, kindnet's images carry dates. The first with policies came out between these two.
const (
	kindnetWithout = 20240513
	kindnetWith    = 20240725
)

// leastDate is the least number in a tag that is taken for a date.
const leastDate = 20_000_000

// enforcement tells whether the container enforces NetworkPolicy, as far as its arguments and image say.
func enforcement(c *corev1.Container, a agent) Truth {
	known := profiles()[a.plugin].Enforces
	switch {
	case c.Name == "aws-node" || c.Name == "weave":
		return No // another container does, if any
	case a.plugin == AWSVPCCNI:
		// Off unless asked for. Source: https://github.com/aws/aws-network-policy-agent, "enable-network-policy".
		if argument(c, "enable-network-policy") != "true" {
			return No
		}
	case a.plugin == KubeRouter && argument(c, "run-firewall") == "false",
		(a.plugin == Cilium || a.plugin == GKEDataplaneV2) && argument(c, "enable-policy") == "never":
		return No
	case a.plugin == Kindnet:
		return kindnetEnforces(a.version)
	}
	return known
}

func kindnetEnforces(v version) Truth {
	dated := v.major >= leastDate
	switch {
	case v == version{}:
		return Unknown
	case dated && v.major <= kindnetWithout, !dated && v.before(version{1, 3}):
		return No
	case dated && v.major < kindnetWith:
		return Unknown
	}
	return Yes
}

// argument gives the value of a flag of the container: "true" for one that is there without a value, "" for none.
func argument(c *corev1.Container, flag string) string {
	for _, list := range [...][]string{c.Command, c.Args} {
		for _, arg := range list {
			name, value, has := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if name == flag && strings.HasPrefix(arg, "-") {
				if !has {
					return "true"
				}
				return value
			}
		}
	}
	return ""
}

// imageVersion reads the version from the tag of an image: "quay.io/cilium/cilium:v1.16.3@sha256:…" is 1.16. A tag that is
// no version, and a digest alone, give the zero version.
func imageVersion(image string) version {
	image, _, _ = strings.Cut(image, "@")
	_, tag, tagged := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	if !tagged {
		return version{}
	}
	parts := strings.SplitN(strings.TrimPrefix(tag, "v"), ".", 3)
	major, rest := leadingNumber(parts[0])
	if len(parts) == 1 {
		if rest != "" && rest[0] != '-' || major < leastDate {
			return version{} // "latest", or a number alone, which is no release
		}
		return version{major: major}
	}
	minor, _ := leadingNumber(parts[1])
	if rest != "" || minor < 0 || major < 0 {
		return version{}
	}
	return version{major, minor}
}

// leadingNumber reads the digits that s begins with, at most nine of them, and gives what follows; -1 where there are none.
func leadingNumber(s string) (n int, rest string) {
	end := 0
	for end < len(s) && end < 9 && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return -1, s
	}
	return n, s[end:]
}
