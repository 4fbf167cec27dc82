// Package events makes Kubernetes Events of decisions, for the people of the namespace. Events are stored in etcd and a controller that
// is refused tries again all day, so they are few whatever happens: one for each namespace, guardrail and reason, counted up, and
// no more writes in a minute than the config allows. What is over is dropped and counted; no request ever waits.
package events

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
	eventsv1 "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

const (
	queueLength = 1024
	// A series that nobody adds to for this long is forgotten; what comes then is a new Event.
	seriesLife = 10 * time.Minute
	// mostSeries bounds how many Events are counted up at a time, and mostInNamespace those of one namespace.
	mostSeries, mostInNamespace = 500, 50
	// writePatience bounds one write.
	writePatience = 5 * time.Second
	window        = time.Minute
)

// The results of notes and writes. They are metric labels.
const (
	Sent       = "sent"       // a new Event was stored
	Aggregated = "aggregated" // counted in an Event that is there
	Dropped    = "dropped"    // over the bounds
	Failed     = "failed"     // the API server did not take an Event, or its new count
)

// Note is what an Event is made of. All text is printable and clipped.
type Note struct {
	// Namespace of the change: the Event is about it and in it. An object that was refused does not exist.
	Namespace string
	Guardrail string
	// Decision is config.EventDenied or config.EventWarned.
	Decision string
	// Text is what happened, in one line.
	Text string
}

// Options say what a Writer works with.
type Options struct {
	Client eventsv1.EventsV1Interface
	// Config gives the part of the config in force that is about Events.
	Config func() config.EventsConfig
	// Instance names the replica.
	Instance string
	// Count is told of each result.
	Count  func(result string)
	Logger *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Writer makes Events. Notes are taken by any number of goroutines; Run writes.
type Writer struct {
	Options
	queue chan Note
	often rate.Sometimes

	// What follows belongs to Run.
	series  map[seriesKey]*series
	began   time.Time // of the window
	writes  int       // in the window
	created map[string]int
}

// New makes a Writer.
func New(o Options) *Writer {
	return &Writer{
		Options: o, queue: make(chan Note, queueLength), often: rate.Sometimes{Interval: time.Minute},
		series: map[seriesKey]*series{}, created: map[string]int{},
	}
}

// Note takes a note, or drops it where too many wait. It never blocks. A nil Writer takes none.
func (w *Writer) Note(n Note) {
	if w == nil {
		return
	}
	select {
	case w.queue <- n:
	default:
		w.Count(Dropped)
	}
}

// Run writes until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	tick := time.NewTicker(window / 6)
	defer tick.Stop()
	w.run(ctx, tick.C)
}

func (w *Writer) run(ctx context.Context, tick <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-w.queue:
			w.take(ctx, n)
		case <-tick:
			w.flush(ctx)
		}
	}
}

// take makes an Event of a note, or counts it in the one that is there.
func (w *Writer) take(ctx context.Context, n Note) {
	now := w.Now()
	key := seriesKey{n.Namespace, n.Guardrail, n.Decision}
	if s := w.series[key]; s != nil && now.Sub(s.last) < seriesLife {
		s.count, s.last = s.count+1, now
		w.Count(Aggregated)
		return
	}
	if !w.allow(now, n.Namespace) {
		w.Count(Dropped)
		return
	}
	s := &series{key: key, count: 1, written: 1, first: now, last: now}
	event := s.event(n, w.Instance)
	bounded, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	stored, err := w.Client.Events(n.Namespace).Create(bounded, event, createOptions)
	if err != nil {
		w.failed(n.Namespace, err)
		return
	}
	s.name = stored.Name
	w.series[key] = s
	w.Count(Sent)
}

// allow takes one write of the minute for a new Event of the namespace.
func (w *Writer) allow(now time.Time, namespace string) bool {
	perMinute := w.Config().PerMinute
	if w.turn(now); w.writes >= perMinute || w.created[namespace] >= max(1, perMinute/3) || len(w.series) >= mostSeries {
		return false
	}
	inNamespace := 0
	for key := range w.series {
		if key.namespace == namespace {
			inNamespace++
		}
	}
	if inNamespace >= mostInNamespace {
		return false
	}
	w.writes++
	w.created[namespace]++
	return true
}

// turn begins a new minute, if it is time.
func (w *Writer) turn(now time.Time) {
	if now.Sub(w.began) >= window {
		w.began, w.writes = now, 0
		clear(w.created)
	}
}

// flush brings the counts of stored Events up to date, each once a minute at most, and forgets what nobody adds to.
func (w *Writer) flush(ctx context.Context) {
	now := w.Now()
	w.turn(now)
	perMinute := w.Config().PerMinute
	for _, s := range w.inOrder() {
		switch {
		case s.count == s.written:
			if now.Sub(s.last) >= seriesLife {
				delete(w.series, s.key)
			}
		case now.Sub(s.updated) >= window && w.writes < perMinute:
			w.writes++
			w.update(ctx, now, s)
		}
	}
}

// update stores the count of a series. An Event that is gone, because they live for an hour, is made anew by the next note.
func (w *Writer) update(ctx context.Context, now time.Time, s *series) {
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	if err := s.patch(ctx, w.Client.Events(s.key.namespace)); err != nil {
		delete(w.series, s.key)
		w.failed(s.key.namespace, err)
		return
	}
	s.updated, s.written = now, s.count
}

func (w *Writer) failed(namespace string, err error) {
	w.Count(Failed)
	w.often.Do(func() {
		w.Logger.Warn("an Event could not be written; a missing right is one that the chart grants where events.decisions has any",
			"namespace", namespace, "error", fmt.Sprintf("%.300q", err.Error()))
	})
}
