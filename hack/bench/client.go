package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// target is a webhook under load.
type target struct {
	name    string
	address string
	tls     *tls.Config
}

// outcome is what one request came to.
type outcome struct {
	status  int
	allowed bool
	body    []byte // valid until the connection's next request
}

// connection sends reviews over one TLS connection, one after the other, with HTTP/1.1 keep-alive as the API server
// does. It is leaner than net/http's client, because it shares the machine with what it measures.
type connection struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

func dial(ctx context.Context, t target) (*connection, error) {
	dialer := tls.Dialer{Config: t.tls}
	conn, err := dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	return &connection{conn: conn, in: bufio.NewReader(conn)}, nil
}

// request gives the bytes of a whole HTTP request.
func request(address string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /validate?timeout=5s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\n"+
		"Accept: application/json, */*\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", address, len(body))
	b.Write(body)
	return b.Bytes()
}

// requestTimeout is the webhook's timeoutSeconds.
const requestTimeout = 5 * time.Second

// send sends one request and reads its answer.
func (c *connection) send(request []byte) (outcome, error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return outcome{}, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return outcome{}, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return outcome{}, err
	}
	if len(line) < 12 {
		return outcome{}, fmt.Errorf("no HTTP status in %q", line)
	}
	out := outcome{}
	if out.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return outcome{}, fmt.Errorf("no HTTP status in %q", line)
	}
	length := -1
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return outcome{}, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return outcome{}, err
			}
		}
	}
	if length < 0 {
		return outcome{}, errors.New("the answer has no Content-Length")
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	out.body = c.body[:length]
	if _, err := io.ReadFull(c.in, out.body); err != nil {
		return outcome{}, err
	}
	out.allowed = bytes.Contains(out.body, []byte(`"allowed":true`))
	return out, nil
}

// load is what a round of requests came to.
type load struct {
	requests, denied int64
	took             time.Duration
	latencies        []time.Duration
}

// drive sends the requests over and over on a fixed number of connections until the time is over. A request that is not
// answered with 200 ends it.
func drive(ctx context.Context, t target, requests [][]byte, connections int, during time.Duration) (*load, error) {
	var next, denied atomic.Int64
	var mu sync.Mutex
	out := &load{}
	var errs []error
	opened := make([]*connection, connections)
	for i := range opened {
		c, err := dial(ctx, t)
		if err != nil {
			return nil, err
		}
		defer c.conn.Close()
		opened[i] = c
	}
	start := time.Now()
	end := start.Add(during)
	var group sync.WaitGroup
	for _, c := range opened {
		group.Go(func() {
			latencies := make([]time.Duration, 0, 1<<15)
			var failed error
			for now := time.Now(); failed == nil && now.Before(end) && ctx.Err() == nil; {
				o, err := c.send(requests[next.Add(1)%int64(len(requests))])
				done := time.Now()
				latencies = append(latencies, done.Sub(now))
				now = done
				switch {
				case err != nil:
					failed = err
				case o.status != 200:
					failed = fmt.Errorf("HTTP %d: %s", o.status, o.body)
				case !o.allowed:
					denied.Add(1)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			out.latencies = append(out.latencies, latencies...)
			if failed != nil {
				errs = append(errs, fmt.Errorf("%s: %w", t.name, failed))
			}
		})
	}
	group.Wait()
	out.took, out.requests, out.denied = time.Since(start), int64(len(out.latencies)), denied.Load()
	return out, errors.Join(append(errs, ctx.Err())...)
}
