// Package netpol holds the semantics of networking.k8s.io/v1 NetworkPolicy, and of the policy.networking.k8s.io tiers
// above and below it, and nothing else: it compiles policies and answers which pods they select, which directions they
// isolate and which connections they allow.
//
// The source of every statement is the API documentation (k8s.io/api/networking/v1, "NetworkPolicySpec" and below)
// and https://kubernetes.io/docs/concepts/services-networking/network-policies/. What that documentation leaves to
// the network plugin is decided the way most plugins behave, and said where it is decided.
//
// The package knows neither clusters nor requests: callers hand it the endpoints and the policies.
package netpol

// Direction is the direction of a connection as the selected pod sees it.
type Direction uint8

// The two directions of NetworkPolicySpec.policyTypes.
const (
	Ingress Direction = iota
	Egress
)

// Directions lists both directions in the order in which the API documents them.
var Directions = [...]Direction{Ingress, Egress}

// String gives the word that policyTypes uses.
func (d Direction) String() string {
	if d == Ingress {
		return "Ingress"
	}
	return "Egress"
}

// Field gives the name of the list that holds the rules of the direction.
func (d Direction) Field() string {
	if d == Ingress {
		return "ingress"
	}
	return "egress"
}
