package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/policy"
	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/audit"
)

// auditServeOptions are the flags of "bulkhead audit serve".
type auditServeOptions struct {
	kubeconfig, context, namespace string
	config                         string
	probeAddress                   string
	lease                          string
	leaseDuration                  time.Duration
	sweep, grace                   time.Duration
	reports                        bool
	logLevel                       string
	console                        consoleOptions
}

func newAuditServe() *cobra.Command {
	var o auditServeOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Keep an audit of the cluster current, as metrics and reports",
		Long: `serve watches the cluster as the webhook does, in a process of its own, and judges what is stored until SIGTERM: everything
at first and at each --sweep, and in between what a change may have touched. What it finds are metrics, and with --reports
OpenReports reports: one for each namespace with something wrong, and one for the cluster.

Of several replicas the one that holds the Lease works; the others watch and take over.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return auditServe(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig file; in a pod its service account is used without one")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig file (default its current one)")
	f.StringVar(&o.namespace, "namespace", envOr("POD_NAMESPACE", "bulkhead-system"), "Bulkhead's own namespace")
	f.StringVar(&o.config, "config", "/etc/bulkhead/bulkhead.yaml", "BulkheadConfig file; reloaded when it changes")
	f.StringVar(&o.probeAddress, "probe-address", ":8081", "address of /healthz, /readyz and /metrics")
	f.StringVar(&o.lease, "lease", "bulkhead-audit", "Lease of Bulkhead's own namespace by which the replicas agree on who works")
	f.DurationVar(&o.leaseDuration, "lease-duration", 15*time.Second, "how long after a leader was last heard of another replica takes over")
	f.DurationVar(&o.sweep, "sweep", 10*time.Minute, "how often everything is judged, changed or not")
	f.DurationVar(&o.grace, "grace", 15*time.Minute, "how long something that others name has to be missing before that counts")
	f.BoolVar(&o.reports, "reports", false, "write OpenReports reports (openreports.io) into the cluster")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	o.console.addFlags(f)
	return cmd
}

// shortestLease is how short a lease may be: its duration is kept in whole seconds, and is renewed several times in it.
const shortestLease = 3 * time.Second

// validate finds numbers that would quietly become others.
func (o *auditServeOptions) validate() error {
	switch {
	case o.sweep <= 0:
		return usageError{errors.New("--sweep: more than 0 is needed")}
	case o.grace < 0:
		return usageError{errors.New("--grace: 0 or more is needed")}
	case o.leaseDuration < shortestLease || o.leaseDuration%time.Second != 0:
		return usageError{fmt.Errorf("--lease-duration: whole seconds, %s or more, are needed", shortestLease)}
	case o.lease == "":
		return usageError{errors.New("--lease: a name is needed")}
	}
	if err := o.console.validate(); err != nil {
		return usageError{err}
	}
	return nil
}

// auditParts are what runs until SIGTERM.
type auditParts struct {
	client   kubernetes.Interface
	store    *webhook.Store
	file     *webhook.ConfigFile
	auditor  *audit.Auditor
	election *audit.Election
	registry *prometheus.Registry
	probes   net.Listener
	console  *auditConsole // nil where there is none
}

func auditServe(ctx context.Context, o auditServeOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	logger, err := newLogger(o.logLevel)
	if err != nil {
		return err
	}
	cfg, err := connection(o.kubeconfig, o.context)
	if err != nil {
		return err
	}
	p := &auditParts{registry: prometheus.NewRegistry()}
	if p.client, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	if err := checkAuditRights(ctx, p.client, o); err != nil {
		return err
	}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	all := guardrails.All()
	p.store, p.file = newWatching(o.config, all, func(*config.Config, error) {}, logger)
	p.store.KeepPolicies()
	if err := p.file.Load(); err != nil {
		return usageError{err}
	}
	webhook.ObserveStore(p.registry, p.store)
	if p.auditor, err = newAuditor(o, cfg, p, all, logger); err != nil {
		return err
	}
	identity, err := audit.Identity()
	if err != nil {
		return err
	}
	p.election = &audit.Election{
		Client: p.client, Namespace: o.namespace, Name: o.lease, Identity: identity, Duration: o.leaseDuration, Lead: p.auditor.Lead, Logger: logger,
	}
	if p.probes, err = net.Listen("tcp", o.probeAddress); err != nil {
		return fmt.Errorf("cannot listen on %s, choose another address with --probe-address: %w", o.probeAddress, err)
	}
	if p.console, err = newAuditConsole(o.console, o.namespace, cfg, p, logger); err != nil {
		return err
	}
	logger.Info("starting the audit", "version", webhook.Version(), "probes", p.probes.Addr().String(), "identity", identity, "reports", o.reports,
		"guardrails", len(all))
	return p.run(ctx, logger)
}

// checkAuditRights makes sure that the API server answers and grants what is needed, before anything starts. Reports are no part of
// it: without their kinds or rights the audit goes on and says so.
func checkAuditRights(ctx context.Context, client kubernetes.Interface, o auditServeOptions) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return webhook.CheckAccess(ctx, client, slices.Concat(webhook.WatchRights(), audit.LeaseRights(o.namespace, o.lease)))
}

// lookForChanges is how often the leader looks for changes.
const lookForChanges = 2 * time.Second

// newAuditor puts the scans of policy/audit to work.
func newAuditor(o auditServeOptions, connection *rest.Config, p *auditParts, all []policy.Guardrail, logger *slog.Logger) (*audit.Auditor, error) {
	metrics := audit.NewMetrics(p.registry, audit.MetricsOptions{
		Actions:    func() map[string]string { return actions(p.file.Current(), all) },
		Namespaces: func() bool { return p.file.Current().Metrics.NamespaceLabel },
	})
	var reports *audit.Reports
	if o.reports {
		objects, err := dynamic.NewForConfig(connection)
		if err != nil {
			return nil, err
		}
		reports = audit.NewReports(objects, metrics, logger)
	}
	// One goroutine is to work, so that a large machine is not taken by storm. Reports are read by who may read a namespace.
	options := func(cfg *config.Config) *scan.Options {
		return &scan.Options{
			Config: cfg, Guardrails: all, Policies: p.store.PolicyObject, Discreet: !cfg.DiscloseOtherNamespaces, Workers: 1,
		}
	}
	return audit.New(audit.Options{
		Snapshot: p.store.Snapshot, Config: p.file.Current,
		Namespace: func(ctx context.Context, s *cluster.Snapshot, cfg *config.Config, name string) scan.Namespace {
			return scan.ScanNamespace(ctx, s, options(cfg), name)
		},
		Cluster: func(s *cluster.Snapshot, cfg *config.Config) []scan.Finding { return scan.ScanCluster(s, options(cfg)) },
		Stale: func(before, after *cluster.Snapshot, cfg *config.Config) []string {
			return scan.Stale(before, after, options(cfg))
		},
		Sweep: o.sweep, Grace: o.grace, Look: lookForChanges, Reports: reports, Metrics: metrics, Logger: logger,
	}), nil
}

// actions gives the action of each guardrail that judges objects.
func actions(cfg *config.Config, all []policy.Guardrail) map[string]string {
	out := map[string]string{}
	for i := range all {
		action := cfg.Settings(all[i].Slug).Action
		if all[i].AtMost != "" {
			action = config.AtMost(action, all[i].AtMost)
		}
		if action != config.Off && !all[i].Describes {
			out[all[i].Slug] = string(action)
		}
	}
	return out
}
