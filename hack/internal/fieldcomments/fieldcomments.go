// Package fieldcomments reads the comments of struct fields from Go sources, so that the generators describe
// configuration in the words of the types.
package fieldcomments

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strings"
)

// Read returns the comments of the struct fields declared in the directories of
// the module, by import path, type and field as in "path.Type.Field", each on
// one line. The working directory must be the module's root. The schema library's own extraction leaves out unexported types,
// which parameter structs are. Comments of types are for readers of the code
// and do not become descriptions.
func Read(modulePath string, directories []string) (map[string]string, error) {
	comments := map[string]string{}
	for _, directory := range directories {
		files, err := filepath.Glob(filepath.Join(directory, "*.go"))
		if err != nil {
			return nil, fmt.Errorf("listing sources: %w", err)
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no sources in %s: run from the module's root", directory)
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return nil, fmt.Errorf("reading comments: %w", err)
			}
			addFieldComments(comments, path.Join(modulePath, filepath.ToSlash(directory)), file)
		}
	}
	return comments, nil
}

func addFieldComments(comments map[string]string, importPath string, file *ast.File) {
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range general.Specs {
			typ, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			fields, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				text := field.Doc.Text()
				if text == "" {
					text = field.Comment.Text()
				}
				for _, name := range field.Names {
					comments[importPath+"."+typ.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
				}
			}
		}
	}
}
