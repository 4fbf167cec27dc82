package console

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

const (
	// pollEvery is how often a replica that answers is asked, and mostEvery how often one at least that does not.
	pollEvery = 2 * time.Second
	mostEvery = time.Minute
	// findEvery is how often the replicas are looked for.
	findEvery = 10 * time.Second
	// atOnce bounds the replicas that are asked at a time.
	atOnce = 4
	// MaxRecords bounds what a Collector keeps; the oldest make room.
	MaxRecords = 10_000
)

// Collector gathers the decisions that the webhook's replicas keep. It asks each of them for what is new since it last answered,
// and keeps what one said when that one has gone.
type Collector struct {
	find   func(ctx context.Context) (*replicas, error)
	ask    func(ctx context.Context, to *replicas, address string, after uint64) (*denials.Page, error)
	now    func() time.Time
	logger *slog.Logger

	shown   atomic.Pointer[[]denials.Record]
	mu      sync.Mutex // guards what follows
	records map[recordKey]denials.Record
	peers   map[string]*peer // by address
	problem string           // why the replicas cannot be found
}

type recordKey struct{ replica, uid string }

// peer is one replica, by the address of its pod.
type peer struct {
	epoch string
	after uint64
	due   time.Time
	wait  time.Duration // until it is asked again after a failure; 0 where it answered
	err   string
	asked bool
}

// newCollector makes a collector that finds and asks as it is told.
func newCollector(
	find func(context.Context) (*replicas, error), ask func(context.Context, *replicas, string, uint64) (*denials.Page, error),
	now func() time.Time, logger *slog.Logger,
) *Collector {
	c := &Collector{find: find, ask: ask, now: now, logger: logger, records: map[recordKey]denials.Record{}, peers: map[string]*peer{}}
	c.shown.Store(&[]denials.Record{})
	return c
}

// Records gives what was gathered, newest first. The slice is never changed.
func (c *Collector) Records() []denials.Record { return *c.shown.Load() }

// Sources says how well the replicas answer.
func (c *Collector) Sources() Sources {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Sources{Known: len(c.peers), Problem: c.problem}
	for _, address := range slices.Sorted(maps.Keys(c.peers)) {
		p := c.peers[address]
		switch {
		case p.asked && p.err == "":
			s.Answering++
		case s.Problem == "" && p.err != "":
			s.Problem = p.err
		}
	}
	return s
}

// Run gathers until ctx ends.
func (c *Collector) Run(ctx context.Context) {
	var to *replicas
	var found time.Time
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if to == nil || c.now().Sub(found) >= findEvery {
			if next := c.look(ctx); next != nil {
				to = next
			}
			found = c.now()
		}
		if to != nil {
			c.round(ctx, to)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look finds the replicas. Where that fails the ones that are known are asked on.
func (c *Collector) look(ctx context.Context) *replicas {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	to, err := c.find(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if c.problem != err.Error() {
			c.logger.Warn("the console does not find the webhook's replicas", "error", err.Error())
		}
		c.problem = err.Error()
		return nil
	}
	c.problem = ""
	maps.DeleteFunc(c.peers, func(address string, _ *peer) bool { return !slices.Contains(to.addresses, address) })
	for _, address := range to.addresses {
		if c.peers[address] == nil {
			c.peers[address] = &peer{}
		}
	}
	return to
}

// round asks all replicas whose turn it is, a few at a time.
func (c *Collector) round(ctx context.Context, to *replicas) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	c.mu.Lock()
	due := map[string]*peer{}
	for address, p := range c.peers {
		if !c.now().Before(p.due) {
			due[address] = p
		}
	}
	c.mu.Unlock()
	var changed atomic.Bool
	for address, p := range due {
		group.Go(func() error {
			if c.poll(ctx, to, address, p) {
				changed.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait() // poll keeps its errors
	if changed.Load() {
		c.publish()
	}
}

// maxPages bounds what one replica is asked for in one round.
const maxPages = 20

// poll takes what is new at one replica.
func (c *Collector) poll(ctx context.Context, to *replicas, address string, p *peer) (changed bool) {
	for range maxPages {
		page, err := c.ask(ctx, to, address, p.after)
		if err != nil {
			c.failed(p, address, err)
			return changed
		}
		if page.Epoch != p.epoch && p.after > 0 { // it has been started anew, and its numbers with it
			p.epoch, p.after = page.Epoch, 0
			continue
		}
		more := page.Next > p.after && len(page.Records) > 0
		changed = c.take(p, page) || changed
		if !more {
			break
		}
	}
	return changed
}

func (c *Collector) failed(p *peer, address string, err error) {
	if p.err != err.Error() {
		c.logger.Warn("a replica does not tell the console what was denied", "address", address, "error", err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.asked, p.err = true, err.Error()
	p.wait = min(max(2*p.wait, pollEvery), mostEvery)
	p.due = c.now().Add(p.wait)
}

func (c *Collector) take(p *peer, page *denials.Page) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.epoch, p.after, p.asked, p.err, p.wait, p.due = page.Epoch, page.Next, true, "", 0, time.Time{}
	for i := range page.Records {
		r := *page.Records[i]
		if r.Replica == "" {
			r.Replica = page.Replica
		}
		c.records[recordKey{r.Replica, r.UID}] = r
	}
	return len(page.Records) > 0
}

// publish shows what was gathered, and forgets the oldest where it is too much.
func (c *Collector) publish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.SortedFunc(maps.Values(c.records), newestFirst)
	if len(all) > MaxRecords {
		for _, r := range all[MaxRecords:] {
			delete(c.records, recordKey{r.Replica, r.UID})
		}
		all = slices.Clone(all[:MaxRecords])
	}
	c.shown.Store(&all)
}

func newestFirst(a, b denials.Record) int {
	return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Replica, b.Replica), strings.Compare(a.UID, b.UID))
}
