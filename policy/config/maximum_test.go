package config

import "testing"

// TestWithMaximumAction: what a guardrail does is bounded by the new action alone, and the first config stays as it was.
func TestWithMaximumAction(t *testing.T) {
	specs := []Spec{{Slug: "a", DefaultAction: Deny}, {Slug: "b", DefaultAction: Warn}}
	c := Default(specs)
	for action, want := range map[Action][2]Action{Deny: {Deny, Warn}, Warn: {Warn, Warn}, Audit: {Audit, Audit}, Off: {Off, Off}} {
		other, err := c.WithMaximumAction(action)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]Action{other.Settings("a").Action, other.Settings("b").Action}; got != want {
			t.Errorf("%s gives %v, want %v", action, got, want)
		}
		if same := other.Hash() == c.Hash(); same != (action == Warn) {
			t.Errorf("%s: the same hash: %t", action, same)
		}
	}
	if c.Settings("a").Action != Warn || c.MaximumAction != Warn {
		t.Error("the config itself has changed")
	}
}
