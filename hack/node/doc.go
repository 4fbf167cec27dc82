// Package node runs one real Kubernetes node for tests: containerd with runc, kubelet, kube-proxy and CoreDNS beside a control
// plane of package controlplane, all in namespaces of their own. Containers run, probes are made, Services are routed; nothing
// comes from a registry. It needs Linux, root, and a few programs of the distribution.
//
//	func TestMain(m *testing.M) { os.Exit(node.Run(prepare, m.Run)) }
//
// Run starts the program once more, in new network, mount, process and IPC namespaces, where the node is process 1's only work.
// Whatever happens in there, the kernel ends it all with that process; Run then removes the control groups and files, and puts
// back the sysctls that a kubelet changes.
//
// NetworkPolicies are not enforced: no network plugin that does is to be had as a Go module.
package node
