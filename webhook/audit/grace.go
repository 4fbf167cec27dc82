package audit

import (
	"time"

	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/audit/openreports"
)

// settle takes over what a scan found. A finding that was there before keeps the time at which it was first found; one
// that went away and came back is a new one. What is merely not there yet is shown once it has been so for the grace.
func (e *entry) settle(found scan.Namespace, now time.Time, grace time.Duration) {
	since := make(map[string]time.Time, len(found.Findings))
	e.found, e.shown, e.due = found, found, time.Time{}
	e.shown.Findings = make([]scan.Finding, 0, len(found.Findings))
	note := func(id string) time.Time {
		first, known := e.since[id]
		if !known || first.After(now) {
			first = now
		}
		since[id] = first
		return first
	}
	for _, f := range found.Failures {
		note(openreports.FailureIdentity(f))
	}
	for i, id := range openreports.Identities(found.Findings) {
		first := note(id)
		if ends := first.Add(grace); found.Findings[i].NotYet && now.Before(ends) {
			if e.due.IsZero() || ends.Before(e.due) {
				e.due = ends
			}
			continue
		}
		e.shown.Findings = append(e.shown.Findings, found.Findings[i])
	}
	e.since = since
}
