package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/certs"
	"github.com/bulkhead-dev/bulkhead/webhook/events"
)

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
	cfg, err := connection(o.kubeconfig, o.context)
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(cfg)
}

// connection says how the API server is reached, and as whom.
func connection(kubeconfig, context string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	var cfg *rest.Config
	var err error
	if kubeconfig == "" && context == "" {
		cfg, err = rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
		}
	} else {
		cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("no cluster to talk to: %w; run in a pod, or name a kubeconfig file with --kubeconfig", err)}
	}
	// Protobuf costs a fraction of JSON's memory for the lists of a large cluster. The API server's own priority and
	// fairness bounds the rate; a bound here would only delay what confirms a denial.
	cfg.ContentType, cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	cfg.QPS = -1
	cfg.UserAgent = "bulkhead/" + webhook.Version()
	return cfg, nil
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

// newEvents makes the writer of Events. It writes what the config of the moment asks for.
func newEvents(client kubernetes.Interface, file *webhook.ConfigFile, m *webhook.Metrics, logger *slog.Logger) *events.Writer {
	instance := envOr("HOSTNAME", "bulkhead")
	return events.New(events.Options{
		Client: client.EventsV1(), Config: func() config.EventsConfig { return file.Current().Events }, Instance: instance,
		Count: m.Event, Logger: logger, Now: time.Now,
	})
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
