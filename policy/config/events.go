package config

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The decisions that Events can be made of.
const (
	EventDenied = "Denied"
	EventWarned = "Warned"
)

// Bounds of EventsConfig.PerMinute.
const (
	defaultEventsPerMinute = 30
	maxEventsPerMinute     = 600
)

// EventsConfig chooses the Events that Bulkhead makes. They are stored in etcd,
// so there are none by default, and few in any case.
type EventsConfig struct {
	// The decisions that Events are made of: Denied, Warned or both. Empty makes
	// none. Dry runs make none in any case.
	Decisions []string `json:"decisions" jsonschema:"enum=Denied,enum=Warned"`

	// How often a replica creates or updates an Event in a minute at most, from 1
	// to 600. A third of it is for new ones of any one namespace. What comes on top
	// is counted in the Events that are there, or dropped.
	PerMinute int `json:"perMinute" jsonschema:"minimum=1,maximum=600"`
}

// Wants reports whether Events are made of the decision.
func (e *EventsConfig) Wants(decision string) bool { return slices.Contains(e.Decisions, decision) }

func (d *decoder) events(e EventsConfig) {
	path := field.NewPath("events")
	known := []string{EventDenied, EventWarned}
	first := map[string]int{}
	for i, decision := range e.Decisions {
		at := path.Child("decisions").Index(i)
		earlier, duplicate := first[decision]
		switch {
		case d.faulty[at.String()]:
		case !slices.Contains(known, decision):
			d.add(at, quote(decision)+" is not a decision that Events are made of", suggest(decision, known))
		case duplicate:
			d.add(at, fmt.Sprintf("%s is already entry %d", quote(decision), earlier), "keep one of them")
		}
		first[decision] = i
	}
	if at := path.Child("perMinute"); !d.faulty[at.String()] && (e.PerMinute < 1 || e.PerMinute > maxEventsPerMinute) {
		remedy := fmt.Sprintf("write a number from 1 to %d", maxEventsPerMinute)
		if e.PerMinute == 0 {
			remedy += "; to make no Events, leave decisions empty"
		}
		d.add(at, fmt.Sprintf("%d is out of range", e.PerMinute), remedy)
	}
}
