package render

import (
	"bytes"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

func groupedPage(g *connectivity.Graph) *page {
	e := newEncoder(g.Nodes, true)
	out, _ := e.encode(links(g.Edges)) // a grouped page always fits
	p := e.page(nil)
	p.Out = out
	return p
}

func htmlOf(t *testing.T, g *connectivity.Graph) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, g, Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
