package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/certs"
	"github.com/bulkhead-dev/bulkhead/webhook/console"
)

// consoleOptions are the flags of the audit mode's console.
type consoleOptions struct {
	address              string
	auth                 bool
	certificateDirectory string
	cluster              string
	service              string
	configuration        string
}

func (o *consoleOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.address, "console-address", "", "address of the console, such as 127.0.0.1:8082; empty serves none")
	f.BoolVar(&o.auth, "console-auth", false, "demand a token of the cluster that may get the non-resource URL /console; needed on an address that others can reach")
	f.StringVar(&o.certificateDirectory, "console-cert-dir", "", "directory with tls.crt and tls.key of the console; needed on an address that others can reach")
	f.StringVar(&o.cluster, "console-cluster", "", "name of the cluster that the console shows")
	f.StringVar(&o.service, "console-service", "bulkhead", "Service of the webhook, whose replicas the console asks for denied changes")
	f.StringVar(&o.configuration, "console-webhook-configuration", "bulkhead", "ValidatingWebhookConfiguration whose caBundle those replicas have to fit")
}

// validate finds flags by which the console would be open to others, or that do nothing.
func (o *consoleOptions) validate() error {
	if o.address == "" {
		if o.auth || o.certificateDirectory != "" {
			return errors.New("--console-auth and --console-cert-dir need --console-address")
		}
		return nil
	}
	return console.CheckAddress(o.address, o.auth, o.certificateDirectory != "")
}

// auditConsole is the console of an audit: nil where there is none.
type auditConsole struct {
	listener  net.Listener
	console   *console.Console
	collector *console.Collector
	files     *certs.Files // nil without TLS
}

// newAuditConsole makes the console that the flags ask for.
func newAuditConsole(o consoleOptions, namespace string, cfg *rest.Config, p *auditParts, logger *slog.Logger) (*auditConsole, error) {
	if o.address == "" {
		return nil, nil
	}
	out := &auditConsole{}
	var err error
	if o.certificateDirectory != "" {
		if out.files, err = certs.NewFiles(certs.FilesOptions{Directory: o.certificateDirectory, Logger: logger}); err != nil {
			return nil, usageError{fmt.Errorf("--console-cert-dir: %w", err)}
		}
	}
	out.collector = console.NewCollector(console.CollectorOptions{
		Client: p.client, Namespace: namespace, Service: o.service, Port: "denials", Configuration: o.configuration,
		Token: func() (string, error) { return ownToken(cfg) }, Logger: logger,
	})
	out.console, err = console.New(console.Options{
		Denials: out.collector.Records, Sources: out.collector.Sources, Report: p.auditor.Report, Snapshot: p.store.Snapshot, Config: p.file.Current,
		Cluster: o.cluster, Version: webhook.Version(), Auth: o.auth, Client: p.client, Now: time.Now, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if out.listener, err = net.Listen("tcp", o.address); err != nil {
		return nil, fmt.Errorf("cannot listen on %s, choose another address with --console-address: %w", o.address, err)
	}
	logger.Info("the console answers", "address", out.listener.Addr().String(), "auth", o.auth, "tls", out.files != nil)
	return out, nil
}

// ownToken gives the token that the client itself uses. In a pod it is in a file that the kubelet replaces.
func ownToken(cfg *rest.Config) (string, error) {
	if cfg.BearerTokenFile != "" {
		token, err := os.ReadFile(cfg.BearerTokenFile)
		return strings.TrimSpace(string(token)), err
	}
	if cfg.BearerToken == "" {
		return "", errors.New("this identity has no token, and the webhook's replicas accept nothing else")
	}
	return cfg.BearerToken, nil
}

// run serves the console until ctx ends.
func (c *auditConsole) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	var certificate console.GetCertificate
	if c.files != nil {
		certificate = c.files.GetCertificate
		group.Go(func() error { return ignoreCanceled(c.files.Run(ctx)) })
	}
	group.Go(func() error { c.collector.Run(ctx); return nil })
	group.Go(func() error { return console.Serve(ctx, c.listener, c.console.Handler(), certificate) })
	return group.Wait()
}
