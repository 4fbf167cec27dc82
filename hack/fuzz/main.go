// Command fuzz runs every fuzz target of the product's module for a while, each in turn, and fails if any finds
// something.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"
)

func main() {
	duration := flag.Duration("time", 30*time.Second, "how long to run each target")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *duration); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// target is one fuzz function.
type target struct{ pkg, name string }

func run(ctx context.Context, duration time.Duration) error {
	targets, err := find(ctx)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("no package has a fuzz target")
	}
	for i, t := range targets {
		fmt.Printf("fuzzing %s %s for %s (%d of %d)\n", t.pkg, t.name, duration, i+1, len(targets))
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", duration.String(), t.pkg)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &out), os.Stderr
		switch err := cmd.Run(); {
		case err != nil && onlyLate(out.String()):
			fmt.Println("fuzz: that is go.dev/issue/75804: the time was over and a worker was late; nothing was found")
		case err != nil:
			return fmt.Errorf("%s %s: %w; the input that failed is in testdata/fuzz of that package", t.pkg, t.name, err)
		}
	}
	return nil
}

// onlyLate reports whether all that failed is that Go's own coordinator took the end of the time for a failure. It has no input
// then. Source: https://go.dev/issue/75804, mended in Go 1.27.
func onlyLate(out string) bool {
	_, failure, _ := strings.Cut(out, "\n--- FAIL: ")
	_, reason, _ := strings.Cut(failure, "\n")
	return strings.HasPrefix(reason, "    context deadline exceeded\nFAIL\n") && !strings.Contains(out, "Failing input written")
}

// find asks every package for its fuzz targets.
func find(ctx context.Context) ([]target, error) {
	list := exec.CommandContext(ctx, "go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "./...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var targets []target
	for _, pkg := range strings.Fields(string(out)) {
		names := exec.CommandContext(ctx, "go", "test", "-list", "^Fuzz", pkg)
		names.Stderr = os.Stderr
		out, err := names.Output()
		if err != nil {
			return nil, fmt.Errorf("go test -list in %s: %w", pkg, err)
		}
		for _, name := range strings.Fields(string(out)) {
			if strings.HasPrefix(name, "Fuzz") {
				targets = append(targets, target{pkg, name})
			}
		}
	}
	return targets, nil
}
