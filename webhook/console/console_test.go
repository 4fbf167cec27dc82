package console

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// site is a console that a test talks to.
type site struct {
	records []denials.Record
	report  *audit.Report
	sources Sources
	auth    bool
	client  kubernetes.Interface
	now     time.Time
}

func (s *site) handler(t *testing.T) http.Handler {
	t.Helper()
	empty := cluster.NewBuilder(cluster.Options{}).Snapshot()
	c, err := New(Options{
		Denials: func() []denials.Record { return s.records }, Sources: func() Sources { return s.sources },
		Report: func() *audit.Report { return s.report }, Snapshot: func() *cluster.Snapshot { return empty },
		Config: func() *config.Config { return nil }, Cluster: "production", Version: "v1", Auth: s.auth, Client: s.client,
		Now: func() time.Time { return s.now }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Handler()
}

// get asks for a page; header is "Name: value" each.
func get(t *testing.T, h http.Handler, path string, header ...string) (status int, body string, head http.Header) {
	t.Helper()
	return send(t, h, httptest.NewRequest(http.MethodGet, path, nil), header...)
}

func send(t *testing.T, h http.Handler, r *http.Request, header ...string) (status int, body string, head http.Header) {
	t.Helper()
	r.Host = "localhost:8082"
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := w.Result()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// some makes n records, the newest first, that differ in everything a filter looks at.
func some(n int) []denials.Record {
	out := make([]denials.Record, n)
	for i := range out {
		at := noon.Add(-time.Duration(i) * time.Second)
		out[i] = denials.Record{
			Time: at, Last: at, Count: 1, Replica: "r", UID: fmt.Sprintf("uid-%05d", i), User: fmt.Sprintf("user-%d", i%3), Operation: "CREATE",
			Resource: "NetworkPolicy", Namespace: fmt.Sprintf("ns-%d", i%4), Name: fmt.Sprintf("policy-%d", i),
			Decision: []string{denials.Denied, denials.Warned, denials.Audited}[i%3],
			Findings: []denials.Finding{{Guardrail: []string{"dns-cut", "world-cidr"}[i%2], Action: "Deny", Detail: fmt.Sprintf("Detail %d of all", i)}},
		}
	}
	return out
}

var shownUID = regexp.MustCompile(`grep (uid-\d+)`)

// shown gives the first and the last record of a page, and how many it has.
func shown(page string) (first, last string, n int) {
	all := shownUID.FindAllStringSubmatch(page, -1)
	if len(all) == 0 {
		return "", "", 0
	}
	return all[0][1], all[len(all)-1][1], len(all)
}

func TestFeed(t *testing.T) {
	s := &site{records: some(1200)}
	h := s.handler(t)
	for path, want := range map[string]struct {
		first, last string
		n           int
		counts      string
	}{
		"/":                               {"uid-00000", "uid-00049", 50, "400 denied 400 warned 400 audited"},
		"/?page=2":                        {"uid-00050", "uid-00099", 50, "400 denied 400 warned 400 audited"},
		"/?page=24":                       {"uid-01150", "uid-01199", 50, "400 denied 400 warned 400 audited"},
		"/?page=999":                      {"uid-01150", "uid-01199", 50, "400 denied 400 warned 400 audited"},
		"/?page=-3":                       {"uid-00000", "uid-00049", 50, "400 denied 400 warned 400 audited"},
		"/?decision=warned":               {"uid-00001", "uid-00148", 50, "0 denied 400 warned 0 audited of 1,200 decisions"},
		"/?namespace=ns-3":                {"uid-00003", "uid-00199", 50, "100 denied 100 warned 100 audited of 1,200 decisions"},
		"/?user=user-2&guardrail=dns-cut": {"uid-00002", "uid-00296", 50, "0 denied 0 warned 200 audited of 1,200 decisions"},
		"/?q=UID-00777":                   {"uid-00777", "uid-00777", 1, "1 denied 0 warned 0 audited of 1,200 decisions"},
		"/?q=detail+45+policy-45":         {"uid-00045", "uid-00459", 11, "5 denied 3 warned 3 audited of 1,200 decisions"},
		"/?q=nowhere":                     {"", "", 0, "0 denied 0 warned 0 audited of 1,200 decisions"},
	} {
		status, page, _ := get(t, h, path)
		first, last, n := shown(page)
		if status != http.StatusOK || first != want.first || last != want.last || n != want.n {
			t.Errorf("%s: %d, %d records from %s to %s, want %d from %s to %s", path, status, n, first, last, want.n, want.first, want.last)
		}
		if text := textOf(page); !strings.Contains(text, want.counts) {
			t.Errorf("%s lacks %q", path, want.counts)
		}
	}
	// The addresses of other pages keep the filter.
	_, page, _ := get(t, h, "/?decision=warned&q=detail&page=2")
	for _, want := range []string{`href="/?decision=warned&amp;q=detail"`, `href="/?decision=warned&amp;page=3&amp;q=detail"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the second page lacks %s", want)
		}
	}
	s.records = some(3)
	if _, page, _ := get(t, h, "/"); !strings.Contains(textOf(page), "1 denied 1 warned 1 audited") {
		t.Error("another list of records is not shown")
	}
}

var tags = regexp.MustCompile(`<[^>]*>`)

func textOf(page string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(page, " ")), " ")
}

// TestEmptyStates: a page without anything says why, and what to do.
func TestEmptyStates(t *testing.T) {
	s := &site{sources: Sources{Known: 2, Answering: 1, Problem: "it answers 403 Forbidden: get /denials"}}
	h := s.handler(t)
	for path, wants := range map[string][]string{
		"/":                   {"Nothing was denied", "kubectl create --dry-run=server", "1 of 2 replicas of the webhook answers: it answers 403 Forbidden"},
		"/posture":            {"The audit is not done yet", "The first one takes some seconds"},
		"/namespaces/nowhere": {"There is no such namespace"},
		"/report.html":        {"No report yet"},
		"/elsewhere":          {"There is no such page"},
	} {
		_, page, _ := get(t, h, path)
		for _, want := range wants {
			if !strings.Contains(textOf(page), want) {
				t.Errorf("%s lacks %q:\n%s", path, want, textOf(page))
			}
		}
	}
	s.records = some(1)
	if _, page, _ := get(t, h, "/?q=nowhere"); !strings.Contains(textOf(page), "No decision matches the filter 1 decision of other kinds is there. Show all") {
		t.Errorf("got %s", textOf(page))
	}
}

// TestRefresh: the script gets the list without the frame around it.
func TestRefresh(t *testing.T) {
	h := (&site{records: some(60)}).handler(t)
	status, part, _ := get(t, h, "/?decision=denied", "X-Bulkhead-Refresh: 1")
	if status != http.StatusOK || !strings.HasPrefix(part, `<section id="live"`) || strings.Contains(part, "<html") {
		t.Errorf("%d: %.80s", status, part)
	}
	if _, _, n := shown(part); n != 20 {
		t.Errorf("%d records", n)
	}
}

// TestHeaders: every answer has them, errors and files too, and nothing in a page is inline.
func TestHeaders(t *testing.T) {
	h := (&site{records: some(3), report: &audit.Report{Namespaces: []audit.Namespace{{Name: "ns-1"}}}}).handler(t)
	for _, path := range []string{"/", "/posture", "/namespaces/ns-1", "/sign-in", "/assets/feed.js", "/assets/none", "/nowhere"} {
		_, page, head := get(t, h, path)
		for name, want := range map[string]string{
			"Content-Security-Policy": contentPolicy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"X-Frame-Options": "DENY",
		} {
			if got := head.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		for _, unwanted := range []string{"<style", "style=", " onclick", "javascript:", "http://", "https://"} {
			if strings.HasPrefix(head.Get("Content-Type"), "text/html") && strings.Contains(page, unwanted) {
				t.Errorf("%s has %q", path, unwanted)
			}
		}
	}
	for _, unwanted := range []string{"unsafe", "*", "http", "data:"} {
		if strings.Contains(contentPolicy, unwanted) {
			t.Errorf("the policy has %q", unwanted)
		}
	}
	_, _, head := get(t, h, "/report.html")
	if got := head.Get("Content-Disposition"); got != `attachment; filename="bulkhead-audit.html"` {
		t.Errorf("the report comes as %q", got)
	}
}

// TestReadOnly: nothing but the forms of signing in takes a POST, and no other method is taken at all.
func TestReadOnly(t *testing.T) {
	h := (&site{}).handler(t)
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		for _, path := range []string{"/", "/posture", "/namespaces/x", "/report.html"} {
			if status, _, _ := send(t, h, httptest.NewRequest(method, path, nil)); status != http.StatusMethodNotAllowed {
				t.Errorf("%s %s gets %d", method, path, status)
			}
		}
	}
}

// TestLocal: where nobody signs in, a name that somebody else may have pointed here gets nothing.
func TestLocal(t *testing.T) {
	h := (&site{records: some(1)}).handler(t)
	for host, want := range map[string]int{
		"localhost:8082": 200, "127.0.0.1:8082": 200, "[::1]:8082": 200, "LOCALHOST": 200, "127.1.2.3": 200,
		"evil.example": 421, "evil.example:8082": 421, "localhost.evil.example": 421, "10.0.0.1:8082": 421, "127.0.0.1.evil.example": 421, "": 421,
	} {
		status, page, _ := get(t, h, "/", "Host: "+host)
		if status != want || want == 421 && strings.Contains(page, "uid-") {
			t.Errorf("host %q gets %d, want %d", host, status, want)
		}
	}
}

// TestBusy: who comes while too many pages are made is told to come back.
func TestBusy(t *testing.T) {
	s := &site{}
	block, entered := make(chan struct{}), make(chan struct{}, atATime)
	empty := cluster.NewBuilder(cluster.Options{}).Snapshot()
	c, err := New(Options{
		Denials: func() []denials.Record { entered <- struct{}{}; <-block; return nil }, Report: func() *audit.Report { return nil },
		Snapshot: func() *cluster.Snapshot { return empty }, Config: func() *config.Config { return nil }, Now: func() time.Time { return s.now },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Handler()
	for range atATime {
		go h.ServeHTTP(httptest.NewRecorder(), func() *http.Request {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host = "localhost"
			return r
		}())
		<-entered
	}
	status, page, head := get(t, h, "/")
	close(block)
	if status != http.StatusServiceUnavailable || head.Get("Retry-After") != "1" || !strings.Contains(page, "Too many requests") {
		t.Errorf("got %d", status)
	}
}

func BenchmarkFeed(b *testing.B) {
	s := &site{records: some(MaxRecords)}
	empty := cluster.NewBuilder(cluster.Options{}).Snapshot()
	c, err := New(Options{
		Denials: func() []denials.Record { return s.records }, Report: func() *audit.Report { return nil },
		Snapshot: func() *cluster.Snapshot { return empty }, Config: func() *config.Config { return nil }, Now: func() time.Time { return noon },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	h := c.Handler()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, "/?q=detail+7", nil)
		r.Host = "localhost"
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
