package webhook

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// traceOf gives the ID of the trace that the request of ctx is part of, empty where there is none. API servers send it where
// their own tracing is on. Source: W3C Trace Context, traceparent.
func traceOf(ctx context.Context) string {
	state, ok := ctx.Value(requestStateKey{}).(*requestState)
	if !ok {
		return ""
	}
	const version, id, rest = 2, 32, len("-0123456789abcdef-01")
	h := state.traceParent
	if len(h) < version+1+id+rest || h[version] != '-' || h[version+1+id] != '-' || h[:version] == "ff" || !isHex(h[:version]) {
		return ""
	}
	trace := h[version+1 : version+1+id]
	if !isHex(trace) || strings.Trim(trace, "0") == "" {
		return ""
	}
	return trace
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// isUID reports whether s is written as API servers write the UIDs of reviews: what is no such thing may be anything.
func isUID(s string) bool {
	if len(s) != len("01234567-0123-0123-0123-0123456789ab") {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') || !dash && !isHex(s[i:i+1]) {
			return false
		}
	}
	return true
}

// evaluated observes how long a change took to judge. The request's UID goes with it as an exemplar, which the log line and the
// audit log have too, and the trace ID under the name that Grafana links by.
func (m *Metrics) evaluated(took time.Duration, r *review) {
	uid := string(r.UID)
	observer, ok := m.evaluation.(prometheus.ExemplarObserver)
	if !ok || !isUID(uid) {
		m.evaluation.Observe(took.Seconds())
		return
	}
	labels := prometheus.Labels{"uid": uid}
	if r.traceID != "" {
		labels["trace_id"] = r.traceID
	}
	observer.ObserveWithExemplar(took.Seconds(), labels)
}
