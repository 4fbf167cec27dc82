package replica

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Link is the network between Bulkhead and the API server: a TCP proxy that can be cut, frozen and slowed down. What it
// carries stays encrypted, so that nothing but time and connections can be tampered with.
type Link struct {
	listener net.Listener
	target   string
	received atomic.Int64 // bytes from the API server
	perTick  atomic.Int64 // bytes that each connection may receive in a linkTick; 0 for any number

	mu    sync.Mutex
	cut   bool
	thawn chan struct{} // closed while bytes flow
	conns map[net.Conn]struct{}
}

// linkTick is in how small steps a slow link forwards.
const linkTick = 10 * time.Millisecond

// NewLink listens on the loopback interface and forwards to the API server at the URL.
func NewLink(server string) (*Link, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	flowing := make(chan struct{})
	close(flowing)
	l := &Link{listener: listener, target: u.Host, thawn: flowing, conns: map[net.Conn]struct{}{}}
	go l.accept()
	return l, nil
}

// Kubeconfig copies a kubeconfig file, which holds its certificates itself, into one beside it that goes through l.
func (l *Link) Kubeconfig(path string) (string, error) {
	raw, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return "", err
	}
	if err := clientcmdapi.FlattenConfig(raw); err != nil {
		return "", err
	}
	raw.Clusters[raw.Contexts[raw.CurrentContext].Cluster].Server = "https://" + l.listener.Addr().String()
	_, port, err := net.SplitHostPort(l.listener.Addr().String())
	if err != nil {
		return "", err
	}
	through := filepath.Join(filepath.Dir(path), "through-"+port+"-"+filepath.Base(path))
	return through, clientcmd.WriteToFile(*raw, through)
}

// Cut closes all connections and refuses new ones until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		_ = c.Close() // it is to end, however it does
	}
}

// Mend lets connections through again.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

// Freeze stops forwarding until Thaw. Connections stay open and new ones are accepted, so that nobody is told.
func (l *Link) Freeze() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.thawn = make(chan struct{})
}

// Thaw forwards what was held back, and all that follows.
func (l *Link) Thaw() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.thawn)
}

// Slow bounds what each connection receives from the API server in a second; 0 is no bound.
func (l *Link) Slow(bytesPerSecond int64) {
	l.perTick.Store(bytesPerSecond * int64(linkTick) / int64(time.Second))
}

// Received is how many bytes came from the API server so far.
func (l *Link) Received() int64 { return l.received.Load() }

// Close ends all connections and the listener.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.Cut()
	return err
}

func (l *Link) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.carry(c)
	}
}

// track notes an open connection, or closes it where the link is cut.
func (l *Link) track(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Link) untrack(c net.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// carry forwards both ways until either end closes.
func (l *Link) carry(near net.Conn) {
	if !l.track(near) {
		return
	}
	defer l.untrack(near)
	far, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", l.target)
	if err != nil {
		return
	}
	if !l.track(far) {
		return
	}
	defer l.untrack(far)
	done := make(chan struct{}, 2)
	go func() { l.forward(near, far, &l.received, &l.perTick); done <- struct{}{} }()
	go func() { l.forward(far, near, new(atomic.Int64), new(atomic.Int64)); done <- struct{}{} }()
	<-done
	_, _ = near.Close(), far.Close() // so that the other direction ends as well
	<-done
}

// forward copies from one end to the other, as fast and as long as the link lets it.
func (l *Link) forward(to io.Writer, from io.Reader, count, perTick *atomic.Int64) {
	buffer := make([]byte, 32<<10)
	for {
		chunk, slow := buffer, perTick.Load()
		if slow > 0 {
			chunk = buffer[:min(slow, int64(len(buffer)))]
		}
		n, err := from.Read(chunk)
		l.mu.Lock()
		thawn := l.thawn
		l.mu.Unlock()
		<-thawn
		if n > 0 {
			count.Add(int64(n))
			if _, err := to.Write(chunk[:n]); err != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, io.ErrNoProgress) {
			return
		}
		if slow > 0 {
			time.Sleep(linkTick) // this is what makes it slow
		}
	}
}
