package netpol

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// ContainerPort is one declared container port: the place where a named port of a policy is resolved.
// Number is 1 to 65535. Source: core/v1 ContainerPort.
type ContainerPort struct {
	Name     string
	Protocol corev1.Protocol
	Number   uint16
}

// Endpoint is one end of a connection: a pod, or with an empty Namespace an address outside the cluster.
type Endpoint struct {
	// Namespace of the pod. Empty means that the endpoint is no pod: only ipBlock peers match it.
	Namespace string
	// Pod is the pod's name where one single pod is meant; it serves only to recognise a pod that talks to itself.
	Pod string
	// NamespaceLabels are the labels of the pod's Namespace object.
	NamespaceLabels labels.Set
	// Labels are the pod's own labels.
	Labels labels.Set
	// Ports are the pod's declared container ports.
	Ports []ContainerPort
	// Addresses that ipBlock peers are compared with. May be empty where they are not known; then no ipBlock matches.
	Addresses []netip.Addr
	// HostNetwork pods share their node's network. "NetworkPolicies … are ignored" for them as a subject, and most
	// plugins cannot tell their traffic from the node's, so selector peers never match them either.
	HostNetwork bool
	// Node is the name of the node that the pod runs on, or, with IsNode, the name of the node meant.
	Node string
	// IsNode marks traffic of a node itself, such as kubelet's probes.
	IsNode bool
}

// Governed reports whether NetworkPolicy has any say over e as a subject: it is a pod and has a network of its own.
func (e Endpoint) Governed() bool { return e.Namespace != "" && !e.HostNetwork && !e.IsNode }

// selectable reports whether selector peers can match e.
func (e Endpoint) selectable() bool { return e.Governed() }

// samePod reports whether both ends are one pod: "a Pod cannot block access to itself".
func samePod(a, b Endpoint) bool {
	return a.Pod != "" && a.Pod == b.Pod && a.Namespace == b.Namespace
}

// residentNode reports whether from is the node on which to runs: policies cannot block "access from their resident
// node". A hostNetwork pod on that node counts as the node, because plugins that cannot tell the two apart let it in
// like the node. The reverse, a pod that calls its own node, stays subject to egress rules: the concepts page lists it
// as always allowed, but the API documentation does not, and most plugins enforce egress there.
func residentNode(from, to Endpoint) bool {
	return (from.IsNode || from.HostNetwork) && from.Node != "" && from.Node == to.Node
}

// Port is a destination: protocol and number as the destination pod sees them, after any Service translation.
// Source: NetworkPolicyPort, "the port on the given protocol".
type Port struct {
	Protocol corev1.Protocol
	Number   uint16
}
