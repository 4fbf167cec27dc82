package render_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/render"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

func finding(slug string, a config.Action, kind, name, detail string) audit.Finding {
	return audit.Finding{
		Kind: kind, Name: name,
		Finding: policy.Finding{Guardrail: slug, Action: a, WouldDeny: a == config.Deny, Violation: policy.Violation{Field: "spec", Detail: detail}},
	}
}

// sample is a small report with one of everything.
func sample() *audit.Report {
	pods := finding("pod-uncovered", config.Audit, "Pod", "api", "no policy isolates them")
	pods.Owner, pods.Pods, pods.WouldDeny = "Deployment", 3, true
	lone := finding("pod-uncovered", config.Warn, "Pod", "lone", "no policy isolates it")
	lone.Owner, lone.Pods = "Pod", 1
	passing := finding("selector-no-pods", config.Warn, "NetworkPolicy", "typo", "app=apii matches nothing")
	passing.NotYet, passing.WouldDeny = true, true
	cluster := finding("cni-inert", config.Audit, "", "", "flannel does not enforce NetworkPolicy")
	cluster.Field = ""
	return &audit.Report{
		Namespaces: []audit.Namespace{
			{Name: "open", Posture: audit.Posture{Pods: 1}, Findings: []audit.Finding{lone}},
			{Name: "shop", Posture: audit.Posture{Policies: 2, Pods: 5, Ungoverned: 1, Isolated: [2]int{5, 2}, DefaultDeny: [2]bool{true, false}, WithoutDNS: 1, SelectNothing: []string{"typo"}},
				Findings: []audit.Finding{finding("dns-cut", config.Deny, "NetworkPolicy", "deny", "3 live pods lose DNS"), passing, pods},
				Failures: []policy.Failure{{Guardrail: "endport", Err: errors.New("it panicked")}}, Unjudged: []string{"new"}},
			{Name: "system", Exempt: true, Posture: audit.Posture{Pods: 2}},
		},
		Cluster: []audit.Finding{cluster}, Partial: []string{"services may not be listed"},
	}
}

func table(t *testing.T, r *audit.Report, o render.Options) string {
	t.Helper()
	var out bytes.Buffer
	if err := render.Table(&out, r, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTable(t *testing.T) {
	want := `Posture
  namespaces  3; with a default-deny: 1 (33%) ingress, 0 (0%) egress, 0 (0%) both; 1 exempt
  pods        8; isolated: 5 (63%) ingress, 2 (25%) egress; and 1 on their node's network, which no
              policy governs
  DNS         1 pod is isolated for egress and cannot reach the cluster's resolver
  policies    2; 1 selects nothing: shop/typo

Guardrails                                  deny  warn audit  would deny
  dns-cut                                      1     0     0           1
  pod-uncovered                                0     1     1           1
  selector-no-pods                             0     1     0           1
  cni-inert                                    0     0     1           0

Namespaces                                  deny  warn audit  would deny
  shop                                         1     1     1           3
  open                                         0     1     0           0

The cluster
  Audit  cni-inert              the cluster
         flannel does not enforce NetworkPolicy

open  no default-deny
  Warn   pod-uncovered          Pod lone  spec
         no policy isolates it

shop  denies ingress by default
  failed  endport could not be evaluated
  Deny   dns-cut                NetworkPolicy deny  spec
         3 live pods lose DNS
  Warn   selector-no-pods       NetworkPolicy typo  spec  (would deny; may pass)
         app=apii matches nothing
  Audit  pod-uncovered          3 pods of Deployment api  spec  (would deny)
         no policy isolates them

5 findings: 1 deny, 2 warn, 2 audit; 3 would be denied if every guardrail's action were Deny; 1
could not be evaluated
incomplete: services may not be listed
`
	got := table(t, sample(), render.Options{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	painted := table(t, sample(), render.Options{Paint: func(text string, s render.Style) string { return fmt.Sprintf("\x1b[3%dm%s\x1b[0m", s+1, text) }})
	if plain := withoutColours(painted); plain != want {
		t.Errorf("colours change the text (-want +got):\n%s", cmp.Diff(want, plain))
	}
	empty := table(t, &audit.Report{}, render.Options{})
	if want := "Posture\n  namespaces  0; with a default-deny: 0 ingress, 0 egress, 0 both\n  pods        0; isolated: 0 ingress, 0 egress\n" +
		"  policies    0\n\n0 findings: 0 deny, 0 warn, 0 audit; 0 would be denied if every guardrail's action were Deny\n"; empty != want {
		t.Errorf("an empty report (-want +got):\n%s", cmp.Diff(want, empty))
	}
}

func withoutColours(s string) string {
	for {
		before, after, found := strings.Cut(s, "\x1b[")
		if !found {
			return s
		}
		_, after, _ = strings.Cut(after, "m")
		s = before + after
	}
}

// TestTableIsBounded: a large report stays readable, and one namespace is shown whole.
func TestTableIsBounded(t *testing.T) {
	r := &audit.Report{}
	for i := range 30 {
		n := audit.Namespace{Name: fmt.Sprintf("n%02d", i)}
		for k := range 50 {
			n.Findings = append(n.Findings, finding(fmt.Sprintf("guardrail-%02d", k), config.Warn, "NetworkPolicy", "p", strings.Repeat("words of a long message ", 20)))
			n.Posture.SelectNothing = append(n.Posture.SelectNothing, fmt.Sprintf("p%d", k))
		}
		r.Namespaces = append(r.Namespaces, n)
	}
	got := table(t, r, render.Options{})
	for _, want := range []string{"\n  +40 more\n", "\n  +20 more\n", "\n  +30 more\n", "n00/p4, +1495 more\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	one := table(t, r, render.Options{Namespace: "n07"})
	if n := strings.Count(one, "  Warn   "); n != 50 || strings.Contains(one, "n08") || !strings.Contains(one, "50 findings: ") {
		t.Errorf("%d findings of one namespace:\n%.500s", n, one)
	}
}

// TestHostileText: what objects say cannot rewrite the screen, nor break a line.
func TestHostileText(t *testing.T) {
	evil := "a\x1b[2J\nfake: \u202e0 findings\r\x00\xff"
	r := &audit.Report{Namespaces: []audit.Namespace{{
		Name: evil, Posture: audit.Posture{SelectNothing: []string{evil}}, Findings: []audit.Finding{finding("dns-cut", config.Deny, evil, evil, evil)},
	}}, Partial: []string{evil}}
	for _, line := range strings.Split(table(t, r, render.Options{}), "\n") {
		if strings.HasPrefix(line, "fake") || strings.ContainsAny(line, "\x1b\r\x00\u202e") || !utf8.ValidString(line) {
			t.Errorf("%q", line)
		}
	}
	var out bytes.Buffer
	if err := render.JSON(&out, r, render.Options{}); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestJSONOfNamespace: only the one asked for.
func TestJSONOfNamespace(t *testing.T) {
	var out bytes.Buffer
	if err := render.JSON(&out, sample(), render.Options{Namespace: "shop", DocsURL: "https://example.com/"}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Namespaces []struct{ Name string }
		Summary    struct{ Findings map[string]int }
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"deny": 1, "warn": 1, "audit": 2, "wouldDeny": 3} // the cluster's finding among them
	if len(got.Namespaces) != 1 || got.Namespaces[0].Name != "shop" || !cmp.Equal(want, got.Summary.Findings) {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(out.String(), `"documentation": "https://example.com/dns-cut"`) || !strings.Contains(out.String(), `"failures": [
        "endport"
      ]`) {
		t.Error(out.String())
	}
}

// TestBrokenWriter: a full disk is an error.
func TestBrokenWriter(t *testing.T) {
	r, w := io.Pipe()
	r.CloseWithError(errors.New("full"))
	if render.Table(w, sample(), render.Options{}) == nil || render.JSON(w, sample(), render.Options{}) == nil {
		t.Error("no error")
	}
}
