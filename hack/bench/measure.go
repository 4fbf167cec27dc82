package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// measureMemory reads the webhook's memory when it has just become ready and once it has settled.
func (b *bench) measureMemory(ctx context.Context) (err error) {
	m := &b.result.Memory
	if m.AtReady, err = readResidence(b.replica.PID()); err != nil {
		return err
	}
	b.say("leaving bulkhead alone for %s", b.Settle)
	settle := time.NewTimer(b.Settle)
	defer settle.Stop()
	select {
	case <-settle.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if m.Steady, err = readResidence(b.replica.PID()); err != nil {
		return err
	}
	if m.Heap, err = b.heap(ctx); err != nil {
		return err
	}
	b.say("resident: %d MiB at ready, %d MiB settled, at most %d MiB so far", mib(m.AtReady.RSS), mib(m.Steady.RSS), mib(m.Steady.Peak))
	return nil
}

func mib(bytes int64) int64 { return (bytes + 1<<19) >> 20 }

// heap is what the webhook says of its own memory, and of what it holds.
type heap struct {
	Alloc   int64          `json:"alloc"`  // objects, dead ones not yet collected included
	NextGC  int64          `json:"nextGC"` // size at which the next collection starts
	Sys     int64          `json:"sys"`    // obtained from the kernel, given back included
	Stacks  int64          `json:"stacks"`
	Objects map[string]int `json:"snapshotObjects"`
}

func (b *bench) heap(ctx context.Context) (heap, error) {
	text, err := b.replica.Metrics(ctx)
	if err != nil {
		return heap{}, err
	}
	out := heap{Objects: map[string]int{}}
	fields := map[string]*int64{
		"go_memstats_heap_alloc_bytes": &out.Alloc, "go_memstats_next_gc_bytes": &out.NextGC, "go_memstats_sys_bytes": &out.Sys,
		"go_memstats_stack_inuse_bytes": &out.Stacks,
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(name, "#") {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue // a histogram's labels can hold spaces
		}
		if to := fields[name]; to != nil {
			*to = int64(v)
		}
		if kind, ok := strings.CutPrefix(name, `bulkhead_snapshot_objects{kind="`); ok {
			out.Objects[strings.TrimSuffix(kind, `"}`)] = int(v)
		}
	}
	return out, nil
}

// round is what both webhooks did in turn.
type round struct {
	Bulkhead figures `json:"bulkhead"`
	Noop     figures `json:"noop"`
}

// figures are those of one webhook in one round.
type figures struct {
	PerSecond   float64 `json:"perSecond"`
	P50         float64 `json:"p50Milliseconds"`
	P99         float64 `json:"p99Milliseconds"`
	P999        float64 `json:"p999Milliseconds"`
	Max         float64 `json:"maxMilliseconds"`
	CPUPerQuery float64 `json:"cpuMicrosecondsPerRequest"` // of the webhook's process
	Denied      int64   `json:"denied"`
}

func figuresOf(l *load, cpu float64) figures {
	slices.Sort(l.latencies)
	at := func(share float64) float64 {
		i := min(int(share*float64(len(l.latencies))), len(l.latencies)-1)
		return float64(l.latencies[i].Microseconds()) / 1000
	}
	return figures{
		PerSecond: float64(l.requests) / l.took.Seconds(), P50: at(.5), P99: at(.99), P999: at(.999), Max: at(1),
		CPUPerQuery: cpu * 1e6 / float64(l.requests), Denied: l.denied,
	}
}

// measureLoad sends both webhooks the same reviews in alternating rounds.
func (b *bench) measureLoad(ctx context.Context) error {
	if b.Rounds == 0 {
		return nil
	}
	reviews, err := makeReviews(b.scaled, seedOf)
	if err != nil {
		return err
	}
	bulkhead := target{"bulkhead", strings.TrimPrefix(b.replica.URL, "https://"), b.certificates.client()}
	other := target{"no-op", b.noop.address, b.certificates.client()}
	reviews, err = b.sift(ctx, bulkhead, reviews)
	if err != nil {
		return err
	}
	var requests [][]byte
	for _, r := range reviews {
		requests = append(requests, request(bulkhead.address, r.body))
	}
	stopSampling := b.sample(ctx)
	defer stopSampling()
	one := func(t target, pid int) (figures, error) {
		before, err := cpuSeconds(pid)
		if err != nil {
			return figures{}, err
		}
		l, err := drive(ctx, t, requests, b.Connections, b.Round)
		if err != nil {
			return figures{}, err
		}
		after, err := cpuSeconds(pid)
		return figuresOf(l, after-before), err
	}
	for i := -1; i < b.Rounds; i++ { // the first round warms up
		var r round
		first := func() (err error) { r.Bulkhead, err = one(bulkhead, b.replica.PID()); return err }
		second := func() (err error) { r.Noop, err = one(other, b.noop.pid()); return err }
		if i%2 == 0 {
			first, second = second, first
		}
		if err := first(); err != nil {
			return err
		}
		if err := second(); err != nil {
			return err
		}
		if i < 0 {
			continue
		}
		b.result.Rounds = append(b.result.Rounds, r)
		b.say("round %d: bulkhead %.0f/s, p99 %.1f ms; no-op %.0f/s, p99 %.1f ms", i+1, r.Bulkhead.PerSecond, r.Bulkhead.P99, r.Noop.PerSecond, r.Noop.P99)
	}
	b.result.conclude()
	stopSampling()
	b.result.Memory.UnderLoadHeap, err = b.heap(ctx)
	return err
}

// sift sends every review to Bulkhead once and keeps what it allows. Denials are rare and cost live reads of the API
// server; they are counted here and their time is told apart.
func (b *bench) sift(ctx context.Context, t target, all []review) ([]review, error) {
	c, err := dial(ctx, t)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	var kept []review
	var denials []time.Duration
	counts, size := map[string]*reviewCount{}, map[string]int64{}
	for _, r := range all {
		start := time.Now()
		o, err := c.send(request(t.address, r.body))
		if err != nil {
			return nil, err
		}
		if o.status != 200 {
			return nil, fmt.Errorf("%s: HTTP %d: %s", r.kind, o.status, o.body)
		}
		n := counts[r.kind]
		if n == nil {
			n = &reviewCount{Kind: r.kind}
			counts[r.kind] = n
		}
		n.Sent++
		size[r.kind] += int64(len(r.body))
		n.MeanBytes = size[r.kind] / int64(n.Sent)
		if !o.allowed {
			denials = append(denials, time.Since(start))
			n.Denied++
			continue
		}
		if strings.Contains(string(o.body), `"warnings":`) {
			n.Warned++
		}
		kept = append(kept, r)
	}
	for _, m := range mix {
		if n := counts[m.kind]; n != nil {
			b.result.Reviews = append(b.result.Reviews, *n)
		}
	}
	if len(denials) > 0 {
		slices.Sort(denials)
		b.result.DenialP50 = float64(denials[len(denials)/2].Microseconds()) / 1000
		b.say("%d of %d reviews were denied and are left out, their median took %.1f ms", len(denials), len(all), b.result.DenialP50)
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("bulkhead denies all reviews")
	}
	return kept, nil
}

// reviewCount says of one kind of review how many there are.
type reviewCount struct {
	Kind      string `json:"kind"`
	Sent      int    `json:"sent"`
	Warned    int    `json:"warned"`
	Denied    int    `json:"denied"`
	MeanBytes int64  `json:"meanBytes"`
}

// sample watches the webhook's memory while it is under load.
func (b *bench) sample(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if now, err := readResidence(b.replica.PID()); err == nil && now.RSS > b.result.Memory.UnderLoad.RSS {
				b.result.Memory.UnderLoad = now
			}
		}
	})
	return func() { cancel(); group.Wait() }
}
