package denials

import (
	"container/list"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Bounds of what is kept.
const (
	mostRecords = 2000
	mostBytes   = 4 << 20
	// repeatWithin is how long after a request the same one is counted in its record: controllers try again every second.
	repeatWithin = time.Minute
	// rememberLost is of how many lost records it is known exactly which numbers they had.
	rememberLost = 1024
)

// Ring keeps the last records. It is bounded by their number and by their size. Denials on the one hand, and warnings and audited
// changes on the other, give way to their own kind first, so that many of one push none of the other out of its half.
type Ring struct {
	replica, epoch string

	mu    sync.Mutex
	last  uint64 // the number of the last record
	kinds [2]kept
	byKey map[uint64]*list.Element
	lost  []uint64 // numbers of the last records that gave way, in no order
	gone  uint64   // how many ever gave way
}

// kept is one kind of records.
type kept struct {
	order list.List // of *entry, those longest without an addition first
	bytes int
}

// entry is one record. What it points to is never changed, so that it can be read without the lock.
type entry struct {
	*Record
	kind  *kept
	key   uint64
	bytes int
}

// NewRing makes a Ring of the replica by that name, which started at that time.
func NewRing(replica string, started time.Time) *Ring {
	return &Ring{replica: replica, epoch: strconv.FormatInt(started.UnixNano(), 36), byKey: map[uint64]*list.Element{}}
}

// Add counts a decision. The same one has the same key; where it was made within the last minute it is counted in the record that is
// there, else record makes one, without Number, Time, Last, Count and Replica.
func (r *Ring) Add(now time.Time, key uint64, denied bool, record func() *Record) {
	if r.repeat(now, key) {
		return
	}
	made := record()
	made.Time, made.Last, made.Count, made.Replica = now, now, 1, r.replica
	e := &entry{Record: made, key: key, bytes: sizeOf(made)}

	r.mu.Lock()
	defer r.mu.Unlock()
	e.kind = &r.kinds[0]
	if denied {
		e.kind = &r.kinds[1]
	}
	r.last++
	e.Number = r.last
	e.kind.bytes += e.bytes
	r.byKey[key] = e.kind.order.PushBack(e)
	for r.count() > mostRecords || r.bytes() > mostBytes {
		r.makeRoom()
	}
}

// repeat counts the decision in the record that is there, if one is.
func (r *Ring) repeat(now time.Time, key uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	element := r.byKey[key]
	if element == nil {
		return false
	}
	e := element.Value.(*entry)
	if now.Sub(e.Last) > repeatWithin {
		return false
	}
	again := *e.Record
	r.last++
	again.Last, again.Count, again.Number = now, again.Count+1, r.last
	e.Record = &again
	e.kind.order.MoveToBack(element)
	return true
}

func (r *Ring) count() int { return r.kinds[0].order.Len() + r.kinds[1].order.Len() }

func (r *Ring) bytes() int { return r.kinds[0].bytes + r.kinds[1].bytes }

// makeRoom drops the oldest record of the kind that has more than its half of what is over its bound.
func (r *Ring) makeRoom() {
	a, b := &r.kinds[0], &r.kinds[1]
	larger := a
	if r.bytes() > mostBytes && b.bytes > a.bytes || r.bytes() <= mostBytes && b.order.Len() > a.order.Len() {
		larger = b
	}
	e := larger.order.Remove(larger.order.Front()).(*entry)
	larger.bytes -= e.bytes
	if current := r.byKey[e.key]; current != nil && current.Value.(*entry) == e {
		delete(r.byKey, e.key)
	}
	if len(r.lost) < rememberLost {
		r.lost = append(r.lost, e.Number)
	} else {
		r.lost[r.gone%rememberLost] = e.Number
	}
	r.gone++
}

// After gives the records that were added to after the number, at most limit of them.
func (r *Ring) After(number uint64, limit int) Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := Page{Replica: r.replica, Epoch: r.epoch, Next: r.last, Lost: r.lostAfter(number)}
	var found []*entry
	for i := range r.kinds {
		for at := r.kinds[i].order.Back(); at != nil && at.Value.(*entry).Number > number; at = at.Prev() {
			found = append(found, at.Value.(*entry))
		}
	}
	slices.SortFunc(found, func(a, b *entry) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	if len(found) > limit {
		found = found[:limit]
		p.Next = found[limit-1].Number
	}
	p.Records = make([]*Record, len(found))
	for i, e := range found {
		p.Records[i] = e.Record
	}
	return p
}

// lostAfter counts the records that gave way and had a number after that one.
func (r *Ring) lostAfter(number uint64) uint64 {
	n := uint64(0)
	for _, lost := range r.lost {
		if lost > number {
			n++
		}
	}
	if n == rememberLost { // of those before them nobody knows
		return min(r.gone, r.last-number)
	}
	return n
}

// sizeOf is about what a record takes, in bytes.
func sizeOf(r *Record) int {
	const fixed, finding, flow = 512, 80, 64 // what is no text, the list's and the map's share included
	n := fixed + len(r.UID) + len(r.User) + len(r.Operation) + len(r.Resource) + len(r.Namespace) + len(r.Name)
	for i := range r.Findings {
		f := &r.Findings[i]
		n += finding + len(f.Guardrail) + len(f.Field) + len(f.Detail)
	}
	for _, flows := range [...][]Flow{r.Cut, r.Opened} {
		for i := range flows {
			n += flow + len(flows[i].From) + len(flows[i].To) + len(flows[i].Port)
		}
	}
	return n
}
