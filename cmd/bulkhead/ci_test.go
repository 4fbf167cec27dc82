package main

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"sigs.k8s.io/yaml"
)

// pipelines reads the examples for continuous integration from the documentation.
func pipelines(t *testing.T) (github struct {
	Jobs map[string]struct {
		Steps []struct {
			Run  string            `json:"run"`
			With map[string]string `json:"with"`
		} `json:"steps"`
	} `json:"jobs"`
}, gitlab map[string]struct {
	Script    []string `json:"script"`
	Artifacts struct {
		Reports map[string]string `json:"reports"`
	} `json:"artifacts"`
},
) {
	t.Helper()
	data, err := os.ReadFile("../../docs/lint.md")
	if err != nil {
		t.Fatal(err)
	}
	for heading, into := range map[string]any{"### GitHub Actions": &github, "### GitLab CI": &gitlab} {
		_, rest, _ := strings.Cut(string(data), heading+"\n\n```yaml\n")
		text, _, ok := strings.Cut(rest, "\n```")
		if !ok {
			t.Fatalf("docs/lint.md has no example below %q", heading)
		}
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", heading, err)
		}
	}
	return github, gitlab
}

// repository makes a git repository whose last commit takes a policy for DNS away, and goes there.
func repository(t *testing.T) (before string) {
	t.Helper()
	t.Chdir(t.TempDir())
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.org"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	if err := os.Mkdir("deploy", 0o700); err != nil {
		t.Fatal(err)
	}
	const allowDNS = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: allow-dns}\nspec:\n  podSelector: {}\n  policyTypes: [Egress]\n" +
		"  egress: [{ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}]\n"
	for name, text := range map[string]string{
		"web.yaml":          "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\n",
		"default-deny.yaml": denyAll, "allow-dns.yaml": allowDNS,
	} {
		if err := os.WriteFile(filepath.Join("deploy", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("add", ".")
	git("commit", "-qm", "before")
	before = git("rev-parse", "HEAD")
	git("rm", "-q", "deploy/allow-dns.yaml")
	git("commit", "-qm", "after")
	return before
}

// lintLine runs a line of an example that calls "bulkhead lint", and gives its exit code and output.
func lintLine(t *testing.T, line string) (stdout string, code int) {
	t.Helper()
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "bulkhead" || words[1] != "lint" {
		t.Fatalf("%q does not lint", line)
	}
	stdout, _, err := command(t, words[1:]...)
	if err != nil {
		code = exitCode(err)
	}
	return stdout, code
}

// TestGitHubExample runs what the workflow runs, beside a checkout of the branch that the change goes to.
func TestGitHubExample(t *testing.T) {
	github, _ := pipelines(t)
	before := repository(t)
	if out, err := exec.CommandContext(t.Context(), "git", "worktree", "add", "-q", ".base", before).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var lines []string
	upload := ""
	for _, step := range github.Jobs["lint"].Steps {
		if strings.HasPrefix(step.Run, "bulkhead ") {
			lines = append(lines, step.Run)
		}
		if step.With["sarif_file"] != "" {
			upload = step.With["sarif_file"]
		}
	}
	if len(lines) != 2 {
		t.Fatalf("the workflow runs %q", lines)
	}
	if stdout, code := lintLine(t, lines[0]); code != 1 || !strings.Contains(stdout, "::error file=.base/deploy/allow-dns.yaml,") || !strings.Contains(stdout, "dns-cut") {
		t.Errorf("exit code %d of %q:\n%s", code, lines[0], stdout)
	}
	if stdout, code := lintLine(t, lines[1]); code != 0 {
		t.Errorf("exit code %d of %q:\n%s", code, lines[1], stdout)
	}
	r, err := sarif.Open(upload)
	if err != nil || len(r.Runs) != 1 || len(r.Runs[0].Results) == 0 || *r.Runs[0].Results[0].RuleID != "dns-cut" {
		t.Errorf("what is uploaded: %+v, %v", r, err)
	}
}

// TestGitLabExample runs the script of the job.
func TestGitLabExample(t *testing.T) {
	_, gitlab := pipelines(t)
	before := repository(t)
	job := gitlab["network policies"]
	code := -1
	for _, line := range job.Script {
		switch {
		case strings.HasPrefix(line, "go install "):
		case strings.HasPrefix(line, "bulkhead "):
			_, code = lintLine(t, line)
		default:
			cmd := exec.CommandContext(t.Context(), "sh", "-ec", line)
			cmd.Env = append(os.Environ(), "CI_MERGE_REQUEST_DIFF_BASE_SHA="+before)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%q: %v\n%s", line, err, out)
			}
		}
	}
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	var suites struct {
		Failures int `xml:"failures,attr"`
	}
	data, err := os.ReadFile(job.Artifacts.Reports["junit"])
	if err == nil {
		err = xml.Unmarshal(data, &suites)
	}
	if err != nil || suites.Failures == 0 {
		t.Errorf("%v: %s", err, data)
	}
}
