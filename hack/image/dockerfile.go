package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dockerfile is what this program needs to know of the Dockerfile.
type dockerfile struct {
	// base is the image that the compiler comes from, when nobody names another.
	base string
	// sources are the paths of the repository that the build needs.
	sources []string
	// user is the last stage's.
	user string
}

// parseDockerfile reads the instructions that matter here. It knows no more of the language than our Dockerfile uses.
func parseDockerfile(text string) (dockerfile, error) {
	var d dockerfile
	arguments := map[string]string{}
	for instruction, fields := range instructions(text) {
		switch instruction {
		case "ARG":
			name, value, _ := strings.Cut(fields[0], "=")
			arguments[name] = value
		case "FROM":
			d.user = ""
			if image := fields[slices.IndexFunc(fields, isNoFlag)]; image != "scratch" {
				d.base = os.Expand(image, func(name string) string { return arguments[name] })
			}
		case "COPY":
			if isNoFlag(fields[0]) { // what comes from another stage has --from
				d.sources = append(d.sources, fields[:len(fields)-1]...)
			}
		case "USER":
			d.user = fields[0]
		}
	}
	if d.base == "" || len(d.sources) == 0 {
		return d, errors.New("it has no base image or copies nothing")
	}
	return d, nil
}

func isNoFlag(field string) bool { return !strings.HasPrefix(field, "--") }

// instructions gives each instruction with its fields, continued lines joined and comments left out.
func instructions(text string) func(yield func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		whole := ""
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			if rest, continued := strings.CutSuffix(line, "\\"); continued {
				whole += rest + " "
				continue
			}
			fields := strings.Fields(whole + line)
			whole = ""
			if len(fields) > 1 && !yield(fields[0], fields[1:]) {
				return
			}
		}
	}
}

// copyContext copies what the Dockerfile needs, and its own two files, into a directory that is made.
func copyContext(root, dir string, d dockerfile) error {
	for _, source := range append([]string{"Dockerfile", ".dockerignore"}, d.sources...) {
		from, to := filepath.Join(root, source), filepath.Join(dir, source)
		info, err := os.Stat(from)
		if err != nil {
			return err
		}
		if info.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
			err = copyFile(from, to, info.Mode())
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", source, err)
		}
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}
