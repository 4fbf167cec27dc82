package webhook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Reasons for which a request is refused before a guardrail sees it. They are
// all values of the metric label.
const (
	refusedMethod      = "method"
	refusedMediaType   = "media-type"
	refusedEncoding    = "content-encoding"
	refusedSize        = "body-size"
	refusedSlowBody    = "slow-body"
	refusedBody        = "body"
	refusedNoObject    = "not-a-json-object"
	refusedDepth       = "json-depth"
	refusedVersion     = "review-version"
	refusedRequest     = "review-request"
	refusedUndecodable = "undecodable"
	refusedOverload    = "overload"
	refusedMemory      = "memory"
	refusedPanic       = "panic"
	refusedConnections = "connections"
	refusedClientName  = "client-name"
	refusedCrowded     = "crowded-out"
	refusedParts       = "json-parts"
)

const (
	defaultMaxConcurrent = 256
	// The API server sends at most two objects of 3 MiB. It is one byte under the
	// 7 MiB of controller-runtime, whose own refusal would be a denial.
	defaultMaxBody      = 7<<20 - 1
	defaultBodyMemory   = 32 << 20
	defaultBodyTimeout  = 10 * time.Second
	defaultCallTimeout  = 10 * time.Second
	maxCallTimeout      = 30 * time.Second
	overloadRetryAfter  = time.Second
	maxFailureText      = 500
	maxPanicText        = 200
	maxPooledBodyBuffer = 64 << 10
)

// armourOptions bound what armour lets through. Zero fields take their default.
type armourOptions struct {
	// maxConcurrent is how many requests the inner handler works on at a time.
	maxConcurrent int
	// maxBody is the size of one body in bytes.
	maxBody int64
	// bodyMemory is what all large bodies in flight may take together, in bytes.
	bodyMemory int64
	// bodyTimeout is how long a client may take to send its body.
	bodyTimeout time.Duration
	// refused, when set, is told of each refusal: one of the reasons above and the HTTP status.
	refused func(reason string, status int)
	// closing, when set, says that connections should not be used again.
	closing func() bool
	logger  *slog.Logger
}

// armour stands in front of controller-runtime's admission webhook. It lets
// through only a plain, bounded AdmissionReview, and turns into real HTTP errors
// what controller-runtime answers as HTTP 200 with allowed:false; that is a
// denial even under failurePolicy Ignore, while an error follows the policy.
//
// The inner webhook must leave panics to armour (WithRecoverPanic(false)),
// because controller-runtime's own recovery shows their text to the user.
func armour(next http.Handler, options armourOptions) http.Handler {
	if options.maxConcurrent <= 0 {
		options.maxConcurrent = defaultMaxConcurrent
	}
	if options.maxBody <= 0 {
		options.maxBody = defaultMaxBody
	}
	if options.bodyMemory <= 0 {
		options.bodyMemory = defaultBodyMemory
	}
	if options.bodyTimeout <= 0 {
		options.bodyTimeout = defaultBodyTimeout
	}
	if options.logger == nil {
		options.logger = slog.Default()
	}
	return &armoured{
		next:    next,
		options: options,
		slots:   make(chan struct{}, options.maxConcurrent),
		bodies:  newBodyBuffers(options.maxBody, options.bodyMemory),
	}
}

type armoured struct {
	next      http.Handler
	options   armourOptions
	slots     chan struct{}
	bodies    *bodyBuffers
	parts     atomic.Int64 // that are in work, without the first freeParts of each review
	responses sync.Pool    // of *bytes.Buffer
}

// refusal is an answer that no guardrail gave.
type refusal struct {
	reason  string
	status  int
	message string
	// allow is the Allow header of a 405.
	allow string
}

// requestState is what the admission handler tells armour about one request.
type requestState struct {
	answered atomic.Bool
	failure  atomic.Pointer[failure]
	// object and oldObject are what was lifted out of the review; nil for what was
	// not. They are parts of the body, which is used again after the request.
	object, oldObject []byte
	// traceParent is the header of that name.
	traceParent string
}

type failure struct {
	status     int
	retryAfter time.Duration
	message    string
}

type requestStateKey struct{}

// failRequest makes the request of ctx leave as an HTTP error instead of an
// AdmissionReview, so that the webhook's failurePolicy decides; a status of 503
// with a retryAfter of at least a second is retried by the API server. The
// message is shown to users: it is made printable and cut. The first call wins.
func failRequest(ctx context.Context, status int, retryAfter time.Duration, message string) {
	if state, ok := ctx.Value(requestStateKey{}).(*requestState); ok {
		state.failure.CompareAndSwap(nil, &failure{status, retryAfter, message})
	}
}

// answered marks that the request of ctx reached Bulkhead's admission handler.
// Without it armour takes an HTTP 200 for controller-runtime's own error.
func answered(ctx context.Context) {
	if state, ok := ctx.Value(requestStateKey{}).(*requestState); ok {
		state.answered.Store(true)
	}
}

func (a *armoured) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if refused := checkHeader(r, a.options.maxBody); refused != nil {
		a.refuse(w, refused)
		return
	}
	body, refused := a.readBody(w, r)
	if refused != nil {
		a.refuse(w, refused)
		return
	}
	defer body.release()
	shape, refused := inspectReview(body.data)
	if refused != nil {
		a.refuse(w, refused)
		return
	}
	// The slot is taken only now, so that slow senders cannot hold the slots.
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	default:
		a.refuse(w, &refusal{refusedOverload, http.StatusServiceUnavailable, "too many requests in flight, try again", ""})
		return
	}
	defer workOn(r.Context())()
	parts := int64(max(shape.parts-freeParts, 0))
	defer a.parts.Add(-parts)
	if a.parts.Add(parts) > maxParts {
		a.refuse(w, &refusal{refusedMemory, http.StatusServiceUnavailable, "too many large requests in flight, try again", ""})
		return
	}
	state := &requestState{traceParent: r.Header.Get("Traceparent")}
	ctx, cancel := context.WithDeadline(context.WithValue(r.Context(), requestStateKey{}, state), callDeadline(start, r))
	defer cancel()
	inner := r.WithContext(ctx)
	inner.Body = io.NopCloser(bytes.NewReader(state.lift(body.data, shape)))

	buffer, _ := a.responses.Get().(*bytes.Buffer)
	if buffer == nil {
		buffer = new(bytes.Buffer)
	}
	buffer.Reset()
	defer a.responses.Put(buffer)
	response := &bufferedResponse{header: w.Header(), body: buffer}
	if !a.serveInner(response, inner) {
		a.refuse(w, &refusal{refusedPanic, http.StatusInternalServerError, "internal error; see bulkhead's log", ""})
		return
	}
	a.answer(w, state, response)
}

// serveInner runs the webhook and reports whether it came back without a panic.
func (a *armoured) serveInner(w http.ResponseWriter, r *http.Request) (ok bool) {
	defer func() {
		switch value := recover(); value {
		case nil:
		case http.ErrAbortHandler:
			panic(value)
		default:
			a.options.logger.Error("panic while serving an admission request",
				"panic", clip(printable(fmt.Sprint(value)), maxPanicText), "stack", string(debug.Stack()))
		}
	}()
	a.next.ServeHTTP(w, r)
	return true
}

// checkHeader refuses what need not be read to be turned down.
func checkHeader(r *http.Request, maxBody int64) *refusal {
	if r.Method != http.MethodPost {
		return &refusal{refusedMethod, http.StatusMethodNotAllowed, "send an AdmissionReview with POST", http.MethodPost}
	}
	if contentType := r.Header.Get("Content-Type"); contentType != "application/json" {
		media, _, err := mime.ParseMediaType(contentType)
		if err != nil || media != "application/json" {
			return &refusal{refusedMediaType, http.StatusUnsupportedMediaType, "Content-Type must be application/json", ""}
		}
		r.Header.Set("Content-Type", media) // controller-runtime knows no parameters
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &refusal{refusedEncoding, http.StatusUnsupportedMediaType, "Content-Encoding is not supported, send plain JSON", ""}
	}
	if r.ContentLength > maxBody {
		return &refusal{refusedSize, http.StatusRequestEntityTooLarge, fmt.Sprintf("body is over %d bytes", maxBody), ""}
	}
	return nil
}

// callDeadline is when the answer has to be there: the timeout that the API
// server puts into the query (timeoutSeconds of the webhook), less a margin for
// the way back.
func callDeadline(start time.Time, r *http.Request) time.Time {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 {
		timeout = defaultCallTimeout
	}
	timeout = min(timeout, maxCallTimeout)
	margin := min(max(timeout/10, 50*time.Millisecond), 500*time.Millisecond)
	return start.Add(max(timeout-margin, 0))
}
