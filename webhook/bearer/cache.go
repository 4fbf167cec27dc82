package bearer

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

type tokenHash = [sha256.Size]byte

// answer is what the API server said about a token. A zero one is of a token that nobody has asked about.
type answer struct {
	user    string
	refusal *Refusal
	until   time.Time
}

func (a *answer) result() (string, error) {
	if a.refusal != nil {
		return "", a.refusal
	}
	return a.user, nil
}

// good says that the token was let in, be it some time ago.
func (a *answer) good() bool { return a != nil && a.refusal == nil }

// cache keeps the answers that were used last. Tokens themselves are not kept.
type cache struct {
	most int

	mu    sync.Mutex
	order *list.List // of *cached, used longest ago first
	by    map[tokenHash]*list.Element
}

type cached struct {
	key    tokenHash
	answer *answer
}

func newCache(most int) *cache {
	return &cache{most: most, order: list.New(), by: map[tokenHash]*list.Element{}}
}

func (c *cache) get(key tokenHash) (*answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.by[key]
	if !ok {
		return nil, false
	}
	c.order.MoveToBack(e)
	return e.Value.(*cached).answer, true
}

func (c *cache) put(key tokenHash, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[key]; ok {
		e.Value.(*cached).answer = a
		c.order.MoveToBack(e)
		return
	}
	c.by[key] = c.order.PushBack(&cached{key, a})
	if c.order.Len() > c.most {
		oldest := c.order.Remove(c.order.Front()).(*cached)
		delete(c.by, oldest.key)
	}
}
