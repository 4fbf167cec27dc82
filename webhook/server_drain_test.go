package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// TestDrainFinishesWhatIsInFlight ends Run's context while a request is being
// judged: the request must not notice, readiness must.
func TestDrainFinishesWhatIsInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	drained := make(chan struct{})
	server := startServer(t, ServerOptions{
		OnDrain: func() { close(drained) },
		Handler: reviewWebhook(t, func(ctx context.Context, r admission.Request) admission.Response {
			once.Do(func() {
				close(entered)
				<-leave
			})
			if err := ctx.Err(); err != nil {
				t.Errorf("the context of a request in flight ended: %v", err)
			}
			return allowReview(ctx, r)
		}),
	})
	type result struct {
		status int
		closed bool
		err    error
	}
	results := make(chan result, 1)
	client := server.client(t)
	go func() {
		response, err := client.Post(server.url(), "application/json", strings.NewReader(plainReview))
		if err != nil {
			results <- result{err: err}
			return
		}
		defer response.Body.Close()
		results <- result{response.StatusCode, response.Close, nil}
	}()
	<-entered
	if server.Draining() {
		t.Error("draining before the end")
	}
	server.stop()
	<-drained
	if !server.Draining() {
		t.Error("not draining after OnDrain")
	}
	close(leave)
	if got := <-results; got != (result{http.StatusOK, true, nil}) {
		t.Errorf("request in flight: %+v, want 200 with Connection: close", got)
	}
	server.wait(t)
}

func TestDrainThatCannotFinishSaysSo(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	server := startServer(t, ServerOptions{
		ShutdownTimeout: 10 * time.Millisecond,
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-leave
		}),
	})
	client := server.client(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := client.Post(server.url(), "application/json", strings.NewReader(plainReview)); err == nil {
			response.Body.Close()
		}
	}()
	<-entered
	server.stop()
	if err := <-server.done; err == nil || !strings.Contains(err.Error(), "still in flight") {
		t.Errorf("error %v, want one about requests in flight", err)
	}
	close(server.done)
	close(leave)
	<-done
}

// TestRollingRestartsUnderLoad restarts two servers in turns, each on its own
// port, while keep-alive clients that pick a live one, as a Service does, send
// reviews all the time.
func TestRollingRestartsUnderLoad(t *testing.T) {
	const restarts, workers = 4, 6
	ports := []string{unusedAddress(t), unusedAddress(t)}
	ca := newServerCA(t)
	certificate := ca.server()

	// endpoints are the addresses that new connections may go to.
	var mu sync.Mutex
	var endpoints []string
	setEndpoint := func(address string, in bool) {
		mu.Lock()
		defer mu.Unlock()
		endpoints = slices.DeleteFunc(endpoints, func(a string) bool { return a == address })
		if in {
			endpoints = append(endpoints, address)
		}
	}
	launch := func(address string) *runningServer {
		running := startServerAt(t, ServerOptions{
			Address: address, DrainDelay: 500 * time.Millisecond, OnDrain: func() { setEndpoint(address, false) },
		}, ca, certificate)
		setEndpoint(address, true)
		return running
	}
	servers := []*runningServer{launch(ports[0]), launch(ports[1])}

	stop := make(chan struct{})
	failures := make(chan error, workers)
	var served, next atomic.Int64
	var load sync.WaitGroup
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		mu.Lock()
		address := endpoints[int(next.Add(1))%len(endpoints)]
		mu.Unlock()
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	for range workers {
		transport := &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: ca.pool()}}
		client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		load.Go(func() {
			defer transport.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := oneReview(client, "https://127.0.0.1/validate?timeout=5s"); err != nil {
					failures <- err
					return
				}
				served.Add(1)
			}
		})
	}
	for i := range restarts {
		which := i % 2
		before := served.Load()
		servers[which].wait(t)
		servers[which] = launch(ports[which])
		waitFor(t, "requests after a restart", func() bool { return served.Load() > before+workers || len(failures) > 0 })
	}
	close(stop)
	load.Wait()
	close(failures)
	for err := range failures {
		t.Errorf("a review failed: %v", err)
	}
	t.Logf("%d reviews over %d restarts", served.Load(), restarts)
}

func oneReview(client *http.Client, url string) error {
	response, err := client.Post(url, "application/json", strings.NewReader(plainReview))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
