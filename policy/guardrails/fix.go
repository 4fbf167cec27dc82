package guardrails

import (
	"net/netip"

	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// paste writes v as YAML that can be pasted into a manifest.
func paste(v any) string {
	out, err := yaml.Marshal(v)
	if err != nil {
		return ""
	}
	return string(out)
}

// address is an endpoint that is no pod.
func address(a netip.Addr) netpol.Endpoint { return netpol.Endpoint{Addresses: []netip.Addr{a}} }

// hostPrefix is the CIDR of one single address.
func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
