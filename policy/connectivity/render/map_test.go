package render

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// around gives the neighbourhood of a namespace in a graph, as connectivity.Around does from a snapshot.
func around(g *connectivity.Graph, namespace string) *connectivity.Neighbourhood {
	n := &connectivity.Neighbourhood{Namespace: namespace}
	in := func(e connectivity.Endpoint) bool { return e.Node != nil && e.Node.Namespace == namespace }
	for _, node := range g.Nodes {
		if node.Namespace == namespace {
			n.Nodes = append(n.Nodes, node)
		} else {
			n.Others++
		}
	}
	n.Rows = func(yield func(netpol.Direction, []connectivity.Edge) bool) {
		for _, node := range n.Nodes {
			var rows [2][]connectivity.Edge
			for e := range g.Edges {
				switch {
				case e.From.Node == node:
					rows[netpol.Egress] = append(rows[netpol.Egress], e)
				case e.To.Node == node && !in(e.From):
					rows[netpol.Ingress] = append(rows[netpol.Ingress], e)
				}
			}
			if !yield(netpol.Ingress, rows[netpol.Ingress]) || !yield(netpol.Egress, rows[netpol.Egress]) {
				return
			}
		}
	}
	return n
}

func mapLines(m *Map) []string {
	var out []string
	for _, l := range m.Lines {
		out = append(out, strings.TrimSpace(l.Fate+" "+l.From+" -> "+l.To+": "+l.Ports))
	}
	return out
}

// TestMap: the shop with what a denied change would have cut and opened; ends are known by label, by name, or not at all.
func TestMap(t *testing.T) {
	s := shop()
	m := NewMap(around(s.graph(), "shop"),
		[]Flow{{"shop/api", "any address", "TCP 443"}, {"ingress-nginx/controller (+1)", "shop/web", "TCP 8080"}},
		[]Flow{{"dev/tool", "shop/gone", "all ports"}})
	want := []string{
		"cut shop/api -> any address: TCP 443",
		"cut ingress-nginx/controller -> shop/web: TCP 8080",
		"opened dev/tool -> shop/gone: all ports",
		"ingress-nginx/controller -> shop/web: TCP 8080",
		"shop/api -> kube-system/kube-dns: TCP 53, UDP 53",
		"shop/batch -> kube-system/kube-dns: TCP 53, UDP 53",
		"shop/postgres -> kube-system/kube-dns: TCP 53, UDP 53",
		"shop/redis -> any address: all ports",
	}
	got := mapLines(m)
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("the map lacks %q", line)
		}
	}
	if !slices.Equal(got[:3], want[:3]) {
		t.Errorf("the map begins with %q, want %q", got[:3], want[:3])
	}
	if t.Failed() {
		t.Logf("lines:\n%s\nnotes: %q", strings.Join(got, "\n"), m.Notes)
	}
	picture := string(m.SVG("The map of shop"))
	for _, sign := range []string{`class="line cut"`, `class="line opened"`, "✕ TCP 443", "+ all ports"} {
		if !strings.Contains(picture, sign) {
			t.Errorf("the drawing lacks %q", sign)
		}
	}
	if again := NewMap(around(s.graph(), "shop"), nil, nil).SVG("x"); again != NewMap(around(s.graph(), "shop"), nil, nil).SVG("x") {
		t.Error("the same neighbourhood gave another drawing")
	}
}

// TestMapIsBounded: a large cluster without policies is a few boxes and says what is left out.
func TestMapIsBounded(t *testing.T) {
	m := NewMap(around(everythingOpen(20, 40).graph(), "team-03"), nil, nil)
	if n := len(m.lines); n > 4*(maxOwn+1) {
		t.Errorf("there are %d lines", n)
	}
	got := mapLines(m)
	for _, want := range []string{"all 760 other workloads -> team-03/service-00: all ports", "team-03/service-23 -> any address: all ports", "16 more workloads of team-03 -> any address: all ports"} {
		if !slices.Contains(got, want) {
			t.Errorf("the map lacks %q: %q", want, got)
		}
	}
	if want := []string{"Inside the namespace every workload reaches every other on all ports; those lines are left out."}; !slices.Equal(m.Notes, want) {
		t.Errorf("notes are %q, want %q", m.Notes, want)
	}
}

// TestMapBySpace: many peers are drawn by namespace, and many namespaces as one.
func TestMapBySpace(t *testing.T) {
	s := everythingOpen(40, 2)
	for _, n := range s.nodes {
		n.Isolated[netpol.Ingress] = true
	}
	s.allow("team-0[1-9]/*", "team-00/*", tcp(80))
	s.allow("team-00/*", "team-[123]?/*", tcp(443))
	var flows []Flow
	for i := range 30 {
		flows = append(flows, Flow{fmt.Sprintf("far-%02d/x", i), "team-00/service-00", "TCP 1"})
	}
	m := NewMap(around(s.graph(), "team-00"), flows, nil)
	got := mapLines(m)
	for _, want := range []string{
		"namespace team-09 -> team-00/service-01: TCP 80", "team-00/service-00 -> namespace team-23: TCP 443",
		"team-00/service-00 -> 16 more namespaces: TCP 443", "cut far-11/x -> team-00/service-00: TCP 1",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("the map lacks %q", want)
		}
	}
	if want := []string{"18 more connections that the change would cut not drawn."}; !slices.Equal(m.Notes, want) {
		t.Errorf("notes are %q, want %q", m.Notes, want)
	}
	if t.Failed() {
		t.Log(strings.Join(got, "\n"))
	}
}

// TestMapOfNothing: a namespace that is not there is a map with a note.
func TestMapOfNothing(t *testing.T) {
	m := NewMap(around(shop().graph(), "nowhere"), nil, nil)
	if !m.Empty() || len(m.Notes) != 1 {
		t.Errorf("empty %v, notes %q", m.Empty(), m.Notes)
	}
	m.SVG("")
}

// TestMapHostile: names are text in the drawing whatever they hold, and the drawing stays well-formed.
func TestMapHostile(t *testing.T) {
	for _, hostile := range []string{`"><script>x</script>`, "]]>&amp;<!--", "\u202egnorw", "\x1b[31m", "a'b\"c"} {
		s := &sample{ranges: wholeSpace}
		s.node("shop/"+hostile, "Deployment"+hostile, 3, "")
		s.node("other"+hostile+"/web", "Deployment", 1, "ie")
		s.allow("*", "*", tcp(80))
		m := NewMap(around(s.graph(), "shop"), []Flow{{"shop/" + hostile, hostile, hostile}}, []Flow{{hostile + "/a", "shop/b", ""}})
		d := xml.NewDecoder(strings.NewReader(string(m.SVG(hostile))))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%q: %v", hostile, err)
			}
			if start, ok := token.(xml.StartElement); ok && !slices.Contains([]string{"svg", "defs", "marker", "path", "rect", "text", "title", "g"}, start.Name.Local) {
				t.Errorf("%q made an element %s", hostile, start.Name.Local)
			}
			if text, ok := token.(xml.CharData); ok && strings.ContainsAny(string(text), "\u202e\x1b") {
				t.Errorf("%q is in the drawing", text)
			}
		}
	}
}
