package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// serveOptions are the flags of "bulkhead serve".
type serveOptions struct {
	kubeconfig, context, namespace   string
	config                           string
	webhookAddress, probeAddress     string
	metricsAddress                   string
	denials                          bool
	denialsAddress                   string
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
	f.StringVar(&o.metricsAddress, "metrics-address", "", "address of /metrics over TLS, with the certificate of reviews, in place of --probe-address; empty for none")
	f.BoolVar(&o.denials, "denials", false, "answer GET /denials with the last denied, warned and audited changes, to whom RBAC lets get that path")
	f.StringVar(&o.denialsAddress, "denials-address", ":9444", "address of /denials: TLS with the serving certificate and no client certificates")
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

// validate finds numbers that would quietly become others.
func (o *serveOptions) validate() error {
	for _, flag := range []struct {
		name     string
		positive bool
	}{{"drain", o.drain > 0}, {"max-concurrent", o.maxConcurrent > 0}, {"max-connections", o.maxConnections > 0}} {
		if !flag.positive {
			return usageError{fmt.Errorf("--%s: more than 0 is needed", flag.name)}
		}
	}
	return nil
}

func serve(ctx context.Context, o serveOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
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
	store, file := newWatching(o.config, all, m.Reloaded, logger)
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

	ring, readers, err := newDenials(o, client, certificate, logger)
	if err != nil {
		return err
	}
	writer := newEvents(client, file, m, logger)
	handler := webhook.NewHandler(webhook.HandlerOptions{
		Guardrails: all, Config: file.Current, Snapshot: store.Snapshot, Live: webhook.NewLive(client), Metrics: m,
		Logger: logger, Namespace: o.namespace, Denials: ring, Events: writer,
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
	secured, err := listenMetrics(o.metricsAddress, certificate)
	if err != nil {
		return err
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
		client, store, file, certificate, registration, server, webhook.ProbeListener(probes), webhook.Probes(checks, unsecured(registry, secured)),
		secured, metricsOnly(registry), readers, writer,
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

// checkCluster makes sure that the API server answers and grants what is needed, before anything starts.
func checkCluster(ctx context.Context, client kubernetes.Interface, o serveOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	rights := webhook.SnapshotRights()
	if o.certificateDirectory == "" {
		rights = append(rights, webhook.SelfSignedRights(o.namespace, o.certificateSecret, o.configuration)...)
	}
	if o.denials {
		rights = append(rights, webhook.DenialsRights()...)
	}
	return webhook.CheckAccess(ctx, client, rights)
}
