package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const (
	heldConnections = 2000
	heldProbes      = 500
	heldFor         = 6 * time.Second // at least
	largeBodies     = 300
)

// testFlood holds connections of both ports of a replica that the API server asks, and takes new ones for those that are
// cut: the API server is answered within its timeout, and the replica stays ready.
func (s *suite) testFlood(t *testing.T, g *siege) {
	namespace := s.newNamespace(t)
	s.register(t, namespace, g.replica.URL, "networking.k8s.io", "networkpolicies")
	asked := func() int { return len(decisions(t, g.replica, namespace)) }
	create := s.reviewer(t, namespace)
	eventually(t, "the API server to ask the replica", func(ctx context.Context) error {
		if _, err := create(ctx); err != nil {
			return err
		}
		if asked() == 0 {
			return errors.New("it logged no decision")
		}
		return nil
	})
	g.against(t, fmt.Sprintf("%d connections held, and %d of the probes' port", heldConnections, heldProbes), func() string {
		ctx, stop := context.WithCancel(t.Context())
		flood := g.flood(ctx)
		defer func() { stop(); flood.all.Wait() }()
		eventually(t, "the flood to be there", func(context.Context) error {
			if n := flood.opened.Load(); n < heldConnections+heldProbes {
				return fmt.Errorf("%d connections were opened", n)
			}
			return nil
		})
		before := asked()
		until := time.Now().Add(heldFor)
		var slowest time.Duration
		passed, answers := 0, map[int]int{}
		for time.Now().Before(until) {
			took, err := create(ctx)
			if err != nil {
				t.Errorf("through the API server: %v", err)
			} else {
				passed++
			}
			slowest = max(slowest, took)
			answers[g.fresh(ctx)]++
			if err := g.ready(ctx); err != nil {
				if again := g.ready(ctx); again != nil { // the chart's failureThreshold is two
					t.Errorf("twice in a row it was not ready: %v, %v", err, again)
				}
			}
		}
		if n := asked() - before; n < passed {
			t.Errorf("%d of %d changes were judged by the replica", n, passed)
		}
		if answers[http.StatusOK] == 0 || answers[0] > 0 {
			t.Errorf("new connections got %v; want 200, or 503 where there is no room", answers)
		}
		return fmt.Sprintf("%d reviews by the API server, the slowest in %s; new clients %v; %d opened", passed,
			slowest.Round(time.Millisecond), answers, flood.opened.Load())
	})
	metadata := fmt.Sprintf(`,"annotations":{"a":%q}`, strings.Repeat("x", 3<<20))
	g.against(t, fmt.Sprintf("%d bodies of 3 MiB at once", largeBodies), func() string {
		return g.atOnce(t, largeBodies, review(aboutPolicies("CREATE")+`,"object":`+policyWith(metadata, emptyPolicy)))
	})
	rules := strings.TrimSuffix(strings.Repeat("{},", 140_000), ",")
	g.against(t, "100 policies of 140,000 empty rules at once", func() string {
		return g.atOnce(t, 100, review(aboutPolicies("CREATE")+`,"object":`+policyWith("", emptyPolicy+`,"ingress":[`+rules+`]`)))
	})
	eventually(t, "the API server to be answered after all that", func(ctx context.Context) error {
		_, err := create(ctx)
		return err
	})
}

// reviewer gives a function that has the API server ask about a policy, and how long that takes.
func (s *suite) reviewer(t *testing.T, namespace string) func(context.Context) (time.Duration, error) {
	t.Helper()
	acting := rest.CopyConfig(s.admin)
	acting.Impersonate = rest.ImpersonationConfig{UserName: dev, Groups: []string{masters}}
	acting.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(acting)
	if err != nil {
		t.Fatal(err)
	}
	policy := parse(t, networkPolicy("flooded", allowDNS))[0]
	return func(ctx context.Context) (time.Duration, error) {
		start := time.Now()
		_, err := client.Resource(resources["NetworkPolicy"]).Namespace(namespace).Create(ctx, policy,
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return time.Since(start), err
	}
}

// held is a flood.
type held struct {
	opened atomic.Int64
	all    sync.WaitGroup
}

// flood holds connections in each way in which a client can, until ctx ends.
func (g *siege) flood(ctx context.Context) *held {
	const head = "POST /validate?timeout=5s HTTP/1.1\r\nHost: e2e\r\nContent-Type: application/json\r\n"
	ways := []struct {
		plain bool
		send  string
	}{
		{plain: true}, {}, {send: head}, {send: head + "Content-Length: 100000\r\n\r\n{"},
		{send: fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(emptyReview), emptyReview)},
	}
	f := &held{}
	hold := func(address, send string, plain bool) {
		f.all.Go(func() {
			for again := false; ctx.Err() == nil; again = true {
				if again { // so that the flood is one of held connections and not one of new ones
					select {
					case <-ctx.Done():
						return
					case <-time.After(time.Second):
					}
				}
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
				if err != nil {
					continue
				}
				f.opened.Add(1)
				end := context.AfterFunc(ctx, func() { conn.Close() })
				var stream io.ReadWriter = conn
				if !plain {
					stream = tls.Client(conn, g.trust)
				}
				// Until it is cut: by the replica, or by the end of the flood.
				if _, err := io.WriteString(stream, send); err == nil {
					_, _ = io.Copy(io.Discard, stream)
				}
				end()
				conn.Close()
			}
		})
	}
	for i := range heldConnections {
		way := ways[i%len(ways)]
		hold(hostOf(g.replica.URL), way.send, way.plain)
	}
	for i := range heldProbes {
		send := "GET /readyz HTTP/1.1\r\nHost: e2e\r\n"
		if i%2 == 0 {
			send += "\r\n" // and is idle then
		}
		hold(hostOf(g.replica.ProbeURL), send, true)
	}
	return f
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// fresh asks for a review on a new connection and gives the status, 0 for none.
func (g *siege) fresh(ctx context.Context) int {
	client := clientOf(g.trust)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url(), strings.NewReader(emptyReview))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// ready asks for readiness as the kubelet does: on a new connection, with the chart's timeout.
func (g *siege) ready(ctx context.Context) error {
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.replica.ProbeURL+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
	}
	return err
}

// atOnce sends a body many times at once. What is not answered with a review is answered with 503 or a real error.
func (g *siege) atOnce(t *testing.T, times int, body string) string {
	t.Helper()
	var mu sync.Mutex
	answers := map[int]int{}
	var all sync.WaitGroup
	for range times {
		all.Go(func() {
			client := clientOf(g.trust)
			defer client.CloseIdleConnections()
			status := 0
			resp, err := client.Post(g.url(), "application/json", strings.NewReader(body))
			if err == nil {
				resp.Body.Close()
				status = resp.StatusCode
			}
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
		})
	}
	all.Wait()
	var said []string
	for status, n := range answers {
		// A client that is told 503 while it still sends may see its connection end first.
		if !slices.Contains([]int{0, 200, 500, 503}, status) {
			t.Errorf("%d times HTTP %d", n, status)
		}
		said = append(said, fmt.Sprintf("%d times %d", n, status))
	}
	slices.Sort(said)
	return strings.Join(said, ", ")
}
