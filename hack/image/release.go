package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// release is what an image is made from and named after.
type release struct {
	// repository is where the chart looks for the image, version the chart's appVersion and so the image's tag.
	repository, version string
	// commit is the full hash, with "-dirty" where the tree has other changes; "unknown" outside of a clone.
	commit string
	// epoch is the commit's time in Unix seconds; every time in the image is this one.
	epoch int64
}

func (r release) reference() string { return r.repository + ":" + r.version }

// readRelease takes the name and the version from the chart, the commit and its time from git.
func readRelease(ctx context.Context, root string) (release, error) {
	var chart struct {
		AppVersion string `json:"appVersion"`
	}
	var values struct {
		Image struct {
			Repository string `json:"repository"`
		} `json:"image"`
	}
	for name, into := range map[string]any{"Chart.yaml": &chart, "values.yaml": &values} {
		path := filepath.Join(root, "deploy", "chart", name)
		data, err := os.ReadFile(path)
		if err != nil {
			return release{}, err
		}
		if err := yaml.Unmarshal(data, into); err != nil {
			return release{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	r := release{repository: values.Image.Repository, version: chart.AppVersion, commit: "unknown"}
	if r.repository == "" || r.version == "" {
		return release{}, fmt.Errorf("the chart names no image: repository %q, appVersion %q", r.repository, r.version)
	}
	return r, r.readCommit(ctx, root)
}

func (r *release) readCommit(ctx context.Context, root string) error {
	if _, err := os.Stat(filepath.Join(root, ".git")); os.IsNotExist(err) {
		return nil // a source archive
	}
	out, err := output(ctx, root, "git", "log", "-1", "--format=%H %ct")
	if err != nil {
		return err
	}
	hash, seconds, _ := strings.Cut(strings.TrimSpace(out), " ")
	if r.epoch, err = strconv.ParseInt(seconds, 10, 64); err != nil {
		return fmt.Errorf("git log: %w", err)
	}
	changes, err := output(ctx, root, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if r.commit = hash; changes != "" {
		r.commit += "-dirty"
	}
	return nil
}

// output runs a program in a directory and gives what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w%s", name, strings.Join(args, " "), err, stderr(err))
	}
	return string(out), nil
}
