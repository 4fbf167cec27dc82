package config

// Action is what a guardrail does with a violation. The words are those of
// ValidatingAdmissionPolicy's validationActions, and Off.
type Action string

const (
	// Deny refuses the request and names the violation in the answer.
	Deny Action = "Deny"
	// Warn lets the request through with a warning that kubectl prints.
	Warn Action = "Warn"
	// Audit lets the request through and records the violation in the audit
	// log and the metrics; the author sees nothing.
	Audit Action = "Audit"
	// Off does not run the guardrail.
	Off Action = "Off"
)

// Actions returns every action, strictest first.
func Actions() []Action { return []Action{Deny, Warn, Audit, Off} }

// Rank orders actions by strictness: Off 0, Audit 1, Warn 2, Deny 3. A value
// that is no action ranks as Off.
func (a Action) Rank() int {
	switch a {
	case Deny:
		return 3
	case Warn:
		return 2
	case Audit:
		return 1
	default:
		return 0
	}
}

// Valid reports whether a is one of the four actions, spelled exactly.
func (a Action) Valid() bool { return a == Off || a.Rank() > 0 }

// Stricter returns the stricter of two actions.
func Stricter(a, b Action) Action {
	if a.Rank() >= b.Rank() {
		return a
	}
	return b
}

// AtMost returns a, or limit where a is stricter than limit.
func AtMost(a, limit Action) Action {
	if a.Rank() <= limit.Rank() {
		return a
	}
	return limit
}
