package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// Reasons for which a request reaches the handler and is still refused without a decision.
const (
	refusedUnjudgeable = "unjudgeable"
	refusedNotReady    = "not-ready"
)

// retryAfter is what the API server is asked to wait for before it tries again within the same call.
const retryAfter = time.Second

// fail answers with a real HTTP status.
func (h *Handler) fail(ctx context.Context, r *review, err error, took time.Duration) {
	e := &httpError{http.StatusInternalServerError, "internal error; see bulkhead's log"}
	errors.As(err, &e)
	reason, level, retry := refusedUnjudgeable, slog.LevelError, time.Duration(0)
	if e.status == http.StatusServiceUnavailable {
		reason, level, retry = refusedNotReady, slog.LevelWarn, retryAfter
	}
	resource, operation := metricLabels(r.AdmissionRequest)
	h.metrics.Refused(reason, e.status)
	h.metrics.decided(resource, operation, decisionFailed, r.dryRun())
	h.logger.LogAttrs(ctx, level, "request could not be judged", append(about(r), slog.Int("status", e.status),
		slog.String("error", printable(err.Error())), slog.Float64("duration", took.Seconds()))...)
	failRequest(ctx, e.status, retry, e.message)
}

// report counts and logs a decision: one line each. Objects are never logged.
func (h *Handler) report(ctx context.Context, r *review, v *verdict, took time.Duration) {
	resource, operation := metricLabels(r.AdmissionRequest)
	h.metrics.decided(resource, operation, v.decision, r.dryRun())
	h.reportFailures(ctx, r, &v.policy)
	h.denied.record(time.Now(), r, v)
	h.announce(r, v)
	if !r.dryRun() {
		if v.decision == decisionExempt {
			h.metrics.exemptions.WithLabelValues(v.reason).Inc()
		}
		h.metrics.found(&v.policy)
		h.metrics.couldDeny(&v.policy)
		// A namespace that nobody has seen is a label value that a caller could make up.
		if r.cfg.Metrics.NamespaceLabel && v.change != nil {
			if n := v.change.After.Namespace(r.Namespace); n != nil && n.Known {
				h.metrics.foundIn(r.Namespace, &v.policy)
			}
		}
	}

	level := slog.LevelInfo
	if v.decision == decisionSkipped {
		level = slog.LevelDebug
	}
	if !h.logger.Enabled(ctx, level) {
		return
	}
	attributes := append(about(r), slog.String("decision", v.decision), slog.Float64("duration", took.Seconds()))
	for _, a := range [...][2]string{
		{"reason", v.reason}, {"guardrails", guardrailsOf(&v.policy)}, {"confirmation", v.confirmed}, {"violations", violationLines(&v.policy)},
		{"wouldDeny", strings.Join(wouldDeny(&v.policy), ",")}, {"unchecked", uncheckedBy(v)},
	} {
		if a[1] != "" {
			attributes = append(attributes, slog.String(a[0], a[1]))
		}
	}
	h.logger.LogAttrs(ctx, level, "decision", attributes...)
}

// cause says in a log line why a guardrail failed. What it panicked with may be text of the request.
func cause(err error) []slog.Attr {
	panicked := (*policy.PanicError)(nil)
	if !errors.As(err, &panicked) {
		return []slog.Attr{slog.String("error", clip(printable(err.Error()), maxLine))}
	}
	return []slog.Attr{
		slog.String("error", "panic: "+clip(printable(fmt.Sprint(panicked.Value)), maxPanicText)), slog.String("stack", string(panicked.Stack)),
	}
}

// reportFailures counts the guardrails that could not be evaluated and logs them, those with the same cause in one line: at
// the end of a request's time that may be all of them.
func (h *Handler) reportFailures(ctx context.Context, r *review, d *policy.Decision) {
	h.metrics.failed(d)
	logged := map[string]bool{}
	for _, f := range d.Failures {
		text := f.Err.Error()
		if logged[text] {
			continue
		}
		logged[text] = true
		var alike []string
		for _, other := range d.Failures {
			if other.Err.Error() == text {
				alike = append(alike, other.Guardrail)
			}
		}
		h.logger.LogAttrs(ctx, slog.LevelError, "a guardrail could not be evaluated", append([]slog.Attr{
			slog.String("uid", clip(printable(string(r.UID)), maxLine)), slog.String("guardrail", strings.Join(alike, ",")),
		}, cause(f.Err)...)...)
	}
}

// uncheckedBy is unchecked for what may not have been judged at all.
func uncheckedBy(v *verdict) string {
	if v.change == nil {
		return ""
	}
	return unchecked(v.change)
}

// about says in a log line which request it is about. All of it comes from outside, so it is made printable.
func about(r *review) []slog.Attr {
	out := make([]slog.Attr, 0, 16)
	for _, a := range [...][2]string{
		{"uid", string(r.UID)}, {"operation", string(r.Operation)}, {"resource", r.Resource.Resource}, {"subresource", r.SubResource},
		{"namespace", r.Namespace}, {"name", r.Name}, {"user", r.UserInfo.Username}, {"traceID", r.traceID},
	} {
		if a[1] != "" {
			out = append(out, slog.String(a[0], clip(printable(a[1]), maxLine)))
		}
	}
	if r.dryRun() {
		out = append(out, slog.Bool("dryRun", true))
	}
	return out
}
