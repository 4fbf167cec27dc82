package webhook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

// answer sends what the webhook said, or the error that it stands for.
func (a *armoured) answer(w http.ResponseWriter, state *requestState, response *bufferedResponse) {
	if failed := state.failure.Load(); failed != nil {
		a.writeError(w, failed.status, failed.retryAfter, failed.message)
		return
	}
	if !state.answered.Load() && response.status() == http.StatusOK {
		status := frameworkStatus(response.body.Bytes())
		a.refuse(w, &refusal{refusedUndecodable, status, "the AdmissionReview could not be decoded; see bulkhead's log", ""})
		return
	}
	header := w.Header()
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	header.Set("Content-Length", strconv.Itoa(response.body.Len()))
	a.closeWhenDraining(w)
	w.WriteHeader(response.status())
	_, _ = w.Write(response.body.Bytes()) // a client that has gone is nobody's error
}

// frameworkStatus reads the HTTP status out of an answer that controller-runtime
// made itself, 400 when it has none.
func frameworkStatus(body []byte) int {
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err == nil && review.Response != nil && review.Response.Result != nil {
		if code := int(review.Response.Result.Code); code >= 400 && code <= 599 {
			return code
		}
	}
	return http.StatusBadRequest
}

// refuse answers a request that armour itself turns down. A client that sends
// what the API server never sends loses its connection, so that it cannot keep
// idle ones open.
func (a *armoured) refuse(w http.ResponseWriter, refused *refusal) {
	if a.options.refused != nil {
		a.options.refused(refused.reason, refused.status)
	}
	retryAfter := time.Duration(0)
	switch {
	case refused.status == http.StatusServiceUnavailable:
		retryAfter = overloadRetryAfter
	case refused.status < http.StatusInternalServerError:
		w.Header().Set("Connection", "close")
	}
	if refused.allow != "" {
		w.Header().Set("Allow", refused.allow)
	}
	a.writeError(w, refused.status, retryAfter, refused.message)
}

func (a *armoured) writeError(w http.ResponseWriter, status int, retryAfter time.Duration, message string) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(max(retryAfter, time.Second)/time.Second)))
	}
	a.closeWhenDraining(w)
	http.Error(w, clip(printable(message), maxFailureText), status)
}

func (a *armoured) closeWhenDraining(w http.ResponseWriter) {
	if a.options.closing != nil && a.options.closing() {
		w.Header().Set("Connection", "close")
	}
}

// bufferedResponse holds the inner answer back until it is known to be one.
type bufferedResponse struct {
	header http.Header
	code   int
	body   *bytes.Buffer
}

func (b *bufferedResponse) Header() http.Header { return b.header }

func (b *bufferedResponse) WriteHeader(code int) {
	if b.code == 0 {
		b.code = code
	}
}

func (b *bufferedResponse) Write(data []byte) (int, error) { return b.body.Write(data) }

func (b *bufferedResponse) status() int {
	if b.code == 0 {
		return http.StatusOK
	}
	return b.code
}
