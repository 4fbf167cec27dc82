package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.kubectlPath, append(append([]string{}, who...), args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "KUBECACHEDIR="+filepath.Join(s.dir, "kubectl-cache"))
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return answer{stdout: stdout.String(), stderr: stderr.String(), ok: err == nil}
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

// eventually waits until condition gives nil.
func eventually(t *testing.T, what string, condition func(ctx context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 25*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v; at last: %v", what, err, last)
	}
}
