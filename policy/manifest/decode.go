package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"
)

// object decodes the part, which is no list, or counts it as skipped.
func (p *part) object(h header) {
	known := kinds()
	if h.Kind == "" && kustomization(p.source.File) {
		p.skip("Kustomization")
		return
	}
	if h.Kind == "" {
		p.bad("", "no kind; every Kubernetes object has apiVersion, kind and metadata.name")
		return
	}
	i := slices.IndexFunc(known, func(k kind) bool { return k.name == h.Kind })
	switch {
	case h.APIVersion == "" && i >= 0:
		p.bad("", fmt.Sprintf("no apiVersion; for %s write apiVersion: %s", h.Kind, known[i].apiVersion()))
	case h.APIVersion == "":
		p.bad("", "no apiVersion; every Kubernetes object has apiVersion, kind and metadata.name")
	case i < 0:
		if j := slices.IndexFunc(known, func(k kind) bool { return strings.EqualFold(k.name, h.Kind) }); j >= 0 {
			p.bad("kind", fmt.Sprintf("kind: %q is no kind; did you mean %q?", h.Kind, known[j].name))
			return
		}
		p.skip(h.Kind)
		if group, _, ok := strings.Cut(h.APIVersion, "/"); ok && !kubernetesGroup(h.APIVersion) {
			p.groups = append(p.groups, group)
		}
	case h.APIVersion == known[i].apiVersion() || known[i].alsoServed(h.APIVersion):
		p.decode(known[i])
	case kubernetesGroup(h.APIVersion):
		p.bad("apiVersion", fmt.Sprintf("apiVersion: no supported Kubernetes serves %s as %s; convert it to %s",
			h.Kind, h.APIVersion, known[i].apiVersion()))
	default:
		group, _, _ := strings.Cut(h.APIVersion, "/")
		p.skip(h.Kind + "." + group)
	}
}

// kustomization reports whether the file says how to build others: it may leave out its kind, and stands in folders of
// manifests. Source: sigs.k8s.io/kustomize/api/konfig, RecognizedKustomizationFileNames.
func kustomization(file string) bool {
	name := file[strings.LastIndexAny(file, `/\`)+1:]
	return name == "kustomization.yaml" || name == "kustomization.yml" || name == "Kustomization"
}

// kubernetesGroup reports whether the apiVersion is of a group of Kubernetes itself: the names of all other groups hold a
// domain of somebody else's.
func kubernetesGroup(apiVersion string) bool {
	group, _, ok := strings.Cut(apiVersion, "/")
	return !ok || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// decode makes the object of a known kind and adds it unless it has problems.
func (p *part) decode(k kind) {
	before := len(p.problems)
	obj := k.make()
	if k.strict {
		strict, err := kjson.UnmarshalStrict(p.json, obj)
		if err != nil {
			p.typeProblem(err)
			return
		}
		for _, e := range strict {
			p.strictProblem(obj, e)
		}
		p.duplicateKeys()
	} else if err := kjson.UnmarshalCaseSensitivePreserveInts(p.json, obj); err != nil {
		p.typeProblem(err)
		return
	}
	switch {
	case k.clusterScoped:
		obj.SetNamespace("")
	case obj.GetNamespace() == "":
		obj.SetNamespace(cmp.Or(p.DefaultNamespace, metav1.NamespaceDefault))
	}
	p.checkMeta(k, obj)
	o, err := New(obj)
	if err != nil {
		p.compileProblems(k, obj, err)
	}
	if len(p.problems) > before {
		return
	}
	o.Source = p.at(p.path, "")
	if p.KeepText {
		o.document, o.path = p.document, p.path
	}
	p.objects = append(p.objects, o)
}

// duplicateKeys reports the keys that the document has twice; once, however many objects it holds.
func (p *part) duplicateKeys() {
	for _, d := range p.duplicates {
		s := p.source
		s.Line = p.fileLine(d.line)
		p.fail(s, fmt.Sprintf("%s: the mapping has this key twice; keep one of them", printable(d.key)))
	}
	p.duplicates = nil
}

// strictProblem reports a field that the API does not know, with the nearest one that it does.
func (p *part) strictProblem(obj any, err error) {
	var field interface{ FieldPath() string }
	if !errors.As(err, &field) {
		p.bad("", err.Error())
		return
	}
	path := field.FieldPath()
	if strings.HasPrefix(err.Error(), "duplicate") {
		p.bad(path, path+": the mapping has this key twice; keep one of them")
		return
	}
	parent, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, name = path[:i], path[i+1:]
	}
	message := path + ": unknown field"
	names := fieldNames(typeAt(reflect.TypeOf(obj), parent))
	if near := Nearest(name, names); near != "" {
		message += fmt.Sprintf("; did you mean %q?", near)
	} else if len(names) > 0 {
		message += "; known here: " + strings.Join(names, ", ")
	}
	p.bad(path, message)
}

// typeAt follows a field path from t through structs and lists; nil where it leads nowhere.
func typeAt(t reflect.Type, path string) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if path == "" {
		return t
	}
	step, rest, _ := strings.Cut(path, ".")
	name, _, indexed := strings.Cut(step, "[")
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if tag == "" && strings.Contains(options, "inline") {
			if found := typeAt(f.Type, path); found != nil {
				return found
			}
		}
		if tag != name {
			continue
		}
		next := f.Type
		for next.Kind() == reflect.Pointer || indexed && next.Kind() == reflect.Slice {
			next = next.Elem()
		}
		return typeAt(next, rest)
	}
	return nil
}

// fieldNames lists the JSON names of a struct's fields, sorted.
func fieldNames(t reflect.Type) []string {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "" && strings.Contains(options, "inline"):
			out = append(out, fieldNames(f.Type)...)
		case tag != "" && tag != "-":
			out = append(out, tag)
		}
	}
	slices.Sort(out)
	return out
}

// compileProblems takes apart what a policy's compiler found: a list of "field: what is wrong".
func (p *part) compileProblems(k kind, obj metav1.Object, err error) {
	errs := []error{err}
	if joined, ok := errors.Unwrap(err).(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	name := Object{Kind: k.name, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	for _, e := range errs {
		path, _, _ := strings.Cut(e.Error(), ": ")
		p.bad(path, name.String()+": "+e.Error())
	}
}
