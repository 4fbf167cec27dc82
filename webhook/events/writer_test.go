package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	eventsapi "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// world is a Writer with an API server and a clock of its own.
type world struct {
	*testing.T
	*Writer
	client *fake.Clientset
	now    time.Time
	counts map[string]int
	log    strings.Builder
}

func newWorld(t *testing.T, perMinute int) *world {
	w := &world{T: t, client: fake.NewClientset(), now: time.Unix(1_800_000_000, 0), counts: map[string]int{}}
	w.Writer = New(Options{
		Client: w.client.EventsV1(), Instance: "replica-1", Count: func(result string) { w.counts[result]++ },
		Config: func() config.EventsConfig { return config.EventsConfig{PerMinute: perMinute} },
		Logger: slog.New(slog.NewJSONHandler(&w.log, nil)), Now: func() time.Time { w.now = w.now.Add(time.Microsecond); return w.now },
	})
	return w
}

func (w *world) note(namespace, guardrail, decision string) {
	w.take(w.Context(), Note{Namespace: namespace, Guardrail: guardrail, Decision: decision, Text: guardrail + ": text"})
}

// stored gives the Events as "namespace guardrail reason×count", sorted.
func (w *world) stored() string {
	w.Helper()
	list, err := w.client.EventsV1().Events("").List(w.Context(), metav1.ListOptions{})
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, e := range list.Items {
		count := int32(1)
		if e.Series != nil {
			count = e.Series.Count
		}
		guardrail, _, _ := strings.Cut(e.Note, ":")
		out = append(out, fmt.Sprintf("%s %s %s×%d", e.Namespace, guardrail, e.Reason, count))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (w *world) counted() string {
	var out []string
	for _, result := range slices.Sorted(maps.Keys(w.counts)) {
		out = append(out, fmt.Sprintf("%s %d", result, w.counts[result]))
	}
	return strings.Join(out, ", ")
}

func (w *world) want(what, stored, counted string) {
	w.Helper()
	if got := w.stored(); got != stored {
		w.Errorf("%s: stored %q, want %q", what, got, stored)
	}
	if got := w.counted(); got != counted {
		w.Errorf("%s: counted %q, want %q", what, got, counted)
	}
}

// TestSeries: the same again is counted in the Event that is there, and stored once a minute; what is forgotten begins anew.
func TestSeries(t *testing.T) {
	w := newWorld(t, 30)
	for range 5 {
		w.note("shop", "dns-cut", config.EventDenied)
	}
	w.note("shop", "dns-cut", config.EventWarned)
	w.note("shop", "world-cidr", config.EventDenied)
	w.note("pay", "dns-cut", config.EventDenied)
	const counted = "aggregated 4, sent 4"
	w.want("at once", "pay dns-cut ChangeDenied×1, shop dns-cut ChangeDenied×1, shop dns-cut ChangeWarned×1, shop world-cidr ChangeDenied×1", counted)
	w.flush(t.Context())
	const five = "pay dns-cut ChangeDenied×1, shop dns-cut ChangeDenied×5, shop dns-cut ChangeWarned×1, shop world-cidr ChangeDenied×1"
	w.want("counted up", five, counted)
	w.note("shop", "dns-cut", config.EventDenied)
	w.flush(t.Context())
	w.want("not twice in a minute", five, "aggregated 5, sent 4")
	w.now = w.now.Add(window)
	w.flush(t.Context())
	w.want("a minute later", strings.Replace(five, "×5", "×6", 1), "aggregated 5, sent 4")
	w.now = w.now.Add(seriesLife)
	w.flush(t.Context())
	if len(w.series) != 0 {
		t.Errorf("%d series are remembered for ever", len(w.series))
	}
	w.note("pay", "dns-cut", config.EventDenied)
	w.want("anew", "pay dns-cut ChangeDenied×1, "+strings.Replace(five, "×5", "×6", 1), "aggregated 5, sent 5")
}

// TestEvent has all that the API asks for.
func TestEvent(t *testing.T) {
	w := newWorld(t, 30)
	w.take(t.Context(), Note{Namespace: "shop", Guardrail: "dns-cut", Decision: config.EventDenied, Text: strings.Repeat("é", 1000)})
	list, err := w.client.EventsV1().Events("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	e := list.Items[0]
	if e.Type != "Warning" || e.Action != "Deny" || e.ReportingController != controller || e.ReportingInstance != "replica-1" || e.EventTime.IsZero() {
		t.Errorf("got %+v", e)
	}
	if ref := e.Regarding; ref.Kind != "Namespace" || ref.Name != "shop" || ref.Namespace != "shop" || ref.APIVersion != "v1" {
		t.Errorf("about %+v", ref)
	}
	if len(e.Note) > maxNote || !strings.HasPrefix(e.Note, "éé") || strings.Contains(e.Note, "\ufffd") {
		t.Errorf("a note of %d bytes", len(e.Note))
	}
}

// takesAll makes the API server take every write and keep none, which is much faster; writes gives how many there were.
func (w *world) takesAll() (writes func() int) {
	n := 0
	w.client.PrependReactor("*", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
		n++
		if create, is := a.(clienttesting.CreateAction); is {
			return true, create.GetObject(), nil
		}
		return true, &eventsapi.Event{}, nil
	})
	return func() int { return n }
}

// TestBounds: whatever comes, no more is written in a minute than the config allows, and a namespace gets its third of it.
func TestBounds(t *testing.T) {
	w := newWorld(t, 30)
	writes := w.takesAll()
	for i := range 1000 {
		w.note("noisy", fmt.Sprintf("guardrail-%d", i), config.EventDenied)
	}
	if w.counted() != "dropped 990, sent 10" {
		t.Errorf("one namespace: %s", w.counted())
	}
	for i := range 1000 {
		w.note(fmt.Sprintf("ns-%d", i), "dns-cut", config.EventDenied)
	}
	if w.counted() != "dropped 1970, sent 30" {
		t.Errorf("many namespaces: %s", w.counted())
	}
	for range 100 {
		w.note("noisy", "guardrail-1", config.EventDenied)
	}
	w.flush(t.Context())
	if writes() != 30 {
		t.Errorf("%d writes in a minute", writes())
	}
	w.now = w.now.Add(window)
	w.flush(t.Context())
	if writes() != 31 {
		t.Errorf("%d writes, the count is the 31st", writes())
	}
}

// TestFewAreRemembered: attackers do not fill the memory with namespaces, nor one namespace that of all.
func TestFewAreRemembered(t *testing.T) {
	w := newWorld(t, 600)
	writes := w.takesAll()
	inNoisy := func() (n int) {
		for key := range w.series {
			if key.namespace == "noisy" {
				n++
			}
		}
		return n
	}
	for minute := range 30 {
		w.now = w.now.Add(window)
		before := writes()
		for i := range 400 {
			w.note("noisy", fmt.Sprintf("guardrail-%d", i), config.EventDenied)
			w.note(fmt.Sprintf("ns-%d-%d", minute, i), "dns-cut", config.EventDenied)
		}
		w.flush(t.Context())
		if len(w.series) > mostSeries || inNoisy() > mostInNamespace || writes()-before > 600 {
			t.Fatalf("%d series, %d of one namespace, %d writes", len(w.series), inNoisy(), writes()-before)
		}
	}
	if len(w.series) < mostSeries/2 || inNoisy() != mostInNamespace {
		t.Errorf("the test fills nothing: %d series, %d of one namespace", len(w.series), inNoisy())
	}
}

// TestFailures: what the API server does not take is counted, logged once, and forgotten.
func TestFailures(t *testing.T) {
	w := newWorld(t, 30)
	broken := true
	w.client.PrependReactor("*", "events", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return broken && a.GetVerb() != "list", nil, errors.New("no right\n\u202e")
	})
	for range 3 {
		w.note("shop", "dns-cut", config.EventDenied)
	}
	w.want("broken", "", "failed 3")
	if n := strings.Count(w.log.String(), "could not be written"); n != 1 || strings.Contains(w.log.String(), "\u202e") {
		t.Errorf("the log has %s", w.log.String())
	}
	broken = false
	w.note("shop", "dns-cut", config.EventDenied)
	w.note("shop", "dns-cut", config.EventDenied)
	broken = true
	w.flush(t.Context())
	broken = false
	w.note("shop", "dns-cut", config.EventDenied)
	w.want("an Event that cannot be counted up is made anew", "shop dns-cut ChangeDenied×1, shop dns-cut ChangeDenied×1", "aggregated 1, failed 4, sent 2")
}

// TestNotesNeverWait: requests go on while the API server hangs, and what does not fit is counted.
func TestNotesNeverWait(t *testing.T) {
	w := newWorld(t, 30)
	for range queueLength + 100 {
		w.Note(Note{Namespace: "shop", Guardrail: "dns-cut", Decision: config.EventDenied})
	}
	if w.counted() != "dropped 100" {
		t.Errorf("counted %s", w.counted())
	}
	(*Writer)(nil).Note(Note{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	taken := make(chan string, 2*queueLength)
	w.Count = func(result string) { taken <- result }
	go func() { w.run(ctx, nil); close(done) }()
	for range queueLength {
		<-taken
	}
	cancel()
	<-done
	if w.series[seriesKey{"shop", "dns-cut", config.EventDenied}].count != queueLength {
		t.Errorf("series %+v", w.series)
	}
}
