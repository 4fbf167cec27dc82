package main

import (
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"

	"github.com/spf13/cobra"
	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// maxPieces bounds into how many pieces a range of addresses is cut to be explained.
const maxPieces = 256

// explainOptions are the flags of "bulkhead explain-connection".
type explainOptions struct {
	input          inputOptions
	output         outputOptions
	from, to, port string
}

func explainFormats() []string { return []string{"text", "json"} }

func newExplainConnection() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain-connection --from END --to END [--port PORT] (-f PATH... | --context CONTEXT)",
		Short: "Say why one end can or cannot reach another",
		Long: `explain-connection says whether one end may open a connection to another, and which policies and rules decide that. An end
is a workload (namespace/name, or namespace/kind/name where a name is taken twice), a CIDR or an address outside the
cluster. Addresses that policies treat differently are answered part by part.`,
		Example: `  bulkhead explain-connection --from shop/web --to shop/api --port 8080 -f manifests/
  bulkhead explain-connection --from shop/web --to 169.254.169.254 --context production`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return explainConnection(cmd, &o) },
	}
	o.input.addFlags(cmd, "manifest file or folder, or - for standard input; may be repeated")
	o.output.addFlags(cmd, explainFormats())
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "the end that opens the connection: namespace/name, CIDR or address")
	f.StringVar(&o.to, "to", "", "the end that it is opened to: namespace/name, CIDR or address")
	f.StringVar(&o.port, "port", "", "destination port, such as 8080 (TCP) or 53/UDP (default all ports)")
	return cmd
}

func explainConnection(cmd *cobra.Command, o *explainOptions) error {
	port, err := o.check()
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
	s := w.snapshot()
	q := &question{snapshot: s, nodes: connectivity.Nodes(s), port: port, partial: w.partial}
	if q.from, err = q.end("--from", o.from); err != nil {
		return err
	}
	if q.to, err = q.end("--to", o.to); err != nil {
		return err
	}
	if q.from.node == nil && q.to.node == nil {
		return usageError{fmt.Errorf("--from %s and --to %s are both outside the cluster; policies say nothing about them", o.from, o.to)}
	}
	parts, err := q.answer()
	if err != nil {
		return err
	}
	return o.output.write(cmd, func(out io.Writer) error {
		if o.output.format == "json" {
			return q.writeJSON(out, parts)
		}
		return q.writeText(out, painter{o.output.colored(cmd)}, parts)
	})
}

// check refuses wrong flags before anything is read; port is nil where all ports are asked about.
func (o *explainOptions) check() (port *netpol.Port, err error) {
	if err := o.output.check(explainFormats()); err != nil {
		return nil, err
	}
	if o.from == "" || o.to == "" {
		return nil, usageError{fmt.Errorf("name both ends with --from and --to: namespace/name, a CIDR or an address")}
	}
	if o.port == "" {
		return nil, nil
	}
	p, err := parsePort(o.port)
	if p.Protocol == "" {
		p.Protocol = corev1.ProtocolTCP
	}
	return &p, err
}

// question is what is asked of a cluster.
type question struct {
	snapshot *cluster.Snapshot
	nodes    []*connectivity.Node
	from, to end
	port     *netpol.Port
	partial  []string
}

// end is one end of a connection as it was asked for.
type end struct {
	node      *connectivity.Node // nil for addresses
	addresses connectivity.Range
	text      string
}

func (q *question) end(flag, name string) (end, error) {
	if r, ok := parseRange(name); ok {
		return end{addresses: r, text: rangeText(r)}, nil
	}
	n, err := oneNode(q.nodes, flag, name)
	if err != nil {
		return end{}, err
	}
	text := n.String()
	if len(matching(q.nodes, text)) > 1 {
		text = fullName(n)
	}
	return end{node: n, text: text}, nil
}

// part is the answer for a part of the ends: one kind of pods of a workload, addresses that policies treat alike.
type part struct {
	from, to string
	*connectivity.Explanation
}

// answer explains every pair of parts that the ends have. Neighbouring addresses with the same answer are one part.
func (q *question) answer() ([]part, error) {
	from, err := q.parts(q.from, q.to)
	if err != nil {
		return nil, err
	}
	to, err := q.parts(q.to, q.from)
	if err != nil {
		return nil, err
	}
	var out []part
	for _, f := range from {
		for _, t := range to {
			e := connectivity.Explain(q.snapshot, f, t, q.port)
			if n := len(out); n > 0 && joinable(out[n-1].Explanation, e) {
				out[n-1].From.Range.Last, out[n-1].To.Range.Last = e.From.Range.Last, e.To.Range.Last
				continue
			}
			out = append(out, part{Explanation: e})
		}
	}
	for i := range out {
		out[i].from, out[i].to = partText(q.from, out[i].From), partText(q.to, out[i].To)
	}
	return out, nil
}

// joinable reports whether b is about the addresses after a's and has the same answer.
func joinable(a, b *connectivity.Explanation) bool {
	return a.From.Node == b.From.Node && a.To.Node == b.To.Node && a.Allowed.Equal(b.Allowed) && reflect.DeepEqual(a.Sides, b.Sides)
}

// partText names a part of an end, with the labels that tell the kinds of pods apart where a workload has several.
func partText(of end, e connectivity.Endpoint) string {
	if e.Node == nil {
		return rangeText(e.Range)
	}
	if len(of.node.Workloads) < 2 {
		return of.text
	}
	return fmt.Sprintf("%s (%s)", of.text, e.Node.Workloads[0].Labels)
}

// parts cuts an end where policies can tell its parts apart.
func (q *question) parts(of, other end) ([]connectivity.Endpoint, error) {
	var out []connectivity.Endpoint
	if of.node != nil {
		for _, n := range of.node.Split() {
			out = append(out, connectivity.Endpoint{Node: n})
		}
		return out, nil
	}
	if other.node == nil { // refused later, with both ends named
		return nil, nil
	}
	pieces := cut(of.addresses, q.blocks(other.node.Namespace))
	if len(pieces) > maxPieces {
		return nil, usageError{fmt.Errorf("policies cut %s into %d parts, more than %d; ask about fewer addresses",
			of.text, len(pieces), maxPieces)}
	}
	for _, r := range pieces {
		out = append(out, connectivity.Endpoint{Range: r})
	}
	return out, nil
}

// blocks lists the address ranges that policies which can apply to the namespace's pods name.
func (q *question) blocks(namespace string) []netip.Prefix {
	var out []netip.Prefix
	add := func(peers []netpol.Peer) {
		for _, p := range peers {
			if p.Block != nil {
				out = append(append(out, p.Block.CIDR), p.Block.Except...)
			}
		}
	}
	for _, p := range q.snapshot.Policies(namespace) {
		for _, rules := range p.Rules {
			for _, r := range rules {
				add(r.Peers)
			}
		}
	}
	if tiers := q.snapshot.Tiers(); tiers != nil {
		for _, p := range slices.Concat(tiers.Policies[:]...) {
			for _, rules := range p.Rules {
				for _, r := range rules {
					add(r.Peers)
				}
			}
		}
	}
	return out
}

// cut divides r where one of the blocks begins or ends within it.
func cut(r connectivity.Range, blocks []netip.Prefix) []connectivity.Range {
	starts := []netip.Addr{r.First}
	for _, b := range blocks {
		whole := netipx.RangeOfPrefix(b)
		for _, a := range []netip.Addr{whole.From(), whole.To().Next()} {
			if a.IsValid() && a.Is4() == r.First.Is4() && r.First.Less(a) && !r.Last.Less(a) {
				starts = append(starts, a)
			}
		}
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	out := make([]connectivity.Range, 0, len(starts))
	for i, first := range starts {
		last := r.Last
		if i+1 < len(starts) {
			last = starts[i+1].Prev()
		}
		out = append(out, connectivity.Range{First: first, Last: last})
	}
	return out
}
