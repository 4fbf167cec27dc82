package console

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy/audit/render/html"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// perPage is how many decisions one page shows.
const perPage = 50

// filter says which decisions to show; an empty field shows all.
type filter struct {
	Guardrail, Namespace, Decision, User, Text string
}

// filterOf reads a filter from the address of a page.
func filterOf(q url.Values) filter {
	get := func(name string) string { return html.Printable(strings.TrimSpace(q.Get(name))) }
	return filter{get("guardrail"), get("namespace"), get("decision"), get("user"), get("q")}
}

// query writes the filter as an address, without what is empty.
func (f filter) query(page int) string {
	q := url.Values{}
	for name, value := range map[string]string{
		"guardrail": f.Guardrail, "namespace": f.Namespace, "decision": f.Decision, "user": f.User, "q": f.Text,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if page > 1 {
		q.Set("page", strconv.Itoa(page))
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

// Active reports whether something is filtered.
func (f filter) Active() bool { return f != filter{} }

func (f *filter) keeps(i *item, words []string) bool {
	r := i.record
	if f.Decision != "" && r.Decision != f.Decision || f.Namespace != "" && r.Namespace != f.Namespace || f.User != "" && r.User != f.User {
		return false
	}
	if f.Guardrail != "" && !slices.ContainsFunc(r.Findings, func(x denials.Finding) bool { return x.Guardrail == f.Guardrail }) {
		return false
	}
	for _, word := range words {
		if !strings.Contains(i.text, word) {
			return false
		}
	}
	return true
}

// item is a record with what a search looks in.
type item struct {
	record *denials.Record
	text   string
}

// feedIndex keeps the items of the records that were shown last.
type feedIndex struct {
	mu    sync.Mutex
	of    []denials.Record
	items []item
}

// get gives the items of the records. They are made once for each slice.
func (x *feedIndex) get(records []denials.Record) []item {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(records) == len(x.of) && (len(records) == 0 || &records[0] == &x.of[0]) {
		return x.items
	}
	x.of, x.items = records, make([]item, len(records))
	for i := range records {
		r := &records[i]
		var b strings.Builder
		for _, s := range []string{r.UID, r.User, r.Operation, r.Resource, r.Namespace, r.Name, r.Replica} {
			b.WriteString(s + "\n")
		}
		for _, f := range r.Findings {
			b.WriteString(f.Guardrail + "\n" + f.Field + "\n" + f.Detail + "\n")
		}
		x.items[i] = item{r, strings.ToLower(b.String())}
	}
	return x.items
}

// feedPage is what the page of denied changes shows.
type feedPage struct {
	Filter filter
	// Counts are by decision of what the filter keeps, whatever page is shown.
	Denied, Warned, Audited, Shown, All int
	Rows                                []feedRow
	Page, Pages                         int
	Newer, Older                        string // addresses; empty where there are none
	Guardrails, Namespaces, Users       []string
	Chart                               timeline
	Sources                             *Sources
	Live                                bool
}

// feedRow is one decision.
type feedRow struct {
	ID string
	denials.Record
	Guardrails []string
	// Object is the object's kind and name; More counts the findings and connections that are not shown.
	Object string
	Flows  bool
}

// feed answers with the denied changes, newest first.
func (c *Console) feed(w http.ResponseWriter, r *http.Request) {
	p := c.feedOf(r)
	f := c.frame(r, "Denied changes", "feed")
	if r.Header.Get(fragmentHeader) == "" {
		c.pages.write(w, http.StatusOK, "feed", f, p)
		return
	}
	c.pages.writePart(w, http.StatusOK, "feed", "live", f, p)
}

func (c *Console) feedOf(r *http.Request) *feedPage {
	q := r.URL.Query()
	items := c.index.get(c.o.Denials())
	p := &feedPage{Filter: filterOf(q), All: len(items)}
	words := strings.Fields(strings.ToLower(p.Filter.Text))
	var kept []*denials.Record
	guardrails, namespaces, users := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range items {
		record := items[i].record
		namespaces[record.Namespace], users[record.User] = true, true
		for k := range record.Findings {
			guardrails[record.Findings[k].Guardrail] = true
		}
		if p.Filter.keeps(&items[i], words) {
			kept = append(kept, record)
			p.count(record)
		}
	}
	p.Guardrails, p.Namespaces, p.Users = choices(guardrails, p.Filter.Guardrail), choices(namespaces, p.Filter.Namespace), choices(users, p.Filter.User)
	p.Shown, p.Chart = len(kept), newTimeline(kept)
	page, _ := strconv.Atoi(q.Get("page"))
	p.turn(kept, page)
	if c.o.Sources != nil {
		sources := c.o.Sources()
		p.Sources = &sources
	}
	return p
}

func (p *feedPage) count(r *denials.Record) {
	switch r.Decision {
	case denials.Denied:
		p.Denied++
	case denials.Warned:
		p.Warned++
	default:
		p.Audited++
	}
}

// maxChoices bounds a list to choose from; a longer one is no longer read, and what it lacks can be searched for.
const maxChoices = 300

// choices gives what a filter can be set to, with what it is set to. What cannot be shown as it is cannot be chosen.
func choices(all map[string]bool, set string) []string {
	out := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(s string) bool { return s == "" || s != html.Printable(s) })
	out = out[:min(len(out), maxChoices)]
	if set != "" && !slices.Contains(out, set) {
		out = append(out, set)
	}
	return out
}

// turn shows one page of the records.
func (p *feedPage) turn(kept []*denials.Record, page int) {
	p.Pages = max((len(kept)+perPage-1)/perPage, 1)
	p.Page = min(max(page, 1), p.Pages)
	p.Live = p.Page == 1
	if p.Page > 1 {
		p.Newer = p.Filter.query(p.Page - 1)
	}
	if p.Page < p.Pages {
		p.Older = p.Filter.query(p.Page + 1)
	}
	for _, r := range kept[(p.Page-1)*perPage : min(p.Page*perPage, len(kept))] {
		p.Rows = append(p.Rows, rowOf(r))
	}
}

func rowOf(r *denials.Record) feedRow {
	row := feedRow{ID: recordID(r), Record: *r, Object: html.Printable(strings.TrimSpace(r.Resource + " " + r.Name)), Flows: len(r.Cut)+len(r.Opened) > 0}
	for _, f := range r.Findings {
		if !slices.Contains(row.Guardrails, f.Guardrail) {
			row.Guardrails = append(row.Guardrails, f.Guardrail)
		}
	}
	return row
}

// recordID names a record in addresses and in pages.
func recordID(r *denials.Record) string {
	sum := sha256.Sum256([]byte(r.Replica + "\x00" + r.UID))
	return "d" + hex.EncodeToString(sum[:6])
}

// timeline counts decisions over time.
type timeline struct {
	From, To time.Time
	Bars     []timeBar
}

// timeBar is one span of time: X and Width in percent, heights in pixels, denied at the bottom.
type timeBar struct {
	X, Width                      string
	DeniedY, DeniedH, RestY, Rest int
	Title                         string
}

const (
	timeBars   = 60
	timeHeight = 44
)

// newTimeline makes the timeline of records, newest first.
func newTimeline(records []*denials.Record) timeline {
	if len(records) < 2 {
		return timeline{}
	}
	t := timeline{To: records[0].Last, From: records[len(records)-1].Last}
	span := t.To.Sub(t.From)
	if span <= 0 {
		return timeline{}
	}
	var denied, rest [timeBars]int
	most := 1
	for _, r := range records {
		i := min(max(int(int64(timeBars)*int64(r.Last.Sub(t.From)/time.Millisecond)/max(int64(span/time.Millisecond), 1)), 0), timeBars-1)
		if r.Decision == denials.Denied {
			denied[i]++
		} else {
			rest[i]++
		}
		most = max(most, denied[i]+rest[i])
	}
	for i := range timeBars {
		if denied[i]+rest[i] == 0 {
			continue
		}
		height := func(n int) int {
			if n == 0 {
				return 0
			}
			return max(n*timeHeight/most, 2)
		}
		d, o := height(denied[i]), height(rest[i])
		t.Bars = append(t.Bars, timeBar{
			X: strconv.FormatFloat(float64(i)*100/timeBars, 'f', 2, 64), Width: strconv.FormatFloat(80.0/timeBars, 'f', 2, 64),
			DeniedY: timeHeight - d, DeniedH: d, RestY: max(timeHeight-d-o, 0), Rest: o,
			Title: t.From.Add(span*time.Duration(i)/timeBars).UTC().Format("2 Jan 15:04:05") + ": " + strconv.Itoa(denied[i]) + " denied, " + strconv.Itoa(rest[i]) + " others",
		})
	}
	return t
}
