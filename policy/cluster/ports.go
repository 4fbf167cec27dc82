package cluster

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// encodePorts writes the declared ports in the order in which they are declared, those of sidecars behind the others: ports
// are looked up by name in that order. Source: the API documentation of Service ports, and Kubernetes 1.32 for sidecars.
// The numbers that probes call follow without a name, because something listens there. Of pods that declare no port they
// are left out: one probe is no list of the ports.
func encodePorts(spec *corev1.PodSpec) string {
	var b []byte
	declared := map[int32]bool{} // over TCP, which is what probes use
	for c := range running(spec) {
		for _, p := range c.Ports {
			protocol := p.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			declared[p.ContainerPort] = declared[p.ContainerPort] || protocol == corev1.ProtocolTCP
			b = appendPort(b, p.Name, protocol, uint16(p.ContainerPort))
		}
	}
	if len(declared) == 0 {
		return ""
	}
	for c := range running(spec) {
		for _, p := range [...]*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
			if n := probed(p); n > 0 && !declared[n] {
				declared[n] = true
				b = appendPort(b, "", corev1.ProtocolTCP, uint16(n))
			}
		}
	}
	return string(b)
}

// probed gives the number of the pod's port that a probe calls, 0 where it calls none or one by its name.
func probed(p *corev1.Probe) int32 {
	switch {
	case p == nil:
	case p.HTTPGet != nil && p.HTTPGet.Host == "" && p.HTTPGet.Port.Type == intstr.Int:
		return p.HTTPGet.Port.IntVal
	case p.TCPSocket != nil && p.TCPSocket.Host == "" && p.TCPSocket.Port.Type == intstr.Int:
		return p.TCPSocket.Port.IntVal
	case p.GRPC != nil:
		return p.GRPC.Port
	}
	return 0
}

// running gives the containers that stay: the containers, and of the init containers the sidecars, which restart always.
// Source: KEP-753.
func running(spec *corev1.PodSpec) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for i := range spec.Containers {
			if !yield(&spec.Containers[i]) {
				return
			}
		}
		for i := range spec.InitContainers {
			c := &spec.InitContainers[i]
			if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && !yield(c) {
				return
			}
		}
	}
}
