package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// guardrailsPackage is what the scaffold has to know of the package as it is.
type guardrailsPackage struct {
	declared map[string]string // Go name to the file that declares it at top level
	slugs    map[string]string // slug to the file of its guardrail
	slugOf   map[string]string // variable to slug
	listPath string
	list     *ast.CompositeLit
	source   []byte // of listPath
	fset     *token.FileSet
}

// readPackage reads the sources in dir. It finds guardrails by their form: var x = policy.Guardrail{Slug: "…"}.
func readPackage(dir string) (*guardrailsPackage, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no guardrails in %s: run from the module's root", dir)
	}
	p := &guardrailsPackage{
		declared: map[string]string{}, slugs: map[string]string{}, slugOf: map[string]string{},
		listPath: filepath.Join(dir, "all.go"), fset: token.NewFileSet(),
	}
	if p.source, err = os.ReadFile(p.listPath); err != nil {
		return nil, fmt.Errorf("reading the list of guardrails: %w", err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(p.fset, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("reading the guardrails that are there: %w", err)
		}
		for _, d := range file.Decls {
			p.declare(d, path)
		}
	}
	return p, nil
}

func (p *guardrailsPackage) declare(d ast.Decl, path string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv != nil {
			return
		}
		p.declared[d.Name.Name] = path
		if d.Name.Name == "All" && path == p.listPath {
			ast.Inspect(d, func(n ast.Node) bool {
				if c, ok := n.(*ast.CompositeLit); ok && p.list == nil {
					p.list = c
				}
				return true
			})
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				p.declared[s.Name.Name] = path
			case *ast.ValueSpec:
				for i, name := range s.Names {
					p.declared[name.Name] = path
					if i < len(s.Values) {
						if slug := slugIn(s.Values[i]); slug != "" {
							p.slugs[slug], p.slugOf[name.Name] = path, slug
						}
					}
				}
			}
		}
	}
}

// slugIn gives the Slug of a composite literal, "" where it has none.
func slugIn(e ast.Expr) string {
	c, ok := e.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	for _, element := range c.Elts {
		kv, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, isIdent := kv.Key.(*ast.Ident)
		value, isLiteral := kv.Value.(*ast.BasicLit)
		if isIdent && isLiteral && key.Name == "Slug" {
			slug, _ := strconv.Unquote(value.Value)
			return slug
		}
	}
	return ""
}

// listWith gives the source of the list with the new guardrail in its place.
func (p *guardrailsPackage) listWith(n names) ([]byte, error) {
	if p.list == nil {
		return nil, fmt.Errorf("%s: no list in a function All", p.listPath)
	}
	at := p.list.Rbrace
	for _, e := range p.list.Elts {
		name, ok := e.(*ast.Ident)
		if !ok || p.slugOf[name.Name] == "" {
			return nil, fmt.Errorf("%s: an element of the list is not the variable of a guardrail in this folder", p.fset.Position(e.Pos()))
		}
		if strings.Compare(p.slugOf[name.Name], n.Slug) > 0 {
			at = e.Pos()
			break
		}
	}
	i := p.fset.Position(at).Offset
	// The place is the start of a line's text; what precedes it is indentation.
	i = bytes.LastIndexByte(p.source[:i], '\n') + 1
	out, err := format.Source(slices.Concat(p.source[:i], []byte("\t\t"+n.Var+",\n"), p.source[i:]))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.listPath, err)
	}
	return out, nil
}
