package denials

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Unix(1_800_000_000, 0).UTC()

func named(name string) func() *Record {
	return func() *Record {
		return &Record{Name: name, Decision: Denied, Findings: []Finding{{Guardrail: "dns-cut", Action: "Deny", Detail: "d"}}}
	}
}

// names gives what a page holds as "name×count", in its order.
func names(p Page) string {
	var out []string
	for _, r := range p.Records {
		out = append(out, fmt.Sprintf("%s×%d", r.Name, r.Count))
	}
	return strings.Join(out, " ")
}

func want(t *testing.T, what, want, got string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// TestRepeats: the same request within a minute is counted up and comes again; later, and with another key, it is a new record.
func TestRepeats(t *testing.T) {
	r := NewRing("host-1", start)
	r.Add(start, 1, true, named("a"))
	r.Add(start, 2, true, named("b"))
	first := r.After(0, 10)
	want(t, "at first", "a×1 b×1", names(first))
	for i := range 5 {
		r.Add(start.Add(time.Duration(i+1)*50*time.Second), 1, true, func() *Record { t.Error("a record is made of a repetition"); return named("x")() })
	}
	again := r.After(first.Next, 10)
	want(t, "again", "a×6", names(again))
	if got := again.Records[0]; got.Time != start || got.Last != start.Add(250*time.Second) || got.Replica != "host-1" {
		t.Errorf("got %+v", got)
	}
	want(t, "what was handed out stays", "a×1 b×1", names(first))
	want(t, "from the beginning", "b×1 a×6", names(r.After(0, 10)))
	r.Add(start.Add(250*time.Second+repeatWithin+1), 1, true, named("a"))
	want(t, "after more than a minute", "a×1", names(r.After(again.Next, 10)))
	want(t, "all", "b×1 a×6 a×1", names(r.After(0, 10)))
}

// TestPaging: pages join without a gap, and a number from before a restart is told by the epoch.
func TestPaging(t *testing.T) {
	r := NewRing("", start)
	for i := range 7 {
		r.Add(start, uint64(i), i%2 == 0, named(strconv.Itoa(i)))
	}
	var got []string
	at := uint64(0)
	for range 4 {
		p := r.After(at, 3)
		got, at = append(got, names(p)), p.Next
	}
	want(t, "pages", "0×1 1×1 2×1|3×1 4×1 5×1|6×1|", strings.Join(got, "|"))
	if p := r.After(1000, 3); len(p.Records) != 0 || p.Lost != 0 || p.Next != 7 {
		t.Errorf("after a number of the future: %+v", p)
	}
	if NewRing("", start).After(0, 1).Epoch == NewRing("", start.Add(1)).After(0, 1).Epoch {
		t.Error("two starts have the same epoch")
	}
}

// TestBounds: neither the number nor the size of the records grows, the newest stay, and what a reader missed is counted.
func TestBounds(t *testing.T) {
	r := NewRing("", start)
	for i := range mostRecords + 100 {
		r.Add(start, uint64(i), true, named(strconv.Itoa(i)))
	}
	p := r.After(0, mostRecords*2)
	if len(p.Records) != mostRecords || p.Records[0].Name != "100" || p.Lost != 100 || len(r.byKey) != mostRecords {
		t.Errorf("%d records from %s, %d lost, %d keys", len(p.Records), p.Records[0].Name, p.Lost, len(r.byKey))
	}
	if lost := r.After(60, 1).Lost; lost != 40 {
		t.Errorf("%d lost after 60", lost)
	}
	if lost := r.After(100, 1).Lost; lost != 0 {
		t.Errorf("%d lost after 100", lost)
	}
	for i := range 10_000 {
		r.Add(start, uint64(1_000_000+i), true, named("again"))
	}
	if lost := r.After(0, 1).Lost; lost != 10_100 {
		t.Errorf("%d lost of 10,100", lost)
	}
	large := NewRing("", start)
	for i := range 1000 {
		large.Add(start, uint64(i), true, named(strings.Repeat("n", 40<<10)))
	}
	if large.bytes() > mostBytes || large.count() < 90 {
		t.Errorf("%d records of %d bytes", large.count(), large.bytes())
	}
}

// TestHalves: any number of warnings leaves the denials their half, and the other way around; alone either has it all.
func TestHalves(t *testing.T) {
	for _, flooded := range []bool{false, true} {
		r := NewRing("", start)
		for i := range mostRecords {
			r.Add(start, uint64(i), !flooded, named("kept"))
		}
		for i := range 3 * mostRecords {
			r.Add(start, uint64(mostRecords+i), flooded, named("flood"))
		}
		kept := 0
		for _, record := range r.After(0, mostRecords).Records {
			if record.Name == "kept" {
				kept++
			}
		}
		if kept != mostRecords/2 || r.count() != mostRecords {
			t.Errorf("%d of %d kept in a flood (denials: %v)", kept, r.count(), flooded)
		}
	}
}

// TestRingIsTheObviousOne holds the ring against a list that is searched from end to end, on random decisions.
func TestRingIsTheObviousOne(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv("BULKHEAD_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("BULKHEAD_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	type plain struct {
		key, number uint64
		count       int
		last        time.Time
	}
	for range 50 {
		r, now, number := NewRing("", start), start, uint64(0)
		var model []plain
		for range 400 {
			now = now.Add(time.Duration(rng.IntN(40)) * time.Second)
			key := uint64(rng.IntN(12))
			r.Add(now, key, key%3 == 0, named(strconv.FormatUint(key, 10)))
			number++
			at := -1
			for i := range model { // the last with that key counts
				if model[i].key == key {
					at = i
				}
			}
			if at < 0 || now.Sub(model[at].last) > repeatWithin {
				model = append(model, plain{key, number, 1, now})
				continue
			}
			again := plain{key, number, model[at].count + 1, now}
			model = append(slices.Delete(model, at, at+1), again)
		}
		after := uint64(rng.IntN(int(number)))
		var obvious []string
		for _, m := range model {
			if m.number > after {
				obvious = append(obvious, fmt.Sprintf("%d×%d", m.key, m.count))
			}
		}
		if got := names(r.After(after, mostRecords)); got != strings.Join(obvious, " ") {
			t.Fatalf("after %d:\n%s\nwant\n%s", after, got, strings.Join(obvious, " "))
		}
	}
}

// TestAddFromManySides: the ring is read while many add to it.
func TestAddFromManySides(t *testing.T) {
	r := NewRing("", start)
	var adding sync.WaitGroup
	for range 8 {
		adding.Go(func() {
			for i := range 2000 {
				r.Add(start, uint64(i%700), i%2 == 0, named("n"))
			}
		})
	}
	at, seen := uint64(0), 0
	for at < 16_000 {
		p := r.After(at, 100)
		at, seen = p.Next, seen+len(p.Records)
	}
	adding.Wait()
	total := 0
	for _, record := range r.After(0, mostRecords).Records {
		total += record.Count
	}
	if total != 16_000 || seen == 0 {
		t.Errorf("%d decisions counted of 16,000, %d seen", total, seen)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := NewRing("host", start)
	record := named("n")()
	b.Run("New", func(b *testing.B) {
		b.ReportAllocs()
		i := uint64(0)
		for b.Loop() {
			i++
			r.Add(start, i, true, func() *Record { copied := *record; return &copied })
		}
	})
	b.Run("Repeated", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Add(start, 1, true, func() *Record { return record })
		}
	})
}
