package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	defaultMaxConnections   = 512
	defaultDrainDelay       = 5 * time.Second
	defaultShutdownTimeout  = 20 * time.Second
	defaultOverLimitTimeout = 2 * time.Second
	defaultHeaderTimeout    = 5 * time.Second
	// The API server gives up idle connections after 90 s. Were the server the
	// first to do so, a request could meet a connection that is just being closed.
	defaultIdleTimeout = 3 * time.Minute
	maxHeaderBytes     = 16 << 10
	maxDiscardedBody   = 256 << 10
)

// ServerOptions configures the HTTPS server of the webhook. Zero durations and
// limits take their default.
type ServerOptions struct {
	// Address to listen on, such as ":9443".
	Address string
	// Handler is controller-runtime's admission webhook, or a mux of several.
	Handler http.Handler
	// GetCertificate gives the serving certificate of the moment.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAFile, when set, demands client certificates of these CAs (PEM). It is
	// read again when it changes.
	ClientCAFile string
	// ClientNames are the common names or DNS names that a client certificate may
	// have; default kube-apiserver. Any other is refused in the TLS handshake.
	ClientNames []string
	// MaxConcurrent is how many reviews are worked on at a time; more get 503 with
	// Retry-After at once. Default 256.
	MaxConcurrent int
	// MaxConnections is how many connections are served; default 512. Beyond that,
	// one that has been without a whole request for half a second makes room. Where
	// there is none, a quarter more is accepted only to be told 503. What is beyond
	// that waits in the kernel's backlog, so memory is bounded (about 30 KiB a
	// connection) while a burst of calls still gets answers that the API server
	// retries, which a reset connection would not be.
	MaxConnections int
	// OverLimitTimeout is how long a connection over that limit may take for
	// handshake, request and refusal; default 2 s.
	OverLimitTimeout time.Duration
	// DrainDelay is how long requests are still taken after the end of Run's
	// context, until no API server picks this replica any more. Default 5 s.
	DrainDelay time.Duration
	// ShutdownTimeout is how long a moment without requests and those in flight may
	// take after that. Default 20 s.
	ShutdownTimeout time.Duration
	// HeaderTimeout bounds TLS handshake and request header (default 5 s),
	// BodyTimeout the body (default 10 s), IdleTimeout the time between requests
	// (default 3 min, more than the API server's 90 s).
	HeaderTimeout, BodyTimeout, IdleTimeout time.Duration
	// OnDrain, when set, is called once when draining begins.
	OnDrain func()
	// Refused, when set, is told of each request or client that no guardrail saw: a
	// reason out of a fixed set, and the HTTP status, 0 for a refused handshake.
	Refused func(reason string, status int)
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
}

// Server serves admission reviews over TLS and HTTP/1.1, the protocol that API
// servers use for webhooks. It replaces controller-runtime's server, which has
// no body timeout, no limits, ends the contexts of requests in flight on SIGTERM
// and accepts any certificate of the client CA.
type Server struct {
	options  ServerOptions
	listener *limitedListener
	tls      *tls.Config
	http     *http.Server
	draining atomic.Bool
}

// NewServer checks the options and reads the client CA file.
func NewServer(options ServerOptions) (*Server, error) {
	if options.Handler == nil || options.GetCertificate == nil {
		return nil, errors.New("webhook server needs a handler and a certificate")
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.MaxConnections <= 0 {
		options.MaxConnections = defaultMaxConnections
	}
	for duration, fallback := range map[*time.Duration]time.Duration{
		&options.OverLimitTimeout: defaultOverLimitTimeout,
		&options.DrainDelay:       defaultDrainDelay,
		&options.ShutdownTimeout:  defaultShutdownTimeout,
		&options.HeaderTimeout:    defaultHeaderTimeout,
		&options.BodyTimeout:      defaultBodyTimeout,
		&options.IdleTimeout:      defaultIdleTimeout,
	} {
		if *duration == 0 {
			*duration = fallback
		}
	}
	s := &Server{options: options}
	var err error
	if s.tls, err = serverTLS(options); err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler:           s.handler(),
		Protocols:         protocols,
		ReadHeaderTimeout: options.HeaderTimeout,
		WriteTimeout:      options.BodyTimeout + maxCallTimeout + 5*time.Second,
		IdleTimeout:       options.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          HTTPLog(options.Logger),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, conn)
		},
	}
	return s, nil
}

// Listen opens the address, so that a busy port is an error before anything else
// starts. Run calls it when it was not called before.
func (s *Server) Listen() error {
	listener, err := net.Listen("tcp", s.options.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("address %s is in use: stop the process that listens there, or choose another with --webhook-address: %w",
			s.options.Address, err)
	}
	if err != nil {
		return fmt.Errorf("cannot listen on %s, choose another address with --webhook-address: %w", s.options.Address, err)
	}
	s.listener = limitListener(listener, s.options.MaxConnections, s.options.OverLimitTimeout)
	if s.options.Refused != nil {
		s.listener.evicted = func() { s.options.Refused(refusedCrowded, 0) }
	}
	return nil
}

// Addr is the address in use; nil before Listen.
func (s *Server) Addr() net.Addr {
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Draining says whether the server is about to stop: readiness has to be false.
func (s *Server) Draining() bool { return s.draining.Load() }

// Run serves until ctx ends, then drains: for DrainDelay requests are still
// taken, each answer with "Connection: close", so that pooled connections move
// to other replicas; then, in a moment without requests, the listener and idle
// connections close and requests in flight finish. The end of ctx never reaches a
// request.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	detached := context.WithoutCancel(ctx)
	s.http.BaseContext = func(net.Listener) context.Context { return detached }
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(tls.NewListener(s.listener, s.tls)) }()
	select {
	case err := <-served:
		return fmt.Errorf("webhook server on %s stopped: %w", s.Addr(), err)
	case <-ctx.Done():
	}

	s.draining.Store(true)
	if s.options.OnDrain != nil {
		s.options.OnDrain()
	}
	s.options.Logger.Info("webhook server is draining", "delay", s.options.DrainDelay.String())
	delay := time.NewTimer(s.options.DrainDelay)
	defer delay.Stop()
	select {
	case err := <-served:
		return fmt.Errorf("webhook server on %s stopped while draining: %w", s.Addr(), err)
	case <-delay.C:
	}
	finish, cancel := context.WithTimeout(detached, s.options.ShutdownTimeout)
	defer cancel()
	awaitQuiet(finish, s.listener, quietFor, quietWithin)
	if err := s.http.Shutdown(finish); err != nil {
		_ = s.http.Close() // nothing is left to be saved
		return fmt.Errorf("requests were still in flight %s after the drain: %w", s.options.ShutdownTimeout, err)
	}
	return nil
}

// handler answers connections over the limit and passes the rest to armour.
func (s *Server) handler() http.Handler {
	inner := armour(s.options.Handler, armourOptions{
		maxConcurrent: s.options.MaxConcurrent,
		bodyTimeout:   s.options.BodyTimeout,
		refused:       s.options.Refused,
		closing:       s.Draining,
		logger:        s.options.Logger,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !overLimit(r.Context()) {
			inner.ServeHTTP(w, r)
			return
		}
		// A body left unread would keep the connection for another half second.
		_, _ = io.CopyN(io.Discard, r.Body, maxDiscardedBody)
		if s.options.Refused != nil {
			s.options.Refused(refusedConnections, http.StatusServiceUnavailable)
		}
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many connections, try again", http.StatusServiceUnavailable)
	})
}

// HTTPLog is where an http.Server may write its own lines.
func HTTPLog(logger *slog.Logger) *log.Logger { return log.New(&httpLog{logger}, "", 0) }

// httpLog takes the log lines of net/http. Broken handshakes are what scanners
// and the probe of an own port cause, so they stay out of a normal log.
type httpLog struct{ logger *slog.Logger }

func (l *httpLog) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.Contains(line, []byte("TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.logger.Log(context.Background(), level, "webhook server", "event", printable(string(bytes.TrimSpace(line))))
	return len(line), nil
}
