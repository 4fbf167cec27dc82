package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const plainReview = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1",` +
	`"operation":"CREATE","resource":{"group":"","version":"v1","resource":"pods"},"object":{"apiVersion":"v1","kind":"Pod"}}}`

// serverCA signs certificates for one test.
type serverCA struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newServerCA(t *testing.T) *serverCA {
	t.Helper()
	ca := &serverCA{t: t}
	template := certificateTemplate("test CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	pair := ca.sign(template)
	ca.cert, ca.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return ca
}

func certificateTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
}

func (ca *serverCA) sign(template *x509.Certificate) *tls.Certificate {
	ca.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		ca.t.Fatal(err)
	}
	parent, signer := ca.cert, ca.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		ca.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (ca *serverCA) server() *tls.Certificate {
	template := certificateTemplate("bulkhead")
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return ca.sign(template)
}

func (ca *serverCA) client(commonName string, dnsNames ...string) *tls.Certificate {
	template := certificateTemplate(commonName)
	template.DNSNames = dnsNames
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return ca.sign(template)
}

// serverOnly is a certificate of the right name that is not for clients.
func (ca *serverCA) serverOnly(commonName string) *tls.Certificate {
	template := certificateTemplate(commonName)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	return ca.sign(template)
}

func (ca *serverCA) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

func (ca *serverCA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// reviewWebhook is controller-runtime's webhook around handle, built as the
// server's owner has to build it.
func reviewWebhook(t testing.TB, handle func(context.Context, admission.Request) admission.Response) http.Handler {
	t.Helper()
	hook := (&admission.Webhook{Handler: admission.HandlerFunc(handle)}).WithRecoverPanic(false)
	handler, err := admission.StandaloneWebhook(hook, admission.StandaloneOptions{Logger: logr.FromSlogHandler(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func allowReview(ctx context.Context, _ admission.Request) admission.Response {
	answered(ctx)
	return admission.Allowed("")
}

// refusals counts what a server or an armour refuses.
type refusals struct {
	mu     sync.Mutex
	counts map[string]int
}

func (r *refusals) note(reason string, _ int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[reason]++
}

func (r *refusals) all() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// runningServer is a Server on a free loopback port.
type runningServer struct {
	*Server
	ca      *serverCA
	refused *refusals
	stop    context.CancelFunc
	done    chan error
}

func startServer(t *testing.T, options ServerOptions, prepare ...func(*Server)) *runningServer {
	t.Helper()
	ca := newServerCA(t)
	return startServerAt(t, options, ca, ca.server(), prepare...)
}

func startServerWith(t *testing.T, certificate *tls.Certificate) *runningServer {
	t.Helper()
	return startServerAt(t, ServerOptions{}, newServerCA(t), certificate)
}

func startServerAt(t *testing.T, options ServerOptions, ca *serverCA, certificate *tls.Certificate, prepare ...func(*Server)) *runningServer {
	t.Helper()
	refused := &refusals{}
	options.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate, nil }
	options.Refused = refused.note
	options.Logger = slog.New(slog.DiscardHandler)
	if options.Address == "" {
		options.Address = "127.0.0.1:0"
	}
	if options.Handler == nil {
		options.Handler = reviewWebhook(t, allowReview)
	}
	if options.DrainDelay == 0 {
		options.DrainDelay = time.Millisecond
	}
	server, err := NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(); err != nil {
		t.Fatal(err)
	}
	for _, change := range prepare {
		change(server)
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &runningServer{Server: server, ca: ca, refused: refused, stop: cancel, done: make(chan error, 1)}
	go func() { running.done <- server.Run(ctx) }()
	t.Cleanup(func() { running.wait(t) })
	return running
}

// wait stops the server, if it still runs, and fails on an unclean end.
func (s *runningServer) wait(t *testing.T) {
	t.Helper()
	s.stop()
	if err, open := <-s.done; open {
		close(s.done)
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// client makes an HTTP client that trusts the server.
func (s *runningServer) client(t *testing.T, certificates ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: s.ca.pool(), Certificates: certificates},
		ExpectContinueTimeout: time.Second,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func (s *runningServer) url() string { return "https://" + s.Addr().String() + "/validate?timeout=5s" }

// dial opens a TLS connection on which a test writes bytes of its own.
func (s *runningServer) dial(t *testing.T) *tls.Conn {
	t.Helper()
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", s.Addr().String(), &tls.Config{RootCAs: s.ca.pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// mustServe fails unless a plain review is allowed.
func mustServe(t *testing.T, client *http.Client, url string) {
	t.Helper()
	status, body := postReview(t, client, url, strings.NewReader(plainReview))
	if status != http.StatusOK || !strings.Contains(body, `"allowed":true`) || !strings.Contains(body, `"uid":"u-1"`) {
		t.Fatalf("a plain review got %d %s", status, body)
	}
}

func postReview(t *testing.T, client *http.Client, url string, body io.Reader) (int, string) {
	t.Helper()
	response, err := client.Post(url, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
