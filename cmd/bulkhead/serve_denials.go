package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/bearer"
	"github.com/bulkhead-dev/bulkhead/webhook/denials"
)

// denialsServer answers who asks for denials. It has a port of its own: that of the reviews may demand client certificates that
// readers have none of, and nothing that happens here is to take a connection from a review.
type denialsServer struct {
	listener net.Listener
	http     *http.Server
}

// newDenials gives what the handler fills and what serves it; both are nil where the flag is not set.
func newDenials(o serveOptions, client kubernetes.Interface, certificate certificateSource, logger *slog.Logger) (
	*denials.Ring, *denialsServer, error,
) {
	if !o.denials {
		return nil, nil, nil
	}
	listener, err := net.Listen("tcp", o.denialsAddress)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot listen on %s, choose another address with --denials-address: %w", o.denialsAddress, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("the name of this replica: %w", err), listener.Close())
	}
	ring := denials.NewRing(host, time.Now())
	secured := tls.NewListener(webhook.ProbeListener(listener), &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: certificate.GetCertificate,
	})
	return ring, &denialsServer{listener: secured, http: &http.Server{
		Handler:           denials.Handler(ring, bearer.New(client, denials.Path)),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 32 << 10, ErrorLog: webhook.HTTPLog(logger),
	}}, nil
}

// run serves until ctx ends.
func (s *denialsServer) run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = s.http.Close() })() // nothing is left to be saved
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
