package webhook

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// listed writes a review with a list of n empty objects.
func listed(n int) string {
	return reviewOf(`{"uid":"u-1","object":{"a":[` + strings.TrimSuffix(strings.Repeat("{},", n), ",") + `]}}`)
}

func TestPartsAreBounded(t *testing.T) {
	refused := &refusals{}
	front := reviewWebhook(t, allowReview)
	for _, tt := range []struct {
		body   string
		status int
	}{
		{listed(maxParts/2 - 10), http.StatusOK},
		{listed(maxParts / 2), http.StatusRequestEntityTooLarge},
		{reviewOf(`{"uid":"u-1","object":{"a":[` + strings.Repeat("1,", maxParts) + `1]}}`), http.StatusRequestEntityTooLarge},
		{reviewOf(`{"uid":"u-1","name":"` + strings.Repeat("{,[", maxParts) + `"}`), http.StatusOK},
	} {
		if got := armouredServe(t, armourOptions{refused: refused.note}, front, "/", tt.body); got.Code != tt.status {
			t.Errorf("%.60s… of %d bytes: %d, want %d", tt.body, len(tt.body), got.Code, tt.status)
		}
	}
	if refused.all()[refusedParts] != 2 {
		t.Errorf("refusals %v", refused.all())
	}
}

// TestPartsShareOneBudget has one review of many parts in work: another one is told to come again, a plain one is served.
func TestPartsShareOneBudget(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	front := armour(reviewWebhook(t, func(ctx context.Context, r admission.Request) admission.Response {
		entered <- struct{}{}
		<-leave
		return allowReview(ctx, r)
	}), armourOptions{})
	serve := func(body string) int {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		front.ServeHTTP(recorder, request)
		if recorder.Code == http.StatusServiceUnavailable && recorder.Header().Get("Retry-After") != "1" {
			t.Error("503 without Retry-After")
		}
		return recorder.Code
	}
	large := listed(maxParts / 3)
	results := make(chan int, 2)
	go func() { results <- serve(large) }()
	<-entered
	if got := serve(large); got != http.StatusServiceUnavailable {
		t.Errorf("a second one of many parts: %d, want 503", got)
	}
	go func() { results <- serve(listed(freeParts / 4)) }()
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
		t.Errorf("after the first has gone: %d", got)
	}
}

// TestRefusedLargeBodiesAreReadToTheEnd: a client that writes all before it reads still sees the answer.
func TestRefusedLargeBodiesAreReadToTheEnd(t *testing.T) {
	body := strings.NewReader(strings.Replace(plainReview, `"kind":"Pod"`, `"kind":"Pod","data":"`+strings.Repeat("x", 3<<20)+`"`, 1))
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/", body)
	request.Header.Set("Content-Type", "application/json")
	armour(reviewWebhook(t, allowReview), armourOptions{bodyMemory: 1 << 20}).ServeHTTP(recorder, request)
	if recorder.Code != http.StatusServiceUnavailable || body.Len() != 0 {
		t.Errorf("status %d with %d bytes unread", recorder.Code, body.Len())
	}
}
