package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// reviewOf writes an AdmissionReview whose request holds the members given.
func reviewOf(request string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":` + request + `}`
}

func TestHostileRequests(t *testing.T) {
	deep := func(open, end string, levels int) string {
		return reviewOf(`{"uid":"u","object":` + strings.Repeat(open, levels) + strings.Repeat(end, levels) + `}`)
	}
	tests := []struct {
		name     string
		method   string
		header   map[string]string
		body     string
		status   int
		reason   string
		response map[string]string
	}{
		{"GET", http.MethodGet, nil, "", 405, refusedMethod, map[string]string{"Allow": "POST"}},
		{"PUT", http.MethodPut, nil, plainReview, 405, refusedMethod, nil},
		{"no content type", "", map[string]string{"Content-Type": ""}, plainReview, 415, refusedMediaType, nil},
		{"YAML by type", "", map[string]string{"Content-Type": "application/yaml"}, plainReview, 415, refusedMediaType, nil},
		{"protobuf", "", map[string]string{"Content-Type": "application/vnd.kubernetes.protobuf"}, plainReview, 415, refusedMediaType, nil},
		{"gzip", "", map[string]string{"Content-Encoding": "gzip"}, "\x1f\x8b\x08", 415, refusedEncoding, nil},
		{"declared too large", "", nil, strings.Repeat(" ", 7<<20), 413, refusedSize, nil},
		{"empty body", "", nil, "", 400, refusedNoObject, nil},
		{"spaces", "", nil, " \n\t ", 400, refusedNoObject, nil},
		{"YAML by content", "", nil, "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n", 400, refusedNoObject, nil},
		{"array", "", nil, "[" + plainReview + "]", 400, refusedNoObject, nil},
		{"null", "", nil, "null", 400, refusedNoObject, nil},
		{"byte order mark", "", nil, "\ufeff" + plainReview, 400, refusedNoObject, nil},
		{"empty object", "", nil, "{}", 400, refusedVersion, nil},
		{"v1beta1", "", nil, strings.Replace(plainReview, "k8s.io/v1", "k8s.io/v1beta1", 1), 400, refusedVersion, nil},
		{"another kind", "", nil, strings.Replace(plainReview, "AdmissionReview", "TokenReview", 1), 400, refusedVersion, nil},
		{"no request", "", nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400, refusedRequest, nil},
		{"null request", "", nil, reviewOf("null"), 400, refusedRequest, nil},
		{"request then null", "", nil, strings.TrimSuffix(plainReview, "}") + `,"request":null}`, 400, refusedRequest, nil},
		{"request is an array", "", nil, reviewOf(`["uid","u"]`), 400, refusedRequest, nil},
		{"no uid", "", nil, reviewOf(`{"operation":"CREATE"}`), 400, refusedRequest, nil},
		{"empty uid", "", nil, reviewOf(`{"uid":""}`), 400, refusedRequest, nil},
		{"uid twice, then empty", "", nil, reviewOf(`{"uid":"u","uid":""}`), 400, refusedRequest, nil},
		{"uid only inside the object", "", nil, reviewOf(`{"object":{"uid":"u"}}`), 400, refusedRequest, nil},
		{"uid only as a value", "", nil, reviewOf(`{"name":"uid","namespace":"u"}`), 400, refusedRequest, nil},
		{"deep objects", "", nil, deep(`{"a":`, `}`, 100000), 400, refusedDepth, nil},
		{"deep arrays", "", nil, deep(`[`, `]`, 300), 400, refusedDepth, nil},
		{"cut off", "", nil, plainReview[:len(plainReview)-10], 400, refusedUndecodable, nil},
		{"string without an end", "", nil, plainReview[:20], 400, refusedVersion, nil},
		{"wrong types", "", nil, reviewOf(`{"uid":"u","operation":{}}`), 400, refusedUndecodable, nil},
	}
	server := startServer(t, ServerOptions{})
	client := server.client(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method := test.method
			if method == "" {
				method = http.MethodPost
			}
			request, err := http.NewRequestWithContext(t.Context(), method, server.url(), strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/json")
			for name, value := range test.header {
				request.Header.Set(name, value)
			}
			before := server.refused.all()[test.reason]
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			if got := server.refused.all()[test.reason] - before; got != 1 {
				t.Errorf("reason %s counted %d times, want once; all: %v", test.reason, got, server.refused.all())
			}
			if !response.Close {
				t.Error("the connection stays open")
			}
			if got := response.Header.Get("X-Content-Type-Options"); got != "nosniff" {
				t.Errorf("X-Content-Type-Options %q", got)
			}
			for name, want := range test.response {
				if got := response.Header.Get(name); got != want {
					t.Errorf("header %s %q, want %q", name, got, want)
				}
			}
			mustServe(t, client, server.url())
		})
	}
}

func TestUnknownLengthIsBoundedWhileReading(t *testing.T) {
	server := startServer(t, ServerOptions{})
	// Without Content-Length the client sends chunks.
	body := io.MultiReader(strings.NewReader(`{"a":"`), io.LimitReader(repeated('x'), 8<<20))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url(), body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := server.client(t).Do(request)
	// The server may close while the client is still sending; both ends are fine, an answer must be 413.
	if err == nil {
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d, want 413", response.StatusCode)
		}
	}
	if server.refused.all()[refusedSize] != 1 {
		t.Errorf("refusals %v, want one for the size", server.refused.all())
	}
	mustServe(t, server.client(t), server.url())
}

type repeated byte

func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// armouredServe sends body through armour without a network.
func armouredServe(t *testing.T, options armourOptions, handler http.Handler, target, body string) *httptest.ResponseRecorder {
	t.Helper()
	options.logger = slog.New(slog.DiscardHandler)
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	armour(handler, options).ServeHTTP(recorder, request)
	return recorder
}

func TestErrorsOfTheHandlerAreRealHTTPErrors(t *testing.T) {
	tests := []struct {
		name   string
		handle func(context.Context, admission.Request) admission.Response
		status int
		body   string
		retry  string
		reason string
	}{
		{"allowed", allowReview, 200, `"allowed":true`, "", ""},
		{"denied", func(ctx context.Context, _ admission.Request) admission.Response {
			answered(ctx)
			return admission.Denied("no")
		}, 200, `"allowed":false`, "", ""},
		{"not synced", func(ctx context.Context, _ admission.Request) admission.Response {
			answered(ctx)
			failRequest(ctx, http.StatusServiceUnavailable, time.Second, "not synced")
			return admission.Response{}
		}, 503, "not synced\n", "1", ""},
		{"first failure wins, text is made safe", func(ctx context.Context, _ admission.Request) admission.Response {
			failRequest(ctx, http.StatusInternalServerError, 0, "bad \x1b[31m\nname\u202e")
			failRequest(ctx, http.StatusServiceUnavailable, time.Second, "later")
			return admission.Response{}
		}, 500, `bad \x1b[31m\nname\u202e` + "\n", "", ""},
		{"never marked", func(context.Context, admission.Request) admission.Response {
			return admission.Errored(http.StatusInternalServerError, errors.New("secret"))
		}, 500, "could not be decoded", "", refusedUndecodable},
		{"panic before the mark", func(context.Context, admission.Request) admission.Response {
			panic("secret")
		}, 500, "internal error", "", refusedPanic},
		{"panic after the mark", func(ctx context.Context, _ admission.Request) admission.Response {
			answered(ctx)
			panic("secret")
		}, 500, "internal error", "", refusedPanic},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refused := &refusals{}
			got := armouredServe(t, armourOptions{refused: refused.note}, reviewWebhook(t, test.handle), "/", plainReview)
			if got.Code != test.status || !strings.Contains(got.Body.String(), test.body) {
				t.Errorf("got %d %q, want %d with %q", got.Code, got.Body, test.status, test.body)
			}
			if strings.Contains(got.Body.String(), "secret") {
				t.Errorf("the internal text leaks: %s", got.Body)
			}
			if retry := got.Header().Get("Retry-After"); retry != test.retry {
				t.Errorf("Retry-After %q, want %q", retry, test.retry)
			}
			if test.reason != "" && refused.all()[test.reason] != 1 {
				t.Errorf("refusals %v, want one %s", refused.all(), test.reason)
			}
			if test.status == http.StatusOK {
				var review admissionv1.AdmissionReview
				if err := json.Unmarshal(got.Body.Bytes(), &review); err != nil || review.Response.UID != "u-1" {
					t.Errorf("answer %s is no review of this request: %v", got.Body, err)
				}
			}
		})
	}
}

func TestLongFailureTextIsCut(t *testing.T) {
	got := armouredServe(t, armourOptions{}, reviewWebhook(t, func(ctx context.Context, _ admission.Request) admission.Response {
		failRequest(ctx, http.StatusInternalServerError, 0, strings.Repeat("é", 10000))
		return admission.Response{}
	}), "/", plainReview)
	if text := strings.TrimSpace(got.Body.String()); len(text) > maxFailureText || strings.Trim(text, "é…") != "" {
		t.Errorf("%d bytes of text, want at most %d whole characters", len(text), maxFailureText)
	}
}

func TestOtherStatusesOfTheInnerHandlerPass(t *testing.T) {
	got := armouredServe(t, armourOptions{}, http.NotFoundHandler(), "/", plainReview)
	if got.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", got.Code)
	}
}

func TestOverloadFailsFast(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	refused := &refusals{}
	front := armour(reviewWebhook(t, func(ctx context.Context, r admission.Request) admission.Response {
		entered <- struct{}{}
		<-leave
		return allowReview(ctx, r)
	}), armourOptions{maxConcurrent: 2, refused: refused.note})
	serve := func() *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(plainReview))
		request.Header.Set("Content-Type", "application/json")
		front.ServeHTTP(recorder, request)
		return recorder
	}
	results := make(chan int, 3)
	for range 2 {
		go func() { results <- serve().Code }()
		<-entered
	}
	if got := serve(); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") != "1" {
		t.Errorf("third request: %d, Retry-After %q; want 503 and 1", got.Code, got.Header().Get("Retry-After"))
	}
	close(leave)
	for range 2 {
		if got := <-results; got != http.StatusOK {
			t.Errorf("request in flight: %d", got)
		}
	}
	go func() { results <- serve().Code }()
	<-entered
	if got := <-results; got != http.StatusOK || refused.all()[refusedOverload] != 1 {
		t.Errorf("after the overload: %d, refusals %v", got, refused.all())
	}
}

func TestLargeBodiesShareOneBudget(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	front := armour(reviewWebhook(t, func(ctx context.Context, r admission.Request) admission.Response {
		entered <- struct{}{}
		<-leave
		return allowReview(ctx, r)
	}), armourOptions{bodyMemory: 3 << 20})
	large := strings.Replace(plainReview, `"kind":"Pod"`, `"kind":"Pod","data":"`+strings.Repeat("x", 1<<20)+`"`, 1)
	serve := func(body string) int {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		front.ServeHTTP(recorder, request)
		return recorder.Code
	}
	results := make(chan int, 2)
	go func() { results <- serve(large) }()
	<-entered
	if got := serve(large); got != http.StatusServiceUnavailable {
		t.Errorf("a second large body: %d, want 503", got)
	}
	go func() { results <- serve(plainReview) }()
	<-entered
	close(leave)
	for range 2 {
		if got := <-results; got != http.StatusOK {
			t.Errorf("status %d, want 200", got)
		}
	}
	go func() { results <- serve(large) }()
	<-entered
	if got := <-results; got != http.StatusOK {
		t.Errorf("a large body after the first has gone: %d", got)
	}
}

func TestBodyReachesTheHandlerUnchanged(t *testing.T) {
	for _, size := range []int{0, 100, initialBodyBuffer, maxPooledBodyBuffer - 1, maxPooledBodyBuffer, 1 << 20, 6 << 20} {
		want := strings.Replace(plainReview, `"kind":"Pod"`, `"kind":"Pod","data":"`+strings.Repeat("y", size)+`"`, 1)
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got, err := io.ReadAll(r.Body)
			if err != nil {
				t.Errorf("size %d: %v", size, err)
			}
			if state, ok := r.Context().Value(requestStateKey{}).(*requestState); ok && state.object != nil {
				got = bytes.Replace(got, []byte(`"object":null`), append([]byte(`"object":`), state.object...), 1)
			}
			if !bytes.Equal(got, []byte(want)) {
				t.Errorf("size %d: got %d of %d bytes", size, len(got), len(want))
			}
			w.WriteHeader(http.StatusAccepted)
		})
		if got := armouredServe(t, armourOptions{}, echo, "/", want); got.Code != http.StatusAccepted {
			t.Errorf("size %d: status %d", size, got.Code)
		}
	}
}

func TestDeadlineComesFromTheCall(t *testing.T) {
	tests := []struct {
		query string
		want  time.Duration
	}{
		{"?timeout=5s", 4500 * time.Millisecond},
		{"?timeout=1s", 900 * time.Millisecond},
		{"?timeout=2m", maxCallTimeout - 500*time.Millisecond},
		{"?timeout=10ms", 0},
		{"?timeout=-3s", defaultCallTimeout - 500*time.Millisecond},
		{"?timeout=soon", defaultCallTimeout - 500*time.Millisecond},
		{"", defaultCallTimeout - 500*time.Millisecond},
	}
	for _, test := range tests {
		start := time.Now()
		request := httptest.NewRequest(http.MethodPost, "/validate"+test.query, nil)
		if got := callDeadline(start, request).Sub(start); got != test.want {
			t.Errorf("%q: deadline after %s, want %s", test.query, got, test.want)
		}
	}
	armouredServe(t, armourOptions{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, ok := r.Context().Deadline(); !ok {
			t.Error("the handler's context has no deadline")
		}
	}), "/?timeout=5s", plainReview)
}

func TestScanReviewReadsStringsAndKeys(t *testing.T) {
	tests := []struct {
		name, body string
		accepted   bool
	}{
		{"plain", plainReview, true},
		{"spaces around everything", " {\n\"apiVersion\" : \"admission.k8s.io/v1\" , \"kind\"\t: \"AdmissionReview\", \"request\" : { \"uid\" : \"u\" } } \n", true},
		{"request first", `{"request":{"uid":"u"},"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`, true},
		{"brackets and quotes inside strings", reviewOf(`{"name":"{[\"\\","uid":"u\\\"}"}`), true},
		{"uid after a deep object", reviewOf(`{"object":{"a":[{"b":{}}],"uid":""},"uid":"u"}`), true},
		{"version in the object only", `{"kind":"AdmissionReview","request":{"uid":"u","apiVersion":"admission.k8s.io/v1"}}`, false},
		{"escaped key", strings.Replace(plainReview, `"uid"`, `"\u0075id"`, 1), false},
		{"255 levels", reviewOf(`{"uid":"u","object":` + strings.Repeat("[", 253) + strings.Repeat("]", 253) + `}`), true},
	}
	for _, test := range tests {
		if _, got := inspectReview([]byte(test.body)); (got == nil) != test.accepted {
			t.Errorf("%s: refusal %+v, want accepted: %t", test.name, got, test.accepted)
		}
	}
}

func FuzzInspectReview(f *testing.F) {
	for _, seed := range []string{plainReview, "{}", reviewOf("null"), reviewOf(`{"uid":"\\"}`), `{"request":{"uid":"`, `{"a":"\`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var decoded struct {
			APIVersion string `json:"apiVersion"`
			Request    *struct {
				UID string `json:"uid"`
			} `json:"request"`
		}
		_, refused := inspectReview(body)
		accepted := refused == nil
		// What is accepted and valid JSON must hold a request: nothing empty reaches the handler.
		if accepted && json.Unmarshal(body, &decoded) == nil && bytes.Count(body, []byte("equest")) == 1 && decoded.Request == nil {
			t.Errorf("accepted without a request: %q", body)
		}
	})
}

func BenchmarkInspectReview(b *testing.B) {
	body := []byte(strings.Replace(plainReview, `"kind":"Pod"`, `"kind":"Pod","data":"`+strings.Repeat(`{\"a\":1},`, 1000)+`"`, 1))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, refused := inspectReview(body); refused != nil {
			b.Fatal(refused.message)
		}
	}
}
