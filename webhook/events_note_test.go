package webhook

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	eventsapi "k8s.io/api/events/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook/events"
)

// TestAnnounced: which decisions become Events, and what these say.
func TestAnnounced(t *testing.T) {
	two := func() []policy.Violation {
		return []policy.Violation{{Field: "a", Detail: "one\n\u202e"}, {Field: "b", Detail: "two"}}
	}
	guardrails := []policy.Guardrail{always("denies", two), always("warns", two)}
	const warns = "guardrails: {warns: {action: Warn}}\n"
	denied, warned := `denies: one\n\u202e (CREATE NetworkPolicy shop/a)`, `warns: one\n\u202e (CREATE NetworkPolicy shop/a)`
	for _, tt := range []struct {
		name, config string
		dryRun       bool
		want         []string
	}{
		{"off", deny + warns, false, nil},
		{"denied", deny + warns + "events: {decisions: [Denied, Warned]}\n", false, []string{denied}},
		{"a dry run", deny + warns + "events: {decisions: [Denied, Warned]}\n", true, nil},
		{"warned and not wanted", "events: {decisions: [Denied]}\n", false, nil},
		{"warned", warns + "events: {decisions: [Warned]}\n", false, []string{"denies" + denied[6:], warned}},
		{"audited", "maximumAction: Audit\nevents: {decisions: [Denied, Warned]}\n", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := configOf(t, guardrails, tt.config)
			b := newBench(t, shop().Snapshot(), guardrails, cfg, namespaceOf("shop"))
			stored := make(chan string, 10)
			b.client.PrependReactor("create", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
				e := a.(clienttesting.CreateAction).GetObject().(*eventsapi.Event)
				stored <- e.Note
				return true, e, nil
			})
			b.events = events.New(events.Options{
				Client: b.client.EventsV1(), Config: func() config.EventsConfig { return cfg.Events }, Count: b.metrics.Event,
				Logger: slog.New(slog.DiscardHandler), Now: time.Now,
			})
			r := policyCreate(t, "a")
			r.DryRun = &tt.dryRun
			b.send(t.Context(), r)
			// A note of ours comes last: what has come by then is all.
			b.events.Note(events.Note{Namespace: "shop", Guardrail: "last", Text: "last"})
			go b.events.Run(t.Context())
			var got []string
			for note := range stored {
				if note == "last" {
					break
				}
				got = append(got, note)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %s, want %s", strings.Join(got, " | "), strings.Join(tt.want, " | "))
			}
		})
	}
}
