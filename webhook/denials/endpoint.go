package denials

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/bulkhead-dev/bulkhead/webhook/bearer"
)

// Path is where the records are asked for, and the nonResourceURL that RBAC grants.
const Path = "/denials"

const (
	atOnce       = 4       // requests that are worked on at a time
	defaultLimit = 500     // records of a page
	maxLimit     = 2000    // what a page may be asked to hold
	pageBytes    = 1 << 20 // after so many bytes a page ends
)

// Handler answers GET /denials?after=N&limit=M with a Page to those whom the gate lets in. Few requests are worked on at a time;
// more get 503.
func Handler(ring *Ring, gate *bearer.Gate) http.Handler {
	slots := make(chan struct{}, atOnce)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests at a time, try again", http.StatusServiceUnavailable)
			return
		}
		if _, err := gate.Check(r.Context(), r); err != nil {
			refuse(w, err)
			return
		}
		after, limit, err := query(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := encode(ring.After(after, limit))
		if err != nil {
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // whoever asked has gone
	})
	return mux
}

func refuse(w http.ResponseWriter, err error) {
	refusal := &bearer.Refusal{Status: http.StatusServiceUnavailable, Message: "try again"}
	errors.As(err, &refusal)
	switch refusal.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, refusal.Message, refusal.Status)
}

// query reads the parameters; what is not given is the beginning, and a page of the usual size.
func query(r *http.Request) (after uint64, limit int, err error) {
	limit = defaultLimit
	values := r.URL.Query()
	if text := values.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 64); err != nil {
			return 0, 0, errors.New(`after: a whole number is needed, the "next" of the page before`)
		}
	}
	if text := values.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			return 0, 0, fmt.Errorf("limit: a whole number from 1 to %d is needed", maxLimit)
		}
	}
	return after, limit, nil
}

// encode writes a page with as many of its records as fit, one at least.
func encode(p Page) ([]byte, error) {
	var records bytes.Buffer
	for i, r := range p.Records {
		text, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		if i > 0 && records.Len()+len(text) > pageBytes {
			p.Next = p.Records[i-1].Number
			break
		}
		if i > 0 {
			records.WriteByte(',')
		}
		records.Write(text)
	}
	p.Records = []*Record{}
	head, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	// The records come last and are empty in head, which ends in []}.
	out := make([]byte, 0, len(head)+records.Len())
	out = append(out, head[:len(head)-2]...)
	out = append(out, records.Bytes()...)
	return append(out, "]}\n"...), nil
}
