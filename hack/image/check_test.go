package main

import (
	"archive/tar"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var made = release{repository: "example.org/bulkhead", version: "1.2.3", commit: "abc", epoch: 1700000000}

func goodConfig() imageConfig {
	c := imageConfig{Created: time.Unix(made.epoch, 0), Architecture: "amd64", OS: "linux"}
	c.Config.User, c.Config.Env = user, []string{"PATH=/bin"}
	c.Config.Entrypoint, c.Config.Cmd = []string{"/bulkhead"}, []string{"serve"}
	c.Config.ExposedPorts = map[string]struct{}{"9443/tcp": {}, "8081/tcp": {}}
	c.Config.Labels = map[string]string{
		"org.opencontainers.image.version": "1.2.3", "org.opencontainers.image.revision": "abc",
		"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.source": "https://github.com/bulkhead-dev/bulkhead",
	}
	return c
}

func TestCheckConfig(t *testing.T) {
	if err := checkConfig(goodConfig(), made); err != nil {
		t.Error(err)
	}
	for wanted, spoil := range map[string]func(*imageConfig){
		"operating system": func(c *imageConfig) { c.OS = "windows" },
		"time":             func(c *imageConfig) { c.Created = time.Unix(made.epoch+1, 0) },
		"user":             func(c *imageConfig) { c.Config.User = "" },
		"entry point":      func(c *imageConfig) { c.Config.Entrypoint = []string{"/bin/sh", "-c", "/bulkhead"} },
		"command":          func(c *imageConfig) { c.Config.Cmd = nil },
		"volumes":          func(c *imageConfig) { c.Config.Volumes = map[string]struct{}{"/data": {}} },
		"ports":            func(c *imageConfig) { c.Config.ExposedPorts["80/tcp"] = struct{}{} },
		"label version":    func(c *imageConfig) { c.Config.Labels["org.opencontainers.image.version"] = "" },
		"sets GODEBUG":     func(c *imageConfig) { c.Config.Env = append(c.Config.Env, "GODEBUG=x") },
	} {
		c := goodConfig()
		spoil(&c)
		if err := checkConfig(c, made); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: %v", wanted, err)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	created := time.Unix(made.epoch, 0)
	program := func() *tar.Header {
		return &tar.Header{Typeflag: tar.TypeReg, Name: "bulkhead", Mode: 0o100555, ModTime: created}
	}
	if err := checkFiles([]*tar.Header{program()}, created); err != nil {
		t.Error(err)
	}
	for wanted, files := range map[string]func() []*tar.Header{
		"0 files": func() []*tar.Header { return nil },
		"the image has bin/sh": func() []*tar.Header {
			return []*tar.Header{program(), {Typeflag: tar.TypeSymlink, Name: "bin/sh", ModTime: created}}
		},
		"-rwxr-xr-x of": func() []*tar.Header { p := program(); p.Mode = 0o755; return []*tar.Header{p} },
		"of 65532:0":    func() []*tar.Header { p := program(); p.Uid = userID; return []*tar.Header{p} },
		"dated":         func() []*tar.Header { p := program(); p.ModTime = created.Add(time.Second); return []*tar.Header{p} },
	} {
		if err := checkFiles(files(), created); err == nil || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: %v", wanted, err)
		}
	}
}

// TestCheckBinary: this machine's ls is a program that needs an interpreter and that Go did not build.
func TestCheckBinary(t *testing.T) {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	if err := checkBinary("/bin/ls", other); err == nil || !strings.Contains(err.Error(), "the binary is for EM_") {
		t.Errorf("the wrong architecture: %v", err)
	}
	if err := checkBinary("/bin/ls", runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "dynamically") {
		t.Errorf("with an interpreter: %v", err)
	}
}

func TestCheckSettings(t *testing.T) {
	good := []debug.BuildSetting{{Key: "-trimpath", Value: "true"}, {Key: "CGO_ENABLED", Value: "0"}, {Key: "GOARCH", Value: "arm64"}}
	if err := checkSettings(good, "arm64"); err != nil {
		t.Error(err)
	}
	if err := checkSettings(good, "amd64"); err == nil {
		t.Error("another architecture is no error")
	}
	for i, s := range good {
		if err := checkSettings(slices.Delete(slices.Clone(good), i, i+1), "arm64"); err == nil {
			t.Errorf("without %s: no error", s.Key)
		}
	}
}

func TestBillCovers(t *testing.T) {
	b := bill{BOMFormat: "CycloneDX", Components: []component{{"std", "go1.26"}, {"a", "v1"}, {"fork", "v2"}}}
	b.Metadata.Component.Version = "1.2.3"
	modules := []*debug.Module{{Path: "a", Version: "v1"}, {Path: "b", Version: "v1", Replace: &debug.Module{Path: "fork", Version: "v2"}}}
	if err := b.covers(modules, "go1.26", "1.2.3"); err != nil {
		t.Error(err)
	}
	if err := b.covers(append(modules, &debug.Module{Path: "a", Version: "v9"}), "go1.26", "1.2.3"); err == nil || !strings.Contains(err.Error(), "a v9") {
		t.Errorf("another version: %v", err)
	}
	if err := b.covers(nil, "go1.27", "1.2.3"); err == nil {
		t.Error("another Go is no error")
	}
	if err := b.covers(nil, "go1.26", "1.2.4"); err == nil {
		t.Error("another release is no error")
	}
}

func TestCheckConfinement(t *testing.T) {
	good := "Name:\tbulkhead\nUid:\t65532\t65532\t65532\t65532\nGid:\t65532\t65532\t65532\t65532\nGroups:\t \nNoNewPrivs:\t1\n"
	for _, set := range []string{"Inh", "Prm", "Eff", "Bnd", "Amb"} {
		good += "Cap" + set + ":\t0000000000000000\n"
	}
	if err := checkConfinement(good); err != nil {
		t.Error(err)
	}
	for old, spoiled := range map[string]string{
		"Uid:\t65532": "Uid:\t0", "NoNewPrivs:\t1": "NoNewPrivs:\t0", "Groups:\t ": "Groups:\t0", "CapBnd:\t0": "CapBnd:\tf", "CapEff": "Cap",
	} {
		if err := checkConfinement(strings.Replace(good, old, spoiled, 1)); err == nil {
			t.Errorf("%s: no error", spoiled)
		}
	}
}
