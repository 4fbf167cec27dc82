package guardrails

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// metadataParameters are what the config may set for metadata-open.
type metadataParameters struct {
	// Addresses that hand out credentials. A list in the config replaces the default one.
	Addresses []metadataAddress `json:"addresses"`
}

// metadataAddress is one place where a cloud hands out credentials over HTTP.
type metadataAddress struct {
	// Address is an IPv4 or IPv6 address.
	Address netip.Addr `json:"address"`
	// Ports over TCP; 80 where none is given.
	Ports []uint16 `json:"ports"`
	// Name says in messages what is there.
	Name string `json:"name"`
}

// metadataTarget is one address with one port.
type metadataTarget struct {
	address netip.Addr
	port    uint16
	name    string
}

// defaultMetadata lists the metadata addresses of the large clouds, as their documentation gives them.
func defaultMetadata() *metadataParameters {
	at := func(address, name string, ports ...uint16) metadataAddress {
		return metadataAddress{Address: netip.MustParseAddr(address), Name: name, Ports: ports}
	}
	return &metadataParameters{Addresses: []metadataAddress{
		at("169.254.169.254", "cloud credentials", 80),           // AWS, Google Cloud, Azure, Oracle Cloud, OpenStack
		at("fd00:ec2::254", "cloud credentials", 80),             // AWS, IPv6
		at("169.254.170.2", "ECS task credentials", 80),          // AWS ECS
		at("169.254.170.23", "EKS Pod Identity credentials", 80), // AWS EKS
		at("fd00:ec2::23", "EKS Pod Identity credentials", 80),   // AWS EKS, IPv6
		at("168.63.129.16", "Azure host agent", 80, 32526),       // Azure WireServer and HostGAPlugin
		at("100.100.100.200", "Alibaba Cloud credentials", 80),   // Alibaba Cloud ECS
	}}
}

// Validate reports addresses that are missing, written in a way that no policy means, or named twice.
func (p *metadataParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[netip.Addr]bool{}
	for i, a := range p.Addresses {
		at := path.Child("addresses").Index(i)
		switch {
		case !a.Address.IsValid():
			errs = append(errs, field.Required(at.Child("address"), "write the IP address"))
		case a.Address.Zone() != "":
			errs = append(errs, field.Invalid(at.Child("address"), a.Address.String(), "write the address without a zone"))
		case seen[a.Address.Unmap()]:
			errs = append(errs, field.Duplicate(at.Child("address"), a.Address.String()))
		}
		seen[a.Address.Unmap()] = true
		for j, port := range a.Ports {
			if port == 0 {
				errs = append(errs, field.Invalid(at.Child("ports").Index(j), port, "write a port from 1 to 65535"))
			}
		}
	}
	return errs
}

// httpPort is where metadata services answer unless the config says otherwise. Source: RFC 9110, section 4.2.1.
const httpPort = 80

// targets lists each address with each of its ports, in the order in which they are configured.
func (p *metadataParameters) targets() []metadataTarget {
	out := make([]metadataTarget, 0, len(p.Addresses))
	for _, a := range p.Addresses {
		ports := a.Ports
		if len(ports) == 0 {
			ports = []uint16{httpPort}
		}
		for _, port := range ports {
			out = append(out, metadataTarget{a.Address.Unmap(), port, a.Name})
		}
	}
	return out
}

// over is the target's port as a connection uses it.
func (t metadataTarget) over() netpol.Port {
	return netpol.Port{Protocol: corev1.ProtocolTCP, Number: t.port}
}

// place writes the target as URLs do: "169.254.169.254:80", "[fd00:ec2::254]:80".
func (t metadataTarget) place() string { return netip.AddrPortFrom(t.address, t.port).String() }

// String adds what is there: "169.254.169.254:80 (cloud credentials)".
func (t metadataTarget) String() string {
	if t.name == "" {
		return t.place()
	}
	return fmt.Sprintf("%s (%s)", t.place(), t.name)
}
