package controlplane

import (
	"context"
	"fmt"
	"runtime"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The annotation by which kwok knows the nodes that it plays the kubelet of.
const (
	fakeNodeAnnotation = "kwok.x-k8s.io/node"
	fakeNodeValue      = "fake"
)

// createNodes registers the nodes, as kubelets would.
func (c *ControlPlane) createNodes(ctx context.Context) error {
	for i := range c.options.Nodes {
		node := newNode(i, c.binaries.version)
		if _, err := c.clients.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create the node %s: %w", node.Name, err)
		}
	}
	return nil
}

// podsPerNode is the kubelet's default. It also keeps kwok within the node's range of 254 addresses: past its end, kwok
// would hand out the next node's.
const podsPerNode = 110

// newNode describes the i-th node, with addresses and a pod range of its own. kwok completes the status with the
// conditions.
func newNode(i int, kubeletVersion string) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	podCIDR := fmt.Sprintf("10.244.%d.0/24", i)
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("64"),
		corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods:   *resource.NewQuantity(podsPerNode, resource.DecimalSI),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{fakeNodeAnnotation: fakeNodeValue},
			Labels: map[string]string{
				corev1.LabelHostname:   name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: runtime.GOARCH,
			},
		},
		Spec: corev1.NodeSpec{PodCIDR: podCIDR, PodCIDRs: []string{podCIDR}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("172.18.%d.%d", (i+2)/256, (i+2)%256)},
				{Type: corev1.NodeHostName, Address: name},
			},
			Allocatable: capacity,
			Capacity:    capacity,
			NodeInfo: corev1.NodeSystemInfo{
				Architecture: runtime.GOARCH, OperatingSystem: "linux",
				KubeletVersion: kubeletVersion, OSImage: "none (kwok)", ContainerRuntimeVersion: "kwok://fake",
			},
		},
	}
}
