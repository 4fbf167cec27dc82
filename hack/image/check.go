package main

import (
	"archive/tar"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// user is who the image's process runs as.
const user = "65532:65532"

// check looks at an image as a registry's user would get it. It gives the folder with the image's files.
func (m *maker) check(l layout) (string, error) {
	fs := filepath.Join(m.work, "fs-"+l.config.Architecture)
	if err := os.Mkdir(fs, 0o755); err != nil {
		return "", err
	}
	headers, err := unpack(l.layer, fs)
	if err != nil {
		return "", err
	}
	created := time.Unix(m.release.epoch, 0)
	binary := filepath.Join(fs, "bulkhead")
	if err := errors.Join(checkName(l, m.release), checkConfig(l.config, m.release), checkFiles(headers, created)); err != nil {
		return "", err
	}
	if err := checkBinary(binary, l.config.Architecture); err != nil {
		return "", err
	}
	compressed, err := os.Stat(l.layer)
	if err != nil {
		return "", err
	}
	plain, err := os.Stat(binary)
	if err != nil {
		return "", err
	}
	m.say("%s: one file, static, user %s; the binary has %.1f MB, the image to pull %.1f MB",
		l.config.Architecture, l.config.Config.User, megabytes(plain), megabytes(compressed))
	return fs, nil
}

// megabytes are millions of bytes, as registries count.
func megabytes(info os.FileInfo) float64 { return float64(info.Size()) / 1e6 }

func checkName(l layout, r release) error {
	if l.name != r.reference() {
		return fmt.Errorf("the archive's image is named %q", l.name)
	}
	return nil
}

// checkConfig says everything that is not as a user of the image must find it.
func checkConfig(c imageConfig, r release) error {
	var errs []error
	want := func(what string, got, wanted any) {
		if !reflect.DeepEqual(got, wanted) {
			errs = append(errs, fmt.Errorf("the image's %s is %v and not %v", what, got, wanted))
		}
	}
	want("operating system", c.OS, "linux")
	want("time", c.Created.Unix(), r.epoch)
	want("user", c.Config.User, user)
	want("entry point", c.Config.Entrypoint, []string{"/bulkhead"})
	want("command", c.Config.Cmd, []string{"serve"})
	want("number of volumes", len(c.Config.Volumes), 0)
	want("ports", slices.Sorted(maps.Keys(c.Config.ExposedPorts)), []string{"8081/tcp", "9443/tcp"})
	for key, value := range map[string]string{
		"version": r.version, "revision": r.commit, "licenses": "Apache-2.0", "source": "https://github.com/bulkhead-dev/bulkhead",
	} {
		want("label "+key, c.Config.Labels["org.opencontainers.image."+key], value)
	}
	for _, variable := range c.Config.Env {
		if name, _, _ := strings.Cut(variable, "="); name != "PATH" { // builders set it for every image
			errs = append(errs, fmt.Errorf("the image sets %s", variable))
		}
	}
	return errors.Join(errs...)
}

// checkFiles wants one program and nothing else: no shell, no package manager, no second layer of meaning.
func checkFiles(headers []*tar.Header, created time.Time) error {
	var errs []error
	files := 0
	for _, h := range headers {
		switch {
		case h.Typeflag == tar.TypeDir && filepath.Clean(h.Name) == ".":
		case h.Typeflag == tar.TypeReg && h.Name == "bulkhead":
			files++
			if mode := h.FileInfo().Mode(); mode != 0o555 || h.Uid != 0 || h.Gid != 0 { // regular, no set-user-ID
				errs = append(errs, fmt.Errorf("/bulkhead is %s of %d:%d and not -r-xr-xr-x of 0:0", mode, h.Uid, h.Gid))
			}
		default:
			errs = append(errs, fmt.Errorf("the image has %s", h.Name))
		}
		if !h.ModTime.Equal(created) {
			errs = append(errs, fmt.Errorf("%s is dated %s: the image is another one with every build", h.Name, h.ModTime))
		}
	}
	if files != 1 {
		errs = append(errs, fmt.Errorf("the image has %d files /bulkhead", files))
	}
	return errors.Join(errs...)
}

// machines are the ELF names of the architectures.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkBinary wants a program of the architecture that needs no interpreter and no library, and no path of the machine that
// built it in its build information.
func checkBinary(path, arch string) error {
	file, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if file.Machine != machines[arch] {
		return fmt.Errorf("the binary is for %s", file.Machine)
	}
	for _, program := range file.Progs {
		if program.Type == elf.PT_INTERP || program.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("the binary is linked dynamically: it has %s", program.Type)
		}
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	return checkSettings(info.Settings, arch)
}

func checkSettings(list []debug.BuildSetting, arch string) error {
	settings := map[string]string{}
	for _, s := range list {
		settings[s.Key] = s.Value
	}
	if settings["-trimpath"] != "true" || settings["CGO_ENABLED"] != "0" || settings["GOARCH"] != arch {
		return fmt.Errorf("the binary was built with %v", settings)
	}
	return nil
}
