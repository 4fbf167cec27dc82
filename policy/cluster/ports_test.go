package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

func TestPortsOfPods(t *testing.T) {
	for _, c := range []struct {
		name, spec string
		want       []netpol.ContainerPort
	}{
		{"in the order of the containers", `{containers: [{ports: [{name: b, containerPort: 2}, {containerPort: 1, protocol: UDP}]}, {ports: [{name: a, containerPort: 3}]}]}`,
			[]netpol.ContainerPort{{Name: "b", Protocol: "TCP", Number: 2}, {Protocol: "UDP", Number: 1}, {Name: "a", Protocol: "TCP", Number: 3}}},
		{"sidecars behind the others, other init containers not", `{initContainers: [{ports: [{containerPort: 9}]}, {restartPolicy: Always, ports: [{containerPort: 8}]}], containers: [{ports: [{containerPort: 1}]}]}`,
			[]netpol.ContainerPort{{Protocol: "TCP", Number: 1}, {Protocol: "TCP", Number: 8}}},
		{"what probes call", `{containers: [{ports: [{containerPort: 1}], startupProbe: {tcpSocket: {port: 2}}, readinessProbe: {httpGet: {port: 1}}, livenessProbe: {grpc: {port: 3}}}]}`,
			[]netpol.ContainerPort{{Protocol: "TCP", Number: 1}, {Protocol: "TCP", Number: 2}, {Protocol: "TCP", Number: 3}}},
		{"a probe over TCP beside the same number over UDP", `{containers: [{ports: [{containerPort: 1, protocol: UDP}], readinessProbe: {tcpSocket: {port: 1}}}]}`,
			[]netpol.ContainerPort{{Protocol: "UDP", Number: 1}, {Protocol: "TCP", Number: 1}}},
		{"not of another host, and not by name", `{containers: [{ports: [{containerPort: 1}], startupProbe: {httpGet: {host: example.com, port: 2}}, readinessProbe: {tcpSocket: {host: example.com, port: 3}}, livenessProbe: {httpGet: {port: http}}}]}`,
			[]netpol.ContainerPort{{Protocol: "TCP", Number: 1}}},
		{"a probe alone is no list of ports", `{containers: [{readinessProbe: {exec: {}}, livenessProbe: {tcpSocket: {port: 2}}}]}`, nil},
	} {
		p := &corev1.Pod{}
		if err := yaml.UnmarshalStrict([]byte(c.spec), &p.Spec); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, cluster.WorkloadOf(p).Ports); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
