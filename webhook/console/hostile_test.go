package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// TestHostile: names are text whatever they hold, in the feed, in its filters and in addresses.
func TestHostile(t *testing.T) {
	for _, hostile := range []string{`<script>alert(1)</script>`, `" autofocus onfocus="x`, "\u202egnorw", "\x1b[31m\x00", "</details></section>", "../../x?y#z"} {
		r := denials.Record{
			Last: noon, Time: noon, Count: 1, UID: hostile, User: hostile, Operation: hostile, Resource: hostile, Namespace: hostile, Name: hostile,
			Replica: hostile, Decision: denials.Denied, Findings: []denials.Finding{{Guardrail: hostile, Action: hostile, Field: hostile, Detail: hostile, WouldDeny: true}},
			Cut: []denials.Flow{{From: hostile, To: hostile, Port: hostile}}, Opened: []denials.Flow{{From: hostile, To: hostile, Port: hostile}},
		}
		plain := r
		plain.UID, plain.User, plain.Operation, plain.Resource, plain.Namespace, plain.Name, plain.Replica = "x", "x", "x", "x", "x", "x", "x"
		plain.Findings = []denials.Finding{{Guardrail: "x", Action: "x", Field: "x", Detail: "x", WouldDeny: true}}
		plain.Cut, plain.Opened = []denials.Flow{{From: "x", To: "x", Port: "x"}}, []denials.Flow{{From: "x", To: "x", Port: "x"}}
		_, want, _ := get(t, (&site{records: []denials.Record{plain}}).handler(t), "/")
		h := (&site{records: []denials.Record{r}, sources: Sources{Known: 1, Problem: hostile}}).handler(t)
		_, page, _ := get(t, h, "/?"+url.Values{"q": {hostile}, "namespace": {hostile}, "user": {hostile}, "guardrail": {hostile}}.Encode())
		for name, page := range map[string]string{"feed": page} {
			if strings.ContainsAny(page, "\u202e\x1b\x00") {
				t.Errorf("%q steers in the %s", hostile, name)
			}
			if got, most := strings.Count(page, "<script"), strings.Count(want, "<script"); got != most {
				t.Errorf("%q made %d scripts in the %s, want %d", hostile, got, name, most)
			}
			if strings.Count(page, "<") != len(tags.FindAllString(page, -1)) || strings.Contains(tags.FindString(page), "onfocus=\"x") {
				t.Errorf("%q is not text in the %s", hostile, name)
			}
		}
		if status, page, _ := get(t, h, "/namespaces/"+url.PathEscape(hostile)); status != http.StatusOK && status != http.StatusNotFound || strings.Contains(page, "<script>alert") {
			t.Errorf("the page of the namespace %q: %d", hostile, status)
		}
	}
}
