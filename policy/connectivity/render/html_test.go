package render

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// pagesVariable is the environment variable that names a directory for pages to look at in a browser.
const pagesVariable = "BULKHEAD_PAGES"

// pages are clusters whose pages have to read well.
func pages(t *testing.T) map[string][]byte {
	t.Helper()
	one := everythingOpen(1, 7)
	one.nodes[0].Isolated = [2]bool{true, true}
	one.allow("team-00/service-01", "team-00/service-00", tcp(8080))
	out := map[string][]byte{}
	for name, s := range map[string]*sample{
		"shop": shop(), "large": large(), "open": everythingOpen(6, 10), "one": one, "empty": {},
		"dots": everythingOpen(50, 20),
	} {
		out[name] = htmlOf(t, s.graph())
	}
	var b bytes.Buffer
	if err := writePage(&b, groupedPage(large().graph()), "Grouped"); err != nil {
		t.Fatal(err)
	}
	out["grouped"] = bytes.Clone(b.Bytes())
	b.Reset()
	d, after := shopDifference()
	if err := DiffHTML(&b, d, after, Options{}); err != nil {
		t.Fatal(err)
	}
	out["difference"] = b.Bytes()
	out["large-difference"] = largeDifference(t)
	return out
}

func groupedPage(g *connectivity.Graph) *page {
	e := newEncoder(g.Nodes, true)
	out, _ := e.encode(links(g.Edges)) // a grouped page always fits
	p := e.page(nil)
	p.Out = out
	return p
}

func largeDifference(t *testing.T) []byte {
	t.Helper()
	before, after := large(), large()
	for _, n := range after.nodes {
		if n.Namespace == "chat" || n.Namespace == "media" {
			n.Isolated = [2]bool{true, true}
		}
		if n.Namespace == "fraud" {
			n.Isolated = [2]bool{}
		}
	}
	var b bytes.Buffer
	if err := DiffHTML(&b, difference(before.graph(), after.graph()), after.graph(), Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func htmlOf(t *testing.T, g *connectivity.Graph) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, g, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPagesToLookAt(t *testing.T) {
	dir := os.Getenv(pagesVariable)
	if dir == "" {
		t.Skipf("%s names no directory to write pages to", pagesVariable)
	}
	for name, page := range pages(t) {
		if err := os.WriteFile(filepath.Join(dir, name+".html"), page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
