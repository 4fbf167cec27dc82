package webhook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// hostile holds what must not reach a terminal: a line break, an ANSI colour, a bidirectional override, bytes that are no
// UTF-8.
const hostile = "evil\n\x1b[31mred\u202e\xff"

func egressChange(name string) *policy.Change {
	return &policy.Change{Kind: "NetworkPolicy", Namespace: "payments", Name: name}
}

func dnsCutFinding() policy.Finding {
	return policy.Finding{Guardrail: "dns-cut", Action: config.Deny, Violation: policy.Violation{
		Field: "spec.egress", Headline: "3 live pods would lose DNS", Detail: "3 live pods (app=api) lose DNS: no egress rule reaches kube-system/kube-dns on UDP 53",
		Reason: "2 rules, none reaches kube-system/kube-dns on UDP 53", Affected: []policy.Affected{{Name: "api", Pods: 3}},
		Fix: &policy.Fix{Say: "add under spec.egress:", YAML: `- to:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    podSelector: {matchLabels: {k8s-app: kube-dns}}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
`},
	}}
}

func warned(guardrail, detail string) policy.Finding {
	return policy.Finding{Guardrail: guardrail, Action: config.Warn, Violation: policy.Violation{Field: "spec", Detail: detail}}
}

func manyFindings() []policy.Finding {
	out := []policy.Finding{}
	for i := range 23 {
		out = append(out, policy.Finding{Guardrail: "peer-no-pods", Action: config.Deny, Violation: policy.Violation{
			Field: fmt.Sprintf("spec.egress[%d].to[0]", i), Detail: fmt.Sprintf("selector app=web-%d matches no pod", i),
			Fix: &policy.Fix{Say: fmt.Sprintf("correct selector %d", i)},
		}})
	}
	for i := range 12 {
		out = append(out, warned("dns-tcp", fmt.Sprintf("rule %d allows DNS over UDP alone", i)))
	}
	return append(out, warned("dns-tcp", "rule 0 allows DNS over UDP alone"))
}

func hostileFinding() policy.Finding {
	long := strings.Repeat("n", 253)
	return policy.Finding{Guardrail: "dns-cut", Action: config.Deny, Violation: policy.Violation{
		Field: "metadata.labels[" + hostile + "]", Headline: "pods of " + hostile + " would lose DNS", Detail: hostile + strings.Repeat("x", 300),
		Affected: []policy.Affected{{Name: long, Pods: 1}, {Name: hostile, Pods: 2}, {Name: "c"}, {Name: "d"}, {Name: "e"}, {Name: "f"}},
		Fix:      &policy.Fix{Say: "call it " + hostile, YAML: "name: " + hostile + "\n"},
	}}
}

func TestResponseTexts(t *testing.T) {
	failed := []policy.Failure{{Guardrail: "peer-no-pods", Err: errors.New("panic: secret")}}
	for _, tt := range []struct {
		name     string
		change   *policy.Change
		decision policy.Decision
	}{
		{"one-deny", egressChange("api-egress"), policy.Decision{Findings: []policy.Finding{dnsCutFinding()}}},
		{"deny-and-warn", egressChange("api-egress"), policy.Decision{Findings: []policy.Finding{
			dnsCutFinding(), {Guardrail: "metadata-open", Action: config.Deny, Violation: policy.Violation{
				Field: "spec.egress[0].to[0].ipBlock", Detail: "0.0.0.0/0 opens 169.254.169.254 to 3 live pods (app=api)",
				Affected: []policy.Affected{{Name: "api", Pods: 3}, {Name: "deployment/batch"}},
				Fix:      &policy.Fix{Say: "add to except: 169.254.169.254/32"},
			}},
			warned("dns-tcp", "pods reach kube-system/kube-dns on UDP alone; add TCP 53"), warned("peer-no-namespace", "no namespace has the label team=shopp"),
		}}},
		{"deletion", egressChange("allow-dns"), policy.Decision{Findings: []policy.Finding{{
			Guardrail: "dns-cut", Action: config.Deny, Violation: policy.Violation{Detail: "deleting allow-dns: 3 live pods (app=api) lose DNS"},
		}}}},
		{"more-than-twenty", egressChange("api-egress"), policy.Decision{Findings: manyFindings()}},
		{"hostile", egressChange(hostile), policy.Decision{Findings: []policy.Finding{hostileFinding(), warned("dns-tcp", hostile)}}},
		{"generated-name", &policy.Change{Kind: "Pod", Namespace: "payments"}, policy.Decision{Findings: []policy.Finding{dnsCutFinding()}}},
		{"failure-denied", egressChange("api-egress"), policy.Decision{Failures: failed, FailureAction: config.Deny}},
		{"failure-denied-too", egressChange("api-egress"), policy.Decision{Findings: []policy.Finding{dnsCutFinding()}, Failures: failed, FailureAction: config.Deny}},
		{"failure-audited", egressChange("api-egress"), policy.Decision{Findings: []policy.Finding{dnsCutFinding()}, Failures: failed, FailureAction: config.Audit}},
		{"warned", egressChange("api-egress"), policy.Decision{Allowed: true, Findings: []policy.Finding{warned("dns-tcp", "add TCP 53")}, Failures: failed, FailureAction: config.Warn}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := respond(configOf(t, nil, deny), tt.change, &tt.decision)
			var b strings.Builder
			if got.Result != nil {
				b.WriteString(got.Result.Message + "\n")
				for _, c := range got.Result.Details.Causes {
					fmt.Fprintf(&b, "cause %s | %s | %s\n", c.Type, c.Field, c.Message)
				}
			}
			for _, w := range got.Warnings {
				b.WriteString("Warning: " + w + "\n")
			}
			for _, k := range []string{auditDecision, auditGuardrails, auditViolations} {
				fmt.Fprintf(&b, "audit %s=%s\n", k, got.AuditAnnotations[k])
			}
			golden(t, "response-"+tt.name+".txt", b.String())
		})
	}
}

// golden compares with a file of testdata. BULKHEAD_UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("BULKHEAD_UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), BULKHEAD_UPDATE_GOLDEN=1 writes it:\n%s", path, diff)
	}
}

func TestDenialIsForbiddenNeverInvalid(t *testing.T) {
	got := respond(configOf(t, nil, deny), egressChange("api-egress"), &policy.Decision{Findings: []policy.Finding{dnsCutFinding()}})
	if got.Result.Code != 403 || got.Result.Reason != "Forbidden" || got.Result.Status != "Failure" || got.Result.Details.Name != "api-egress" || got.Result.Details.Kind != "NetworkPolicy" {
		t.Errorf("got %+v", got.Result)
	}
	if strings.Contains(strings.ToLower(got.Result.Message), "immutable") {
		t.Error("Flux takes the word immutable for leave to delete the object")
	}
	for k := range got.AuditAnnotations {
		if strings.Contains(k, "/") {
			t.Errorf("audit annotation key %q: the API server adds the prefix", k)
		}
	}
}

func TestClipCutsBetweenCharacters(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"abcdef", "abcdef"}, {"abcdefg", "abc…"}, {"日本日本", "日…"}, {"ab日本語", "ab…"}, {"日本", "日本"},
	} {
		if got := clip(tt.in, 6); got != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain, with “quotes” and ü", "plain, with “quotes” and ü"}, {`a "quoted" \ thing`, `a "quoted" \ thing`},
		{"a\nb", `a\nb`}, {"\x1b[31m", `\x1b[31m`}, {"\u202eabc", `\u202eabc`}, {"\u200b", `\u200b`}, {"\xff", `\xff`}, {"\x00\t", `\x00\t`},
		{"\"a\"\n", `"a"\n`}, {"\u2028", `\u2028`}, {"\u00a0", `\u00a0`},
	} {
		if got := printable(tt.in); got != tt.want {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
	}
}

// checkMessages holds what every response has to keep whatever is in it.
func checkMessages(t *testing.T, cfg *config.Config, c *policy.Change, d *policy.Decision) {
	t.Helper()
	got := respond(cfg, c, d)
	single := map[string]int{}
	for _, w := range got.Warnings {
		single[w] = maxWarning
	}
	if len(got.Warnings) > maxWarnings+1 {
		t.Errorf("%d warnings", len(got.Warnings))
	}
	for _, a := range got.AuditAnnotations {
		single[a] = 64 << 10
	}
	if got.Result != nil {
		message := got.Result.Message
		first, _, _ := strings.Cut(message, "\n")
		if len(first) > 400 || len(message) > 128<<10 {
			t.Errorf("first line of %d bytes, message of %d", len(first), len(message))
		}
		for _, l := range strings.Split(message, "\n") {
			single[l] = 4 << 10
		}
		for _, cause := range got.Result.Details.Causes {
			single[cause.Field], single[cause.Message] = maxLine, maxLine
		}
		if len(got.Result.Details.Causes) > maxDenied {
			t.Errorf("%d causes", len(got.Result.Details.Causes))
		}
		single[got.Result.Details.Name] = maxName
	}
	for s, most := range single {
		if len(s) > most {
			t.Errorf("%d bytes, at most %d: %q", len(s), most, s)
		}
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("not printable: %q", s)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add("spec.egress", "3 pods lose DNS", "", "api", "add:", "a: b\n", uint8(3), uint8(2))
	f.Add(hostile, hostile, hostile, hostile, hostile, hostile, uint8(200), uint8(200))
	f.Add(strings.Repeat("\u202e", 300), strings.Repeat("日", 300), strings.Repeat("x", 5000), strings.Repeat("n", 253), "", strings.Repeat("- a\n", 100), uint8(21), uint8(11))
	cfg := config.Default(nil)
	f.Fuzz(func(t *testing.T, field, detail, headline, name, say, yaml string, denied, warnings uint8) {
		d := &policy.Decision{Allowed: denied == 0, Failures: []policy.Failure{{Guardrail: "broken", Err: errors.New(detail)}}, FailureAction: config.Warn}
		for i := range int(denied) + int(warnings) {
			action := config.Deny
			if i >= int(denied) {
				action = config.Warn
			}
			d.Findings = append(d.Findings, policy.Finding{Guardrail: "dns-cut", Action: action, Violation: policy.Violation{
				Field: field, Headline: headline, Detail: fmt.Sprint(detail, i), Affected: []policy.Affected{{Name: name, Pods: i}, {Name: field}},
				Fix: &policy.Fix{Say: say, YAML: yaml},
			}})
		}
		checkMessages(t, cfg, &policy.Change{Kind: "Pod", Namespace: name, Name: name}, d)
	})
}
