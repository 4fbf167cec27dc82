package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
)

// updateVariable is the environment variable that, set to anything, writes the golden files anew.
const updateVariable = "BULKHEAD_UPDATE"

type writeGraph func(io.Writer, *connectivity.Graph) error

var graphFormats = map[string]writeGraph{
	"table.txt": Table, "connections.json": JSON, "connections.csv": CSV, "graph.dot": DOT, "graph.mmd": Mermaid,
}

var diffFormats = map[string]func(io.Writer, *connectivity.Difference) error{
	"table.txt": DiffTable, "difference.json": DiffJSON, "difference.csv": DiffCSV, "graph.dot": DiffDOT, "graph.mmd": DiffMermaid,
}

// hostile is a cluster whose names try to break out of every format, with two kinds of one name.
func hostile() *sample {
	s := &sample{ranges: []connectivity.Range{span("10.0.0.0", "10.255.255.255"), span("192.0.2.7", "192.0.2.9")}}
	s.partial = []string{"stopped after 3 of 9 sources:\nit took too long"}
	for _, name := range []string{
		`</script><script>alert(1)</script>`, `"]; end`, "\x1b[31mred\nline", `=HYPERLINK("x")`, "@sum", "-1+1", "\u202egnirts",
		`back\nslash\`, "a`b*_c_*#quot;", "twin",
	} {
		s.node("evil/"+name, "Deployment", 1, "")
	}
	s.node("evil/twin", "StatefulSet", 0, "ie")
	s.node(`=a"b/c`, `K"ind`, 1, "i")
	return s
}

func TestGolden(t *testing.T) {
	for name, s := range map[string]*sample{"shop": shop(), "hostile": hostile(), "empty": {}} {
		for file, write := range graphFormats {
			t.Run(name+"/"+file, func(t *testing.T) {
				var b bytes.Buffer
				if err := write(&b, s.graph()); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join("testdata", name, file), b.Bytes())
			})
		}
	}
}

func TestGoldenDifference(t *testing.T) {
	change, _ := shopDifference()
	same := difference(shop().graph(), shop().graph())
	same.Partial = []string{"the policies of 2 namespaces could not be read"}
	for name, d := range map[string]*connectivity.Difference{"shop-difference": change, "no-difference": same} {
		for file, write := range diffFormats {
			t.Run(name+"/"+file, func(t *testing.T) {
				var b bytes.Buffer
				if err := write(&b, d); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join("testdata", name, file), b.Bytes())
			})
		}
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if os.Getenv(updateVariable) != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: write it with %s=1", err, updateVariable)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), write it anew with %s=1:\n%s", path, updateVariable, diff)
	}
}

// The order in which objects come must not show.
func TestShuffledInputGivesTheSameBytes(t *testing.T) {
	formats := map[string]writeGraph{"page": func(w io.Writer, g *connectivity.Graph) error { return HTML(w, g, Options{}) }}
	for name, write := range graphFormats {
		formats[name] = write
	}
	for name, write := range formats {
		var first []byte
		for range 5 {
			s := shop()
			rand.Shuffle(len(s.nodes), func(i, j int) { s.nodes[i], s.nodes[j] = s.nodes[j], s.nodes[i] })
			rand.Shuffle(len(s.rules), func(i, j int) { s.rules[i], s.rules[j] = s.rules[j], s.rules[i] })
			var b bytes.Buffer
			if err := write(&b, s.graph()); err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b.Bytes()
			} else if !bytes.Equal(first, b.Bytes()) {
				t.Errorf("%s differs between orders", name)
			}
		}
	}
}

func TestJSONKeepsHostileNames(t *testing.T) {
	s := hostile()
	var b bytes.Buffer
	if err := JSON(&b, s.graph()); err != nil {
		t.Fatal(err)
	}
	var read struct{ Connections []jsonEdge }
	if err := json.Unmarshal(b.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	i := 0
	for e := range s.graph().Edges {
		if got, want := read.Connections[i].From, endpointJSON(e.From); got != want {
			t.Errorf("connection %d: from %+v, want %+v", i, got, want)
		}
		i++
	}
	if i != len(read.Connections) {
		t.Errorf("%d connections, want %d", len(read.Connections), i)
	}
}

func TestCSVHoldsNoFormula(t *testing.T) {
	var b bytes.Buffer
	if err := CSV(&b, hostile().graph()); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	guarded := 0
	for _, record := range records {
		for _, field := range record {
			if field != "" && strings.ContainsAny(field[:1], "=+-@\t\r") {
				t.Errorf("a spreadsheet takes %q for a formula", field)
			}
			if strings.HasPrefix(field, "'") {
				guarded++
			}
		}
	}
	if guarded == 0 {
		t.Error("no cell was guarded, so the test shows nothing")
	}
}

func TestPeopleSeeNoControlCharacters(t *testing.T) {
	for name, write := range map[string]writeGraph{"table": Table, "dot": DOT, "mermaid": Mermaid} {
		var b bytes.Buffer
		if err := write(&b, hostile().graph()); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%s holds %U", name, r)
			}
		}
	}
}

// endless yields edges between the nodes of s until it is stopped.
func endless(s *sample, before func()) *connectivity.Graph {
	g := s.graph()
	return &connectivity.Graph{Nodes: g.Nodes, Edges: func(yield func(connectivity.Edge) bool) {
		for {
			for e := range g.Edges {
				before()
				if e.From.Node != nil && e.To.Node != nil && !yield(e) {
					return
				}
			}
		}
	}}
}

type countingWriter struct {
	bytes, limit int
}

var errFull = errors.New("no space")

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.bytes += len(p); w.bytes > w.limit {
		return 0, errFull
	}
	return len(p), nil
}

// An endless graph ends with the writer's error, and only if each edge is written before the next ones are asked for.
func TestTextStreams(t *testing.T) {
	for name, write := range map[string]writeGraph{"table": Table, "json": JSON, "csv": CSV} {
		w := &countingWriter{limit: 1 << 20}
		edges := 0
		if err := write(w, endless(shop(), func() { edges++ })); !errors.Is(err, errFull) {
			t.Errorf("%s: %v, want the writer's error", name, err)
		}
		if most := 1 << 20 / 20; edges > most {
			t.Errorf("%s: asked for %d edges before it wrote 1 MiB, want at most %d", name, edges, most)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	d, after := shopDifference()
	full := func() io.Writer { return &countingWriter{} }
	for name, write := range graphFormats {
		if err := write(full(), shop().graph()); !errors.Is(err, errFull) {
			t.Errorf("%s: %v, want the writer's error", name, err)
		}
	}
	for name, write := range diffFormats {
		if err := write(full(), d); !errors.Is(err, errFull) {
			t.Errorf("difference %s: %v, want the writer's error", name, err)
		}
	}
	if err := HTML(full(), after, Options{}); !errors.Is(err, errFull) {
		t.Errorf("page: %v, want the writer's error", err)
	}
}

// Large drawings are grouped, and when that does not help they say what they leave out.
func TestDrawingsSayWhatTheyLeaveOut(t *testing.T) {
	for _, tt := range []struct {
		name  string
		s     *sample
		limit int
		lines int
		notes []string
	}{
		{"all fits", everythingOpen(2, 3), 42, 42, nil},
		{"by namespace", everythingOpen(3, 10), 40, 12, []string{"more than 40 lines, so each namespace is drawn as one"}},
		{"too many namespaces", everythingOpen(5, 2), 10, 10, []string{
			"more than 10 lines, so each namespace is drawn as one", "only the first 10 lines between namespaces are drawn",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := drawGraph(tt.s.graph(), tt.limit)
			if diff := cmp.Diff(tt.notes, d.notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			lines := 0
			for _, l := range d.lines {
				lines++
				if l.both {
					lines++
				}
			}
			if lines != tt.lines {
				t.Errorf("%d lines, want %d", lines, tt.lines)
			}
		})
	}
}
