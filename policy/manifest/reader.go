package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	kjson "sigs.k8s.io/json"
)

// maxListDepth bounds lists within lists; nothing writes more than one.
const maxListDepth = 4

// Reader collects objects from manifests. The zero value is ready; it is not safe for concurrent use.
type Reader struct {
	// DefaultNamespace is where objects go that name no namespace; empty stands for "default".
	DefaultNamespace string
	// KeepText keeps the text of the manifests, so that Object.Region and Object.Lines can tell places in it.
	KeepText bool

	files    []string
	objects  []Object
	skipped  map[string]int
	groups   []string
	problems []Problem
}

// Add reads one file: any number of YAML documents or JSON values. name is what problems call the file. What is wrong
// with it Objects reports. The answer counts what the file holds beside blank lines and comments, right or wrong.
func (r *Reader) Add(name string, data []byte) int {
	r.files = append(r.files, name)
	for _, mark := range utf16Marks {
		if bytes.HasPrefix(data, mark) {
			r.fail(Source{File: name, Document: 1, Line: 1}, "the file is UTF-16; save it as UTF-8")
			return 1
		}
	}
	count, before := 0, len(r.problems)
	for _, chunk := range split(name, data, r.fail) {
		chunk.source.Document = count + 1
		values, err := chunk.values()
		if err != nil {
			r.problems = append(r.problems, chunk.syntaxProblem(err))
			count++
			continue
		}
		count += len(values)
		for _, d := range values {
			r.value(&part{Reader: r, document: d, json: d.json})
		}
	}
	return max(count, len(r.problems)-before)
}

// Objects gives the objects in the order in which they were read. The error is an *Error with every problem of all
// files; the objects that have none are given with it.
func (r *Reader) Objects() ([]Object, error) {
	problems := slices.Clip(r.problems)
	first := map[key]Source{}
	for i := range r.objects {
		o := &r.objects[i]
		if s, ok := first[o.key()]; ok {
			problems = append(problems, Problem{o.Source, fmt.Sprintf("%s is already in %s; keep one of them", o, s)})
			continue
		}
		first[o.key()] = o.Source
	}
	if len(problems) > 0 {
		return r.objects, newError(problems, r.files)
	}
	return r.objects, nil
}

// Skipped counts by kind the objects that were read and have no place in a snapshot. A kind that shares its name with
// one that has is written with its group, such as "NetworkPolicy.crd.projectcalico.org".
func (r *Reader) Skipped() map[string]int { return maps.Clone(r.skipped) }

// Groups lists the API groups of the objects that were read and whose kinds are not Kubernetes' own, sorted.
func (r *Reader) Groups() []string { return slices.Compact(slices.Sorted(slices.Values(r.groups))) }

func (r *Reader) fail(s Source, message string) {
	r.problems = append(r.problems, Problem{s, message})
}

func (r *Reader) skip(name string) {
	if r.skipped == nil {
		r.skipped = map[string]int{}
	}
	r.skipped[name]++
}

// part is one value of a document: all of it, or an item of a list.
type part struct {
	*Reader
	*document
	json  []byte
	path  string // of the part within the document; empty for all of it
	depth int    // of lists around it
	// what an item of a typed list leaves out
	apiVersion, kind string
}

// bad adds a problem of the field at path within the part.
func (p *part) bad(path, message string) { p.fail(p.at(p.path, path), printable(message)) }

// header is what every object has.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func (r *Reader) value(p *part) {
	switch trimmed := bytes.TrimSpace(p.json); {
	case string(trimmed) == "null":
		return
	case len(trimmed) == 0 || trimmed[0] != '{':
		p.bad("", "not a Kubernetes object, but "+describe(trimmed)+"; an object is a mapping with apiVersion and kind")
		return
	}
	h := header{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(p.json, &h); err != nil {
		p.typeProblem(err)
		return
	}
	h.APIVersion, h.Kind = cmp.Or(h.APIVersion, p.apiVersion), cmp.Or(h.Kind, p.kind)
	if item, ok := strings.CutSuffix(h.Kind, "List"); ok && h.APIVersion != "" && r.list(p, h, item) {
		return
	}
	p.object(h)
}

// list unfolds a list: "List" of anything, or a typed one such as DeploymentList, whose items need not say what they are.
// A kind that merely ends so and has no items is none, and the answer is false.
func (r *Reader) list(p *part, h header, itemKind string) bool {
	if p.depth == maxListDepth {
		p.bad("", "lists within lists, too deep to be meant; write the objects out")
		return true
	}
	var l struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(p.json, &l); err != nil {
		p.typeProblem(err)
		return true
	}
	if itemKind != "" && l.Items == nil {
		return false
	}
	for i, raw := range l.Items {
		item := &part{Reader: r, document: p.document, json: raw, path: fmt.Sprintf("items[%d]", i), depth: p.depth + 1}
		if p.path != "" {
			item.path = p.path + "." + item.path
		}
		if itemKind != "" {
			item.apiVersion, item.kind = h.APIVersion, itemKind
		}
		r.value(item)
	}
	return true
}

func describe(json []byte) string {
	switch {
	case len(json) == 0:
		return "nothing"
	case json[0] == '[':
		return "a list"
	case json[0] == '"':
		return "a string"
	}
	return "a single value"
}
