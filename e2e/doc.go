// Package e2e tests the shipped binary: a real kube-apiserver with its controllers, real kubectl, and two replicas of
// bulkhead between which the requests alternate.
//
//	make e2e                     # on a control plane of its own, on the loopback interface
//	make e2e KUBECONFIG=...      # on a cluster that there is; its API server has to reach $BULKHEAD_E2E_HOST, by
//	                             # default 127.0.0.1, where the replicas listen
//
// TestAvailability takes replicas, certificates and the API server away under load, on a control plane of its own with a
// stand-in for a Service and a link that can be cut (hack/replica). make endurance runs it at full length, with a soak and
// a cluster of 150,000 pods, and prints one table of figures.
//
// On a cluster that there is, Bulkhead is registered fail-closed while the tests run and removed at the end; such a
// cluster is not to have Bulkhead installed, and is not to be one that anybody else needs meanwhile.
package e2e
