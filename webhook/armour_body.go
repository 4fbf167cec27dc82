package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const initialBodyBuffer = 16 << 10

// bodyBuffers reads bodies with bounded memory. Small bodies use pooled buffers,
// which the number of connections bounds; what a body takes beyond those comes
// out of one budget for all requests. The budget is drawn on as bytes arrive,
// never by what a client says it will send.
type bodyBuffers struct {
	maxBody int64
	budget  atomic.Int64
	pool    sync.Pool // of *[]byte with at most maxPooledBodyBuffer capacity
}

func newBodyBuffers(maxBody, budget int64) *bodyBuffers {
	b := &bodyBuffers{maxBody: maxBody}
	b.budget.Store(budget)
	return b
}

var errBodyMemory = errors.New("no memory left for large bodies")

// heldBody is a whole body.
type heldBody struct {
	owner *bodyBuffers
	data  []byte
	// drawn is what the body holds of the budget until release.
	drawn int64
}

func (b *bodyBuffers) get() []byte {
	if pooled, ok := b.pool.Get().(*[]byte); ok {
		return (*pooled)[:0]
	}
	return make([]byte, 0, initialBodyBuffer)
}

// read takes the whole of source. The caller releases what it gets.
func (b *bodyBuffers) read(source io.Reader) (*heldBody, error) {
	body := &heldBody{owner: b, data: b.get()}
	for {
		if len(body.data) == cap(body.data) {
			if err := body.grow(); err != nil {
				body.release()
				return nil, err
			}
		}
		n, err := source.Read(body.data[len(body.data):cap(body.data)])
		body.data = body.data[:len(body.data)+n]
		if err == io.EOF {
			return body, nil
		}
		if err != nil {
			body.release()
			return nil, err
		}
	}
}

func (h *heldBody) grow() error {
	size := min(int64(2*cap(h.data)), h.owner.maxBody+1)
	if extra := size - maxPooledBodyBuffer - h.drawn; extra > 0 {
		if h.owner.budget.Add(-extra) < 0 {
			h.owner.budget.Add(extra)
			return errBodyMemory
		}
		h.drawn += extra
	}
	larger := make([]byte, len(h.data), size)
	copy(larger, h.data)
	h.giveBack()
	h.data = larger
	return nil
}

func (h *heldBody) giveBack() {
	if buffer := h.data; buffer != nil && cap(buffer) <= maxPooledBodyBuffer {
		h.owner.pool.Put(&buffer)
	}
	h.data = nil
}

func (h *heldBody) release() {
	h.giveBack()
	h.owner.budget.Add(h.drawn)
	h.drawn = 0
}

// readBody reads the body of r within its time and size.
func (a *armoured) readBody(w http.ResponseWriter, r *http.Request) (*heldBody, *refusal) {
	controller := http.NewResponseController(w)
	if err := controller.SetReadDeadline(time.Now().Add(a.options.bodyTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, &refusal{refusedBody, http.StatusBadRequest, "the connection is gone", ""}
	}
	body, err := a.bodies.read(http.MaxBytesReader(w, r.Body, a.options.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		// Left in place, the deadline would cut the connection, and with it the
		// context, of a request that is still being worked on.
		if err := controller.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			body.release()
			return nil, &refusal{refusedBody, http.StatusBadRequest, "the connection is gone", ""}
		}
		return body, nil
	case errors.As(err, &tooLarge):
		return nil, &refusal{refusedSize, http.StatusRequestEntityTooLarge, fmt.Sprintf("body is over %d bytes", tooLarge.Limit), ""}
	case errors.Is(err, errBodyMemory):
		// Were the rest left unread, the connection would be reset under the client before it sees that it may come again.
		_, _ = io.CopyN(io.Discard, r.Body, a.options.maxBody)
		return nil, &refusal{refusedMemory, http.StatusServiceUnavailable, "too many large requests in flight, try again", ""}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &refusal{refusedSlowBody, http.StatusRequestTimeout,
			fmt.Sprintf("the body did not arrive within %s", a.options.bodyTimeout), ""}
	default:
		return nil, &refusal{refusedBody, http.StatusBadRequest, "the body could not be read", ""}
	}
}
