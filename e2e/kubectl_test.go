package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// answer is what kubectl printed and whether it succeeded.
type answer struct {
	stdout, stderr string
	ok             bool
}

func (a answer) text() string { return a.stderr + a.stdout }

// kubectl runs a command as a user who may do everything, with stdin as its standard input.
func (s *suite) kubectl(t *testing.T, user, stdin string, args ...string) answer {
	t.Helper()
	return s.kubectlAs(t, []string{"--as", user, "--as-group", masters}, stdin, args...)
}

// kubectlAs runs a command with the flags that say who runs it.
func (s *suite) kubectlAs(t *testing.T, who []string, stdin string, args ...string) answer {
	t.Helper()
	a, err := s.runKubectl(t.Context(), command{who: who, stdin: stdin, args: args})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// command is a command line of kubectl: the flags that say who runs it, the rest, and what it reads.
type command struct {
	who, args []string
	stdin     string
}

// runKubectl runs a command. The error is of starting kubectl; where kubectl fails, its answer says so.
func (s *suite) runKubectl(ctx context.Context, c command) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.kubectlPath, slices.Concat(c.who, c.args)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "KUBECACHEDIR="+filepath.Join(s.dir, "kubectl-cache"),
		"GOGC=off") // a fifth of the processor time of so short a run would go into collecting garbage
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return answer{}, fmt.Errorf("kubectl %s: %w", strings.Join(c.args, " "), err)
	}
	return answer{stdout: stdout.String(), stderr: stderr.String(), ok: err == nil}, nil
}

// dev runs kubectl as the developer whom Bulkhead judges.
func (s *suite) dev(t *testing.T, stdin string, args ...string) answer {
	t.Helper()
	return s.kubectl(t, dev, stdin, args...)
}

// wantPassed fails unless kubectl succeeded and printed no warning.
func wantPassed(t *testing.T, what string, a answer) {
	t.Helper()
	if !a.ok || strings.Contains(a.stderr, "Warning:") {
		t.Errorf("%s was to pass without a warning, and kubectl printed:\n%s", what, a.text())
	}
}

// wantWarned fails unless kubectl succeeded with a warning that begins so.
func wantWarned(t *testing.T, what string, a answer, warning string) {
	t.Helper()
	if !a.ok || !strings.Contains("\n"+a.stderr, "\nWarning: "+warning) {
		t.Errorf("%s was to pass with the warning %q, and kubectl printed:\n%s", what, warning, a.text())
	}
}

// wantDenied fails unless the webhook, such as "networkpolicies", refused the request as 403 Forbidden with a message
// that begins so.
func wantDenied(t *testing.T, what string, a answer, webhook, message string) {
	t.Helper()
	if a.ok || !strings.Contains(a.stderr, "Error from server (Forbidden): ") {
		t.Errorf("%s was to be denied, and kubectl printed:\n%s", what, a.text())
		return
	}
	if want := `admission webhook "` + webhook + `.bulkhead.dev" denied the request: ` + message; !strings.Contains(a.stderr, want) {
		t.Errorf("%s: kubectl was to print %q, and printed:\n%s", what, want, a.text())
	}
}

// messageOf cuts the webhook's message out of what kubectl printed.
func messageOf(a answer) string {
	_, message, _ := strings.Cut(a.stderr, " denied the request: ")
	return strings.TrimSuffix(message, "\n")
}

// kubeconfigFor writes a kubeconfig file with which its holder acts as a user: with the rights that RBAC gives that
// user and no others.
func (s *suite) kubeconfigFor(user string, groups ...string) (string, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: s.kubeconfig}
	raw, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).RawConfig()
	if err != nil {
		return "", err
	}
	if err := clientcmdapi.FlattenConfig(&raw); err != nil {
		return "", err
	}
	who := raw.AuthInfos[raw.Contexts[raw.CurrentContext].AuthInfo]
	who.Impersonate, who.ImpersonateGroups = user, groups
	file, err := os.CreateTemp(s.dir, "*.kubeconfig")
	if err != nil {
		return "", err
	}
	return file.Name(), errors.Join(file.Close(), clientcmd.WriteToFile(raw, file.Name()))
}

// patience is how long a condition may take to come true.
const patience = time.Minute

// eventually waits until condition gives nil. It asks again soon, since most of what the tests wait for takes the API
// server and the replicas milliseconds, and then less often.
func eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	eventuallyWithin(t, patience, what, condition)
}

// eventuallyWithin waits for a condition that takes its time.
func eventuallyWithin(t *testing.T, limit time.Duration, what string, condition func(ctx context.Context) error) {
	t.Helper()
	var last error
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	pauses := wait.Backoff{Duration: 3 * time.Millisecond, Factor: 1.5, Steps: math.MaxInt, Cap: 25 * time.Millisecond}.DelayFunc()
	err := pauses.Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v; at last: %v", what, err, last)
	}
}
