package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// balancer hands each request to the next replica in turn, as a Service might at worst. It shows the certificate that
// the replicas share, and trusts the CA that they signed it with.
type balancer struct {
	url     string
	server  *http.Server
	targets []*url.URL
	turn    atomic.Uint64

	clients kubernetes.Interface
	last    atomic.Pointer[corev1.Secret]
}

func startBalancer(clients kubernetes.Interface, host string, urls []string) (*balancer, error) {
	b := &balancer{clients: clients}
	for _, u := range urls {
		target, err := url.Parse(u)
		if err != nil {
			return nil, err
		}
		b.targets = append(b.targets, target)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	b.url = "https://" + listener.Addr().String()
	quiet := log.New(io.Discard, "", 0) // handshakes that fail while the caBundle is not filled in yet
	b.server = &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(b.targets[b.turn.Add(1)%uint64(len(b.targets))])
			},
			Transport: &http.Transport{DialTLSContext: b.dial, MaxIdleConnsPerHost: 25, IdleConnTimeout: time.Minute},
			ErrorLog:  quiet,
		},
		TLSConfig:         &tls.Config{GetCertificate: b.certificate, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          quiet,
	}
	go func() { _ = b.server.ServeTLS(listener, "", "") }() // ends with close
	return b, nil
}

func (b *balancer) close() error {
	if err := b.server.Close(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// secret reads what the replicas share. While it is missing, what was read before still holds.
func (b *balancer) secret(ctx context.Context) (*corev1.Secret, error) {
	secret, err := b.clients.CoreV1().Secrets(replica.Namespace).Get(ctx, replica.Secret, metav1.GetOptions{})
	if err == nil {
		b.last.Store(secret)
		return secret, nil
	}
	if last := b.last.Load(); last != nil {
		return last, nil
	}
	return nil, err
}

func (b *balancer) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	secret, err := b.secret(hello.Context())
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	return &pair, err
}

func (b *balancer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	trust, err := b.trust(ctx)
	if err != nil {
		return nil, err
	}
	dialer := &tls.Dialer{Config: trust}
	return dialer.DialContext(ctx, network, address)
}

// trust is the TLS configuration of a client of the replicas.
func (b *balancer) trust(ctx context.Context) (*tls.Config, error) {
	secret, err := b.secret(ctx)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		return nil, fmt.Errorf("the Secret %s/%s has no certificate in ca.crt", secret.Namespace, secret.Name)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}
