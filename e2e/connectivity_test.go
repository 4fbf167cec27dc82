package e2e

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/bulkhead-dev/bulkhead/webhook"
)

// reader is a user who may list everything that connections are made of but Services. A control plane of the tests' own
// lacks the kinds of cluster-wide policies, so that no right to them is missed there.
const reader = "bulkhead-e2e-reader"

// noServices is what a reader is told.
const noServices = "services may not be listed: the DNS resolver may not be found"

// run runs a command of the shipped binary with stdin as its standard input.
func (s *suite) run(t *testing.T, stdin string, args ...string) (a answer, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("bulkhead %s: %v, %v\n%s", strings.Join(args, " "), err, ctx.Err(), stderr.String())
	}
	return answer{stdout: stdout.String(), stderr: stderr.String(), ok: err == nil}, cmd.ProcessState.ExitCode()
}

// grantReader lets reader list what it may until the test ends.
func (s *suite) grantReader(t *testing.T) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: reader}}
	rights := webhook.SnapshotRights()
	if s.plane == nil {
		rights = append(rights, webhook.TierRights()...)
	}
	for _, r := range append(rights, webhook.Right{Verb: "list", Resource: "replicationcontrollers"}) {
		if r.Verb == "list" && r.Resource != "services" {
			role.Rules = append(role.Rules, rbacv1.PolicyRule{Verbs: []string{r.Verb}, APIGroups: []string{r.Group}, Resources: []string{r.Resource}})
		}
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: reader}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: reader},
	}
	rbac := s.clients.RbacV1()
	if _, err := rbac.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		err := errors.Join(rbac.ClusterRoleBindings().Delete(ctx, reader, metav1.DeleteOptions{}), rbac.ClusterRoles().Delete(ctx, reader, metav1.DeleteOptions{}))
		if err != nil {
			t.Error(err)
		}
	})
}

// testConnectivity asks the live cluster who can reach whom, as somebody who may read all of it and as somebody who may
// not: then the result says what it lacks.
func (s *suite) testConnectivity(t *testing.T) {
	namespace := s.newNamespace(t)
	s.given(t, namespace, deployment("web", 2, "app: web"), deployment("api", 1, "app: api"), networkPolicy("api",
		"podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]"))
	s.grantReader(t)
	partly, err := s.kubeconfigFor(reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, who := range map[string]struct {
		kubeconfig string
		incomplete string
	}{
		"all rights":                {s.kubeconfig, ""},
		"no right to list services": {partly, noServices},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := clientcmd.LoadFromFile(who.kubeconfig)
			if err != nil {
				t.Fatal(err)
			}
			live := []string{"--kubeconfig", who.kubeconfig, "--context", cfg.CurrentContext}
			for command, want := range s.liveQuestions(namespace) {
				a, code := s.run(t, want.stdin, append(strings.Fields(command), live...)...)
				if code != want.code || !strings.Contains(a.stdout, want.stdout) {
					t.Errorf("bulkhead %s ended with %d, want %d, and printed, without %q:\n%s", command, code, want.code, want.stdout, a.text())
				}
				said := strings.Contains(a.stderr, "warning: "+who.incomplete+"\n") && strings.Contains(a.text(), "incomplete: "+who.incomplete+"\n")
				if who.incomplete != "" && (!said || strings.Count(a.text(), "incomplete: ") != 1) || who.incomplete == "" && strings.Contains(a.text(), "incomplete") {
					t.Errorf("bulkhead %s was to lack %q, and printed:\n%s", command, who.incomplete, a.text())
				}
			}
		})
	}
	s.wantNoPolicy(t, namespace, "default-deny")
}

// liveQuestion is what goes into a command and what is to come out.
type liveQuestion struct {
	stdin, stdout string
	code          int
}

func (s *suite) liveQuestions(namespace string) map[string]liveQuestion {
	web, api := namespace+"/web", namespace+"/api"
	file := networkPolicy("default-deny", denyAll)
	return map[string]liveQuestion{
		"connections --focus " + namespace + " -o csv":                       {stdout: "\n" + namespace + ",Deployment,web,," + namespace + ",Deployment,api,,TCP,8080,8080\n"},
		"explain-connection --from " + web + " --to " + api + " --port 8080": {stdout: web + " -> " + api + " TCP 8080: allowed\n"},
		"explain-connection --from " + web + " --to " + api + " --port 9090": {stdout: web + " -> " + api + " TCP 9090: denied\n"},
		"diff -f - -n " + namespace:                                          {stdin: file, stdout: web},
		"diff -f - --exit-code -n " + namespace:                              {stdin: file, code: 1},
		"diff -f - --exit-code --delete -n " + namespace: {
			stdin: networkPolicy("api", "podSelector: {}"), stdout: api, code: 1,
		},
	}
}
