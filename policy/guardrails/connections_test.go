package guardrails

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

func tcp(first, last uint16) connectivity.PortRange {
	return connectivity.PortRange{Protocol: corev1.ProtocolTCP, First: first, Last: last}
}

func udp(first, last uint16) connectivity.PortRange {
	return connectivity.PortRange{Protocol: corev1.ProtocolUDP, First: first, Last: last}
}

func TestPortWords(t *testing.T) {
	all := connectivity.AllPorts()
	for _, tt := range []struct {
		ports               connectivity.Ports
		behind, inASentence string
	}{
		{all, "", "all ports"},
		{connectivity.PortsOf(tcp(8080, 8080)), ":8080", "TCP 8080"},
		{connectivity.PortsOf(udp(53, 53)), " UDP 53", "UDP 53"},
		{connectivity.PortsOf(tcp(8000, 8010)), " TCP 8000-8010", "TCP 8000-8010"},
		{connectivity.PortsOf(tcp(1, 65535)), " TCP", "TCP"},
		{connectivity.PortsOf(tcp(80, 80), tcp(443, 443)), " TCP 80 and 443", "TCP 80 and 443"},
		{connectivity.PortsOf(tcp(80, 80), tcp(8000, 8010)), " TCP 80 and 8000-8010", "TCP 80 and 8000-8010"},
		{connectivity.PortsOf(tcp(53, 53), udp(53, 53)), " TCP 53 and UDP 53", "TCP 53 and UDP 53"},
		{connectivity.PortsOf(tcp(80, 80), tcp(443, 443), udp(53, 53)), " TCP 80 and 2 more", "TCP 80 and 2 more"},
		{all.Minus(connectivity.PortsOf(tcp(8080, 8080))), " all ports but TCP 8080", "all ports but TCP 8080"},
		{all.Minus(connectivity.PortsOf(tcp(53, 53), udp(53, 53))), " all ports but TCP 53 and UDP 53", "all ports but TCP 53 and UDP 53"},
	} {
		if got := portWords(tt.ports); got != tt.behind {
			t.Errorf("portWords(%s) = %q, want %q", tt.ports, got, tt.behind)
		}
		if got := portsWords(tt.ports); got != tt.inASentence {
			t.Errorf("portsWords(%s) = %q, want %q", tt.ports, got, tt.inASentence)
		}
	}
}

func TestRangeWords(t *testing.T) {
	for _, tt := range []struct{ first, last, want string }{
		{"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"10.0.0.0", "10.255.255.255", "10.0.0.0/8"},
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"0.0.0.0", "9.255.255.255", "0.0.0.0-9.255.255.255"},
		{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"},
	} {
		r := connectivity.Range{First: netip.MustParseAddr(tt.first), Last: netip.MustParseAddr(tt.last)}
		if got := rangeWords(r); got != tt.want {
			t.Errorf("rangeWords(%s) = %q, want %q", r, got, tt.want)
		}
	}
}

// A difference that is too large to be worked out is told as far as it got.
func TestDifferenceWordsOfPart(t *testing.T) {
	workload := func(namespace, app string) *cluster.Workload {
		return &cluster.Workload{Namespace: namespace, Name: app, Labels: map[string]string{"app": app}, Pods: 1}
	}
	port := connectivity.PortsOf(tcp(8080, 8080))
	d := &policy.Difference{
		Cut: 7, Opened: 1, Extent: connectivity.Extent{Compared: 400_000, Total: 1_200_000},
		Flows: []policy.Flow{
			{Subject: workload("shop", "api"), Direction: netpol.Ingress, Namespace: "data", Peers: 2, First: workload("data", "etl"), Cut: port},
			{Subject: workload("shop", "api"), Direction: netpol.Ingress, Namespace: "shop", Peers: 3, First: workload("shop", "web"), Cut: port},
			{Subject: workload("shop", "api"), Direction: netpol.Ingress, Namespace: "ops", Peers: 2, First: workload("ops", "cron"), Cut: port},
			{Subject: workload("shop", "api"), Direction: netpol.Egress, Range: connectivity.Range{
				First: netip.MustParseAddr("10.0.0.0"), Last: netip.MustParseAddr("10.255.255.255"),
			}, Opened: port},
		},
	}
	cut, opened := sides(d)
	want := "cuts at least 7 connections (app=web->app=api:8080, +2, 4 with 2 other namespaces), " +
		"opens at least 1 (app=api->10.0.0.0/8:8080); compared are the first 400000 of 1200000 pairs of workloads"
	if got := differenceWords(&policy.Change{Namespace: "shop"}, d, cut, opened); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := impactWords(cut, opened), "cuts 7 connections in 3 namespaces, opens 1 outside the cluster"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
