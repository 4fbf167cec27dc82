package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fatih/color"
	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
	"github.com/bulkhead-dev/bulkhead/policy/lint/render"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// lintFormats lists the formats of a lint's report, the default first.
func lintFormats() []string { return []string{"text", "json", "sarif", "github", "junit"} }

// failOnLevels lists what --fail-on takes, the default first.
func failOnLevels() []string { return []string{"deny", "warn", "never"} }

// lintOptions are the flags of "bulkhead lint".
type lintOptions struct {
	input                             inputOptions
	output                            outputOptions
	against, config, failOn, baseline string
	prune, writeBaseline              bool
}

func newLint() *cobra.Command {
	var o lintOptions
	cmd := &cobra.Command{
		Use:   "lint -f PATH... [--against PATH | --context CONTEXT]",
		Short: "Judge manifests before they are applied",
		Long: `lint judges manifests by Bulkhead's guardrails, as if they were applied one after the other, in the order that hurts least.
Alone, with --against onto the cluster that other manifests describe, or with --context onto a live one, which it only
lists. Pod templates count as running. Exit code 0 is clean, 1 is findings, 2 is wrong usage or input.`,
		Example: `  bulkhead lint -f deploy/
  helm template shop ./chart | bulkhead lint -f - --fail-on warn
  bulkhead lint -f new/ --against old/ --prune -o sarif --output-file bulkhead.sarif
  bulkhead lint -f deploy/ --context production --config bulkhead.yaml
  bulkhead lint -f deploy/ --baseline .bulkhead-baseline.json --write-baseline`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("%q is no flag; name manifests with -f %s", args[0], args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := runLint(cmd, &o)
			if err != nil {
				return usageError{err} // exit code 1 is for findings alone
			}
			return o.verdict(r)
		},
	}
	o.input.addFlags(cmd, "manifest file or folder, or - for standard input; may be repeated")
	o.output.addFlags(cmd, lintFormats())
	f := cmd.Flags()
	f.StringVar(&o.against, "against", "", "manifest file or folder of the cluster onto which the manifests are applied")
	f.BoolVar(&o.prune, "prune", false, "with --against: what is there and not in the manifests is deleted")
	f.StringVar(&o.config, "config", "", "BulkheadConfig file (default: every guardrail's own action and parameters)")
	f.StringVar(&o.failOn, "fail-on", failOnLevels()[0], "least severe finding that makes the exit code 1: "+orList(failOnLevels()))
	f.StringVar(&o.baseline, "baseline", "", "file of findings that are accepted and not reported")
	f.BoolVar(&o.writeBaseline, "write-baseline", false, "write all that is found now to the --baseline file, and report nothing")
	complete(cmd, "fail-on", failOnLevels())
	return cmd
}

func (o *lintOptions) check() error {
	if err := o.output.check(lintFormats()); err != nil {
		return err
	}
	switch {
	case len(o.input.paths) == 0:
		return errors.New("nothing to judge; name manifests with -f")
	case o.against != "" && o.input.live():
		return errors.New("--against and --context name two clusters; use one of them")
	case o.against == stdinPath && o.stdin():
		return errors.New("-f - and --against - both read standard input, which can be read once")
	case o.prune && o.against == "":
		return errors.New("--prune deletes what --against has and -f has not; give --against")
	case o.writeBaseline && o.baseline == "":
		return errors.New("--write-baseline needs the file; name it with --baseline")
	}
	_, err := failAction(o.failOn)
	return err
}

func (o *lintOptions) stdin() bool {
	for _, p := range o.input.paths {
		if p == stdinPath {
			return true
		}
	}
	return false
}

// failAction gives the least strict action that fails a lint or an audit; Off where none does.
func failAction(failOn string) (config.Action, error) {
	switch failOn {
	case "deny":
		return config.Deny, nil
	case "warn":
		return config.Warn, nil
	case "never":
		return config.Off, nil
	}
	return "", fmt.Errorf("--fail-on %q: use %s", failOn, orList(failOnLevels()))
}

func runLint(cmd *cobra.Command, o *lintOptions) (*lint.Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ctx, cancel := o.output.deadline(cmd.Context())
	defer cancel()
	show := newProgress(cmd.ErrOrStderr())
	in, partial, err := o.read(ctx, cmd, show)
	if err != nil {
		return nil, orTimeout(ctx, err)
	}
	in.Progress = func(done, total int) { show.step("judging", done, total) }
	r := lint.Run(ctx, in)
	show.clear()
	r.Partial = union(partial, r.Partial)
	if err := interrupted(cmd.Context()); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s; raise --timeout", strings.Join(r.Partial, "; "))
	}
	if o.writeBaseline {
		return &lint.Report{}, o.accept(cmd, r)
	}
	return r, o.write(cmd, r, in)
}

// accept writes all findings to the baseline file.
func (o *lintOptions) accept(cmd *cobra.Command, r *lint.Report) error {
	err := writeFile(o.baseline, func(w io.Writer) error {
		_, err := w.Write(lint.Baseline(r.All))
		return err
	})
	if err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s accepted in %s\n", plural(len(r.All), "finding", "findings"), o.baseline)
	}
	return err
}

// read gives what is judged; partial says what it lacks.
func (o *lintOptions) read(ctx context.Context, cmd *cobra.Command, p *progress) (in *lint.Input, partial []string, err error) {
	in = &lint.Input{Guardrails: guardrails.All(), Prune: o.prune, Alone: o.against == "" && !o.input.live(), Live: o.input.live()}
	if in.Config, err = readJudging(o.config); err != nil {
		return nil, nil, err
	}
	if o.baseline != "" && !o.writeBaseline {
		data, err := os.ReadFile(o.baseline)
		if err == nil {
			in.Accepted, err = lint.ParseBaseline(data)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("--baseline %s: %w", o.baseline, err)
		}
	}
	namespace := o.input.namespace
	if o.input.live() {
		namespace = o.input.defaultNamespace()
	}
	change, err := o.readManifests(cmd, p, namespace, o.input.paths)
	if err != nil {
		return nil, nil, err
	}
	change.reportSkipped(cmd.ErrOrStderr(), "")
	base := &world{}
	switch {
	case o.input.live():
		o.input.needs = policy.Needs(in.Guardrails, in.Config)
		base, err = o.input.readLive(ctx, cmd.ErrOrStderr(), p)
	case o.against != "":
		base, err = o.readManifests(cmd, p, namespace, []string{o.against})
	}
	if err != nil {
		return nil, nil, err
	}
	in.Objects, in.Groups, in.Base = change.objects, change.groups, base.objects
	return in, union(base.partial, change.partial), nil
}

func (o *lintOptions) readManifests(cmd *cobra.Command, p *progress, namespace string, paths []string) (*world, error) {
	return readInto(cmd, p, &manifest.Reader{DefaultNamespace: namespace, KeepText: true}, paths)
}

// readJudging reads the config of a lint or an audit; without a path it is the default one. A webhook that was just installed only
// warns; that is no reason to hide what would be denied once it enforces, so maximumAction bounds them only where the file sets it.
func readJudging(path string) (*config.Config, error) {
	specs := policy.Specs(guardrails.All())
	if path == "" {
		return config.Default(specs).WithMaximumAction(config.Deny)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	cfg, err := config.Parse(data, specs)
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w", path, err)
	}
	var file struct {
		MaximumAction *config.Action `json:"maximumAction"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("--config %s: %w", path, err)
	}
	if file.MaximumAction == nil {
		return cfg.WithMaximumAction(config.Deny)
	}
	return cfg, nil
}

func (o *lintOptions) write(cmd *cobra.Command, r *lint.Report, in *lint.Input) error {
	failOn, err := failAction(o.failOn)
	if err != nil {
		return err
	}
	options := render.Options{
		Guardrails: in.Guardrails, DocsURL: in.Config.DocsURL, Version: webhook.Version(), FailOn: failOn,
	}
	formats := map[string]func(io.Writer, *lint.Report, render.Options) error{
		"text": render.Text, "json": render.JSON, "sarif": render.SARIF, "github": render.GitHub, "junit": render.JUnit,
	}
	if p := (painter{o.output.colored(cmd)}); p.enabled {
		options.Paint = func(text string, s render.Style) string { return p.paint(text, lintColor(s)) }
	}
	if o.output.format != "text" {
		reportPartial(cmd.ErrOrStderr(), r.Partial)
	}
	return o.output.write(cmd, func(w io.Writer) error { return formats[o.output.format](w, r, options) })
}

func lintColor(s render.Style) color.Attribute {
	switch s {
	case render.Error:
		return color.FgRed
	case render.Warning:
		return color.FgYellow
	case render.Gutter:
		return color.FgBlue
	case render.Remedy:
		return color.FgGreen
	}
	return color.Bold
}

// verdict is the exit code.
func (o *lintOptions) verdict(r *lint.Report) error {
	failOn, err := failAction(o.failOn)
	if err != nil || failOn == config.Off {
		return err
	}
	n := r.Count(config.Deny)
	if failOn == config.Warn {
		n += r.Count(config.Warn)
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%s the lint (--fail-on %s)", plural(n, "finding fails", "findings fail"), o.failOn)
}
