package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
)

// lister is the path of cyclonedx-gomod.
func (m *maker) lister() string { return filepath.Join(m.work, "cyclonedx-gomod") }

// makeLister builds cyclonedx-gomod, always with the same flags: its own digest is in the list.
func (m *maker) makeLister(ctx context.Context) error {
	_, err := output(ctx, filepath.Join(m.root, "hack", "tools", "sbom"), "env", "CGO_ENABLED=0", "GOFLAGS=",
		"go", "build", "-trimpath", "-buildvcs=false", "-o", m.lister(), "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod")
	return err
}

// componentList writes the CycloneDX list of what is in the binary, from the binary itself, and holds it against what Go says.
func (m *maker) componentList(ctx context.Context, arch, binary string) error {
	path := filepath.Join(m.output, "bulkhead-"+arch+".cdx.json")
	again := filepath.Join(m.work, filepath.Base(path))
	for _, file := range []string{path, again} {
		// Licenses come from the module cache, which has all that the binary was built from: with or without a network, the
		// same list.
		_, err := output(ctx, m.root, "env", "GOPROXY=off", m.lister(), "bin",
			"-json", "-noserial", "-notimestamp", "-std", "-licenses", "-version", m.release.version, "-output", file, binary)
		if err != nil {
			return err
		}
	}
	first, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	second, err := os.ReadFile(again)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, second) {
		return fmt.Errorf("%s is another one each time", path)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	var list bill
	if err := readJSON(path, &list); err != nil {
		return err
	}
	if err := list.covers(info.Deps, info.GoVersion, m.release.version); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	m.say("%s: %d components in %s, every module of the binary among them", arch, len(list.Components), path)
	return nil
}

// bill is what is checked of a bill of materials. Source: https://cyclonedx.org/docs/1.6/json
type bill struct {
	BOMFormat string `json:"bomFormat"`
	Metadata  struct {
		Component component `json:"component"`
	} `json:"metadata"`
	Components []component `json:"components"`
}

type component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// covers reports the first module of the binary that the bill does not name.
func (b bill) covers(modules []*debug.Module, goVersion, version string) error {
	if b.BOMFormat != "CycloneDX" || b.Metadata.Component.Version != version {
		return fmt.Errorf("it is a %q of version %q", b.BOMFormat, b.Metadata.Component.Version)
	}
	named := map[component]bool{}
	for _, c := range b.Components {
		named[c] = true
	}
	wanted := []component{{Name: "std", Version: goVersion}}
	for _, module := range modules {
		if module.Replace != nil {
			module = module.Replace
		}
		wanted = append(wanted, component{Name: module.Path, Version: module.Version})
	}
	for _, c := range wanted {
		if !named[c] {
			return fmt.Errorf("it does not name %s %s, which is in the binary", c.Name, c.Version)
		}
	}
	return nil
}
