// Package manifest reads Kubernetes manifests as kubectl does and makes a snapshot of the cluster that they describe.
//
// YAML and JSON are turned into JSON by the same library that kubectl uses, so that the scalars of YAML 1.1 (y, off,
// 0777) mean here what they mean there. Policies are decoded strictly, because the API server refuses a field that it
// does not know; everything else is decoded for what the snapshot keeps of it. Every problem names its place, and all
// problems are reported together.
package manifest
