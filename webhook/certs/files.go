package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// DefaultFilesInterval is how often [Files] looks for a new pair. The kubelet
// itself takes about a minute to refresh a mounted Secret.
const DefaultFilesInterval = 10 * time.Second

// awaitInterval is how often Files looks while there is no pair at all.
const awaitInterval = time.Second

// FilesOptions says where a PEM certificate chain and its key are.
type FilesOptions struct {
	// Directory holds tls.crt and tls.key, as a mounted Secret does. It is used
	// for the paths that are empty.
	Directory string
	// CertFile and KeyFile are paths of their own.
	CertFile, KeyFile string
	// Interval between two looks; DefaultFilesInterval when zero.
	Interval time.Duration
	// Await makes a missing or unusable first pair something to wait for instead
	// of an error of NewFiles.
	Await bool
	// Configuration names a ValidatingWebhookConfiguration whose caBundle somebody
	// else keeps up, such as cert-manager's cainjector. A new pair is then served
	// only once the API servers trust it, or the served one is about to expire;
	// and Ready waits for the first time that they do. Empty serves a new pair at
	// once. Client reads the configuration.
	Configuration string
	Client        kubernetes.Interface
	// Clock is the real one when nil.
	Clock clock.WithTicker
	// Logger is slog.Default() when nil.
	Logger   *slog.Logger
	Observer Observer
}

// Files serves a certificate from files and takes a new pair when they change.
//
// The files are read and compared at an interval, on purpose without inotify:
// reading through the path follows the kubelet's symlink swap, works on every
// file system, and a node that has run out of inotify instances still gets its
// new certificate. A pair that is half written, does not match, or is outside
// its validity while the served one is inside stays out.
type Files struct {
	options FilesOptions
	loaded  atomic.Pointer[filePair]
	// failure is why the last look brought no usable pair; nil where it did.
	failure atomic.Pointer[error]
	// trusted is set for good once a pair was served that the API servers trust.
	trusted atomic.Bool
	lastErr string
	held    holding
}

type filePair struct {
	certPEM, keyPEM []byte
	certificate     *tls.Certificate
}

// NewFiles loads the pair once. It fails when there is no usable one and Await is
// not set.
func NewFiles(options FilesOptions) (*Files, error) {
	if options.CertFile == "" {
		options.CertFile = filepath.Join(options.Directory, "tls.crt")
	}
	if options.KeyFile == "" {
		options.KeyFile = filepath.Join(options.Directory, "tls.key")
	}
	if options.Interval <= 0 {
		options.Interval = DefaultFilesInterval
	}
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	f := &Files{options: options}
	if err := f.look(context.Background()); f.loaded.Load() == nil && !options.Await {
		return nil, err
	}
	return f, nil
}

// errNone is what there is to say before the first pair.
var errNone = errors.New("there is no serving certificate yet")

// GetCertificate answers tls.Config.GetCertificate with the last good pair.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	loaded := f.loaded.Load()
	if loaded == nil {
		return nil, errNone
	}
	return loaded.certificate, nil
}

// NotAfter is the expiry of the certificate in use; zero before there is one.
func (f *Files) NotAfter() time.Time {
	loaded := f.loaded.Load()
	if loaded == nil {
		return time.Time{}
	}
	return loaded.certificate.Leaf.NotAfter
}

// Ready tells why no API server can accept what is served: there is no pair yet,
// it is outside its validity, or they do not trust it yet. Once they did it stays
// nil until the expiry. What goes wrong with the trust later goes wrong for all
// replicas, and none that is left out helps the others.
func (f *Files) Ready() error {
	var failure error
	if last := f.failure.Load(); last != nil {
		failure = *last
	}
	loaded := f.loaded.Load()
	if loaded == nil {
		return withReason(errNone, failure)
	}
	if err := inValidity(f.options.Clock.Now(), loaded.certificate); err != nil {
		return withReason(err, failure)
	}
	if distrust := (*untrustedError)(nil); errors.As(failure, &distrust) && distrust.certain {
		return failure
	}
	return nil
}

func withReason(err, reason error) error {
	if reason == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, reason)
}

// CABundle returns, as PEM, the served chain itself: a verifier that trusts it
// accepts exactly this certificate. Which CA the API server trusts is up to
// whoever writes the files. It is nil before there is a certificate.
func (f *Files) CABundle() []byte {
	loaded := f.loaded.Load()
	if loaded == nil {
		return nil
	}
	var bundle bytes.Buffer
	for _, der := range loaded.certificate.Certificate {
		bundle.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return bundle.Bytes()
}

// Run looks for a new pair until ctx ends; failures are reported and retried.
func (f *Files) Run(ctx context.Context) error {
	f.lookUntil(ctx, awaitInterval, func() bool { return f.loaded.Load() != nil && f.trusted.Load() })
	f.lookUntil(ctx, f.options.Interval, func() bool { return false })
	return nil
}

// lookUntil looks at each interval until it is done or ctx ends.
func (f *Files) lookUntil(ctx context.Context, interval time.Duration, done func() bool) {
	ticker := f.options.Clock.NewTicker(interval)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			f.check(ctx)
		}
	}
}

// check looks and logs a failure when it differs from the one before, so that a
// lasting one does not fill the log.
func (f *Files) check(ctx context.Context) {
	err := f.look(ctx)
	if err == nil {
		f.lastErr = ""
		return
	}
	var held *heldError
	var distrust *untrustedError
	waiting, untrusted := errors.As(err, &held), errors.As(err, &distrust)
	if !waiting && !untrusted {
		f.options.Observer.failed(err)
	}
	text := err.Error()
	if text == f.lastErr {
		return
	}
	f.lastErr = text
	switch {
	case waiting:
		f.options.Logger.Info("a new serving certificate is there and not served yet, the old one stays in use",
			"reason", err, "notAfter", f.NotAfter())
	case untrusted:
		f.options.Logger.Warn("the API servers are not known to trust the serving certificate yet", "reason", err)
	case f.loaded.Load() == nil:
		f.options.Logger.Warn("there is no serving certificate yet", "error", err)
	default:
		f.options.Logger.Warn("serving certificate not reloaded, the last good one stays in use",
			"error", err, "notAfter", f.NotAfter())
	}
}

// look reloads, and before the first pair that the API servers trust asks whether
// they do. It notes what is wrong, if anything is.
func (f *Files) look(ctx context.Context) error {
	err := f.reload(ctx)
	if err == nil && !f.trusted.Load() {
		err = f.firstTrust(ctx)
	}
	f.failure.Store(&err)
	return err
}

func (f *Files) reload(ctx context.Context) error {
	certPEM, err := os.ReadFile(f.options.CertFile)
	if err != nil {
		return fmt.Errorf("serving certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(f.options.KeyFile)
	if err != nil {
		return fmt.Errorf("key of the serving certificate: %w", err)
	}
	old := f.loaded.Load()
	if old != nil && bytes.Equal(old.certPEM, certPEM) && bytes.Equal(old.keyPEM, keyPEM) {
		f.held = holding{}
		return nil
	}
	certificate, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("%s and %s are not a usable pair: %w", f.options.CertFile, f.options.KeyFile, err)
	}
	now := f.options.Clock.Now()
	if err := inValidity(now, &certificate); err != nil && old != nil && inValidity(now, old.certificate) == nil {
		return fmt.Errorf("%s: %w", f.options.CertFile, err)
	}
	// The last look before the expiry of what is served takes the new pair in any case.
	if old != nil && inValidity(now.Add(2*f.options.Interval), old.certificate) == nil {
		if err := f.hold(ctx, now, old.certificate, &certificate); err != nil {
			return err
		}
	}
	f.held = holding{}
	f.loaded.Store(&filePair{certPEM: certPEM, keyPEM: keyPEM, certificate: &certificate})
	f.options.Logger.Info("serving certificate loaded", "file", f.options.CertFile,
		"notAfter", certificate.Leaf.NotAfter, "serial", certificate.Leaf.SerialNumber.Text(16))
	f.options.Observer.serving(certificate.Leaf.NotAfter)
	return nil
}

func inValidity(now time.Time, certificate *tls.Certificate) error {
	leaf := certificate.Leaf
	switch {
	case leaf == nil:
		return errors.New("no certificate")
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate is not valid before %s", leaf.NotBefore.Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate expired at %s", leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}
