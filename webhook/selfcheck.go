package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// The self-check of one moment serves all who ask within selfCheckFor. A good one serves them for selfCheckStale while the
// next is made, so that asking is cheap however often it is done.
const (
	selfCheckWithin = time.Second
	selfCheckFor    = time.Second
	selfCheckStale  = 5 * time.Second
)

// SelfCheck gives the readiness of the server: it accepts connections on its own address, and what it serves is verified
// by the PEM certificates of bundle. A server all of whose connections are taken is ready: were it not, a flood would
// take away all replicas.
func (s *Server) SelfCheck(ctx context.Context, bundle func() []byte) func() error {
	check := &sharedCheck{now: time.Now, check: func() error {
		ctx, cancel := context.WithTimeout(ctx, selfCheckWithin)
		defer cancel()
		return s.selfCheck(ctx, bundle)
	}}
	return check.ask
}

// selfCheck dials. Where it gets no answer in time although the server has accepted others, or has as many as it may, the
// handshake is made without a network.
func (s *Server) selfCheck(ctx context.Context, bundle func() []byte) error {
	before := s.listener.accepted.Load()
	err := TLSSelfDial(ctx, s.Addr().String(), bundle)
	if err == nil || ctx.Err() == nil || s.listener.accepted.Load() == before && !s.listener.full() {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), selfCheckWithin)
	defer cancel()
	return s.handshake(ctx, bundle)
}

// handshake verifies what the server serves within the process.
func (s *Server) handshake(ctx context.Context, bundle func() []byte) error {
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		defer server.Close()
		_ = tls.Server(server, s.tls).HandshakeContext(ctx) // the client's side is the one that counts
	}()
	return tls.Client(client, selfDialConfig(bundle)).HandshakeContext(ctx)
}

// sharedCheck makes one run of a check serve all who ask at about the same time.
type sharedCheck struct {
	check func() error
	now   func() time.Time

	mu      sync.Mutex
	running chan struct{} // closed at the end of the run that is under way, nil where none is
	last    error
	at      time.Time // when last was found out; zero before the first run
}

func (s *sharedCheck) ask() error {
	s.mu.Lock()
	age := s.now().Sub(s.at)
	known := !s.at.IsZero()
	if known && age < selfCheckFor {
		defer s.mu.Unlock()
		return s.last
	}
	if s.running == nil {
		s.running = make(chan struct{})
		go s.run()
	}
	running, good := s.running, known && s.last == nil && age < selfCheckStale
	s.mu.Unlock()
	if good {
		return nil
	}
	<-running
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *sharedCheck) run() {
	err := s.check()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.at = err, s.now()
	close(s.running)
	s.running = nil
}
