package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// ServerOptions say where a console answers.
type ServerOptions struct {
	// Address is host:port. One that others can reach needs Auth and a certificate.
	Address string
	Auth    bool
	// GetCertificate gives the certificate for TLS; nil is without TLS.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

// Check finds an address on which the console would be open to the network, and says what to do about it.
func (o ServerOptions) Check() error {
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		return fmt.Errorf("--console-address %q: %w; write a host and a port such as 127.0.0.1:8082", o.Address, err)
	}
	switch {
	case IsLoopback(o.Address):
		return nil
	case !o.Auth:
		return fmt.Errorf("--console-address %s can be reached by others and nobody would have to sign in: "+
			"use a loopback address such as 127.0.0.1:8082 and kubectl port-forward, or add --console-auth", o.Address)
	case o.GetCertificate == nil:
		return fmt.Errorf("--console-address %s can be reached by others, and tokens would go over the network in the clear: "+
			"name a folder with tls.crt and tls.key with --console-cert-dir", o.Address)
	}
	return nil
}

// drainFor is how long a page that is being made may still take when the server ends.
const drainFor = 5 * time.Second

// Serve answers on the listener until ctx ends.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, o ServerOptions) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	if o.GetCertificate != nil {
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: o.GetCertificate, NextProtos: []string{"http/1.1"},
		})
	}
	stop := context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
		defer cancel()
		if server.Shutdown(ending) != nil {
			_ = server.Close() // the pages that still take longer than that are given up
		}
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
