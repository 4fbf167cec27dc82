// Package cluster holds the snapshot: an immutable, indexed view of everything in a cluster that guardrails read.
//
// Pods are merged into workloads, the pods that no policy can tell apart, so that work and memory grow with the number
// of workloads. A Builder takes the objects one by one and makes snapshots of them; With and Without give the cluster
// as it would be after one change. The package does no I/O: whoever feeds the Builder watches the cluster.
package cluster
