package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/cert-manager/cert-manager/pkg/controller"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	// Each of these registers its controllers or its issuer.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

// workers is how many objects of a kind are worked on at a time: cert-manager's own default.
const workers = 5

// awaitKinds waits until the API server serves cert-manager's kinds: whoever starts this may install them afterwards.
func awaitKinds(ctx context.Context, config *rest.Config) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	wanted := []string{"certificates", "certificaterequests", "issuers", "clusterissuers"}
	return wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		served, err := client.ServerResourcesForGroupVersion(certmanagerv1.SchemeGroupVersion.String())
		if err != nil {
			return false, nil // tried again
		}
		for _, resource := range served.APIResources {
			wanted = slices.DeleteFunc(wanted, func(name string) bool { return name == resource.Name })
		}
		return len(wanted) == 0, nil
	})
}

// runControllers runs all controllers that the imports registered, but for those in without.
func runControllers(ctx context.Context, options controller.ContextOptions, without map[string]bool) error {
	factory, err := controller.NewContextFactory(ctx, options)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	known := controller.Known()
	for name := range without {
		if known[name] == nil {
			return fmt.Errorf("there is no controller %q, only %q", name, slices.Sorted(maps.Keys(known)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if without[name] {
			continue
		}
		run, err := known[name](factory)
		if err != nil {
			return fmt.Errorf("controller %s: %w", name, err)
		}
		group.Go(func() error { return run.Run(workers, ctx) })
	}
	// Only now are all informers known that the controllers wait for.
	informers, err := factory.Build()
	if err != nil {
		return err
	}
	informers.SharedInformerFactory.Start(ctx.Done())
	informers.KubeSharedInformerFactory.Start(ctx.Done())
	slog.InfoContext(ctx, "controllers started", "without", slices.Sorted(maps.Keys(without)))
	return group.Wait()
}
