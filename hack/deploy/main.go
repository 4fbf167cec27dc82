// Command deploy keeps the Helm chart in deploy/chart current: the rights and the registration that it takes from the code, the
// words of its values, and deploy/install.yaml, which is the chart rendered with its defaults. It is a module of its own,
// because Helm's dependencies must not reach the product's.
//
// Without a flag it writes the files. With -check it writes nothing, fails where a file is not current, and lints the chart with
// each file of testdata/values. With -render it prints the manifests of one release, as "helm template" would.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "deploy:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("deploy", flag.ContinueOnError)
	root := flags.String("root", filepath.Join("..", ".."), "the repository")
	check := flags.Bool("check", false, "write nothing; fail where a file is not current or the chart has a flaw")
	render := flags.Bool("render", false, "print the manifests of a release")
	name := flags.String("name", installRelease.Name, "with -render: the release's name")
	namespace := flags.String("namespace", installRelease.Namespace, "with -render: the release's namespace")
	valuesPath := flags.String("values", "", "with -render: a file of values")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *render {
		values, err := readValues(*valuesPath)
		if err != nil {
			return err
		}
		return printRelease(out, *root, Release{Name: *name, Namespace: *namespace}, values)
	}
	files, err := generate(*root)
	if err != nil {
		return err
	}
	stale, err := compare(*root, files)
	if err != nil {
		return err
	}
	if *check {
		for _, path := range stale {
			fmt.Fprintln(out, path, "is not current")
		}
		if len(stale) > 0 {
			return fmt.Errorf("%d files are not current; run \"make generate\"", len(stale))
		}
		return lintAll(filepath.Join(*root, chartDir), valuesDir)
	}
	for _, path := range stale {
		if err := os.WriteFile(filepath.Join(*root, path), files[path], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// readValues reads a file of values; no path means no values.
func readValues(path string) (map[string]any, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

func printRelease(out io.Writer, root string, release Release, values map[string]any) error {
	c, err := load(root)
	if err != nil {
		return err
	}
	manifests, err := Render(c, release, values)
	if err != nil {
		return err
	}
	_, err = out.Write(manifests)
	return err
}

// lintAll lints the chart with its defaults and with each file of values.
func lintAll(chart, dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	if len(paths) == 0 {
		return fmt.Errorf("there are no values in %s; run in the directory of this command", dir)
	}
	var problems []error
	for _, path := range append([]string{""}, paths...) {
		values, err := readValues(path)
		if err != nil {
			return err
		}
		if err := lintChart(chart, values); err != nil {
			problems = append(problems, fmt.Errorf("lint with %q:\n%w", path, err))
		}
	}
	return errors.Join(problems...)
}
