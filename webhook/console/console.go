// Package console serves a read-only web page about one cluster: what was lately denied and why, how far each namespace is from
// one in which nothing is reachable that was not meant to be, and who reaches whom there. It is part of the audit mode, off
// unless asked for, and changes nothing in the cluster.
//
// Pages are made on the server of html/template alone, and everything a browser loads comes from this program: no script is
// needed to read them, and what scripts there are sort, filter and refresh. All that a page shows of the cluster is text that
// anybody may have written.
package console

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// Options are what a console shows, and to whom.
type Options struct {
	// Denials gives the decisions to show, newest first. The slice is never changed; another one comes in its place. Not nil.
	Denials func() []denials.Record
	// Sources says how well the replicas of the webhook answer; nil says nothing about it.
	Sources func() Sources
	// Report gives the last audit, nil before there is one and where another replica leads. Not nil.
	Report func() *audit.Report
	// Snapshot gives the cluster as it is, nil before it has been seen. Not nil.
	Snapshot func() *cluster.Snapshot
	// Config gives the config in force, nil before there is one. Not nil.
	Config func() *config.Config
	// Cluster is the name to show; empty shows none.
	Cluster string
	// Version is Bulkhead's.
	Version string
	// Auth demands that whoever asks is authenticated by the API server and may get the path /console there. Without it
	// the console answers only requests to a loopback name, so that no web page of somebody else can read it by a name that
	// leads here.
	Auth bool
	// Client asks the API server who somebody is; needed with Auth.
	Client kubernetes.Interface
	// Now is the clock; not nil.
	Now    func() time.Time
	Logger *slog.Logger
}

// Sources says how well the replicas answer that the denials come from.
type Sources struct {
	// Known counts the replicas, and Answering those that answered last.
	Known, Answering int
	// Problem says why some do not answer, and what to do; empty where there is none.
	Problem string
}

// Console answers the requests of browsers.
type Console struct {
	o     Options
	pages *pages
	gate  *gate
	index feedIndex
	// drawing lets one map be worked out at a time: the audit needs the processor more.
	drawing sync.Mutex
	working chan struct{}
}

// atATime bounds the pages that are made at a time.
const atATime = 8

// New makes a console.
func New(o Options) (*Console, error) {
	p, err := newPages()
	if err != nil {
		return nil, err
	}
	return &Console{o: o, pages: p, gate: newGate(o), working: make(chan struct{}, atATime)}, nil
}

// Handler answers all paths of the console.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /assets/{name}", c.pages.asset)
	mux.HandleFunc("GET /sign-in", c.signInPage)
	mux.HandleFunc("POST /sign-in", c.signIn)
	mux.HandleFunc("POST /sign-out", c.signOut)
	mux.Handle("GET /{$}", c.inside(c.feed))
	mux.Handle("GET /posture", c.inside(c.posture))
	mux.Handle("GET /namespaces/{name}", c.inside(c.namespace))
	mux.Handle("GET /report.html", c.inside(c.report))
	mux.Handle("GET /", c.inside(func(w http.ResponseWriter, r *http.Request) {
		c.problem(w, r, http.StatusNotFound, "There is no such page", "The console has denied changes, posture, and a page for each namespace.")
	}))
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.problem(w, r, http.StatusForbidden, "This request came from another site", "Open the console itself and try again there.")
	}))
	return secured(c.local(protection.Handler(c.bounded(mux))))
}

// contentPolicy lets pages load what this program serves and nothing else; nothing is inline. Source: Content Security Policy
// Level 3.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// secured sets the headers of every answer.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// bounded lets so many pages be made at a time; who comes then is told to come back.
func (c *Console) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case c.working <- struct{}{}:
			defer func() { <-c.working }()
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			c.problem(w, r, http.StatusServiceUnavailable, "Too many requests at a time", "Try again in a second.")
		}
	})
}
