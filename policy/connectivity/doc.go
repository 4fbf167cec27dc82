// Package connectivity works out who can reach whom: the exact set of connections that NetworkPolicies, and the policy
// tiers above and below them, allow between all workloads and to and from addresses outside the cluster; and what a
// change cuts and opens.
//
// A connection is allowed where the source's egress and the destination's ingress both allow it. ipBlock peers are
// compared with addresses outside the cluster only: the API leaves open whether a plugin compares them with pods, whose
// addresses are ephemeral, and plugins differ.
package connectivity
