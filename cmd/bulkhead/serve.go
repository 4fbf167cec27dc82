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
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/certs"
)

// serveOptions are the flags of "bulkhead serve".
type serveOptions struct {
	kubeconfig, context, namespace   string
	config                           string
	webhookAddress, probeAddress     string
	certificateDirectory             string
	certificateName                  string
	certificateSecret, configuration string
	certificateNames                 []string
	clientCA                         string
	clientNames                      []string
	drain                            time.Duration
	maxConcurrent, maxConnections    int
	logLevel                         string
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer the API server's admission reviews",
		Long: `serve watches the cluster and answers admission reviews over TLS until SIGTERM.

Its certificate is its own by default: kept in one Secret that all replicas share, rotated in time, and put into the
webhook configuration's caBundle. With --certificate-dir it serves tls.crt and tls.key from there instead; with
--certificate-name, too, it waits for them, and says in cert-manager's words why they are not there.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; in a pod its service account is used without one")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig file (default its current one)")
	f.StringVar(&o.namespace, "namespace", envOr("POD_NAMESPACE", "bulkhead-system"), "Bulkhead's own namespace")
	f.StringVar(&o.config, "config", "/etc/bulkhead/bulkhead.yaml", "BulkheadConfig file; reloaded when it changes")
	f.StringVar(&o.webhookAddress, "webhook-address", ":9443", "address on which reviews are answered")
	f.StringVar(&o.probeAddress, "probe-address", ":8081", "address of /healthz, /readyz and /metrics")
	f.StringVar(&o.certificateDirectory, "certificate-dir", "", "directory with tls.crt and tls.key; empty makes Bulkhead sign its own")
	f.StringVar(&o.certificateName, "certificate-name", "", "cert-manager Certificate of Bulkhead's own namespace whose Secret is mounted there")
	f.StringVar(&o.certificateSecret, "certificate-secret", "bulkhead-tls", "Secret that holds the self-signed certificate")
	f.StringVar(&o.configuration, "webhook-configuration", "bulkhead", "ValidatingWebhookConfiguration that registers Bulkhead: watched for edits; its caBundle is kept up, or awaited with --certificate-name; empty for none")
	f.StringSliceVar(&o.certificateNames, "certificate-names", nil, "DNS names and IP addresses of the self-signed certificate (default the Service bulkhead)")
	f.StringVar(&o.clientCA, "client-ca-file", "", "PEM file of the CAs whose client certificates are demanded; empty demands none")
	f.StringSliceVar(&o.clientNames, "client-names", []string{"kube-apiserver"}, "names that a client certificate may have")
	f.DurationVar(&o.drain, "drain", 5*time.Second, "how long to go on answering after SIGTERM")
	f.IntVar(&o.maxConcurrent, "max-concurrent", 256, "reviews worked on at a time; more are told to come back in a second")
	f.IntVar(&o.maxConnections, "max-connections", 512, "connections held at a time")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error; debug also logs requests that need no judging")
	return cmd
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func serve(ctx context.Context, o serveOptions) error {
	logger, err := newLogger(o.logLevel)
	if err != nil {
		return err
	}
	registry := metrics.Registry
	// controller-runtime registers these only for programs with controllers.
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := webhook.NewMetrics(registry)
	all := guardrails.All()

	client, err := newClient(o)
	if err != nil {
		return err
	}
	if err := checkCluster(ctx, client, o); err != nil {
		return err
	}
	store := webhook.NewStore(policy.SnapshotOptions(config.Default(policy.Specs(all))), webhook.ResourceNames(), logger)
	file := webhook.NewConfigFile(webhook.ConfigFileOptions{Path: o.config, Specs: policy.Specs(all), OnReload: func(cfg *config.Config, err error) {
		m.Reloaded(cfg, err)
		if err != nil {
			logger.Error("the config file is not in force", "path", o.config, "error", err.Error(), "lastGoodStays", cfg != nil)
			return
		}
		store.SetOptions(policy.SnapshotOptions(cfg))
		store.SetNeeds(policy.Needs(all, cfg))
		logger.Info("config in force", "path", o.config, "hash", cfg.Hash(), "maximumAction", string(cfg.MaximumAction))
	}})
	if err := file.Load(); err != nil {
		return usageError{err}
	}
	certificate, err := newCertificate(o, client, m, logger)
	if err != nil {
		return err
	}
	webhook.ObserveStore(registry, store)
	webhook.ObserveCertificate(registry, certificate.NotAfter)
	observeIssuance(registry, certificate)
	registration := newRegistrationWatch(o, client, certificate, registry, logger)

	handler := webhook.NewHandler(webhook.HandlerOptions{
		Guardrails: all, Config: file.Current, Snapshot: store.Snapshot, Live: webhook.NewLive(client), Metrics: m,
		Logger: logger, Namespace: o.namespace,
	})
	// The server in front recovers panics itself: controller-runtime would answer them as denials.
	// Each request would otherwise get a logger with fields of its own, which costs more than most decisions and is
	// hardly ever used.
	hook := (&admission.Webhook{
		Handler: handler, LogConstructor: func(base logr.Logger, _ *admission.Request) logr.Logger { return base },
	}).WithRecoverPanic(false)
	standalone, err := admission.StandaloneWebhook(hook, admission.StandaloneOptions{Logger: ctrllog.Log, MetricsPath: webhook.Path})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(webhook.Path, standalone)
	server, err := webhook.NewServer(webhook.ServerOptions{
		Address: o.webhookAddress, Handler: mux, GetCertificate: certificate.GetCertificate, ClientCAFile: o.clientCA,
		ClientNames: o.clientNames, MaxConcurrent: o.maxConcurrent, MaxConnections: o.maxConnections, DrainDelay: o.drain,
		Refused: m.Refused, Logger: logger, OnDrain: func() { logger.Info("draining") },
	})
	if err != nil {
		return usageError{err}
	}
	if err := server.Listen(); err != nil {
		return err
	}
	probes, err := net.Listen("tcp", o.probeAddress)
	if err != nil {
		return fmt.Errorf("cannot listen on %s, choose another address with --probe-address: %w", o.probeAddress, err)
	}
	checks := []webhook.Check{
		{Name: "config", Ready: file.Ready},
		{Name: "snapshot", Ready: store.ReadyCheck},
		{Name: "certificate", Ready: certificate.Ready},
		{Name: "tls", Ready: server.SelfCheck(ctx, certificate.CABundle)},
		{Name: "serving", Ready: func() error {
			if server.Draining() {
				return errors.New("draining")
			}
			return nil
		}},
	}
	logger.Info("starting", "version", webhook.Version(), "webhook", server.Addr().String(), "probes", probes.Addr().String(), "guardrails", len(all))
	return runAll(ctx, logger, parts{
		client, store, file, certificate, registration, server, webhook.ProbeListener(probes), webhook.Probes(checks, registry),
	})
}

// certificateSource is what both ways to get a certificate have in common.
type certificateSource interface {
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// CABundle is what a client has to trust, as PEM; NotAfter is zero before there is a certificate.
	CABundle() []byte
	NotAfter() time.Time
	// Ready tells why there is no usable certificate; nil where there is one.
	Ready() error
	Run(ctx context.Context) error
}

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
}

// runAll runs everything until ctx ends. The server drains first; what feeds it goes on until it has answered all.
func runAll(ctx context.Context, logger *slog.Logger, p parts) error {
	feeding, stopFeeding := context.WithCancel(context.WithoutCancel(ctx))
	defer stopFeeding()
	group, groupCtx := errgroup.WithContext(feeding)
	group.Go(func() error { collectOften(groupCtx, p.store.Ready()); return nil })
	p.store.Watch(groupCtx, p.client)
	group.Go(func() error { p.store.Run(groupCtx); return nil })
	group.Go(func() error { return ignoreCanceled(p.file.Run(groupCtx)) })
	group.Go(func() error { return ignoreCanceled(p.certificate.Run(groupCtx)) })
	if p.registration != nil {
		group.Go(func() error { p.registration.Run(groupCtx); return nil })
	}
	probes := &http.Server{
		Handler: p.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	group.Go(func() error {
		if err := probes.Serve(p.probes); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		defer stopFeeding()
		defer probes.Close()
		serving, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(groupCtx, cancel)() // another part failed: stop serving too
		return p.server.Run(serving)
	})
	err := group.Wait()
	logger.Info("stopped")
	return err
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func newLogger(level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q: use debug, info, warn or error", level)}
	}
	logger := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: l}))
	klog.SetSlogLogger(logger)
	ctrllog.SetLogger(logr.FromSlogHandler(logger.Handler()))
	return logger, nil
}

// newClient makes the client from a kubeconfig file or, in a pod, from its service account.
func newClient(o serveOptions) (kubernetes.Interface, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	var cfg *rest.Config
	var err error
	if o.kubeconfig == "" && o.context == "" {
		cfg, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
		}
	} else {
		cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("no cluster to talk to: %w; run in a pod, or name a kubeconfig file with --kubeconfig", err)}
	}
	// Protobuf costs a fraction of JSON's memory for the lists of a large cluster. The API server's own priority and
	// fairness bounds the rate; a bound here would only delay what confirms a denial.
	cfg.ContentType, cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	cfg.QPS = -1
	cfg.UserAgent = "bulkhead/" + webhook.Version()
	return kubernetes.NewForConfig(cfg)
}

// checkCluster makes sure that the API server answers and grants what is needed, before anything starts.
func checkCluster(ctx context.Context, client kubernetes.Interface, o serveOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	rights := webhook.SnapshotRights()
	if o.certificateDirectory == "" {
		rights = append(rights, webhook.SelfSignedRights(o.namespace, o.certificateSecret, o.configuration)...)
	}
	return webhook.CheckAccess(ctx, client, rights)
}

// newRegistrationWatch watches Bulkhead's own registration; nil where the flag says that there is none.
func newRegistrationWatch(o serveOptions, client kubernetes.Interface, certificate certificateSource, registry prometheus.Registerer,
	logger *slog.Logger,
) *webhook.RegistrationWatch {
	if o.configuration == "" {
		return nil
	}
	w := webhook.NewRegistrationWatch(client, o.configuration, o.namespace, certificate.GetCertificate, logger)
	registry.MustRegister(w)
	return w
}

func newCertificate(o serveOptions, client kubernetes.Interface, m *webhook.Metrics, logger *slog.Logger) (certificateSource, error) {
	observer := certs.Observer{
		Rotated:  func(r certs.Rotation) { m.Rotated(string(r)) },
		Repaired: func(r certs.Repair) { m.Rotated("repaired-" + string(r)) },
		Failed:   func(error) { m.Rotated("failed") },
	}
	fromFiles := certs.FilesOptions{Directory: o.certificateDirectory, Logger: logger, Observer: observer}
	if o.certificateName != "" {
		return newIssuedCertificate(o, client, fromFiles)
	}
	if o.certificateDirectory != "" {
		files, err := certs.NewFiles(fromFiles)
		if err != nil {
			return nil, usageError{err}
		}
		return files, nil
	}
	names := o.certificateNames
	if len(names) == 0 {
		names = []string{"bulkhead." + o.namespace + ".svc", "bulkhead." + o.namespace + ".svc.cluster.local"}
	}
	options := certs.SelfSignedOptions{
		Client: client, Namespace: o.namespace, SecretName: o.certificateSecret, Configuration: o.configuration,
		Logger: logger, Observer: observer,
	}
	for _, n := range names {
		if ip := net.ParseIP(strings.Trim(n, "[]")); ip != nil {
			options.IPs = append(options.IPs, ip)
		} else {
			options.DNSNames = append(options.DNSNames, n)
		}
	}
	return certs.NewSelfSigned(options)
}
