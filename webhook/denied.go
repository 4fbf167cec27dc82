package webhook

import (
	"hash/maphash"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// recorder turns decisions with violations into records of a Ring.
type recorder struct {
	ring *denials.Ring
	seed maphash.Seed
}

func newRecorder(ring *denials.Ring) *recorder {
	if ring == nil {
		return nil
	}
	return &recorder{ring: ring, seed: maphash.MakeSeed()}
}

// record notes a decision, if it is one to note. It runs before the answer, so it is cheap; an allowed change without violations
// pays nothing. A nil recorder notes nothing.
func (d *recorder) record(now time.Time, r *review, v *verdict) {
	if d == nil || v.change == nil || len(v.policy.Findings) == 0 && v.policy.Allowed {
		return
	}
	d.ring.Add(now, d.key(r, v), !v.policy.Allowed, func() *denials.Record { return recordOf(r, v) })
}

// key is the same for requests that say the same to the same user about the same object. The pods that a controller makes again
// and again have new names each time, and count as one object.
func (d *recorder) key(r *review, v *verdict) uint64 {
	var h maphash.Hash
	h.SetSeed(d.seed)
	add := func(s string) {
		_, _ = h.WriteString(s) // never fails
		_ = h.WriteByte(0)
	}
	name := r.Name
	if w := v.change.NewWorkload; w != nil && r.Operation == admissionv1.Create {
		name = w.Name
	}
	for _, s := range [...]string{r.UserInfo.Username, string(r.Operation), v.change.Kind, r.Namespace, name, v.decision} {
		add(s)
	}
	if r.dryRun() {
		add("dry run")
	}
	for i := range v.policy.Findings {
		f := &v.policy.Findings[i]
		add(f.Guardrail)
		add(string(f.Action))
		add(f.Field)
		add(f.Detail)
	}
	for _, f := range v.policy.Failures {
		add(f.Guardrail)
	}
	return h.Sum64()
}

// recordOf spells out a decision. All that comes from outside is made printable and cut.
func recordOf(r *review, v *verdict) *denials.Record {
	out := &denials.Record{
		UID: clip(printable(string(r.UID)), denials.MaxText), User: clip(printable(r.UserInfo.Username), denials.MaxText),
		Operation: string(v.change.Operation), Resource: v.change.Kind, Namespace: shownName(r.Namespace), Name: shownName(r.Name),
		DryRun: r.dryRun(), Decision: v.decision,
	}
	if v.decision == decisionAllowed {
		out.Decision = denials.Audited
	}
	findings := v.policy.Findings
	failed := 0
	if v.policy.FailureAction == config.Deny {
		failed = len(v.policy.Failures)
	}
	shown := min(len(findings), denials.MaxFindings)
	out.Findings = make([]denials.Finding, 0, min(shown+failed, denials.MaxFindings))
	for i := range shown {
		f := &findings[i]
		out.Findings = append(out.Findings, denials.Finding{
			Guardrail: f.Guardrail, Action: string(f.Action), Field: clip(printable(f.Field), denials.MaxText),
			Detail: clip(printable(f.Detail), denials.MaxText), WouldDeny: f.WouldDeny && f.Action != config.Deny,
		})
	}
	for i := range min(failed, denials.MaxFindings-shown) {
		out.Findings = append(out.Findings, denials.Finding{
			Guardrail: v.policy.Failures[i].Guardrail, Action: string(v.policy.FailureAction), Detail: notEvaluated,
		})
	}
	out.MoreFindings = len(findings) + failed - len(out.Findings)
	addFlows(out, v.change.KnownDifference())
	return out
}

// addFlows adds the connections that are cut and opened; what has not been compared is not compared for this.
func addFlows(out *denials.Record, d *policy.Difference) {
	if d == nil {
		return
	}
	add := func(to *[]denials.Flow, f *policy.Flow, ports connectivity.Ports) {
		switch {
		case ports.Empty():
		case len(*to) == denials.MaxFlows:
			out.MoreFlows++
		default:
			*to = append(*to, flowOf(f, ports))
		}
	}
	for i := range d.Flows {
		f := &d.Flows[i]
		add(&out.Cut, f, f.Cut)
		add(&out.Opened, f, f.Opened)
	}
}

func flowOf(f *policy.Flow, ports connectivity.Ports) denials.Flow {
	out := denials.Flow{From: nodeName(f.Subject), Port: clip(ports.String(), denials.MaxText), More: f.Pairs() - 1}
	if f.First != nil {
		out.To = nodeName(f.First)
	} else {
		out.To = f.Range.String()
	}
	if f.Direction == netpol.Ingress {
		out.From, out.To = out.To, out.From
	}
	return out
}

// nodeName writes a workload as connectivity.Node is written.
func nodeName(w *cluster.Workload) string { return shownName(w.Namespace) + "/" + shownName(w.Name) }
