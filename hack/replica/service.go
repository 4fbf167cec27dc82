package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Service stands in for a Kubernetes Service in front of replicas. It balances connections, not requests, and knows
// nothing of TLS, as kube-proxy does. What it knows of the replicas is late: readiness is probed as the kubelet does, and
// a change of the endpoints takes effect only after it has spread over the nodes.
type Service struct {
	// URL is where the API server finds the Service.
	URL string

	listener net.Listener
	// probes is how often readiness is asked, spreads how long a change of the endpoints takes to be known everywhere.
	probes, spreads time.Duration

	accepted atomic.Int64
	turn     atomic.Uint64
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu        sync.Mutex
	endpoints []*endpoint
	conns     map[net.Conn]struct{}
}

const (
	// The readiness probe is the chart's.
	probeEvery    = 2 * time.Second
	probeTimeout  = 3 * time.Second
	probeFailures = 2
	// spreadsWithin is how long an EndpointSlice takes to reach all nodes' rules.
	spreadsWithin = time.Second
)

// endpoint is a replica as the Service sees it.
type endpoint struct {
	replica *Replica
	address string
	// serving says that new connections go there.
	serving bool
	cancel  context.CancelFunc
}

// NewService listens on the host and has no endpoints yet.
func NewService(host string) (*Service, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	s := &Service{URL: "https://" + listener.Addr().String(), listener: listener, probes: probeEvery, spreads: spreadsWithin, conns: map[net.Conn]struct{}{}}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { s.accept(ctx) })
	return s, nil
}

// Close ends the Service and all its connections.
func (s *Service) Close() error {
	s.stop()
	err := s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	for _, e := range s.endpoints {
		e.cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

// Accepted is how many connections were made so far; each that reached a replica was a TLS handshake.
func (s *Service) Accepted() int64 { return s.accepted.Load() }

// Add begins to probe a replica. It becomes an endpoint once it has been ready for long enough to be known everywhere,
// and no longer is one once it has been unready for as long.
func (s *Service) Add(r *Replica) error {
	u, err := url.Parse(r.URL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &endpoint{replica: r, address: u.Host, cancel: cancel}
	s.mu.Lock()
	s.endpoints = append(s.endpoints, e)
	s.mu.Unlock()
	s.running.Go(func() { s.probe(ctx, e) })
	return nil
}

// Remove marks the replica as terminating, as the deletion of its Pod does: it stops to be an endpoint, but a little
// later. Whoever calls it sends SIGTERM at the same time, as the kubelet does.
func (s *Service) Remove(r *Replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		if e.replica == r {
			e.cancel()
			s.running.Go(func() { s.spread(context.Background(), e, false) })
		}
	}
}

// Serves says whether new connections go to the replica.
func (s *Service) Serves(r *Replica) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.endpoints {
		if e.replica == r {
			return e.serving
		}
	}
	return false
}

// AwaitServing waits until new connections go to the replica, or no longer do.
func (s *Service) AwaitServing(ctx context.Context, r *Replica, serving bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.Serves(r) != serving {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the replica at %s was to be an endpoint: %t: %w", r.URL, serving, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// spread changes whether e is an endpoint, once that has reached everybody.
func (s *Service) spread(ctx context.Context, e *endpoint, serving bool) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(s.spreads):
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.serving = serving
}

// probe follows the readiness of a replica.
func (s *Service) probe(ctx context.Context, e *endpoint) {
	client := &http.Client{Timeout: probeTimeout}
	tick := time.NewTicker(s.probes)
	defer tick.Stop()
	failures := 0
	for {
		failures++
		if ready(ctx, client, e.replica.ProbeURL) {
			failures = 0
		}
		if serving := s.Serves(e.replica); failures == 0 && !serving || failures >= probeFailures && serving {
			s.spread(ctx, e, failures == 0)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func ready(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// pick gives the address of the next endpoint in turn, empty where there is none.
func (s *Service) pick() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var serving []string
	for _, e := range s.endpoints {
		if e.serving {
			serving = append(serving, e.address)
		}
	}
	if len(serving) == 0 {
		return ""
	}
	return serving[s.turn.Add(1)%uint64(len(serving))]
}

func (s *Service) accept(ctx context.Context) {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		s.running.Go(func() { s.carry(ctx, c) })
	}
}

// carry connects a client with an endpoint until either closes. Where there is none, or it refuses, the client sees its
// connection closed.
func (s *Service) carry(ctx context.Context, near net.Conn) {
	defer near.Close()
	address := s.pick()
	if address == "" {
		return
	}
	far, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	s.mu.Lock()
	s.conns[near], s.conns[far] = struct{}{}, struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, near)
		delete(s.conns, far)
	}()
	var back sync.WaitGroup
	back.Go(func() { relay(near, far) })
	relay(far, near)
	back.Wait()
}

// relay copies until the end and passes the end on, or both ends where it breaks off.
func relay(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, net.ErrClosed) {
		_, _ = to.Close(), from.Close()
		return
	}
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
