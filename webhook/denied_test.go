package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// keeping makes a handler that keeps its decisions in the ring.
func keeping(t testing.TB, guardrails []policy.Guardrail, text string) (*bench, *denials.Ring) {
	t.Helper()
	b := newBench(t, shop().Snapshot(), guardrails, configOf(t, guardrails, text), namespaceOf("shop"))
	ring := denials.NewRing("replica-1", time.Now())
	b.denied = newRecorder(ring)
	return b, ring
}

// kept gives what the ring holds, without times and numbers.
func kept(ring *denials.Ring) []denials.Record {
	var out []denials.Record
	for _, r := range ring.After(0, 100).Records {
		r := *r
		r.Number, r.Time, r.Last = 0, time.Time{}, time.Time{}
		out = append(out, r)
	}
	return out
}

func TestDenialsAreKept(t *testing.T) {
	quiet := always("quiet", func() []policy.Violation { return nil })
	warns := always("warns", func() []policy.Violation { return []policy.Violation{{Field: "spec", Detail: "hm", Live: true}} })
	dry := true
	base := denials.Record{
		Count: 1, Replica: "replica-1", UID: "uid-1", User: "jane", Operation: "CREATE", Resource: "NetworkPolicy", Namespace: "shop", Name: "default-deny",
	}
	of := func(edit func(*denials.Record)) []denials.Record {
		r := base
		edit(&r)
		return []denials.Record{r}
	}
	dns := denials.Finding{Guardrail: "needs-dns", Action: "Deny", Field: "spec.egress", Detail: "3 live pods (app=api) lose DNS: no rule allows it"}
	for _, tt := range []struct {
		name       string
		guardrails []policy.Guardrail
		config     string
		change     func(*admissionv1.AdmissionRequest)
		times      int
		want       []denials.Record
	}{
		{"denied", []policy.Guardrail{needsDNS()}, deny, nil, 1, of(func(r *denials.Record) { r.Decision, r.Findings = "denied", []denials.Finding{dns} })},
		{"again and again", []policy.Guardrail{needsDNS()}, deny, nil, 3, of(func(r *denials.Record) { r.Count, r.Decision, r.Findings = 3, "denied", []denials.Finding{dns} })},
		{"a dry run", []policy.Guardrail{needsDNS()}, deny, func(r *admissionv1.AdmissionRequest) { r.DryRun = &dry }, 1,
			of(func(r *denials.Record) { r.DryRun, r.Decision, r.Findings = true, "denied", []denials.Finding{dns} })},
		{"warned", []policy.Guardrail{warns}, "", nil, 1, of(func(r *denials.Record) {
			r.Decision, r.Findings = "warned", []denials.Finding{{Guardrail: "warns", Action: "Warn", Field: "spec", Detail: "hm", WouldDeny: true}}
		})},
		{"audited", []policy.Guardrail{warns}, "maximumAction: Audit\n", nil, 1, of(func(r *denials.Record) {
			r.Decision, r.Findings = "audited", []denials.Finding{{Guardrail: "warns", Action: "Audit", Field: "spec", Detail: "hm", WouldDeny: true}}
		})},
		{"a failure", []policy.Guardrail{always("broken", func() []policy.Violation { panic("secret of the cluster") }), quiet}, deny + "errorAction: Deny\n", nil, 1, of(func(r *denials.Record) {
			r.Decision, r.Findings = "denied", []denials.Finding{{Guardrail: "broken", Action: "Deny", Detail: notEvaluated}}
		})},
		{"allowed", []policy.Guardrail{quiet}, deny, nil, 1, nil},
		{"exempt", []policy.Guardrail{needsDNS()}, deny + "exempt: {users: [jane]}\n", nil, 1, nil},
		{"hostile", []policy.Guardrail{warns}, "", func(r *admissionv1.AdmissionRequest) {
			r.Name, r.UserInfo.Username = "\u202e\x1b[31m\n", strings.Repeat("x", 10_000)
		}, 1, of(func(r *denials.Record) {
			r.Name, r.User = `\u202e\x1b[31m\n`, strings.Repeat("x", 509)+"…"
			r.Decision, r.Findings = "warned", []denials.Finding{{Guardrail: "warns", Action: "Warn", Field: "spec", Detail: "hm", WouldDeny: true}}
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, ring := keeping(t, tt.guardrails, tt.config)
			for range tt.times {
				r := policyCreate(t, "default-deny")
				r.UserInfo.Username = "jane"
				if tt.change != nil {
					tt.change(r)
				}
				if got := b.send(t.Context(), r); got.AdmissionResponse == nil {
					t.Fatal(got.text)
				}
			}
			if diff := cmp.Diff(tt.want, kept(ring)); diff != "" {
				t.Errorf("kept (- wanted, + is):\n%s", diff)
			}
		})
	}
}

// TestDenialsAreClipped: a decision of many violations is kept short, and says what is missing.
func TestDenialsAreClipped(t *testing.T) {
	many := always("many", func() []policy.Violation {
		out := make([]policy.Violation, 50)
		for i := range out {
			out[i] = policy.Violation{Field: fmt.Sprint(i), Detail: strings.Repeat("d", 10_000)}
		}
		return out
	})
	b, ring := keeping(t, []policy.Guardrail{many}, deny)
	b.send(t.Context(), policyCreate(t, "a"))
	got := kept(ring)[0]
	if len(got.Findings) != denials.MaxFindings || got.MoreFindings != 30 || len(got.Findings[0].Detail) > denials.MaxText {
		t.Errorf("%d findings of %d bytes, %d more", len(got.Findings), len(got.Findings[0].Detail), got.MoreFindings)
	}
}

// TestRetriedPodsAreOneRecord: a controller whose pods are denied makes one with a new name every second.
func TestRetriedPodsAreOneRecord(t *testing.T) {
	warns := always("warns", func() []policy.Violation { return []policy.Violation{{Detail: "hm"}} })
	b, ring := keeping(t, []policy.Guardrail{warns}, deny)
	for i := range 5 {
		pod := podOf(fmt.Sprintf("api-%d", i), map[string]string{"app": "api"})
		controlledBy("example.org/v1", "Custom")(&pod.ObjectMeta)
		r := admissionRequest(t, create, "", "pods", "", "Pod", nil, pod)
		r.Name = pod.Name
		if got := b.send(t.Context(), r); got.AdmissionResponse == nil {
			t.Fatal(got.text)
		}
	}
	if got := kept(ring); len(got) != 1 || got[0].Count != 5 || got[0].Name != "api-0" {
		t.Errorf("kept %+v", got)
	}
}

// TestKnownConnectionsAreKept: what a change cuts and opens is kept where a guardrail asked for it, and never worked out for this.
func TestKnownConnectionsAreKept(t *testing.T) {
	for _, asks := range []bool{false, true} {
		asked := always("asks", func() []policy.Violation { return nil })
		asked.Check = func(c *policy.Change, _ any) []policy.Violation {
			if asks {
				c.Difference()
			}
			return []policy.Violation{{Field: "spec", Detail: "hm", Live: true}}
		}
		b, ring := keeping(t, []policy.Guardrail{asked}, "")
		builder := shop()
		for i := range 3 {
			other := podOf(fmt.Sprintf("other-%d", i), map[string]string{"app": fmt.Sprint(i)})
			other.Namespace = "kube-system"
			builder.SetPod(cluster.PodOf(other))
		}
		snapshot := builder.Snapshot()
		b.snapshot = func() *cluster.Snapshot { return snapshot }
		b.send(t.Context(), policyCreate(t, "default-deny"))
		var want []denials.Flow
		if asks {
			want = []denials.Flow{
				{From: "shop/api-1", To: "kube-system/other-0", Port: "all ports", More: 2},
				{From: "shop/api-1", To: "0.0.0.0-255.255.255.255", Port: "all ports"},
				{From: "shop/api-1", To: "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Port: "all ports"},
			}
		}
		if diff := cmp.Diff(want, kept(ring)[0].Cut); diff != "" {
			t.Errorf("asked: %v: cut (- wanted, + is):\n%s", asks, diff)
		}
	}
}

// BenchmarkRecord is what keeping costs a decision: one that is new, one that is repeated, and one without violations.
func BenchmarkRecord(b *testing.B) {
	d := policy.Decision{}
	for i := range 3 {
		d.Findings = append(d.Findings, policy.Finding{Guardrail: fmt.Sprintf("guardrail-%d", i), Action: config.Deny, Violation: policy.Violation{
			Field: "spec.egress", Detail: "3 live pods (app=api) lose DNS: no rule reaches kube-system/kube-dns on UDP 53",
		}})
	}
	r := &review{AdmissionRequest: policyCreate(b, "default-deny")}
	change := &policy.Change{Kind: "NetworkPolicy", Operation: policy.Create}
	recorder := newRecorder(denials.NewRing("replica", time.Now()))
	now := time.Now()
	for _, bm := range []struct {
		name     string
		decision policy.Decision
		fresh    bool
	}{{"New", d, true}, {"Repeated", d, false}, {"Allowed", policy.Decision{Allowed: true}, true}} {
		b.Run(bm.name, func(b *testing.B) {
			v := &verdict{decision: decisionDenied, change: change, policy: bm.decision}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if bm.fresh {
					now = now.Add(2 * time.Minute)
				}
				recorder.record(now, r, v)
			}
		})
	}
}
