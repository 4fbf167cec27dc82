package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// document is one YAML document or JSON value of a file.
type document struct {
	source Source // Line is that of the first line with content
	first  int    // the line of the file on which text starts
	lines  int    // that text has; 0 until one is asked for
	text   []byte
	json   []byte
	root   *yaml.Node // what lines are looked up in; nil until one is
	parsed bool
	split  []string // text by line; nil until it is asked for
	// duplicates are the keys that a mapping has twice. YAML forbids them, kubectl takes the last one.
	duplicates []duplicate
}

type duplicate struct {
	key  string
	line int
}

var (
	byteOrderMark = []byte("\xef\xbb\xbf")
	utf16Marks    = [...][]byte{{0xff, 0xfe}, {0xfe, 0xff}}
)

// split cuts a file into its documents as kubectl does: at lines that start with "---". What is blank or a comment alone
// is no document. fail is told of lines that kubectl refuses as separators.
func split(file string, data []byte, fail func(Source, string)) []*document {
	var out []*document
	start, startLine, line, refused := 0, 1, 0, false
	end := func(until int) {
		if d := newDocument(file, len(out)+1, startLine, data[start:until]); d != nil && !refused {
			out = append(out, d)
		}
		refused = false
	}
	for at := 0; at < len(data); {
		next := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			next = at + i + 1
		}
		line++
		text := bytes.TrimPrefix(data[at:next], byteOrderMark)
		if rest, ok := separator(text); ok {
			end(at)
			start, startLine = next, line+1
			if rest != "" {
				refused = true // what follows lacks a line
				fail(Source{File: file, Document: len(out) + 1, Line: line},
					"nothing but a comment may follow --- on its line, but "+strconv.Quote(rest)+" does; put it on a line of its own")
			}
		}
		at = next
	}
	end(len(data))
	return out
}

// separator reports whether the line ends a document, and what follows on it that is no comment.
func separator(line []byte) (rest string, ok bool) {
	line = bytes.TrimRight(line, " \t\r\n")
	if string(line) == "..." {
		return "", true
	}
	after, ok := bytes.CutPrefix(line, []byte("---"))
	if !ok {
		return "", false
	}
	after = bytes.TrimLeft(after, " \t")
	if bytes.HasPrefix(after, []byte("#")) {
		return "", true
	}
	return string(after), true
}

// newDocument gives the document with its place, or nil where text has no content: blank lines, comments and the
// directives (%YAML) before a document are none.
func newDocument(file string, number, line int, text []byte) *document {
	text = bytes.TrimPrefix(text, byteOrderMark)
	at := line
	for l := range bytes.Lines(text) {
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] != '#' && l[0] != '%' {
			return &document{source: Source{File: file, Document: number, Line: at}, first: line, text: text}
		}
		at++
	}
	return nil
}

// values turns the document into JSON. A JSON document may hold several values, one after the other; each is a document
// then. number is that of the first.
func (d *document) values() ([]*document, error) {
	if trimmed := bytes.TrimSpace(d.text); len(trimmed) > 0 && trimmed[0] == '{' {
		if values, err := d.jsonValues(); err == nil {
			return values, nil
		}
	}
	converted, err := sigsyaml.YAMLToJSONStrict(d.text)
	if err != nil {
		if d.duplicates = duplicatesOf(err); d.duplicates != nil {
			converted, err = sigsyaml.YAMLToJSON(d.text)
		}
	}
	d.json = converted
	return []*document{d}, err
}

func (d *document) jsonValues() ([]*document, error) {
	var out []*document
	reader := json.NewDecoder(bytes.NewReader(d.text))
	for {
		from := int(reader.InputOffset())
		var raw json.RawMessage
		if err := reader.Decode(&raw); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, err
		}
		from += bytes.IndexFunc(d.text[from:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) })
		line := d.first + bytes.Count(d.text[:from], []byte("\n"))
		value := &document{source: d.source, first: line, text: d.text[from : from+len(raw)], json: raw}
		value.source.Document += len(out)
		value.source.Line = line
		out = append(out, value)
	}
}

var duplicateKey = regexp.MustCompile(`line (\d+): key "(.*)" already set in map`)

// duplicatesOf reads the YAML library's list of mistakes; nil where it holds others too.
func duplicatesOf(err error) []duplicate {
	var out []duplicate
	for i, line := range strings.Split(err.Error(), "\n") {
		m := duplicateKey.FindStringSubmatch(line)
		if m == nil {
			if i == 0 && strings.HasSuffix(line, "unmarshal errors:") {
				continue
			}
			return nil
		}
		n, _ := strconv.Atoi(m[1]) // digits alone; too many of them leave the largest int
		out = append(out, duplicate{m[2], n})
	}
	return out
}

// fileLine gives the file's line for the n-th of the document. YAML has line breaks that no editor counts, so a place can
// seem to be past the end.
func (d *document) fileLine(n int) int {
	if d.lines == 0 {
		d.lines = 1 + bytes.Count(bytes.TrimSuffix(d.text, []byte("\n")), []byte("\n"))
	}
	return d.first + min(max(n, 1), d.lines) - 1
}

var yamlErrorLine = regexp.MustCompile(`^line (\d+): `)

// syntaxProblem says where and why d is no YAML; err is what the conversion said.
func (d *document) syntaxProblem(err error) Problem {
	var node yaml.Node
	if other := yaml.Unmarshal(d.text, &node); other != nil {
		err = other // its lines are more exact
	}
	p := Problem{Source: d.source}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlErrorLine.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		p.Source.Line = d.fileLine(n)
		text = text[len(m[0]):]
	}
	if strings.HasPrefix(text, "invalid map key") { // the rest is a Go value
		text = "a key has to be a string"
	}
	p.Message = "not valid YAML: " + printable(text)
	if i := bytes.Index(d.text, []byte("{{")); i >= 0 {
		p.Source.Line = d.first + bytes.Count(d.text[:i], []byte("\n"))
		p.Message += "; this looks like a template: render it first, for example with helm template"
	}
	return p
}
