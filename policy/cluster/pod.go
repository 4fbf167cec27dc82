package cluster

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Pod is what the snapshot keeps of a pod. All that many pods share is stored once, so that 150,000 of them fit.
type Pod struct {
	Namespace, Name string

	shape     unique.Handle[shape]
	variant   variant
	addresses [2]netip.Addr // one for each IP family, if that
	governed  bool
}

// shape is what makes pods one workload; its strings are canonical.
type shape struct {
	labels      string
	ports       string
	dnsPolicy   corev1.DNSPolicy
	hostNetwork bool
}

type owner struct{ kind, name string }

// PodOf keeps of p what the snapshot needs.
func PodOf(p *corev1.Pod) *Pod {
	out := &Pod{
		Namespace: unique.Make(p.Namespace).Value(),
		Name:      strings.Clone(p.Name),
		shape: unique.Make(shape{
			labels:      encodeLabels(p.Labels, notPerPod),
			ports:       encodePorts(&p.Spec),
			dnsPolicy:   p.Spec.DNSPolicy,
			hostNetwork: p.Spec.HostNetwork,
		}),
		variant: variant{
			labels: unique.Make(encodeLabels(p.Labels, PerPodKey)),
			owner:  unique.Make(ownerOf(p)),
			uses:   unique.Make(usesOf(p.Annotations, &p.Spec, p.UID == "")),
		},
		governed: Governed(p),
	}
	if len(p.Status.PodIPs) == 0 { // written by hand: the API server sets both
		out.addresses[0], _ = netip.ParseAddr(p.Status.PodIP)
	}
	for i := range min(len(p.Status.PodIPs), len(out.addresses)) {
		out.addresses[i], _ = netip.ParseAddr(p.Status.PodIPs[i].IP)
	}
	return out
}

// Governed reports whether p still counts: it is neither finished nor being deleted. Finished pods have no network,
// terminating ones are leaving; NetworkPolicy changes neither.
func Governed(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// WorkloadOf gives p as a workload of its own, with all of its labels.
func WorkloadOf(p *corev1.Pod) *Workload {
	o, u := ownerOf(p), unique.Make(usesOf(p.Annotations, &p.Spec, p.UID == ""))
	w := &Workload{
		Namespace: p.Namespace, Kind: o.kind, Name: o.name,
		Labels: labels.Set(p.Labels), Ports: decodePorts(encodePorts(&p.Spec)),
		HostNetwork: p.Spec.HostNetwork, DNSPolicy: p.Spec.DNSPolicy, made: u,
	}
	if Governed(p) {
		w.Pods = 1
	}
	return w
}

// Workload gives p as a workload of its own, with all of its labels.
func (p *Pod) Workload() *Workload {
	s, o, u := p.shape.Value(), p.variant.owner.Value(), p.variant.uses
	w := &Workload{
		Namespace: p.Namespace, Kind: o.kind, Name: o.name, Labels: labels.Set{}, Ports: decodePorts(s.ports),
		HostNetwork: s.hostNetwork, DNSPolicy: s.dnsPolicy, made: u,
	}
	decodeLabels(s.labels, w.Labels)
	decodeLabels(p.variant.labels.Value(), w.Labels)
	if p.governed {
		w.Pods = 1
	}
	return w
}

// OwnerOf names what people know as the pod's maker, as far as the pod itself tells: the Deployment rather than its
// ReplicaSet, and the pod itself where nothing made it.
func OwnerOf(p *corev1.Pod) (kind, name string) {
	o := ownerOf(p)
	return o.kind, o.name
}

// ownerOf names what people know as the pod's maker: the Deployment rather than its ReplicaSet.
func ownerOf(p *corev1.Pod) owner {
	ref := metav1.GetControllerOfNoCopy(p)
	if ref == nil {
		name := p.Name
		if name == "" {
			name = p.GenerateName
		}
		return owner{"Pod", name}
	}
	if hash := p.Labels["pod-template-hash"]; ref.Kind == "ReplicaSet" && hash != "" {
		if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok {
			return owner{"Deployment", name}
		}
	}
	return owner{ref.Kind, ref.Name}
}

// OwnedBy gives the pod as it is where kind and name made it: the pod names a ReplicaSet or Job, and what made that is what
// people know.
func (p *Pod) OwnedBy(kind, name string) *Pod {
	out := *p
	out.variant.owner = unique.Make(owner{kind, name})
	return &out
}

// encodeDeclared writes ports as encodePorts does.
func encodeDeclared(ports []netpol.ContainerPort) string {
	var b []byte
	for _, p := range ports {
		b = appendPort(b, p.Name, p.Protocol, p.Number)
	}
	return string(b)
}

func appendPort(to []byte, name string, protocol corev1.Protocol, number uint16) []byte {
	to = append(to, name...)
	to = append(to, 0)
	to = append(to, protocol...)
	to = append(to, 0)
	return binary.BigEndian.AppendUint16(to, number)
}

func decodePorts(s string) []netpol.ContainerPort {
	var out []netpol.ContainerPort
	for s != "" {
		name, rest, _ := strings.Cut(s, "\x00")
		protocol, rest, _ := strings.Cut(rest, "\x00")
		out = append(out, netpol.ContainerPort{
			Name: name, Protocol: corev1.Protocol(protocol), Number: uint16(rest[0])<<8 | uint16(rest[1]),
		})
		s = rest[2:]
	}
	return out
}
