package webhook

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

func TestBusyPortIsAClearError(t *testing.T) {
	server := startServer(t, ServerOptions{})
	second, err := NewServer(ServerOptions{
		Address: server.Addr().String(), Handler: http.NotFoundHandler(), GetCertificate: server.options.GetCertificate,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{server.Addr().String() + " is in use", "--webhook-address"} {
		if err := second.Listen(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
	malformed, err := NewServer(ServerOptions{
		Address: "nonsense", Handler: http.NotFoundHandler(), GetCertificate: server.options.GetCertificate,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := malformed.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error %v, want one that names the address", err)
	}
}

func TestServerNeedsItsParts(t *testing.T) {
	if _, err := NewServer(ServerOptions{}); err == nil {
		t.Error("a server without handler and certificate")
	}
	_, err := NewServer(ServerOptions{
		Handler:        http.NotFoundHandler(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil },
		ClientCAFile:   "/nowhere/ca.crt",
	})
	if err == nil || !strings.Contains(err.Error(), "/nowhere/ca.crt") {
		t.Errorf("error %v, want one that names the client CA file", err)
	}
}

func TestOnlyHTTP1AndModernTLS(t *testing.T) {
	server := startServer(t, ServerOptions{})
	both := &tls.Config{RootCAs: server.ca.pool(), NextProtos: []string{"h2", "http/1.1"}}
	conn, err := tls.Dial("tcp", server.Addr().String(), both)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if state := conn.ConnectionState(); state.NegotiatedProtocol != "http/1.1" || state.Version != tls.VersionTLS13 {
		t.Errorf("negotiated %s with TLS %x", state.NegotiatedProtocol, state.Version)
	}
	old := &tls.Config{RootCAs: server.ca.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", server.Addr().String(), old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

func TestSlowClientsAreCut(t *testing.T) {
	server := startServer(t, ServerOptions{HeaderTimeout: 100 * time.Millisecond, BodyTimeout: 100 * time.Millisecond})
	head := "POST /validate HTTP/1.1\r\nHost: bulkhead\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
	tests := []struct {
		name, send, want string
	}{
		{"nothing after the handshake", "", ""},
		{"half a header", head, ""},
		{"half a body", head + "\r\n{\"apiVersion\":", "408"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := server.dial(t)
			if _, err := io.WriteString(conn, test.send); err != nil {
				t.Fatal(err)
			}
			// Reading to the end proves that the server closed; dial has set a deadline.
			answer, err := io.ReadAll(conn)
			if err != nil {
				t.Fatalf("the connection was not closed: %v", err)
			}
			if !strings.Contains(string(answer), test.want) {
				t.Errorf("answer %q, want %q in it", answer, test.want)
			}
			mustServe(t, server.client(t), server.url())
		})
	}
	t.Run("no handshake", func(t *testing.T) {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("the connection was not closed: %v", err)
		}
	})
	t.Run("large header", func(t *testing.T) {
		conn := server.dial(t)
		go func() { _, _ = io.WriteString(conn, head+"X: "+strings.Repeat("x", 64<<10)+"\r\n\r\n") }()
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d, want 431", response.StatusCode)
		}
		mustServe(t, server.client(t), server.url())
	})
}

// TestBodyDeadlineDoesNotOutliveTheBody holds the request longer than the body
// may take: were the deadline still set, the context would end.
func TestBodyDeadlineDoesNotOutliveTheBody(t *testing.T) {
	const bodyTimeout = 50 * time.Millisecond
	server := startServer(t, ServerOptions{BodyTimeout: bodyTimeout, Handler: reviewWebhook(t, func(ctx context.Context, r admission.Request) admission.Response {
		timer := time.NewTimer(3 * bodyTimeout)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			t.Error("the context of a request ended with the body's deadline")
		case <-timer.C:
		}
		return allowReview(ctx, r)
	})})
	mustServe(t, server.client(t), server.url())
}

// TestFlood opens many connections at once, each with a request. All get an
// answer, a review or 503, and no more than the limit is open at a time.
func TestFlood(t *testing.T) {
	const limit, clients = 20, 200
	var most atomic.Int64
	options := ServerOptions{MaxConnections: limit, OverLimitTimeout: 20 * time.Second}
	server := startServer(t, options, func(s *Server) {
		s.listener.patience = time.Hour // a burst, however slow the machine is
		s.http.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew { // only the accepting goroutine gets here
				most.Store(max(most.Load(), s.listener.open.Load()))
			}
		}
	})
	var start, done sync.WaitGroup
	start.Add(1)
	statuses := make(chan string, clients)
	for range clients {
		client := server.client(t)
		done.Go(func() {
			start.Wait()
			response, err := client.Post(server.url(), "application/json", strings.NewReader(plainReview))
			if err != nil {
				statuses <- err.Error()
				return
			}
			defer response.Body.Close()
			if response.StatusCode == http.StatusServiceUnavailable && (response.Header.Get("Retry-After") != "1" || !response.Close) {
				statuses <- "503 without Retry-After and Connection: close"
				return
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				statuses <- err.Error()
				return
			}
			statuses <- fmt.Sprint(response.StatusCode)
		})
	}
	start.Done()
	done.Wait()
	close(statuses)
	counts := map[string]int{}
	for status := range statuses {
		counts[status]++
	}
	if counts["200"] == 0 || counts["503"] == 0 || counts["200"]+counts["503"] != clients {
		t.Errorf("answers %v, want 200 and 503 for all %d", counts, clients)
	}
	if most.Load() > limit+limit/4 {
		t.Errorf("%d connections were open at a time, want at most %d", most.Load(), limit+limit/4)
	}
	if counts["503"] != server.refused.all()[refusedConnections] {
		t.Errorf("%d answers with 503, refusals %v", counts["503"], server.refused.all())
	}
	t.Logf("%v, at most %d open", counts, most.Load())
}

// TestIdleFloodFreesItself holds every connection without a word; a client that
// comes after is served once the header timeout has cut them.
func TestIdleFloodFreesItself(t *testing.T) {
	const limit = 8
	server := startServer(t, ServerOptions{
		MaxConnections: limit, HeaderTimeout: 100 * time.Millisecond, OverLimitTimeout: 100 * time.Millisecond,
	}, func(s *Server) { s.listener.patience = time.Hour })
	for range 4 * limit {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	client := server.client(t)
	waitFor(t, "the server to serve again", func() bool {
		return oneReview(client, server.url()) == nil
	})
}

// waitFor polls until condition holds or twenty seconds are over.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		case <-ticker.C:
		}
	}
}

func TestClientCertificates(t *testing.T) {
	ca, other := newServerCA(t), newServerCA(t)
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, ca.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startServer(t, ServerOptions{ClientCAFile: file, ClientNames: []string{"kube-apiserver", "apiserver.example"}})
	try := func(certificates ...tls.Certificate) error {
		client := server.client(t, certificates...)
		response, err := client.Post(server.url(), "application/json", strings.NewReader(plainReview))
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return nil
	}
	tests := []struct {
		name         string
		certificates []tls.Certificate
		accepted     bool
	}{
		{"common name", []tls.Certificate{*ca.client("kube-apiserver")}, true},
		{"DNS name", []tls.Certificate{*ca.client("x", "apiserver.example")}, true},
		{"no certificate", nil, false},
		{"wrong name", []tls.Certificate{*ca.client("system:node:n1", "n1")}, false},
		{"no name", []tls.Certificate{*ca.client("")}, false},
		{"other CA, right name", []tls.Certificate{*other.client("kube-apiserver")}, false},
		{"not for client authentication", []tls.Certificate{*ca.serverOnly("kube-apiserver")}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := try(test.certificates...); (err == nil) != test.accepted {
				t.Errorf("error %v, want accepted: %t", err, test.accepted)
			}
		})
	}
	if got := server.refused.all()[refusedClientName]; got != 2 {
		t.Errorf("%d refused names counted, want 2", got)
	}

	t.Run("reload", func(t *testing.T) {
		rewrite(t, file, []byte("half a fi"))
		if err := try(*ca.client("kube-apiserver")); err != nil {
			t.Errorf("the last good CAs were not kept: %v", err)
		}
		rewrite(t, file, other.pem())
		if err := try(*other.client("kube-apiserver")); err != nil {
			t.Errorf("the new CA is not accepted: %v", err)
		}
		if err := try(*ca.client("kube-apiserver")); err == nil {
			t.Error("the old CA is still accepted")
		}
	})
	t.Run("self-dial needs none", func(t *testing.T) {
		if err := TLSSelfDial(t.Context(), server.Addr().String(), server.ca.pem); err != nil {
			t.Error(err)
		}
	})
}

// rewrite replaces a file the way a mounted Secret changes: another inode.
func rewrite(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestSelfDial(t *testing.T) {
	server := startServer(t, ServerOptions{})
	_, port, err := net.SplitHostPort(server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{server.Addr().String(), ":" + port, "0.0.0.0:" + port, "[::]:" + port} {
		if err := TLSSelfDial(t.Context(), address, server.ca.pem); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	fails := map[string]struct {
		address string
		bundle  func() []byte
	}{
		"another CA":     {server.Addr().String(), newServerCA(t).pem},
		"no bundle yet":  {server.Addr().String(), func() []byte { return nil }},
		"no port":        {"127.0.0.1", server.ca.pem},
		"nobody listens": {unusedAddress(t), server.ca.pem},
	}
	for name, test := range fails {
		if err := TLSSelfDial(t.Context(), test.address, test.bundle); err == nil || !strings.Contains(err.Error(), "own TLS address") {
			t.Errorf("%s: error %v, want one about the own TLS address", name, err)
		}
	}
	expired := certificateTemplate("bulkhead")
	expired.NotAfter = time.Now().Add(-time.Minute)
	certificate := server.ca.sign(expired)
	old := startServerWith(t, certificate)
	if err := TLSSelfDial(t.Context(), old.Addr().String(), server.ca.pem); err == nil {
		t.Error("an expired certificate passes")
	}
}

func unusedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
