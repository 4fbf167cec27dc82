package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/events"
)

// parts are what runs until SIGTERM.
type parts struct {
	client      kubernetes.Interface
	store       *webhook.Store
	file        *webhook.ConfigFile
	certificate certificateSource
	// registration is nil where none is watched.
	registration *webhook.RegistrationWatch
	server       *webhook.Server
	probes       net.Listener
	handler      http.Handler
	// secured is where metrics are answered over TLS, nil where they are among the probes.
	secured net.Listener
	metrics http.Handler
	readers *denialsServer // nil where nobody may ask for denials
	events  *events.Writer
}

// runAll runs everything until ctx ends. The server drains first; what feeds it goes on until it has answered all.
func runAll(ctx context.Context, logger *slog.Logger, p parts) error {
	feeding, stopFeeding := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFeeding()
	group, groupCtx := errgroup.WithContext(feeding)
	collectOften(p.store)
	p.store.Watch(groupCtx, p.client)
	group.Go(func() error { p.store.Run(groupCtx); return nil })
	group.Go(func() error { return ignoreCanceled(p.file.Run(groupCtx)) })
	group.Go(func() error { return ignoreCanceled(p.certificate.Run(groupCtx)) })
	if p.registration != nil {
		group.Go(func() error { p.registration.Run(groupCtx); return nil })
	}
	group.Go(func() error { p.events.Run(groupCtx); return nil })
	if p.readers != nil {
		group.Go(func() error { return p.readers.run(groupCtx) })
	}
	probes := newProbeServer(p.handler)
	group.Go(func() error { return ignoreClosed(probes.Serve(p.probes)) })
	metrics := newProbeServer(p.metrics)
	if p.secured != nil {
		group.Go(func() error { return ignoreClosed(metrics.Serve(p.secured)) })
	}
	group.Go(func() error {
		defer stopFeeding()
		defer probes.Close()
		defer metrics.Close()
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(groupCtx, cancel)() // another part failed: stop serving too
		return p.server.Run(serving)
	})
	err := group.Wait()
	logger.Info("stopped")
	return err
}

// newProbeServer gives the server of probes and metrics, which nobody can hold up.
func newProbeServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
