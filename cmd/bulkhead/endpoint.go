package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// fullName tells nodes apart that share a name: "shop/Deployment/web".
func fullName(n *connectivity.Node) string { return n.Namespace + "/" + n.Kind + "/" + n.Name }

// matching lists the nodes that name means: a workload as namespace/name or namespace/kind/name.
func matching(nodes []*connectivity.Node, name string) []*connectivity.Node {
	var out []*connectivity.Node
	for _, n := range nodes {
		if n.String() == name || strings.EqualFold(fullName(n), name) {
			out = append(out, n)
		}
	}
	return out
}

// focus gives the set of nodes that the names mean, each a workload or a namespace; nil where there are no names.
func focus(nodes []*connectivity.Node, names []string) (map[*connectivity.Node]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	out := map[*connectivity.Node]bool{}
	for _, name := range names {
		found := matching(nodes, name)
		for _, n := range nodes {
			if n.Namespace == name {
				found = append(found, n)
			}
		}
		if len(found) == 0 {
			hint := nearestNode(nodes, name)
			return nil, usageError{fmt.Errorf("--focus %q matches no workload and no namespace with workloads; %s", name, hint)}
		}
		for _, n := range found {
			out[n] = true
		}
	}
	return out, nil
}

// maxListed bounds how many names a message lists.
const maxListed = 8

// nearestNode is the remedy for a name that no workload has: the one in its namespace that it is near to, else the same
// name in another namespace, else what there is.
func nearestNode(nodes []*connectivity.Node, name string) string {
	namespace, short, qualified := strings.Cut(name, "/")
	short = short[strings.LastIndexByte(short, '/')+1:]
	var beside, elsewhere, namespaces []string
	for _, n := range nodes {
		if n.Namespace == namespace {
			beside = append(beside, n.Name)
		}
		if n.Name == short || !qualified && n.Name == name {
			elsewhere = append(elsewhere, n.String())
		}
		namespaces = append(namespaces, n.Namespace)
	}
	namespaces = slices.Compact(namespaces) // nodes are sorted
	switch near, nearNamespace := manifest.Nearest(short, beside), manifest.Nearest(namespace, namespaces); {
	case len(nodes) == 0:
		return "there are no workloads at all"
	case near != "":
		return fmt.Sprintf("did you mean %q?", namespace+"/"+near)
	case len(elsewhere) > 0:
		return fmt.Sprintf("did you mean %q?", elsewhere[0])
	case !qualified && nearNamespace != "":
		return fmt.Sprintf("did you mean %q?", nearNamespace)
	case len(beside) > 0:
		return fmt.Sprintf("in %s there are %s", namespace, shortList(beside))
	}
	return "there are workloads in " + shortList(namespaces)
}

// shortList joins the first names and counts the others.
func shortList(names []string) string {
	if len(names) > maxListed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxListed], ", "), len(names)-maxListed)
	}
	return strings.Join(names, ", ")
}

// oneNode gives the node that name means; several of the same name are told apart by kind.
func oneNode(nodes []*connectivity.Node, flag, name string) (*connectivity.Node, error) {
	found := matching(nodes, name)
	switch len(found) {
	case 0:
		return nil, usageError{fmt.Errorf("%s %q is no workload, CIDR or address; %s", flag, name, nearestNode(nodes, name))}
	case 1:
		return found[0], nil
	}
	var names []string
	for _, n := range found {
		names = append(names, strconv.Quote(fullName(n)))
	}
	return nil, usageError{fmt.Errorf("%s %q is the name of %d workloads; say %s", flag, name, len(found), orList(names))}
}

// parseRange reads a CIDR, an address, or a range as the JSON output writes it; ok is false for anything else.
func parseRange(s string) (r connectivity.Range, ok bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		whole := netipx.RangeOfPrefix(p)
		return connectivity.Range{First: whole.From(), Last: whole.To()}, true
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	from, err := netip.ParseAddr(first)
	if err != nil || from.Zone() != "" {
		return connectivity.Range{}, false
	}
	to, err := netip.ParseAddr(last)
	if err != nil || to.Zone() != "" || to.Is4() != from.Is4() || to.Less(from) {
		return connectivity.Range{}, false
	}
	return connectivity.Range{First: from.Unmap(), Last: to.Unmap()}, true
}

// rangeText writes a range as people do: an address, a CIDR where it is one, else its ends.
func rangeText(r connectivity.Range) string {
	if r.First == r.Last {
		return r.First.String()
	}
	if p, ok := netipx.IPRangeFrom(r.First, r.Last).Prefix(); ok {
		return p.String()
	}
	return r.String()
}

// parsePort reads N or N/PROTOCOL; the protocol is empty where it is left out.
func parsePort(s string) (netpol.Port, error) {
	number, protocol, named := strings.Cut(s, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	p := netpol.Port{Number: uint16(n), Protocol: corev1.Protocol(strings.ToUpper(protocol))}
	known := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	if err != nil || n == 0 || named && !slices.Contains(known, p.Protocol) {
		return netpol.Port{}, usageError{fmt.Errorf(
			"--port %q: use a number from 1 to 65535, and after a slash TCP, UDP or SCTP, such as 53/UDP", s)}
	}
	return p, nil
}

// parsePorts gives the set of ports that --port means: without a protocol, the number of each. Empty is no restriction.
func parsePorts(s string) (connectivity.Ports, error) {
	if s == "" {
		return connectivity.Ports{}, nil
	}
	p, err := parsePort(s)
	if err != nil {
		return connectivity.Ports{}, err
	}
	var ranges []connectivity.PortRange
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
		if p.Protocol == "" || p.Protocol == protocol {
			ranges = append(ranges, connectivity.PortRange{Protocol: protocol, First: p.Number, Last: p.Number})
		}
	}
	return connectivity.PortsOf(ranges...), nil
}
