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

// CheckAddress finds an address on which a console would be open to the network, and says what to do about it. auth says that people
// have to sign in, and tls that there is a certificate.
func CheckAddress(address string, auth, tls bool) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return fmt.Errorf("--console-address %q: %w; write a host and a port such as 127.0.0.1:8082", address, err)
	}
	switch {
	case IsLoopback(address):
		return nil
	case !auth:
		return fmt.Errorf("--console-address %s can be reached by others and nobody would have to sign in: "+
			"use a loopback address such as 127.0.0.1:8082 and kubectl port-forward, or add --console-auth", address)
	case !tls:
		return fmt.Errorf("--console-address %s can be reached by others, and tokens would go over the network in the clear: "+
			"name a folder with tls.crt and tls.key with --console-cert-dir", address)
	}
	return nil
}

// drainFor is how long a page that is being made may still take when the server ends.
const drainFor = 5 * time.Second

// GetCertificate gives the certificate of a TLS server, as in [tls.Config].
type GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// Serve answers on the listener until ctx ends, over TLS where there is a certificate to get.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, certificate GetCertificate) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	if certificate != nil {
		l = tls.NewListener(l, &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: certificate, NextProtos: []string{"http/1.1"},
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
