//go:build node && linux

package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// command runs a program as the cluster's administrator and gives what it prints, on both streams.
func (s *suite) command(ctx context.Context, program, stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.node.Plane.KubeconfigPath())
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// runHelm runs Helm, which is to succeed.
func (s *suite) runHelm(t *testing.T, args ...string) string {
	t.Helper()
	begun := time.Now()
	out, err := s.command(t.Context(), s.helm, "", args...)
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("helm %s: %.1f s", args[0], time.Since(begun).Seconds())
	return out
}

// kubectl runs kubectl, which is to succeed.
func (s *suite) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.command(t.Context(), s.node.Plane.KubectlPath(), stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// shell runs a script that is to succeed, with the cluster's kubectl in its path.
func (s *suite) shell(t *testing.T, script string) string {
	t.Helper()
	out, err := s.command(t.Context(), "env", script, "PATH="+filepath.Dir(s.node.Plane.KubectlPath())+":"+os.Getenv("PATH"), "sh", "-e")
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return out
}

// refused runs kubectl, which is to fail, and gives what it prints.
func (s *suite) refused(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := s.command(t.Context(), s.node.Plane.KubectlPath(), stdin, args...)
	if err == nil {
		t.Fatalf("kubectl %s was to be refused, and printed:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// wantWords fails unless the text holds each of the words, in this order.
func wantWords(t *testing.T, what, text string, words ...string) {
	t.Helper()
	rest := text
	for _, word := range words {
		_, after, found := strings.Cut(rest, word)
		if !found {
			t.Errorf("%s lacks %q, or has it elsewhere:\n%s", what, word, text)
			return
		}
		rest = after
	}
}

// eventually waits until condition gives nil.
func eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		case <-ticker.C:
		}
	}
}

// example is the path of one of the files that the README walks through.
func example(name string) string {
	return filepath.Join(root, "deploy", "examples", "shop", fmt.Sprintf("%s.yaml", name))
}
