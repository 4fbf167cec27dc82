package guardrails

import (
	"net/netip"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

func TestPublicPart(t *testing.T) {
	approved := []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	for address, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "203.0.113.7": true, "223.255.255.255": true, "2606:4700::1111": true, "3fff:ffff::1": true,
		"64:ff9b::808:808": true, "192.0.2.1": true, "11.0.0.0": true, "172.32.0.1": true,
		"198.51.100.9": false, "10.255.255.255": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"100.64.0.1": false, "127.0.0.1": false, "169.254.169.254": false, "0.0.0.1": false, "198.19.0.1": false, "224.0.0.1": false,
		"255.255.255.255": false, "fd00::1": false, "fe80::1": false, "::1": false, "ff02::1": false, "2001:2::1": false,
	} {
		a := netip.MustParseAddr(address)
		world := netip.PrefixFrom(a, 0).Masked()
		if got := contains(publicPart(&netpol.IPBlock{CIDR: world}, approved), a); got != want {
			t.Errorf("%s is public: got %v, want %v", a, got, want)
		}
		if public := publicPart(&netpol.IPBlock{CIDR: world, Except: []netip.Prefix{hostPrefix(a)}}, approved); contains(public, a) {
			t.Errorf("%s is excepted and public", a)
		}
	}
}

func TestWholeInternet(t *testing.T) {
	approved := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
	tests := map[string]struct {
		cidrs, except []string
		want          bool
	}{
		"IPv4":                {[]string{"0.0.0.0/0"}, nil, true},
		"IPv6":                {[]string{"::/0"}, nil, true},
		"unicast":             {[]string{"2000::/3"}, nil, true},
		"two halves":          {[]string{"128.0.0.0/1", "0.0.0.0/1"}, nil, true},
		"without the private": {[]string{"0.0.0.0/0"}, []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"}, true},
		"without an approved": {[]string{"0.0.0.0/0"}, []string{"203.0.113.8/32"}, true},
		"without a public":    {[]string{"0.0.0.0/0"}, []string{"8.8.8.8/32"}, false},
		"half":                {[]string{"0.0.0.0/1"}, nil, false},
		"one of each":         {[]string{"0.0.0.0/1", "8000::/1"}, nil, false},
		"NAT64":               {[]string{"64:ff9b::/96"}, nil, false},
		"nothing":             {nil, nil, false},
	}
	for name, test := range tests {
		var set []netip.Prefix
		for _, c := range test.cidrs {
			b := &netpol.IPBlock{CIDR: netip.MustParsePrefix(c)}
			for _, x := range test.except {
				b.Except = append(b.Except, netip.MustParsePrefix(x))
			}
			set = append(set, publicPart(b, approved)...)
		}
		if got := (&publicSpace{approved: approved}).whole(set); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
