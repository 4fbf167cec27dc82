package netpol_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// oracle answers the package's questions straight from the API objects: nothing is compiled or shared with the package
// but the data it is asked about, everything is written the slow and obvious way. It expects valid policies.
type oracle []*networkingv1.NetworkPolicy

func (o oracle) connects(from, to netpol.Endpoint, port netpol.Port) bool {
	if from.Namespace != "" && from.Pod != "" && from.Namespace == to.Namespace && from.Pod == to.Pod {
		return true
	}
	fromNode := from.IsNode || from.HostNetwork
	if fromNode && from.Node != "" && from.Node == to.Node {
		return true
	}
	return o.admitted(netpol.Egress, from, to, port) && o.admitted(netpol.Ingress, to, from, port)
}

func (o oracle) admitted(d netpol.Direction, subject, peer netpol.Endpoint, port netpol.Port) bool {
	if !o.isolated(d, subject) {
		return true
	}
	for _, np := range o {
		if oracleSelects(np, subject) && oracleIsolates(np, d) && oracleAllows(np, d, subject, peer, port) {
			return true
		}
	}
	return false
}

func (o oracle) isolated(d netpol.Direction, subject netpol.Endpoint) bool {
	for _, np := range o {
		if oracleSelects(np, subject) && oracleIsolates(np, d) {
			return true
		}
	}
	return false
}

func oracleSelects(np *networkingv1.NetworkPolicy, e netpol.Endpoint) bool {
	return oraclePod(e) && e.Namespace == np.Namespace && oracleSelector(np.Spec.PodSelector, e.Labels)
}

// oraclePod reports whether e is a pod that network plugins see: not an outside address, a node or on a node's network.
func oraclePod(e netpol.Endpoint) bool {
	if e.Namespace == "" {
		return false
	}
	return !e.IsNode && !e.HostNetwork
}

func oracleIsolates(np *networkingv1.NetworkPolicy, d netpol.Direction) bool {
	if len(np.Spec.PolicyTypes) == 0 {
		return d == netpol.Ingress || len(np.Spec.Egress) > 0
	}
	for _, t := range np.Spec.PolicyTypes {
		if string(t) == "Ingress" && d == netpol.Ingress || string(t) == "Egress" && d == netpol.Egress {
			return true
		}
	}
	return false
}

func oracleAllows(np *networkingv1.NetworkPolicy, d netpol.Direction, subject, peer netpol.Endpoint, port netpol.Port) bool {
	if d == netpol.Ingress {
		for _, r := range np.Spec.Ingress {
			if oraclePeers(np.Namespace, r.From, peer) && oraclePorts(r.Ports, subject, port) {
				return true
			}
		}
		return false
	}
	for _, r := range np.Spec.Egress {
		if oraclePeers(np.Namespace, r.To, peer) && oraclePorts(r.Ports, peer, port) {
			return true
		}
	}
	return false
}

func oraclePeers(own string, peers []networkingv1.NetworkPolicyPeer, e netpol.Endpoint) bool {
	if len(peers) == 0 {
		return true
	}
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			for _, a := range e.Addresses {
				if oracleBlock(p.IPBlock, a) {
					return true
				}
			}
		case !oraclePod(e):
		case p.NamespaceSelector != nil && p.PodSelector != nil:
			if oracleSelector(*p.NamespaceSelector, e.NamespaceLabels) && oracleSelector(*p.PodSelector, e.Labels) {
				return true
			}
		case p.NamespaceSelector != nil:
			if oracleSelector(*p.NamespaceSelector, e.NamespaceLabels) {
				return true
			}
		case p.PodSelector != nil:
			if e.Namespace == own && oracleSelector(*p.PodSelector, e.Labels) {
				return true
			}
		}
	}
	return false
}

func oraclePorts(ports []networkingv1.NetworkPolicyPort, destination netpol.Endpoint, port netpol.Port) bool {
	if len(ports) == 0 {
		return true
	}
	for _, p := range ports {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if protocol != port.Protocol {
			continue
		}
		if p.Port == nil {
			return true
		}
		if p.Port.Type == intstr.String {
			for _, c := range destination.Ports {
				if c.Name == p.Port.StrVal && c.Protocol == protocol && c.Number == port.Number {
					return true
				}
			}
			continue
		}
		if p.EndPort == nil && p.Port.IntVal == int32(port.Number) {
			return true
		}
		if p.EndPort != nil && p.Port.IntVal <= int32(port.Number) && int32(port.Number) <= *p.EndPort {
			return true
		}
	}
	return false
}

func oracleSelector(s metav1.LabelSelector, l map[string]string) bool {
	for key, want := range s.MatchLabels {
		got, present := l[key]
		if !present || got != want {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		got, present := l[e.Key]
		listed := false
		for _, v := range e.Values {
			if present && got == v {
				listed = true
			}
		}
		holds := false
		switch string(e.Operator) {
		case "In":
			holds = listed
		case "NotIn":
			holds = !listed
		case "Exists":
			holds = present
		case "DoesNotExist":
			holds = !present
		default:
			panic(fmt.Sprintf("oracle: unknown operator %q: only compiled selectors may be asked about", e.Operator))
		}
		if !holds {
			return false
		}
	}
	return true
}

func oracleBlock(b *networkingv1.IPBlock, a netip.Addr) bool {
	bits := bitString(a.AsSlice())
	if len(bits) == 128 && strings.HasPrefix(bits, mappedPrefix) {
		bits = bits[96:]
	}
	if !oracleInCIDR(b.CIDR, bits) {
		return false
	}
	for _, x := range b.Except {
		if oracleInCIDR(x, bits) {
			return false
		}
	}
	return true
}

// mappedPrefix begins every IPv4-mapped IPv6 address: 80 zeros, 16 ones.
var mappedPrefix = strings.Repeat("0", 80) + strings.Repeat("1", 16)

func oracleInCIDR(cidr, bits string) bool {
	text, length, _ := strings.Cut(cidr, "/")
	network := bitString(oracleAddress(text))
	n := mustInt(length, 10)
	if len(network) == 128 && strings.HasPrefix(network, mappedPrefix) && n >= 96 {
		network, n = network[96:], n-96
	}
	return len(network) == len(bits) && bits[:n] == network[:n]
}

// bitString writes an address as its bits: "0000101000…" for 10….
func bitString(address []byte) string {
	var b strings.Builder
	for _, octet := range address {
		fmt.Fprintf(&b, "%08b", octet)
	}
	return b.String()
}

// oracleAddress reads an IP address, leading zeros in IPv4 included.
func oracleAddress(text string) []byte {
	if !strings.Contains(text, ":") {
		var out []byte
		for octet := range strings.SplitSeq(text, ".") {
			out = append(out, byte(mustInt(octet, 10)))
		}
		return out
	}
	head, tail, elided := strings.Cut(text, "::")
	front, back := oracleGroups(head), oracleGroups(tail)
	if !elided {
		return front
	}
	return append(append(front, make([]byte, 16-len(front)-len(back))...), back...)
}

// oracleGroups reads colon-separated 16-bit groups, the last of which may be an IPv4 address.
func oracleGroups(text string) []byte {
	if text == "" {
		return nil
	}
	var out []byte
	for group := range strings.SplitSeq(text, ":") {
		if strings.Contains(group, ".") {
			out = append(out, oracleAddress(group)...)
			continue
		}
		n := mustInt(group, 16)
		out = append(out, byte(n>>8), byte(n))
	}
	return out
}

func mustInt(text string, base int) int {
	n, err := strconv.ParseInt(text, base, 32)
	if err != nil {
		panic(fmt.Sprintf("oracle: %v: only compiled CIDRs may be asked about", err))
	}
	return int(n)
}
