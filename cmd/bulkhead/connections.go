package main

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity/render"
)

// resultFormats are the formats of a graph and of a difference.
func resultFormats() []string { return []string{"table", "json", "csv", "dot", "mermaid", "html"} }

// connectionsOptions are the flags of "bulkhead connections".
type connectionsOptions struct {
	input  inputOptions
	output outputOptions
	focus  []string
	port   string
}

func newConnections() *cobra.Command {
	var o connectionsOptions
	cmd := &cobra.Command{
		Use:   "connections (-f PATH... | --context CONTEXT)",
		Short: "Show who can reach whom",
		Long: `connections works out every connection that NetworkPolicies, and the policy tiers above and below them, allow: between
workloads, and to and from addresses outside the cluster. It reads manifests or a live cluster, and changes nothing.`,
		Example: `  bulkhead connections -f manifests/
  helm template shop ./chart | bulkhead connections -f - --focus shop/api
  bulkhead connections --context production -o html --output-file reach.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return connections(cmd, &o) },
	}
	o.input.addFlags(cmd, "manifest file or folder, or - for standard input; may be repeated")
	o.output.addFlags(cmd, resultFormats())
	cmd.Flags().StringArrayVar(&o.focus, "focus", nil,
		"only what this workload (namespace/name) or namespace is an end of; may be repeated")
	cmd.Flags().StringVar(&o.port, "port", "", "only this port, such as 8080 or 53/UDP")
	return cmd
}

func connections(cmd *cobra.Command, o *connectionsOptions) error {
	if err := o.output.check(resultFormats()); err != nil {
		return err
	}
	ports, err := parsePorts(o.port)
	if err != nil {
		return err
	}
	ctx, cancel := o.output.deadline(cmd.Context())
	defer cancel()
	show := newProgress(cmd.ErrOrStderr())
	w, err := o.input.read(ctx, cmd, show)
	if err != nil {
		return orTimeout(ctx, err)
	}
	options := connectivity.Options{}
	if o.output.file != "" || !isTerminal(cmd.OutOrStdout()) { // on a screen the lines that come are progress enough
		options.Progress = func(done, total int) { show.step("working out connections", done, total) }
	}
	g := connectivity.Connections(ctx, w.snapshot(), options)
	focused, err := focus(g.Nodes, o.focus)
	if err != nil {
		return err
	}
	g = filter(g, focused, ports, w.partial)
	if err := o.output.write(cmd, func(out io.Writer) error { return renderGraph(out, o.output.format, g) }); err != nil {
		return err
	}
	show.clear()
	if o.output.format != "table" { // which ends with the same words
		reportPartial(cmd.ErrOrStderr(), g.Partial)
	}
	return interrupted(cmd.Context())
}

// interrupted tells a result that a signal cut short from one that is whole.
func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return errors.New("interrupted; the result is incomplete")
	}
	return nil
}

// orTimeout says that --timeout was too short for reading, where that is why.
func orTimeout(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

func renderGraph(w io.Writer, format string, g *connectivity.Graph) error {
	switch format {
	case "json":
		return render.JSON(w, g)
	case "csv":
		return render.CSV(w, g)
	case "dot":
		return render.DOT(w, g)
	case "mermaid":
		return render.Mermaid(w, g)
	case "html":
		return render.HTML(w, g, render.Options{})
	}
	return render.Table(w, g)
}

// filter keeps the edges that the focused nodes are an end of and that hold one of the ports; a nil set keeps all, and no
// ports are all ports. partial is what was missing before the graph was made.
func filter(
	g *connectivity.Graph, focused map[*connectivity.Node]bool, ports connectivity.Ports, partial []string,
) *connectivity.Graph {
	out := &connectivity.Graph{Nodes: g.Nodes, Partial: partial}
	out.Edges = func(yield func(connectivity.Edge) bool) {
		out.Partial = partial
		for e := range g.Edges {
			if focused != nil && !focused[e.From.Node] && !focused[e.To.Node] {
				continue
			}
			if !ports.Empty() {
				e.Ports = e.Ports.Intersect(ports)
			}
			if !e.Ports.Empty() && !yield(e) {
				return
			}
		}
		out.Partial = slices.Concat(partial, g.Partial)
	}
	if focused != nil {
		out.Nodes = touched(out, focused)
	}
	return out
}

// touched lists the nodes that are focused or joined to one that is. A focused graph is small enough to hold.
func touched(g *connectivity.Graph, focused map[*connectivity.Node]bool) []*connectivity.Node {
	edges := slices.Collect(g.Edges)
	g.Edges = func(yield func(connectivity.Edge) bool) {
		for _, e := range edges {
			if !yield(e) {
				return
			}
		}
	}
	keep := map[*connectivity.Node]bool{}
	for _, e := range edges {
		keep[e.From.Node], keep[e.To.Node] = true, true
	}
	return slices.DeleteFunc(slices.Clone(g.Nodes), func(n *connectivity.Node) bool { return !keep[n] && !focused[n] })
}
