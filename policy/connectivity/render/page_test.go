package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What the page's data says is compared with the graph, edge by edge.
func TestPageHoldsEveryEdge(t *testing.T) {
	d := newRandom(t)
	for range 200 {
		g := randomSample(d).graph()
		want := map[string]string{}
		for l := range links(g.Edges) {
			want[nameAll(g.Nodes).of(l.from)+" "+nameAll(g.Nodes).of(l.to)] = l.ports.String()
		}
		p := newPage(g)
		if diff := cmp.Diff(want, decoded(p, p.Out)); diff != "" {
			t.Fatalf("edges (-graph +page):\n%s", diff)
		}
	}
}

// decoded reads a page's edges the slow way.
func decoded(p *page, sources [][]int) map[string]string {
	name := func(end int) string {
		if end < len(p.Nodes) {
			return p.Nodes[end].Namespace + "/" + p.Nodes[end].Name
		}
		return p.Addresses[end-len(p.Nodes)]
	}
	out := map[string]string{}
	for _, source := range sources {
		for _, number := range source[1:] {
			row := p.Rows[number]
			for i := 1; i < len(row); i += 2 {
				for to := row[i]; to <= row[i+1]; to++ {
					if to != source[0] {
						out[name(source[0])+" "+name(to)] += p.Ports[row[0]].Label
					}
				}
			}
		}
	}
	return out
}

func TestDiffPageHoldsWhatIsCutAndOpened(t *testing.T) {
	d, after := shopDifference()
	p := newDiffPage(d, after)
	want := map[string]string{
		"shop/api any address": "TCP 443", "shop/api shop/redis": "TCP 6379", "shop/worker shop/postgres": "TCP 5432",
		"shop/worker shop/redis": "TCP 6379", "shop/worker kube-system/kube-dns": "TCP 53, UDP 53",
	}
	if diff := cmp.Diff(want, decoded(p, p.Cut)); diff != "" {
		t.Errorf("cut (-want +got):\n%s", diff)
	}
	want = map[string]string{
		"shop/batch shop/api": "TCP 8080", "shop/mailer shop/postgres": "TCP 5432",
		"shop/mailer kube-system/kube-dns": "TCP 53, UDP 53",
	}
	if diff := cmp.Diff(want, decoded(p, p.Opened)); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
	changes := map[string]string{}
	for _, n := range p.Nodes {
		if n.Change != "" {
			changes[n.Name] = n.Change
		}
	}
	if diff := cmp.Diff(map[string]string{"mailer": "added", "worker": "removed"}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// A fully open cluster must not cost an entry for each pair.
func TestOpenClusterIsSmall(t *testing.T) {
	p := newPage(everythingOpen(10, 20).graph())
	if len(p.Rows) > 3 {
		t.Errorf("%d different rows for 200 workloads that all reach everything, want at most 3", len(p.Rows))
	}
}

func TestGroupedPage(t *testing.T) {
	s := everythingOpen(2, 3)
	s.nodes[0].Isolated = [2]bool{true, true}
	s.allow("team-01/*", "team-00/service-00", tcp(8080))
	p := groupedPage(s.graph())
	want := []pageNode{
		{Namespace: "team-00", Kind: "Namespace", Name: "3 workloads", Pods: 6, Mixed: true},
		{Namespace: "team-01", Kind: "Namespace", Name: "3 workloads", Pods: 6},
	}
	if diff := cmp.Diff(want, p.Nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	edges := map[string]string{
		"team-00/3 workloads team-01/3 workloads": "all ports", "team-01/3 workloads team-00/3 workloads": "all ports",
		"team-00/3 workloads any address": "all ports", "team-01/3 workloads any address": "all ports",
		"any address team-00/3 workloads": "all ports", "any address team-01/3 workloads": "all ports",
	}
	if diff := cmp.Diff(edges, decoded(p, p.Out)); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	note := "6 workloads and their connections are too many for one page, so each namespace stands for all of its workloads. " +
		"The JSON and CSV output has every connection."
	if diff := cmp.Diff([]string{note}, p.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

// pageOf is a page taken apart.
type pageOf struct{ text, policy, style, data, script string }

func takeApart(t *testing.T, text []byte) pageOf {
	t.Helper()
	part := func(expression string) string {
		all := regexp.MustCompile(expression).FindAllSubmatch(text, -1)
		if len(all) != 1 {
			t.Fatalf("%d parts match %s, want 1", len(all), expression)
		}
		return string(all[0][1])
	}
	return pageOf{
		text:   string(text),
		policy: part(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`),
		style:  part(`(?s)<style>(.*?)</style>`),
		data:   part(`(?s)<script type="application/json" id="data">(.*?)</script>`),
		script: part(`(?s)<script>(.*?)</script>`),
	}
}

func TestPageNeedsNoNetwork(t *testing.T) {
	p := takeApart(t, htmlOf(t, shop().graph()))
	for _, reference := range regexp.MustCompile(`https?://[^'"\s]*|url\([^)]*\)|@import|src=|<link`).FindAllString(p.text, -1) {
		if reference != "http://www.w3.org/2000/svg" && !strings.HasPrefix(reference, "url(#") {
			t.Errorf("the page refers to %s", reference)
		}
	}
}

// The browser runs the script and the style only if their hashes are in the policy.
func TestPagePolicyFits(t *testing.T) {
	p := takeApart(t, htmlOf(t, shop().graph()))
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "&#39;sha256-" + strings.ReplaceAll(base64.StdEncoding.EncodeToString(sum[:]), "+", "&#43;") + "&#39;"
	}
	want := fmt.Sprintf("default-src &#39;none&#39;; style-src %s; script-src %s; base-uri &#39;none&#39;; form-action &#39;none&#39;",
		hash(p.style), hash(p.script))
	if p.policy != want {
		t.Errorf("policy %s, want %s", p.policy, want)
	}
}

func TestPageIsWellFormed(t *testing.T) {
	for name, text := range map[string][]byte{"shop": htmlOf(t, shop().graph()), "hostile": htmlOf(t, hostile().graph())} {
		frame := regexp.MustCompile(`(?s)(<(?:script|style)[^>]*>).*?(</)`).ReplaceAll(text, []byte("$1$2"))
		decoder := xml.NewDecoder(bytes.NewReader(frame))
		decoder.Strict = false
		decoder.AutoClose = xml.HTMLAutoClose
		decoder.Entity = xml.HTMLEntity
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

// A name that closes the script must stay data: the page has its own two scripts and no other, and the name comes out
// of the data whole.
func TestPageKeepsHostileNamesAsData(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, hostile().graph(), Options{Title: "<b>\"'\x1b"}); err != nil {
		t.Fatal(err)
	}
	p := takeApart(t, b.Bytes())
	if n := strings.Count(p.text, "</script"); n != 2 {
		t.Errorf("%d scripts end, want 2", n)
	}
	if strings.Contains(p.text, "<b>") || !strings.Contains(p.text, "<title>&lt;b&gt;&#34;&#39;\ufffd</title>") {
		t.Error("the title is not escaped")
	}
	var read page
	if err := json.Unmarshal([]byte(p.data), &read); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, n := range read.Nodes {
		found = found || n.Name == `</script><script>alert(1)</script>`
	}
	if !found {
		t.Error("the name is not in the data")
	}
}
