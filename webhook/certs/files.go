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

	"k8s.io/utils/clock"
)

// DefaultFilesInterval is how often [Files] looks for a new pair. The kubelet
// itself takes about a minute to refresh a mounted Secret.
const DefaultFilesInterval = 10 * time.Second

// FilesOptions says where a PEM certificate chain and its key are.
type FilesOptions struct {
	// Directory holds tls.crt and tls.key, as a mounted Secret does. It is used
	// for the paths that are empty.
	Directory string
	// CertFile and KeyFile are paths of their own.
	CertFile, KeyFile string
	// Interval between two looks; DefaultFilesInterval when zero.
	Interval time.Duration
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
	lastErr string
}

type filePair struct {
	certPEM, keyPEM []byte
	certificate     *tls.Certificate
}

// NewFiles loads the pair once and fails when there is no usable one.
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
	if err := f.reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// GetCertificate answers tls.Config.GetCertificate with the last good pair.
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.loaded.Load().certificate, nil
}

// NotAfter is the expiry of the certificate in use.
func (f *Files) NotAfter() time.Time {
	return f.loaded.Load().certificate.Leaf.NotAfter
}

// CABundle returns, as PEM, the served chain itself: a verifier that trusts it
// accepts exactly this certificate. Which CA the API server trusts is up to
// whoever writes the files.
func (f *Files) CABundle() []byte {
	var bundle bytes.Buffer
	for _, der := range f.loaded.Load().certificate.Certificate {
		bundle.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return bundle.Bytes()
}

// Run looks for a new pair until ctx ends; failures are reported and retried.
func (f *Files) Run(ctx context.Context) error {
	ticker := f.options.Clock.NewTicker(f.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
			f.check()
		}
	}
}

// check reloads and logs a failure when it differs from the one before, so that
// a lasting one does not fill the log.
func (f *Files) check() {
	err := f.reload()
	if err == nil {
		f.lastErr = ""
		return
	}
	f.options.Observer.failed(err)
	if text := err.Error(); text != f.lastErr {
		f.lastErr = text
		f.options.Logger.Warn("serving certificate not reloaded, the last good one stays in use",
			"error", err, "notAfter", f.NotAfter())
	}
}

func (f *Files) reload() error {
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
