package html_test

import (
	"bytes"
	"errors"
	stdhtml "html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/render/html"
)

// write gives the page of a sample. With $BULKHEAD_PAGES it also writes it to that folder, to be looked at.
func write(t *testing.T, r *audit.Report) string {
	t.Helper()
	var b bytes.Buffer
	m := html.Meta{
		Title: "production", Time: "21 November 2026, 22:30 UTC", Version: "v0.1.0", Took: "3.2 s", DocsURL: "https://docs.example/guardrails",
	}
	if err := html.Write(&b, r, m); err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("BULKHEAD_PAGES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(t.Name())+".html"), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// text gives what a reader sees between two headings, with its spaces joined.
func text(t *testing.T, page string) string {
	t.Helper()
	page = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(page, "")
	page = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " ")
	return strings.Join(strings.Fields(stdhtml.UnescapeString(page)), " ")
}

func TestNumbers(t *testing.T) {
	page := text(t, write(t, sample(sampleOptions{namespaces: 14, findings: 4})))
	for _, want := range []string{
		"NetworkPolicy audit of production 21 November 2026, 22:30 UTC Bulkhead v0.1.0 took 3.2 s",
		"Default-deny 4 of 14 namespaces 4 both directions 3 one 7 none",
		"Ingress 60% Egress 24% 462 and 182 of 764 pods",
		"Violations 41 12 deny 15 warn 14 audit",
		"Pods cut from DNS 21 ",
		"Policies that select nothing 3 of 26 ",
		"world-cidr 8 2 6 0 4 8",
		"team-03 exempt none 31 61% 19% 3 3 0",
		"team-00 2 deny 2 warn NetworkPolicy policy-0 Deny dns-cut spec.egress[0].to[0] no rule reaches kube-system/kube-dns on UDP 53 " +
			"affects api (3 pods), deployment/web add under spec.egress: - to: - namespaceSelector: {}",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// TestEmpty: a report of nothing says what to do, and a report without violations says that this is good.
func TestEmpty(t *testing.T) {
	for name, c := range map[string]struct {
		report   *audit.Report
		has, not []string
	}{
		"no namespaces": {&audit.Report{}, []string{"No namespaces were found", "Check that the folder"}, []string{"At a glance"}},
		"nothing found": {
			&audit.Report{Namespaces: []audit.Namespace{{Name: "shop"}}},
			[]string{"✓ No stored object violates a guardrail.", "✓ Nothing was found.", "Ingress – Egress – 0 and 0 of 0 pods"}, []string{"NaN", "Inf"},
		},
		"incomplete": {
			&audit.Report{Partial: []string{"services may not be listed"}}, []string{"This report is incomplete services may not be listed"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			page := text(t, write(t, c.report))
			for _, want := range c.has {
				if !strings.Contains(page, want) {
					t.Errorf("the page lacks %q:\n%s", want, page)
				}
			}
			for _, unwanted := range c.not {
				if strings.Contains(page, unwanted) {
					t.Errorf("the page has %q:\n%s", unwanted, page)
				}
			}
		})
	}
}

// TestLarge: what is left out of a large report is counted, and nothing else is lost.
func TestLarge(t *testing.T) {
	r := sample(sampleOptions{namespaces: 200, findings: 64})
	total := r.Count(func(*audit.Finding) bool { return true })
	if total < 10_000 {
		t.Fatalf("a sample of %d findings is not large", total)
	}
	page := write(t, r)
	s := html.Summarize(r)
	if s.Shown != 5000 || s.Shown+s.Left != total-1 || s.Actions.Total() != total {
		t.Errorf("%d shown, %d left of %d", s.Shown, s.Left, total)
	}
	if got := strings.Count(page, `<p class="what">`); got != s.Shown+1 {
		t.Errorf("the page has %d findings, want %d and the cluster's", got, s.Shown)
	}
	if !strings.Contains(text(t, page), "5,000 of "+html.Number(total-1)+" findings in namespaces are on this page") {
		t.Error("the page does not say what it leaves out")
	}
	if len(page) > 4<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	one := sample(sampleOptions{namespaces: 1, findings: 800})
	if s := html.Summarize(one); s.Shown != 500 || s.Namespaces[0].Left != 300 {
		t.Errorf("of one namespace's 800 findings %d are shown, %d left", s.Shown, s.Namespaces[0].Left)
	}
}

// TestHostile: whatever names hold, the page has the elements and attributes of one whose names are harmless.
func TestHostile(t *testing.T) {
	for name, hostile := range map[string]string{
		"element": `<script>alert(1)</script><img src=x onerror=alert(1)>`, "attribute": `" onmouseover="alert(1)" x='`,
		"closing": `</style></script></details><!--`, "direction": "\u202egnorw\u2066", "terminal": "\x1b[31mred\x00\x07", "template": "{{.}}${x}",
	} {
		t.Run(name, func(t *testing.T) {
			o := sampleOptions{namespaces: 6, findings: 2}
			plain := write(t, sample(o))
			o.hostile = hostile
			page := write(t, sample(o))
			if want, got := tokens(t, plain), tokens(t, page); !slices.Equal(got, want) {
				t.Errorf("the elements differ from the plain page's: %d and %d", len(got), len(want))
			}
			if strings.ContainsAny(page, "\u202e\u2066\x1b\x00\x07") {
				t.Error("characters that steer are in the page")
			}
		})
	}
}

var (
	tag   = regexp.MustCompile(`<[^>]*>`)
	value = regexp.MustCompile(`="[^"]*"`)
)

// tokens gives the page's tags with the names of their attributes. A page that shows hostile text as text has no other < than
// that of its own tags.
func tokens(t *testing.T, page string) []string {
	t.Helper()
	page = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`).ReplaceAllString(page, "")
	all := tag.FindAllString(page, -1)
	if strings.Count(page, "<") != len(all) {
		t.Errorf("%d signs < begin %d tags", strings.Count(page, "<"), len(all))
	}
	for i := range all {
		all[i] = value.ReplaceAllString(all[i], "")
	}
	return all
}

// TestSelfContained: the page fetches nothing and sets no style but its own.
func TestSelfContained(t *testing.T) {
	page := write(t, sample(sampleOptions{namespaces: 3, findings: 2}))
	for _, unwanted := range []string{" src=", "<link", "@import", "url(", " style=", "onclick", "http-equiv=\"refresh\""} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	if !strings.Contains(page, `content="default-src &#39;none&#39;; style-src &#39;sha256-`) {
		t.Error("the page has no Content-Security-Policy")
	}
	if again := write(t, sample(sampleOptions{namespaces: 3, findings: 2})); again != page {
		t.Error("the same report gave other bytes")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWriteError(t *testing.T) {
	if err := html.Write(failing{}, &audit.Report{}, html.Meta{}); err == nil || err.Error() != "full" {
		t.Errorf("got %v", err)
	}
}
