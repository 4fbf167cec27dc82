package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
)

// auditFormats lists the formats of an audit's report, the default first.
func auditFormats() []string { return []string{"table", "json", "html", "openreports"} }

// auditOptions are the flags of "bulkhead audit".
type auditOptions struct {
	input                inputOptions
	output               outputOptions
	config, failOn       string
	guardrail            string
	ifDenied, prometheus string
	days                 int
	daysGiven            bool
	// whole says that the time was enough.
	whole bool
}

// newAudit audits once; its subcommand keeps an audit current.
func newAudit() *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit [-f PATH... | --context CONTEXT]",
		Short: "Judge what is already in a cluster",
		Long: `audit judges what is already there: each NetworkPolicy, pod and pod template as if it were applied last, onto all the others. Of a
live cluster, which it only lists, or of manifests, whose pod templates count as running. It also counts how far each namespace is
from one in which all is denied that is not meant to be. Nobody is denied anything by it.

With --if-denied it says what a guardrail whose action were Deny would refuse: of what is stored, and with --prometheus of the
changes of the last days.

Exit code 0 is done, 1 is findings that --fail-on names, 2 is wrong usage or input.`,
		Example: `  bulkhead audit --context production
  bulkhead audit --context production -n shop --guardrail dns-cut
  bulkhead audit -f cluster/ -o html --output-file audit.html
  bulkhead audit --context production -o openreports | kubectl apply -f -
  bulkhead audit --context production --if-denied dns-cut --prometheus http://localhost:9090 --days 14`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.daysGiven = cmd.Flags().Changed("days")
			return auditOnce(cmd, &o)
		},
	}
	o.input.addFlags(cmd, "manifest file or folder of the whole cluster, or - for standard input; may be repeated")
	o.output.addFlags(cmd, auditFormats())
	f := cmd.Flags()
	f.Lookup("namespace").Usage = "audit this namespace alone; objects in manifests that name none are in it"
	f.StringVar(&o.config, "config", "", "BulkheadConfig file (default: every guardrail's own action and parameters)")
	f.StringVar(&o.guardrail, "guardrail", "", "audit by this guardrail alone")
	f.StringVar(&o.ifDenied, "if-denied", "", "say what this guardrail would refuse if its action were Deny")
	f.StringVar(&o.prometheus, "prometheus", "", "with --if-denied: URL of the Prometheus that scrapes Bulkhead, to ask about past changes")
	f.IntVar(&o.days, "days", defaultDays, "with --prometheus: how many days to look back")
	f.StringVar(&o.failOn, "fail-on", "never", "least severe finding that makes the exit code 1: "+orList(failOnLevels()))
	complete(cmd, "fail-on", failOnLevels())
	complete(cmd, "guardrail", slugs(guardrails.All()))
	complete(cmd, "if-denied", slugs(guardrails.All()))
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newAuditServe())
	return cmd
}

// The days that --days looks back.
const defaultDays, maxDays = 7, 365

func (o *auditOptions) check() error {
	if err := o.output.check(auditFormats()); err != nil {
		return err
	}
	for _, slug := range []string{o.guardrail, o.ifDenied} {
		if slug != "" {
			if _, err := findGuardrail(guardrails.All(), slug); err != nil {
				return err
			}
		}
	}
	switch {
	case o.guardrail != "" && o.ifDenied != "":
		return errors.New("--if-denied judges by its guardrail alone; leave out --guardrail")
	case o.prometheus != "" && o.ifDenied == "":
		return errors.New("--prometheus is asked what a guardrail would have refused; name it with --if-denied")
	case o.daysGiven && o.prometheus == "":
		return errors.New("--days is for --prometheus, which knows past changes; give its URL")
	case o.days < 1 || o.days > maxDays:
		return fmt.Errorf("--days %d: use 1 to %d", o.days, maxDays)
	case o.ifDenied != "" && o.output.format != "table" && o.output.format != "json":
		return fmt.Errorf("--if-denied is written as a table or json, not as %s", o.output.format)
	}
	_, err := failAction(o.failOn)
	return err
}

// auditOnce audits, writes and gives the verdict. Exit code 1 is for findings alone.
func auditOnce(cmd *cobra.Command, o *auditOptions) error {
	if err := o.check(); err != nil {
		return usageError{err}
	}
	if o.ifDenied != "" {
		return ifDenied(cmd, o)
	}
	r, cfg, err := o.audit(cmd, nil)
	if err == nil {
		err = o.write(cmd, r, cfg)
	}
	if err != nil {
		return usageError{err}
	}
	if err := interrupted(cmd.Context()); err != nil {
		return usageError{err}
	}
	return o.verdict(r)
}

// audit reads the config and the cluster and scans it; change makes of the config what is judged by.
func (o *auditOptions) audit(cmd *cobra.Command, change func(*config.Config) (*config.Config, error)) (*audit.Report, *config.Config, error) {
	cfg, err := readJudging(o.config)
	if err == nil && change != nil {
		cfg, err = change(cfg)
	}
	if err != nil {
		return nil, nil, err
	}
	scan := &audit.Options{Config: cfg, Guardrails: guardrails.All()}
	if only := o.guardrail + o.ifDenied; only != "" { // one of them, as check says
		g, err := findGuardrail(guardrails.All(), only)
		if err != nil {
			return nil, nil, err
		}
		if cfg.Settings(only).Action == config.Off {
			return nil, nil, fmt.Errorf("--guardrail %s: its action is Off in the config, so it finds nothing", only)
		}
		scan.Guardrails = []policy.Guardrail{*g}
	}
	ctx, cancel := o.output.deadline(cmd.Context())
	defer cancel()
	r, err := o.scan(ctx, cmd, scan)
	if err != nil {
		return nil, nil, orTimeout(ctx, err)
	}
	o.whole = ctx.Err() == nil
	return r, cfg, nil
}

// verdict is the exit code.
func (o *auditOptions) verdict(r *audit.Report) error {
	failOn, err := failAction(o.failOn)
	if err != nil || failOn == config.Off {
		return err
	}
	n := r.Count(func(f *audit.Finding) bool { return f.Action.Rank() >= failOn.Rank() })
	switch {
	case n > 0:
		return fmt.Errorf("%s the audit (--fail-on %s)", plural(n, "finding fails", "findings fail"), o.failOn)
	case !o.whole:
		return usageError{errors.New("not everything was judged in time, so nobody knows whether the audit fails; raise --timeout")}
	}
	return nil
}

// scan reads the cluster and audits it.
func (o *auditOptions) scan(ctx context.Context, cmd *cobra.Command, scan *audit.Options) (*audit.Report, error) {
	show := newProgress(cmd.ErrOrStderr())
	defer show.clear()
	s, partial, err := o.read(ctx, cmd, scan, show)
	if err != nil {
		return nil, err
	}
	if o.input.namespace != "" {
		if scan.Only, err = onlyNamespace(s, o.input.namespace); err != nil {
			return nil, err
		}
	}
	scan.Progress = func(done, total int) { show.step("judging", done, total) }
	r := audit.Scan(ctx, s, scan)
	r.Partial = union(partial, r.Partial)
	return r, nil
}
