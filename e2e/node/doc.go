// Package node tests the shipped image on a real node: the chart installs it with Helm, a kubelet runs and probes it, kube-proxy
// routes the API server's calls to it. "make e2e-node" runs it; it needs Linux and root, and is therefore behind the build tag
// node.
package node
