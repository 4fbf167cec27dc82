package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// serverTLS is the TLS configuration of the server. Session tickets are off: API
// servers do not resume sessions, and a resumed one would outlive a changed
// client CA.
func serverTLS(options ServerOptions) (*tls.Config, error) {
	config := &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		GetCertificate:         options.GetCertificate,
		SessionTicketsDisabled: true,
	}
	if options.ClientCAFile == "" {
		return config, nil
	}
	auth := &clientAuth{
		file:    options.ClientCAFile,
		allowed: options.ClientNames,
		base:    config.Clone(),
		refused: options.Refused,
		logger:  options.Logger,
		often:   rate.Sometimes{Interval: 10 * time.Second},
	}
	if len(auth.allowed) == 0 {
		auth.allowed = []string{"kube-apiserver"}
	}
	if err := auth.reload(); err != nil {
		return nil, err
	}
	config.GetConfigForClient = auth.configFor
	return config, nil
}

// clientAuth demands a client certificate of the CAs in a file, with one of the
// allowed names. The name matters: in many clusters the CA that signed the API
// server's client certificate also signed those of nodes and users.
type clientAuth struct {
	file    string
	allowed []string
	base    *tls.Config
	refused func(reason string, status int)
	logger  *slog.Logger
	often   rate.Sometimes

	mu      sync.Mutex
	seen    os.FileInfo
	current *tls.Config
}

// configFor looks at the file in each handshake, which costs one stat, and keeps
// the last good CAs while the file is broken.
func (c *clientAuth) configFor(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.reload(); err != nil {
		c.often.Do(func() {
			c.logger.Warn("client CAs not reloaded, the last good ones stay in use", "error", err)
		})
	}
	return c.current, nil
}

func (c *clientAuth) reload() error {
	info, err := os.Stat(c.file)
	if err != nil {
		return fmt.Errorf("client CA file: %w", err)
	}
	if c.seen != nil && os.SameFile(c.seen, info) && c.seen.ModTime().Equal(info.ModTime()) && c.seen.Size() == info.Size() {
		return nil
	}
	content, err := os.ReadFile(c.file)
	if err != nil {
		return fmt.Errorf("client CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return fmt.Errorf("client CA file %s holds no PEM certificate", c.file)
	}
	next := c.base.Clone()
	next.ClientCAs = pool
	next.ClientAuth = tls.RequireAndVerifyClientCert
	next.VerifyConnection = c.checkName
	c.seen, c.current = info, next
	return nil
}

// checkName runs after crypto/tls has verified the chain.
func (c *clientAuth) checkName(connection tls.ConnectionState) error {
	leaf := connection.PeerCertificates[0]
	if slices.Contains(c.allowed, leaf.Subject.CommonName) ||
		slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return slices.Contains(c.allowed, name) }) {
		return nil
	}
	if c.refused != nil {
		c.refused(refusedClientName, 0)
	}
	c.often.Do(func() {
		c.logger.Warn("client certificate refused: neither its common name nor a DNS name is allowed",
			"commonName", printable(leaf.Subject.CommonName), "allowed", c.allowed)
	})
	return errors.New("client certificate has none of the allowed names")
}

// TLSSelfDial shakes hands with the webhook's own listener at address and
// verifies what it serves against the PEM certificates of bundle, expiry
// included: proof for readiness that the server accepts and that its certificate
// works. Host names are not checked, the address is a loopback one. It works
// where client certificates are demanded too, because in TLS 1.3 the server's
// certificate comes first; the server then notes a failed handshake at debug level.
func TLSSelfDial(ctx context.Context, address string, bundle func() []byte) error {
	target, err := loopbackOf(address)
	if err != nil {
		return err
	}
	err = selfDial(ctx, target, bundle)
	if err != nil && ctx.Err() == nil {
		// The certificate may have been replaced between handshake and look.
		err = selfDial(ctx, target, bundle)
	}
	return err
}

func selfDial(ctx context.Context, target string, bundle func() []byte) error {
	dialer := tls.Dialer{Config: selfDialConfig(bundle)}
	conn, err := dialer.DialContext(ctx, "tcp", target)
	if err != nil {
		return fmt.Errorf("own TLS address %s: %w", target, err)
	}
	return conn.Close()
}

// selfDialConfig verifies all but the host name.
func selfDialConfig(bundle func() []byte) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies all but the host name
		VerifyConnection: func(connection tls.ConnectionState) error {
			roots := x509.NewCertPool()
			if !roots.AppendCertsFromPEM(bundle()) {
				return errors.New("no certificate to verify against yet")
			}
			intermediates := x509.NewCertPool()
			for _, certificate := range connection.PeerCertificates[1:] {
				intermediates.AddCert(certificate)
			}
			_, err := connection.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
			return err
		},
	}
}

// loopbackOf turns the address of a listener into one that can be dialled.
func loopbackOf(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("own TLS address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
