package render

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// The shapes of the JSON. Field names follow the NetworkPolicy API where it has the thing.
type (
	jsonEdge struct {
		From  jsonEndpoint `json:"from"`
		To    jsonEndpoint `json:"to"`
		Ports any          `json:"ports"` // "all" or []jsonPort
	}
	jsonEndpoint struct {
		Namespace string `json:"namespace,omitempty"`
		Kind      string `json:"kind,omitempty"`
		Name      string `json:"name,omitempty"`
		CIDR      string `json:"cidr,omitempty"`
	}
	jsonPort struct {
		Protocol corev1.Protocol `json:"protocol"`
		Port     uint16          `json:"port"`
		EndPort  uint16          `json:"endPort,omitempty"`
	}
)

// JSON writes {"connections":[…]} with one edge a line, and "partial" with what is missing where something is. An
// endpoint is a workload or, as "cidr", the first and last address of a range; "ports" is "all" where it is every port
// of every protocol, and "endPort" is left out where it equals "port".
func JSON(w io.Writer, g *connectivity.Graph) error {
	return buffered(w, func(b *bufio.Writer) error {
		if err := writeArray(b, `{"connections":`, edgesJSON(g.Edges)); err != nil {
			return err
		}
		return endJSON(b, g.Partial)
	})
}

// DiffJSON writes {"cut":[…],"opened":[…],"unchanged":N,"added":[…],"removed":[…]} with edges as JSON has them, and
// "partial" with what is missing where something is.
func DiffJSON(w io.Writer, d *connectivity.Difference) error {
	return buffered(w, func(b *bufio.Writer) error {
		if err := writeArray(b, `{"cut":`, edgesJSON(slices.Values(d.Cut))); err != nil {
			return err
		}
		if err := writeArray(b, ",\n\"opened\":", edgesJSON(slices.Values(d.Opened))); err != nil {
			return err
		}
		if err := writeArray(b, fmt.Sprintf(",\n\"unchanged\":%d,\n\"added\":", d.Unchanged), nodesJSON(d.Added)); err != nil {
			return err
		}
		if err := writeArray(b, ",\n\"removed\":", nodesJSON(d.Removed)); err != nil {
			return err
		}
		return endJSON(b, d.Partial)
	})
}

// writeArray writes prefix and an array with one item a line.
func writeArray[T any](b *bufio.Writer, prefix string, items iter.Seq[T]) error {
	fmt.Fprint(b, prefix, "[")
	separator := "\n"
	for item := range items {
		line, err := json.Marshal(item)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(b, "%s%s", separator, line); err != nil {
			return err
		}
		separator = ",\n"
	}
	if separator != "\n" {
		fmt.Fprintln(b)
	}
	_, err := fmt.Fprint(b, "]")
	return err
}

func endJSON(b *bufio.Writer, reasons []string) error {
	if len(reasons) > 0 {
		if err := writeArray(b, ",\n\"partial\":", slices.Values(reasons)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(b, "}")
	return err
}

func edgesJSON(edges iter.Seq[connectivity.Edge]) iter.Seq[jsonEdge] {
	return func(yield func(jsonEdge) bool) {
		for e := range edges {
			if !yield(jsonEdge{endpointJSON(e.From), endpointJSON(e.To), portsJSON(e.Ports)}) {
				return
			}
		}
	}
}

func nodesJSON(nodes []*connectivity.Node) iter.Seq[jsonEndpoint] {
	return func(yield func(jsonEndpoint) bool) {
		for _, n := range nodes {
			if !yield(endpointJSON(connectivity.Endpoint{Node: n})) {
				return
			}
		}
	}
}

func endpointJSON(e connectivity.Endpoint) jsonEndpoint {
	if e.Node == nil {
		return jsonEndpoint{CIDR: e.Range.String()}
	}
	return jsonEndpoint{Namespace: e.Node.Namespace, Kind: e.Node.Kind, Name: e.Node.Name}
}

func portsJSON(p connectivity.Ports) any {
	if p.All() {
		return "all"
	}
	out := make([]jsonPort, 0, len(p.Ranges()))
	for _, r := range p.Ranges() {
		port := jsonPort{Protocol: r.Protocol, Port: r.First}
		if r.Last != r.First {
			port.EndPort = r.Last
		}
		out = append(out, port)
	}
	return out
}
