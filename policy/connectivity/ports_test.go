package connectivity_test

import (
	"encoding/binary"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

func tcp(first, last uint16) connectivity.PortRange {
	return connectivity.PortRange{Protocol: corev1.ProtocolTCP, First: first, Last: last}
}

func udp(first, last uint16) connectivity.PortRange {
	return connectivity.PortRange{Protocol: corev1.ProtocolUDP, First: first, Last: last}
}

func sctp(first, last uint16) connectivity.PortRange {
	return connectivity.PortRange{Protocol: corev1.ProtocolSCTP, First: first, Last: last}
}

func TestPortsOf(t *testing.T) {
	for _, x := range []struct {
		name string
		in   []connectivity.PortRange
		want string
	}{
		{"nothing", nil, "none"},
		{"one port", []connectivity.PortRange{tcp(80, 80)}, "TCP 80"},
		{"protocols in their order", []connectivity.PortRange{sctp(1, 1), udp(53, 53), tcp(80, 80)}, "TCP 80, UDP 53, SCTP 1"},
		{"neighbours join", []connectivity.PortRange{tcp(81, 90), tcp(80, 80)}, "TCP 80-90"},
		{"a port apart does not join", []connectivity.PortRange{tcp(82, 90), tcp(80, 80)}, "TCP 80, 82-90"},
		{"neighbours of two protocols do not join", []connectivity.PortRange{tcp(1, 65535), udp(1, 1)}, "TCP, UDP 1"},
		{"one inside the other", []connectivity.PortRange{tcp(1, 100), tcp(50, 60)}, "TCP 1-100"},
		{"overlap", []connectivity.PortRange{tcp(50, 100), tcp(1, 60)}, "TCP 1-100"},
		{"a hole closes", []connectivity.PortRange{tcp(1, 10), tcp(12, 20), tcp(11, 11)}, "TCP 1-20"},
		{"up to the last port", []connectivity.PortRange{tcp(65535, 65535), tcp(65534, 65534)}, "TCP 65534-65535"},
		{"a whole protocol stands alone", []connectivity.PortRange{udp(1, 65535)}, "UDP"},
		{"port 0 is none", []connectivity.PortRange{tcp(0, 0), udp(0, 2)}, "UDP 1-2"},
		{"backwards holds nothing", []connectivity.PortRange{tcp(10, 9)}, "none"},
		{"unknown protocols hold nothing", []connectivity.PortRange{{Protocol: "ICMP", First: 1, Last: 2}, {First: 1, Last: 2}}, "none"},
		{"everything", []connectivity.PortRange{udp(1, 65535), tcp(1, 65535), sctp(1, 65535)}, "all ports"},
		{"nearly everything", []connectivity.PortRange{udp(1, 65535), tcp(1, 65535), sctp(2, 65535)}, "TCP, UDP, SCTP 2-65535"},
	} {
		t.Run(x.name, func(t *testing.T) {
			in := slices.Clone(x.in)
			got := connectivity.PortsOf(in...)
			if got.String() != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
			if !slices.Equal(in, x.in) {
				t.Errorf("the argument became %v", in)
			}
			slices.Reverse(in)
			if other := connectivity.PortsOf(in...); !other.Equal(got) {
				t.Errorf("in reverse order got %q, want %q", other, got)
			}
		})
	}
}

func TestAllPorts(t *testing.T) {
	all := connectivity.AllPorts()
	if !all.All() || all.Empty() || !all.Contains(netpol.Port{Protocol: "SCTP", Number: 65535}) {
		t.Errorf("AllPorts is %v", all.Ranges())
	}
	if all.Contains(netpol.Port{Protocol: "TCP"}) || all.Contains(netpol.Port{Protocol: "ICMP", Number: 1}) {
		t.Error("AllPorts holds what is no port")
	}
	if zero := (connectivity.Ports{}); !zero.Empty() || zero.All() || !zero.Equal(connectivity.PortsOf()) {
		t.Error("the zero value is not the empty set")
	}
}

func TestPortsArithmetic(t *testing.T) {
	a := connectivity.PortsOf(tcp(10, 20), tcp(30, 40), udp(53, 53))
	b := connectivity.PortsOf(tcp(15, 35), sctp(1, 65535))
	for _, x := range []struct {
		name string
		got  connectivity.Ports
		want string
	}{
		{"union", a.Union(b), "TCP 10-40, UDP 53, SCTP"},
		{"intersection", a.Intersect(b), "TCP 15-20, 30-35"},
		{"difference", a.Minus(b), "TCP 10-14, 36-40, UDP 53"},
		{"the other difference", b.Minus(a), "TCP 21-29, SCTP"},
		{"holes", connectivity.PortsOf(tcp(1, 65535)).Minus(connectivity.PortsOf(tcp(1, 1), tcp(3, 3), tcp(65535, 65535))),
			"TCP 2, 4-65534"},
		{"all but one", connectivity.AllPorts().Minus(connectivity.PortsOf(udp(53, 53))), "TCP, UDP 1-52, 54-65535, SCTP"},
	} {
		if x.got.String() != x.want {
			t.Errorf("%s: got %q, want %q", x.name, x.got, x.want)
		}
	}
	if a.String() != "TCP 10-20, 30-40, UDP 53" || b.String() != "TCP 15-35, SCTP" {
		t.Errorf("the operands became %q and %q", a, b)
	}
}

// bitmap is the slow and obvious set of ports: a flag for each.
type bitmap [3][65536]bool

func protocolAt(i int) corev1.Protocol {
	return [...]corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}[i]
}

func bitmapOf(ranges []connectivity.PortRange) *bitmap {
	out := &bitmap{}
	for _, r := range ranges {
		for i := range out {
			for n := int(r.First); n <= int(r.Last) && protocolAt(i) == r.Protocol; n++ {
				out[i][n] = n > 0
			}
		}
	}
	return out
}

// combined applies a rule of boolean logic port by port.
func combined(a, b *bitmap, rule func(a, b bool) bool) *bitmap {
	out := &bitmap{}
	for i := range out {
		for n := range out[i] {
			out[i][n] = rule(a[i][n], b[i][n])
		}
	}
	return out
}

// checkPorts compares a set with its bitmap, and its ranges with the promised form.
func checkPorts(t *testing.T, what string, p connectivity.Ports, want *bitmap) {
	t.Helper()
	if *bitmapOf(p.Ranges()) != *want {
		t.Fatalf("%s: got %s", what, p)
	}
	all := bitmapOf([]connectivity.PortRange{tcp(1, 65535), udp(1, 65535), sctp(1, 65535)})
	if p.Empty() != (*want == bitmap{}) || p.All() != (*all == *want) {
		t.Fatalf("%s: %s is empty %v, all %v", what, p, p.Empty(), p.All())
	}
	for i, r := range p.Ranges() {
		if r.First < 1 || r.First > r.Last {
			t.Fatalf("%s: range %v holds nothing", what, r)
		}
		if i == 0 {
			continue
		}
		last := p.Ranges()[i-1]
		protocols := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
		a, b := slices.Index(protocols, last.Protocol), slices.Index(protocols, r.Protocol)
		if a > b || a == b && int(last.Last)+1 >= int(r.First) {
			t.Fatalf("%s: %v and %v are not sorted and apart", what, last, r)
		}
	}
	for _, n := range []uint16{0, 1, 2, 80, 255, 256, 257, 65534, 65535} {
		for i := range want {
			if got := p.Contains(netpol.Port{Protocol: protocolAt(i), Number: n}); got != want[i][n] {
				t.Fatalf("%s: %s contains %s %d: %v", what, p, protocolAt(i), n, got)
			}
		}
	}
}

// rangesOf reads ranges from bytes, five each: the protocol, and two numbers in any order.
func rangesOf(data []byte) []connectivity.PortRange {
	var out []connectivity.PortRange
	for ; len(data) >= 5 && len(out) < 8; data = data[5:] {
		r := connectivity.PortRange{First: binary.BigEndian.Uint16(data[1:]), Last: binary.BigEndian.Uint16(data[3:])}
		if r.Protocol = "ICMP"; data[0]%4 < 3 {
			r.Protocol = protocolAt(int(data[0] % 4))
		}
		out = append(out, r)
	}
	return out
}

// FuzzPorts holds the arithmetic against bitmaps: a result is right, of the promised form, and leaves its operands alone.
func FuzzPorts(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0, 0, 80, 0, 90}, []byte{0, 0, 85, 0, 85})
	f.Add([]byte{0, 0, 1, 255, 255, 1, 0, 1, 255, 255, 2, 0, 1, 255, 255}, []byte{1, 0, 53, 0, 53})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 255, 255, 255, 255}, []byte{0, 0, 1, 0, 1, 0, 0, 2, 0, 2, 1, 255, 254, 255, 255})
	f.Add([]byte{2, 0, 10, 0, 20, 2, 0, 30, 0, 40, 2, 0, 22, 0, 28}, []byte{2, 0, 21, 0, 29})
	f.Add([]byte{0, 0, 90, 0, 80, 3, 0, 1, 0, 2}, []byte{0, 0, 0, 255, 255})
	f.Fuzz(func(t *testing.T, x, y []byte) {
		a, b := connectivity.PortsOf(rangesOf(x)...), connectivity.PortsOf(rangesOf(y)...)
		p, q := bitmapOf(rangesOf(x)), bitmapOf(rangesOf(y))
		checkPorts(t, "Union", a.Union(b), combined(p, q, func(p, q bool) bool { return p || q }))
		checkPorts(t, "Intersect", a.Intersect(b), combined(p, q, func(p, q bool) bool { return p && q }))
		checkPorts(t, "Minus", a.Minus(b), combined(p, q, func(p, q bool) bool { return p && !q }))
		checkPorts(t, "first operand", a, p)
		checkPorts(t, "second operand", b, q)
		if a.Equal(b) != (*p == *q) {
			t.Fatalf("%s equals %s: %v", a, b, a.Equal(b))
		}
	})
}
