package webhook

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// TestHeldConnectionsMakeRoom takes every connection in each way in which a client can hold one, for much longer than the
// test may take: reviews are served all the same, and what is being judged is left alone.
func TestHeldConnectionsMakeRoom(t *testing.T) {
	const limit = 8
	const head = "POST /validate HTTP/1.1\r\nHost: bulkhead\r\nContent-Type: application/json\r\nContent-Length: "
	for name, hold := range map[string]func(*tls.Conn) error{
		"no handshake":  func(*tls.Conn) error { return nil },
		"no header":     func(c *tls.Conn) error { return c.Handshake() },
		"half a header": func(c *tls.Conn) error { return write(c, head) },
		"half a body":   func(c *tls.Conn) error { return write(c, head+"1000\r\n\r\n{\"apiVersion\":") },
		"idle after one": func(c *tls.Conn) error {
			return writeAndRead(c, head+strconv.Itoa(len(plainReview))+"\r\n\r\n"+plainReview)
		},
	} {
		t.Run(name, func(t *testing.T) {
			began, end := make(chan struct{}, 1), make(chan struct{})
			server := startServer(t, ServerOptions{
				MaxConnections: limit, HeaderTimeout: time.Hour, BodyTimeout: time.Hour, OverLimitTimeout: time.Hour,
				Handler: reviewWebhook(t, func(ctx context.Context, r admission.Request) admission.Response {
					if r.UID == "u-long" {
						began <- struct{}{}
						<-end
					}
					return allowReview(ctx, r)
				}),
			}, func(s *Server) { s.listener.patience = 20 * time.Millisecond })
			long := make(chan string, 1)
			go func() {
				_, body := postReview(t, server.client(t), server.url(), strings.NewReader(strings.Replace(plainReview, "u-1", "u-long", 1)))
				long <- body
			}()
			<-began
			for range 5 * limit {
				conn, err := net.Dial("tcp", server.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				secured := tls.Client(conn, &tls.Config{RootCAs: server.ca.pool(), ServerName: "127.0.0.1"})
				if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
					t.Fatal(err)
				}
				// One that had to make room before it got that far is as good as one that holds.
				_ = hold(secured)
			}
			client := server.client(t)
			waitFor(t, "a review to be served", func() bool { return oneReview(client, server.url()) == nil })
			if n := server.listener.open.Load(); n > limit+limit/4 {
				t.Errorf("%d connections are open", n)
			}
			if server.refused.all()[refusedCrowded] == 0 {
				t.Error("no connection is counted as having made room")
			}
			close(end)
			if body := <-long; !strings.Contains(body, `"uid":"u-long"`) {
				t.Errorf("the review that was being judged got %s", body)
			}
		})
	}
}

func write(c *tls.Conn, text string) error {
	_, err := io.WriteString(c, text)
	return err
}

func writeAndRead(c *tls.Conn, text string) error {
	if err := write(c, text); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// TestNobodyMakesRoomWithoutNeed keeps idle connections while there is room.
func TestNobodyMakesRoomWithoutNeed(t *testing.T) {
	server := startServer(t, ServerOptions{MaxConnections: 8}, func(s *Server) { s.listener.patience = time.Nanosecond })
	transport := server.client(t).Transport.(*http.Transport)
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	for range 20 {
		mustServe(t, client, server.url())
	}
	if n := server.listener.accepted.Load(); n != 1 {
		t.Errorf("%d connections for 20 reviews one after the other, want 1", n)
	}
	if n := server.refused.all()[refusedCrowded]; n != 0 {
		t.Errorf("%d connections made room", n)
	}
}
