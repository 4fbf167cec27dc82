package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fakeReplica keeps records as the webhook's replicas do: numbered from 1, told in pages.
type fakeReplica struct {
	name, epoch string
	records     []*denials.Record
	page        int
	down        error
	asked       int
}

func (f *fakeReplica) add(uid string, at time.Time) {
	f.records = append(f.records, &denials.Record{UID: uid, Replica: f.name, Time: at, Last: at, Count: 1, Decision: denials.Denied, Namespace: "shop"})
}

func (f *fakeReplica) answer(after uint64) (*denials.Page, error) {
	f.asked++
	if f.down != nil {
		return nil, f.down
	}
	p := &denials.Page{Replica: f.name, Epoch: f.epoch, Next: uint64(len(f.records))}
	if after >= uint64(len(f.records)) {
		return p, nil
	}
	end := min(int(after)+f.page, len(f.records))
	p.Next, p.Records = uint64(end), f.records[after:end]
	return p, nil
}

// world is replicas by their addresses, and a clock.
type world struct {
	mu       sync.Mutex
	replicas map[string]*fakeReplica
	now      time.Time
	findErr  error
}

func newWorld(names ...string) *world {
	w := &world{replicas: map[string]*fakeReplica{}, now: noon}
	for _, n := range names {
		w.replicas[n] = &fakeReplica{name: n, epoch: "1", page: 3}
	}
	return w
}

func (w *world) collector() *Collector {
	find := func(context.Context) (*replicas, error) {
		var out []string
		for address := range w.replicas {
			out = append(out, address)
		}
		slices.Sort(out)
		return &replicas{addresses: out}, w.findErr
	}
	ask := func(_ context.Context, _ *replicas, address string, after uint64) (*denials.Page, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if r := w.replicas[address]; r != nil {
			return r.answer(after)
		}
		return nil, errors.New("connection refused")
	}
	return newCollector(find, ask, func() time.Time { return w.now }, slog.New(slog.DiscardHandler))
}

// turn looks for the replicas and asks them once.
func turn(t *testing.T, c *Collector) {
	t.Helper()
	if to := c.look(t.Context()); to != nil {
		c.round(t.Context(), to)
	}
}

func uids(c *Collector) []string {
	var out []string
	for _, r := range c.Records() {
		out = append(out, r.UID)
	}
	return out
}

func wantUIDs(t *testing.T, c *Collector, want ...string) {
	t.Helper()
	if got := uids(c); !slices.Equal(got, want) {
		t.Errorf("records are %q, want %q", got, want)
	}
}

// TestCollectorMerges: two replicas' records are one list, newest first, and what is counted up takes its new place.
func TestCollectorMerges(t *testing.T) {
	w := newWorld("a", "b")
	for i := range 4 {
		w.replicas["a"].add(fmt.Sprintf("a%d", i), noon.Add(time.Duration(2*i)*time.Second))
		w.replicas["b"].add(fmt.Sprintf("b%d", i), noon.Add(time.Duration(2*i+1)*time.Second))
	}
	c := w.collector()
	turn(t, c)
	wantUIDs(t, c, "b3", "a3", "b2", "a2", "b1", "a1", "b0", "a0")
	if s := c.Sources(); s != (Sources{Known: 2, Answering: 2}) {
		t.Errorf("sources are %+v", s)
	}
	before := c.Records()
	again := *w.replicas["a"].records[0]
	again.Last, again.Count = noon.Add(time.Hour), 5
	w.replicas["a"].records = append(w.replicas["a"].records, &again)
	turn(t, c)
	wantUIDs(t, c, "a0", "b3", "a3", "b2", "a2", "b1", "a1", "b0")
	if got := c.Records()[0].Count; got != 5 {
		t.Errorf("the count is %d, want 5", got)
	}
	if before[len(before)-1].UID != "a0" || before[len(before)-1].Count != 1 {
		t.Error("the list that was given before has changed")
	}
	kept := c.Records()
	turn(t, c)
	if &kept[0] != &c.Records()[0] {
		t.Error("nothing came, and there is another list")
	}
}

// TestCollectorReplicasComeAndGo: what one said stays when it has gone; one that is started anew is asked from the beginning.
func TestCollectorReplicasComeAndGo(t *testing.T) {
	w := newWorld("a", "b")
	w.replicas["a"].add("a0", noon)
	w.replicas["b"].add("b0", noon.Add(time.Second))
	c := w.collector()
	turn(t, c)
	delete(w.replicas, "b")
	w.replicas["a"] = &fakeReplica{name: "a", epoch: "2", page: 3}
	w.replicas["a"].add("a1", noon.Add(time.Minute))
	w.replicas["c"] = &fakeReplica{name: "c", epoch: "1", page: 3}
	w.replicas["c"].add("c0", noon.Add(time.Hour))
	turn(t, c)
	wantUIDs(t, c, "c0", "a1", "b0", "a0")
	if s := c.Sources(); s != (Sources{Known: 2, Answering: 2}) {
		t.Errorf("sources are %+v", s)
	}
}

// TestCollectorDoesNotHammer: a replica that does not answer is asked ever less often, up to once a minute, and at once again
// when it does.
func TestCollectorDoesNotHammer(t *testing.T) {
	w := newWorld("a", "b")
	bad := w.replicas["b"]
	bad.down = errors.New("it answers 403 Forbidden")
	c := w.collector()
	for range 900 { // half an hour
		turn(t, c)
		w.now = w.now.Add(pollEvery)
	}
	if bad.asked < 30 || bad.asked > 40 {
		t.Errorf("it was asked %d times in half an hour", bad.asked)
	}
	if s := c.Sources(); s != (Sources{Known: 2, Answering: 1, Problem: "it answers 403 Forbidden"}) {
		t.Errorf("sources are %+v", s)
	}
	bad.down = nil
	bad.add("b0", noon)
	w.now = w.now.Add(mostEvery)
	turn(t, c)
	wantUIDs(t, c, "b0")
	asked := bad.asked
	w.now = w.now.Add(pollEvery)
	if turn(t, c); bad.asked == asked {
		t.Error("it answers, and was not asked at the next turn")
	}
}

// TestCollectorIsBounded: the last 10,000 stay.
func TestCollectorIsBounded(t *testing.T) {
	w := newWorld("a")
	w.replicas["a"].page = 2000
	for i := range MaxRecords + 500 {
		w.replicas["a"].add(fmt.Sprintf("%05d", i), noon.Add(time.Duration(i)*time.Second))
	}
	c := w.collector()
	turn(t, c)
	if got := c.Records(); len(got) != MaxRecords || got[0].UID != "10499" || got[MaxRecords-1].UID != "00500" {
		t.Errorf("%d records, from %s to %s", len(got), got[0].UID, got[len(got)-1].UID)
	}
	if len(c.records) != MaxRecords {
		t.Errorf("%d are held", len(c.records))
	}
}

// TestCollectorKeepsOn: where the replicas cannot be found for a while, those that are known stay, and the reason is said.
func TestCollectorKeepsOn(t *testing.T) {
	w := newWorld("a")
	c := w.collector()
	turn(t, c)
	w.findErr = errors.New("the Service has no port denials")
	turn(t, c)
	if s := c.Sources(); s != (Sources{Known: 1, Answering: 1, Problem: "the Service has no port denials"}) {
		t.Errorf("sources are %+v", s)
	}
}
