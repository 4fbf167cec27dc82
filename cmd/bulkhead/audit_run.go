package main

import (
	"context"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// run runs everything until ctx ends. The leadership is given up first; what feeds it goes on until then.
func (p *auditParts) run(ctx context.Context, logger *slog.Logger) error {
	feeding, stopFeeding := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFeeding()
	group, groupCtx := errgroup.WithContext(feeding)
	collectOften(p.store)
	p.store.Watch(groupCtx, p.client)
	group.Go(func() error { p.store.Run(groupCtx); return nil })
	group.Go(func() error { return ignoreCanceled(p.file.Run(groupCtx)) })
	if p.console != nil {
		group.Go(func() error { return p.console.run(groupCtx) })
	}
	probes := newProbeServer(webhook.Probes([]webhook.Check{
		{Name: "config", Ready: p.file.Ready}, {Name: "snapshot", Ready: p.store.ReadyCheck},
	}, p.registry))
	group.Go(func() error { return ignoreClosed(probes.Serve(webhook.ProbeListener(p.probes))) })
	group.Go(func() error {
		defer stopFeeding()
		defer probes.Close()
		standing, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(groupCtx, cancel)() // another part failed: let others lead
		if !p.awaitSnapshot(standing) {
			return nil
		}
		return p.election.Run(standing)
	})
	err := group.Wait()
	logger.Info("stopped")
	return err
}

// awaitSnapshot waits until the cluster has been seen: who has nothing to judge is not to lead.
func (p *auditParts) awaitSnapshot(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-p.store.Ready():
		return true
	}
}
