package webhook

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook/events"
)

// maxNotes bounds the Events that one decision is told in.
const maxNotes = 5

// announce hands a decision to the writer of Events, where the config wants that: a note for each guardrail that denied or warned.
// A dry run changes nothing, and leaves no Event either.
func (h *Handler) announce(r *review, v *verdict) {
	if h.events == nil || r.dryRun() || v.change == nil {
		return
	}
	decision, action := config.EventDenied, config.Deny
	if v.decision == decisionWarned {
		decision, action = config.EventWarned, config.Warn
	} else if v.decision != decisionDenied {
		return
	}
	if !r.cfg.Events.Wants(decision) {
		return
	}
	namespace := r.Namespace
	if v.change.Trigger == policy.NamespaceWrite {
		namespace = v.change.Name
	}
	told := 0
	for i := range v.policy.Findings {
		f := &v.policy.Findings[i] // sorted by action and guardrail
		if f.Action != action || i > 0 && v.policy.Findings[i-1].Action == action && v.policy.Findings[i-1].Guardrail == f.Guardrail {
			continue
		}
		if told++; told > maxNotes {
			return
		}
		h.events.Note(events.Note{
			Namespace: namespace, Guardrail: f.Guardrail, Decision: decision,
			Text: clip(fmt.Sprintf("%s (%s %s %s)", line(f), v.change.Operation, v.change.Kind, object(v.change)), maxLine),
		})
	}
}
