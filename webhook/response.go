package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// Bounds of what is said. All sizes are in bytes.
const (
	// The API server prints warnings whole until together they pass 4,096 characters and cuts each to 256 from then on.
	// Source: k8s.io/apiserver/pkg/endpoints/filters/warning.go.
	maxWarning  = 256
	maxWarnings = 10
	maxDenied   = 20  // violations that a denial spells out
	maxAffected = 5   // workloads that it names for each
	maxFixes    = 5   // fixes that it shows
	maxFixLines = 60  // lines of YAML of one fix; a longer one is not shown
	maxHeadline = 240 // the part of a denial's first line that says what would happen
	maxName     = 253 // names of objects; the API's own bound
	maxLine     = 512 // any other line
)

// The audit annotation keys; in the audit log they stand as "<webhook name>/<key>".
const (
	auditDecision   = "decision"
	auditGuardrails = "guardrails"
	auditViolations = "violations"
	auditExemption  = "exemption"
	auditConfig     = "config-hash"
	auditUnchecked  = "unchecked"
	auditWouldDeny  = "would-deny"
)

// respond puts a decision into words for the developer, the audit log and the API server.
func respond(cfg *config.Config, c *policy.Change, d *policy.Decision) admissionv1.AdmissionResponse {
	out := admissionv1.AdmissionResponse{Allowed: d.Allowed, Warnings: warnings(d), AuditAnnotations: map[string]string{
		auditDecision: outcome(d), auditConfig: cfg.Hash(),
	}}
	if slugs := guardrailsOf(d); slugs != "" {
		out.AuditAnnotations[auditGuardrails] = slugs
	}
	if lines := violationLines(d); lines != "" {
		out.AuditAnnotations[auditViolations] = lines
	}
	if slugs := wouldDeny(d); len(slugs) > 0 {
		out.AuditAnnotations[auditWouldDeny] = strings.Join(slugs, ",")
	}
	if left := unchecked(c); left != "" {
		out.AuditAnnotations[auditUnchecked] = left
	}
	if !d.Allowed {
		out.Result = &metav1.Status{
			// Never 422 Invalid: "kubectl apply --force" answers that by deleting the live object.
			Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
			Message: denial(cfg, c, d), Details: &metav1.StatusDetails{Name: shownName(c.Name), Kind: c.Kind, Causes: causes(d)},
		}
	}
	return out
}

// unchecked says what no guardrail looked at although it should have, since the work is bounded; empty for nothing.
func unchecked(c *policy.Change) string {
	extent, compared := c.Compared()
	if !compared || extent.Complete() {
		return ""
	}
	return fmt.Sprintf("connections of %d of %d pairs of workloads", extent.Total-extent.Compared, extent.Total)
}

// outcome is the decision in one word.
func outcome(d *policy.Decision) string {
	switch {
	case !d.Allowed:
		return decisionDenied
	case count(d, config.Warn) > 0 || len(failuresAt(d, config.Warn)) > 0:
		return decisionWarned
	}
	return decisionAllowed
}

// count counts the violations with the action.
func count(d *policy.Decision, a config.Action) int {
	n := 0
	for i := range d.Findings {
		if d.Findings[i].Action == a {
			n++
		}
	}
	return n
}

// failuresAt gives the guardrails that could not be evaluated where the config does a about that.
func failuresAt(d *policy.Decision, a config.Action) []policy.Failure {
	if d.FailureAction != a {
		return nil
	}
	return d.Failures
}

// guardrailsOf lists what was found as "dns-cut=Deny,dns-tcp=Warn".
func guardrailsOf(d *policy.Decision) string {
	var out []string
	for i := range d.Findings {
		out = append(out, d.Findings[i].Guardrail+"="+string(d.Findings[i].Action))
	}
	for _, f := range d.Failures {
		out = append(out, f.Guardrail+"=Failed")
	}
	return strings.Join(slices.Compact(out), ",") // findings are sorted by action and guardrail
}

// wouldDeny lists the guardrails that did not deny the change and would have if Deny were their action, sorted.
func wouldDeny(d *policy.Decision) []string {
	var out []string
	for i := range d.Findings {
		if f := &d.Findings[i]; f.WouldDeny && f.Action != config.Deny {
			out = append(out, f.Guardrail)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// violationLines is what the audit log says of each violation.
func violationLines(d *policy.Decision) string {
	var out []string
	for i := range d.Findings {
		if i == maxDenied {
			out = append(out, fmt.Sprintf("+%d more", len(d.Findings)-i))
			break
		}
		out = append(out, clip(line(&d.Findings[i]), maxLine))
	}
	return strings.Join(out, "; ")
}

func line(f *policy.Finding) string { return f.Guardrail + ": " + printable(f.Detail) }

// notEvaluated says that a guardrail failed, in words that are generic because the reason is none of the author's.
const notEvaluated = "could not be evaluated; the platform team's logs say why"

// warnings gives one line a violation, and one for guardrails that failed where the config wants that seen. kubectl
// prints identical ones once.
func warnings(d *policy.Decision) []string {
	var out []string
	add := func(s string) {
		if s = clip(s, maxWarning); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for i := range d.Findings {
		if d.Findings[i].Action == config.Warn {
			add(line(&d.Findings[i]))
		}
	}
	for _, f := range failuresAt(d, config.Warn) {
		add(f.Guardrail + ": " + notEvaluated)
	}
	if more := len(out) - maxWarnings; more > 0 {
		out = append(out[:maxWarnings:maxWarnings], fmt.Sprintf("+%s", policy.Plural(more, "more warning")))
	}
	return out
}

func causes(d *policy.Decision) []metav1.StatusCause {
	var out []metav1.StatusCause
	for i := range d.Findings {
		if f := &d.Findings[i]; f.Action == config.Deny && len(out) < maxDenied {
			out = append(out, metav1.StatusCause{
				Type: metav1.CauseType(f.Guardrail), Field: clip(printable(f.Field), maxLine), Message: clip(printable(f.Detail), maxLine),
			})
		}
	}
	return out
}

func shownName(name string) string { return clip(printable(name), maxName) }
