package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// slow is a client that takes its time: it sends begin, and then more bit by bit until it is cut.
type slow struct {
	attack      string
	begin, more string
	after       time.Duration // when it is to be cut
	answer      string        // the status that it is told, empty where it is just cut
	plain       bool          // without a handshake
}

// cutWithin is how much later than its deadline a client may be cut on a busy machine.
const cutWithin = 10 * time.Second

// testSlowClients runs all slow clients at the same time.
func testSlowClients(t *testing.T, g *siege) {
	const head = "POST /validate?timeout=5s HTTP/1.1\r\nHost: e2e\r\nContent-Type: application/json\r\n"
	body := head + "Content-Length: 100000\r\n\r\n"
	clients := []slow{
		{attack: "no handshake", after: 5 * time.Second, plain: true},
		{attack: "no header", after: 5 * time.Second},
		{attack: "half a header", begin: head, after: 5 * time.Second},
		{attack: "a header byte by byte", begin: head, more: "X-A: b\r\n", after: 5 * time.Second},
		{attack: "half a body", begin: body + `{"apiVersion":`, after: 10 * time.Second, answer: "408"},
		{attack: "a body byte by byte", begin: body, more: " ", after: 10 * time.Second, answer: "408"},
		{attack: "a chunked body byte by byte", begin: head + "Transfer-Encoding: chunked\r\n\r\n", more: "1\r\n \r\n", after: 10 * time.Second, answer: "408"},
	}
	answers := make([]string, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			took, answer, err := g.crawl(t, c)
			status := ""
			if _, rest, is := strings.Cut(answer, "HTTP/1.1 "); is {
				status, _, _ = strings.Cut(rest, " ")
			}
			if err != nil || status != c.answer || took < c.after || took > c.after+cutWithin {
				t.Errorf("%s: cut after %s with %q, %v; want %s and %q", c.attack, took, answer, err, c.after, c.answer)
			}
			answers[i] = strings.TrimSpace(fmt.Sprintf("%s cut after %.1f s", status, took.Seconds()))
		})
	}
	g.against(t, "all of the next", func() string { all.Wait(); return "-" })
	for i, c := range clients {
		g.against(t, c.attack, func() string { return answers[i] })
	}
}

// crawl is one slow client. It gives how long it held its connection, and what it was told.
func (g *siege) crawl(t *testing.T, c slow) (time.Duration, string, error) {
	var conn net.Conn
	var err error
	start := time.Now()
	if c.plain {
		conn, err = net.Dial("tcp", hostOf(g.replica.URL))
	} else {
		conn, err = g.dial(t.Context())
	}
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(start.Add(c.after + cutWithin)); err != nil {
		return 0, "", err
	}
	if _, err := io.WriteString(conn, c.begin); err != nil {
		return 0, "", err
	}
	cut := make(chan struct{})
	var dripping sync.WaitGroup
	dripping.Go(func() {
		drip := time.NewTicker(200 * time.Millisecond)
		defer drip.Stop()
		for {
			select {
			case <-cut:
				return
			case <-drip.C:
			}
			if _, err := io.WriteString(conn, c.more); err != nil {
				return // it was cut
			}
		}
	})
	answer, err := io.ReadAll(conn)
	took := time.Since(start)
	close(cut)
	dripping.Wait()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return took, string(answer), errors.New("it was not cut")
	}
	return took, string(answer), nil // a reset is a cut, too
}
