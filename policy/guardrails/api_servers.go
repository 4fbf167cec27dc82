package guardrails

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// apiServers is where pods reach the Kubernetes API.
type apiServers struct {
	// endpoints are those of the Service default/kubernetes, sorted.
	endpoints []apiEndpoint
	// service are the Service's own addresses: plugins that compare them with the rules do so before they are translated.
	service []apiEndpoint
	// pods are the API servers' own as a plugin sees them that matches host-network pods by selector.
	pods []netpol.Endpoint
}

// apiEndpoint is an address and port.
type apiEndpoint struct {
	address netip.Addr
	port    netpol.Port
}

func (e apiEndpoint) String() string { return netip.AddrPortFrom(e.address, e.port.Number).String() }

// apiServerName is the Service in front of the API servers, in the namespace default, and of old the pods' component.
const apiServerName, apiServerComponent = "kubernetes", "kube-apiserver"

// apiServersOf reads the snapshot; without endpoints nothing is known.
func apiServersOf(s *cluster.Snapshot) apiServers {
	var a apiServers
	for _, slice := range s.APIServers() {
		for _, address := range slice.Addresses {
			for _, p := range slice.Ports {
				a.endpoints = append(a.endpoints, apiEndpoint{address.Unmap(), netpol.Port{Protocol: p.Protocol, Number: p.Number}})
			}
		}
	}
	if len(a.endpoints) == 0 {
		return a
	}
	slices.SortFunc(a.endpoints, compareEndpoints)
	a.endpoints = slices.Compact(a.endpoints)
	if n := s.Namespace(metav1.NamespaceDefault); n != nil {
		for _, svc := range n.Services {
			if svc.Name != apiServerName {
				continue
			}
			for _, address := range svc.ClusterIPs {
				for _, p := range svc.Ports {
					a.service = append(a.service, apiEndpoint{address, netpol.Port{Protocol: p.Protocol, Number: p.Number}})
				}
			}
		}
	}
	for _, w := range s.Live(s.Namespace(metav1.NamespaceSystem)) {
		if w.Labels["component"] == apiServerComponent {
			e := s.Endpoint(w)
			e.HostNetwork = false
			a.pods = append(a.pods, e)
		}
	}
	return a
}

func compareEndpoints(a, b apiEndpoint) int {
	if c := a.address.Compare(b.address); c != 0 {
		return c
	}
	if c := strings.Compare(string(a.port.Protocol), string(b.port.Protocol)); c != 0 {
		return c
	}
	return int(a.port.Number) - int(b.port.Number)
}

// lostBy gives the endpoints that the subject's egress reached before the change and does not after.
func (a *apiServers) lostBy(s *policy.Subject) []apiEndpoint {
	var lost []apiEndpoint
	for _, e := range a.endpoints {
		if s.Before.Admits(netpol.Egress, address(e.address), e.port) && !s.After.Admits(netpol.Egress, address(e.address), e.port) {
			lost = append(lost, e)
		}
	}
	return lost
}

// otherwise says how the pods may still reach the API with some plugins though no rule holds the endpoints: "" where none does.
func (a *apiServers) otherwise(side *policy.Coverage) string {
	for _, e := range a.service {
		if side.Admits(netpol.Egress, address(e.address), e.port) {
			return fmt.Sprintf("only the Service %s is allowed", e)
		}
	}
	for _, pod := range a.pods {
		for _, e := range a.endpoints {
			if side.Admits(netpol.Egress, pod, e.port) {
				return "only its host-network pods are allowed"
			}
		}
	}
	return ""
}

// rules allow all endpoints: one rule for each set of ports.
func (a *apiServers) rules() []networkingv1.NetworkPolicyEgressRule {
	var out []networkingv1.NetworkPolicyEgressRule
	var ports []netpol.Port
	for _, e := range a.endpoints {
		peer := networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: hostPrefix(e.address).String()}}
		i := slices.Index(ports, e.port)
		if i < 0 {
			i, ports = len(ports), append(ports, e.port)
			out = append(out, networkingv1.NetworkPolicyEgressRule{
				Ports: []networkingv1.NetworkPolicyPort{policyPort(e.port.Protocol, e.port.Number)},
			})
		}
		out[i].To = append(out[i].To, peer)
	}
	return out
}

// apiClients knows which service accounts may do something in the API.
type apiClients struct {
	s     *cluster.Snapshot
	bound map[cluster.NamespacedName]bool
}

// account gives the service account by which the workload's pods use the API: they have its token, and some role is bound to
// it. It is empty where they do not.
func (a *apiClients) account(w *cluster.Workload) string {
	for _, u := range w.Uses() {
		if u.Token && a.isBound(cluster.NamespacedName{Namespace: w.Namespace, Name: u.ServiceAccount}) {
			return u.ServiceAccount
		}
	}
	return ""
}

func (a *apiClients) isBound(account cluster.NamespacedName) bool {
	bound, known := a.bound[account]
	if !known {
		bound = slices.ContainsFunc(a.s.Bindings(account.Namespace, account.Name), func(b *cluster.Binding) bool { return !forOthers(b.Role) })
		a.bound[account] = bound
	}
	return bound
}

// forOthers reports whether the role is for those who act on the pods' behalf and not for what the pods ask of the API: OpenShift
// binds the first to all accounts of every namespace, and the others to accounts whose pods need more of the node.
// Source: https://docs.redhat.com/en/documentation/openshift_container_platform/4.16/html/authentication_and_authorization/
func forOthers(role string) bool {
	return role == "system:image-puller" || strings.HasPrefix(role, "system:openshift:scc:")
}

// endpointWords lists endpoints: "10.0.0.1:6443, +2".
func endpointWords(endpoints []apiEndpoint) string {
	words := endpoints[0].String()
	if e := endpoints[0]; e.port.Protocol != corev1.ProtocolTCP {
		words += " " + string(e.port.Protocol)
	}
	if n := len(endpoints) - 1; n > 0 {
		words += fmt.Sprintf(", +%d", n)
	}
	return words
}
