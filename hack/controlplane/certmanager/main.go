// Command certmanager runs the real controllers and cainjector of cert-manager, in one process, for tests of what
// cert-manager issues. They are those of the version that go.mod pins; only this command around them is not
// cert-manager's own, which its module does not hold. It has no webhook, no ACME and no leader election, and of the
// issuers those that need nobody else: ca and selfSigned.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		os.Exit(1)
	}
}

// run runs everything until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cert-manager", flag.ContinueOnError)
	var options controller.ContextOptions
	flags.StringVar(&options.Kubeconfig, "kubeconfig", "", "kubeconfig file of a user with cert-manager's rights")
	flags.StringVar(&options.ClusterResourceNamespace, "cluster-resource-namespace", "cert-manager",
		"namespace of the Secrets that ClusterIssuers name")
	flags.DurationVar(&options.CertificateRequestMinimumBackoffDuration, "certificate-request-minimum-backoff-duration", time.Hour,
		"how long to wait after the first failure of a Certificate")
	flags.DurationVar(&options.CertificateRequestMaximumBackoffDuration, "certificate-request-maximum-backoff-duration", 32*time.Hour,
		"how long to wait after many failures of a Certificate")
	without := flags.String("without", "", "what does not run: controllers such as certificaterequests-approver, or "+injectorName+"; comma-separated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if options.Kubeconfig == "" || flags.NArg() > 0 {
		return errors.New("usage: cert-manager --kubeconfig FILE; -help lists more")
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	slog.SetDefault(logger)
	klog.SetSlogLogger(logger)
	ctrllog.SetLogger(logr.FromSlogHandler(logger.Handler()))

	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return err
	}
	if err := awaitKinds(ctx, config); err != nil {
		return ignoreCanceled(err)
	}
	group, ctx := errgroup.WithContext(ctx)
	left := names(*without)
	if !left[injectorName] {
		group.Go(func() error { return runInjector(ctx, config) })
	}
	delete(left, injectorName)
	group.Go(func() error { return runControllers(ctx, options, left) })
	return ignoreCanceled(group.Wait())
}

func names(list string) map[string]bool {
	set := map[string]bool{}
	for name := range strings.SplitSeq(list, ",") {
		if name != "" {
			set[name] = true
		}
	}
	return set
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
