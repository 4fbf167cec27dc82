package render

import (
	"encoding/csv"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// CSV writes one row for each run of ports of each edge, below a header. "all" as protocol, with no ports, is every port
// of every protocol; end_port equals port for a single one. A cell that a spreadsheet would take for a formula begins
// with an apostrophe. CSV has no place for Graph.Partial: whoever calls has to say it elsewhere.
func CSV(w io.Writer, g *connectivity.Graph) error {
	c := csv.NewWriter(w)
	if err := c.Write(header()); err != nil {
		return err
	}
	if err := writeEdges(c, nil, g.Edges); err != nil {
		return err
	}
	c.Flush()
	return c.Error()
}

// DiffCSV writes the rows of CSV after a column "change": cut or opened. Workloads that came or went are rows with
// "added" or "removed" and nothing but the "from" columns. What CSV says of Partial holds here too.
func DiffCSV(w io.Writer, d *connectivity.Difference) error {
	c := csv.NewWriter(w)
	if err := c.Write(append([]string{"change"}, header()...)); err != nil {
		return err
	}
	if err := writeEdges(c, []string{"cut"}, slices.Values(d.Cut)); err != nil {
		return err
	}
	if err := writeEdges(c, []string{"opened"}, slices.Values(d.Opened)); err != nil {
		return err
	}
	if err := writeNodes(c, "removed", d.Removed); err != nil {
		return err
	}
	if err := writeNodes(c, "added", d.Added); err != nil {
		return err
	}
	c.Flush()
	return c.Error()
}

func header() []string {
	return []string{
		"from_namespace", "from_kind", "from_name", "from_cidr", "to_namespace", "to_kind", "to_name", "to_cidr",
		"protocol", "port", "end_port",
	}
}

// writeEdges writes the rows of the edges, each behind the cells of first.
func writeEdges(c *csv.Writer, first []string, edges iter.Seq[connectivity.Edge]) error {
	for e := range edges {
		row := append(append(slices.Clone(first), cells(e.From)...), cells(e.To)...)
		if e.Ports.All() {
			if err := c.Write(append(row, "all", "", "")); err != nil {
				return err
			}
			continue
		}
		for _, r := range e.Ports.Ranges() {
			ports := []string{string(r.Protocol), strconv.Itoa(int(r.First)), strconv.Itoa(int(r.Last))}
			if err := c.Write(append(slices.Clip(row), ports...)); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeNodes(c *csv.Writer, change string, nodes []*connectivity.Node) error {
	for _, n := range nodes {
		row := append([]string{change}, cells(connectivity.Endpoint{Node: n})...)
		if err := c.Write(append(row, "", "", "", "", "", "", "")); err != nil {
			return err
		}
	}
	return nil
}

// cells are an endpoint's namespace, kind, name and address range.
func cells(e connectivity.Endpoint) []string {
	if e.Node == nil {
		return []string{"", "", "", e.Range.String()}
	}
	return []string{cell(e.Node.Namespace), cell(e.Node.Kind), cell(e.Node.Name), ""}
}

// cell keeps a spreadsheet from taking a name for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
