package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity/render"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
)

// diffOptions are the flags of "bulkhead diff".
type diffOptions struct {
	input            inputOptions
	output           outputOptions
	delete, exitCode bool
}

func newDiff() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff (-f OLD -f NEW | -f CHANGE --context CONTEXT)",
		Short: "Show which connections a change cuts and opens",
		Long: `diff compares two clusters by who can reach whom in them. With two -f each is a cluster in manifests, the first before the
change and the second after it. With one -f and a live cluster, the manifests are laid over what runs there, as
"kubectl apply" would, or taken away from it with --delete. Nothing is changed.`,
		Example: `  bulkhead diff -f old/ -f new/ --exit-code
  bulkhead diff -f default-deny.yaml --context production
  bulkhead diff -f allow-dns.yaml --delete --context production -o html --output-file effect.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return diff(cmd, &o) },
	}
	o.input.addFlags(cmd, "manifest file or folder, or - for standard input: the cluster before, then after, or the change of a live one")
	o.output.addFlags(cmd, resultFormats())
	cmd.Flags().BoolVar(&o.delete, "delete", false, "show what deleting the objects of the manifests from the live cluster does")
	cmd.Flags().BoolVar(&o.exitCode, "exit-code", false, "exit with 1 where a connection is cut or opened")
	return cmd
}

func diff(cmd *cobra.Command, o *diffOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	ctx, cancel := o.output.deadline(cmd.Context())
	defer cancel()
	show := newProgress(cmd.ErrOrStderr())
	before, after, err := o.read(ctx, cmd, show)
	if err != nil {
		return orTimeout(ctx, err)
	}
	was, is := before.snapshot(), after.snapshot()
	options := connectivity.Options{Progress: func(done, total int) { show.step("comparing connections", done, total) }}
	d := connectivity.Compare(ctx, was, is, options)
	show.clear()
	unfinished := len(d.Partial) > 0
	d.Partial = slices.Concat(union(before.partial, after.partial), d.Partial)
	if err := o.output.write(cmd, func(out io.Writer) error { return o.render(ctx, cmd, out, d, is) }); err != nil {
		return err
	}
	if o.output.format != "table" { // which ends with the same words
		reportPartial(cmd.ErrOrStderr(), d.Partial)
	}
	if err := interrupted(cmd.Context()); err != nil {
		return err
	}
	return o.verdict(d, unfinished)
}

func (o *diffOptions) check() error {
	if err := o.output.check(resultFormats()); err != nil {
		return err
	}
	switch n := len(o.input.paths); {
	case o.input.live() && n != 1:
		return usageError{fmt.Errorf("-f is given %s; with a live cluster it names the change, once", plural(n, "time", "times"))}
	case !o.input.live() && n != 2:
		return usageError{fmt.Errorf("-f is given %s; give it twice, for the cluster before and after, or once with --context",
			plural(n, "time", "times"))}
	case n == 2 && o.input.paths[0] == stdinPath && o.input.paths[1] == stdinPath:
		return usageError{errors.New("-f - is given twice; standard input can be read once")}
	case o.delete && !o.input.live():
		return usageError{errors.New("--delete takes objects from a live cluster; name it with --context")}
	}
	return nil
}

// read gives the cluster before the change and after it.
func (o *diffOptions) read(ctx context.Context, cmd *cobra.Command, p *progress) (before, after *world, err error) {
	stderr := cmd.ErrOrStderr()
	if !o.input.live() {
		if before, err = readFiles(cmd, p, o.input.namespace, o.input.paths[:1]); err != nil {
			return nil, nil, err
		}
		if after, err = readFiles(cmd, p, o.input.namespace, o.input.paths[1:]); err != nil {
			return nil, nil, err
		}
		before.reportSkipped(stderr, pathText(o.input.paths[0])+": ")
		after.reportSkipped(stderr, pathText(o.input.paths[1])+": ")
		return before, after, nil
	}
	change, err := readFiles(cmd, p, o.input.defaultNamespace(), o.input.paths)
	if err != nil {
		return nil, nil, err
	}
	change.reportSkipped(stderr, "")
	if before, err = o.input.readLive(ctx, stderr, p); err != nil {
		return nil, nil, err
	}
	after, err = change.over(before, o.delete)
	return before, after, err
}

// over lays the change over the cluster, or takes its objects away.
func (w *world) over(base *world, remove bool) (*world, error) {
	after := &world{partial: slices.Concat(base.partial, w.partial)}
	if !remove {
		after.objects = manifest.Apply(base.objects, w.objects)
		return after, nil
	}
	left, missing := manifest.Delete(base.objects, w.objects)
	var problems []error
	for i := range missing {
		problems = append(problems, fmt.Errorf("%s: the cluster has no %s to delete", missing[i].Source, &missing[i]))
	}
	if len(problems) > 0 {
		return nil, usageError{errors.Join(problems...)}
	}
	after.objects = left
	return after, nil
}

func (o *diffOptions) render(
	ctx context.Context, cmd *cobra.Command, w io.Writer, d *connectivity.Difference, after *cluster.Snapshot,
) error {
	switch o.output.format {
	case "json":
		return render.DiffJSON(w, d)
	case "csv":
		return render.DiffCSV(w, d)
	case "dot":
		return render.DiffDOT(w, d)
	case "mermaid":
		return render.DiffMermaid(w, d)
	case "html":
		return render.DiffHTML(w, d, connectivity.Connections(ctx, after, connectivity.Options{}), render.Options{})
	}
	marks := map[string]color.Attribute{"- ": color.FgRed, "+ ": color.FgGreen}
	return render.DiffTable(painter{o.output.colored(cmd)}.lines(w, marks), d)
}

// verdict is the exit code that --exit-code asks for. A comparison that was cut short cannot say that nothing changed.
func (o *diffOptions) verdict(d *connectivity.Difference, unfinished bool) error {
	switch {
	case !o.exitCode:
		return nil
	case len(d.Cut)+len(d.Opened) > 0:
		return errors.New("connections change")
	case unfinished:
		return errors.New("the comparison is incomplete, so what it did not reach may have changed; raise --timeout")
	}
	return nil
}

// union lists what either has, each once, in order.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
